"""Killed anywhere, a take-over leaves nothing; done again it is all there, once, and once more changes nothing."""

from pathlib import Path
from typing import Any

from coulance.customers import queries as customers
from coulance.integrations.takeover.reading import read_source
from coulance.invoicing.check import check_documents
from coulance.ledger.check import check_ledger
from coulance.payments.check import check_payments
from coulance.platform import audit
from tests.closing.conftest import lasting, store_here  # noqa: F401
from tests.support.crashing import kill_at_each
from tests.takeover.dying import STEPS
from tests.takeover.move import move
from tests.takeover.whmcs_source import made_up


def test_a_take_over_killed_at_any_step_leaves_nothing(committed_db: Any, lasting: Any, folder: Path) -> None:  # noqa: F811
    lasting.provider()
    old = made_up()
    old.texts["number-series.csv"] = "series,year,last\nbase,2026,40\n"
    where, mapping = old.write(folder)
    kill_at_each("tests.takeover.dying", STEPS, where, mapping, database=committed_db)
    assert customers.account_ids() == []
    assert audit.events(act="takeover.applied") == []
    source = read_source(where, mapping)
    done = move(source)
    again = move(source)
    assert (done.applied, again.applied, sum(again.fresh.values())) == (True, True, 0)
    assert len(audit.events(act="takeover.applied")) == 1
    assert [str(fault) for fault in (*check_payments(), *check_ledger(), *check_documents())] == []
