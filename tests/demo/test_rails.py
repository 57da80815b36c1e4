"""The demo's direct debit: filed, refused, credited, taken back, to the cent; told twice it is the same."""

from datetime import timedelta
from pathlib import Path

import pytest

from coulance.flows.bank_import import GivenFile, import_statements
from coulance.integrations.demo import rails
from coulance.integrations.demo.bank import OURS
from coulance.payments import bank, collections
from coulance.payments import queries as payments
from coulance_core.kernel import Money
from coulance_core.payments.bank import BankStatement
from tests.payments.till import faults
from tests.sending.town import CLOSED, MONTH, contact, town

pytestmark = pytest.mark.usefixtures("db", "store_here")


def test_rails_of_the_demo(tmp_path: Path) -> None:
    world = town(tmp_path, accounts=5)
    for n in range(5):
        contact(f"c{n}", f"billing@c{n}.example")
    world.close(MONTH)
    day = CLOSED.date() + timedelta(days=29)
    empty = BankStatement(
        OURS, "EUR", (), number="1", opening=Money(5000, "EUR"), closing=Money(5000, "EUR"), opened_on=day,
        closed_on=day, form="camt.053.001.08", place="test",
    )  # fmt: skip
    import_statements(files=[GivenFile("s.xml", [empty])], apply=True, actor="demo", at=CLOSED + timedelta(days=29))
    now = CLOSED + timedelta(days=60)
    told = rails.tell(tmp_path / "provider.toml", tmp_path / "home", now=now, actor="demo")
    assert told[0].startswith("3 customers pay by direct debit: 1 collected, ")
    assert "1 refused, 1 returned" in told[0]
    assert "written down by hand" in told[2]
    (run,) = collections.runs()
    assert (tmp_path / "home" / "bank" / f"{run.reference}.xml").is_file()
    assert [one.missing for one in bank.status()] == [Money(0, "EUR")]
    open_now = {items[0].account for items in payments.open_items().values()}
    assert len(open_now) == 3, "the one refused, the one returned, and who took no part"
    assert rails.tell(tmp_path / "provider.toml", tmp_path / "home", now=now, actor="demo") == told
    assert faults() == []
