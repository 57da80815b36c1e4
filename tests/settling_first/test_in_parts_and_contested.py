"""An overage invoice that waits is paid in parts, or contested, before it is issued."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from coulance.arrears import queries as records
from coulance.customers import queries as customers
from coulance.disputes import queries as disputes
from coulance.flows.settling_first import settling
from coulance.payments import queries as payments
from tests.settling_first.waiting_room import CLOSED, TERMS, choose, held, paper, waiting_world

ARREARS = '\n[arrears]\nmode = "enforce"\n'
DAY = timedelta(days=1)


@pytest.fixture
def room(db: Any, store_here: Path, tmp_path: Path) -> int:
    """242.00 waits at a provider with arrears; the account."""
    waiting_world(tmp_path, more=TERMS + ARREARS)
    return customers.account("acme").id


def offered(account: int) -> dict[str, Any]:
    found = settling.offered(account=account, document=held().document, at=CLOSED)
    assert found is not None
    return {one.key: one for one in found.ways}


def test_in_parts(room: int) -> None:
    way = offered(room)["instalments"]
    shown = way.sentences[0].replace("\u00a0", " ")
    assert "13 July 2026 €80.67; 12 August 2026 €80.67; 14 September 2026 €80.66" in shown  # days on which banks work
    done = choose("instalments", CLOSED)
    (plan,) = records.plans(accounts=[room])
    assert (plan.state, str(plan.total), plan.proposed_by) == ("agreed", "242.00 EUR", "contact:boss")
    assert done.numbers[0] in [row[0] for row in paper()]
    (item,) = [one for one in payments.open_items(accounts=[room])[room] if one.number == done.numbers[0]]
    assert plan.debts == (item.ref,)


def test_contested(room: int) -> None:
    assert offered(room)["contest"].total.minor == 0
    done = choose("contest", CLOSED + DAY)
    (case,) = disputes.cases(accounts=[room], at=CLOSED + DAY)
    assert (case.number, str(case.gross)) == (done.numbers[0], "242.00 EUR")
    (item,) = [one for one in payments.open_items(accounts=[room])[room] if one.number == done.numbers[0]]
    assert item.payable.minor == 0


def test_without_arrears_there_is_no_plan_to_choose(db: Any, store_here: Path, tmp_path: Path) -> None:
    waiting_world(tmp_path)
    assert "instalments" not in offered(customers.account("acme").id)
