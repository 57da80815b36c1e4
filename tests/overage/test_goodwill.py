"""Goodwill on issued paper: proposals from history, credit notes on the line, budgets, threads that grant at once."""

from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction as F
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from coulance.flows.crediting import reverse_credit_note
from coulance.flows.goodwill import UnableToGrantError, grant_goodwill, propose_goodwill
from coulance.overage import ways_out
from coulance.platform import audit
from coulance_core.kernel import Money, UnitPrice, unit
from coulance_core.overage.goodwill import By, Cause, CostTerms, GoodwillPolicy, Grant, Habit
from tests.closing.world import table
from tests.overage.fair import ALWAYS, NOW, ONCE, fair_world

COSTS = CostTerms((UnitPrice(F(1), "EUR", unit("TB")),), margin=F(1, 4))
POLICY = GoodwillPolicy(costs=COSTS, budgets={"support": Money(10000, "EUR"), "billing": Money(50000, "EUR")})
NUMBER = "V2026-0001"


@pytest.fixture
def folder(db: Any, store_here: Path, tmp_path: Path) -> Path:
    return tmp_path


def give(grant: Grant, *, actor: str = "operator:anna", role: str = "support", **more: Any) -> Any:
    facts = {"number": NUMBER, "cause": Cause.ONE_OFF, "reason": "a backup ran wild", "at": NOW, "policy": POLICY}
    return grant_goodwill(grant=grant, actor=actor, role=role, **{**facts, **more})


def test_a_proposal_with_all_that_stands_beside_it(folder: Path) -> None:
    fair_world(folder, ONCE)
    (found,) = propose_goodwill(number=NUMBER, at=NOW, role="support", actor="operator:anna", policy=POLICY)
    assert found.history is not None
    assert (found.history.habit, found.history.median) == (Habit.ONE_OFF, F(400))
    # Cost price first: 2000 GB at 1.00 a TB is 2.00, which is what they still pay.
    assert found.proposal.cause is Cause.ONE_OFF
    assert found.proposal.granted is not None
    assert str(found.proposal.granted.amount) == "198.00 EUR"
    assert found.effect is not None
    assert (str(found.effect.cost), str(found.effect.loss), found.effect.months) == ("2.00 EUR", "0.00 EUR", 0)
    assert (str(found.billed), str(found.left), str(found.budget_left)) == ("200.00 EUR", "200.00 EUR", "100.00 EUR")
    # All of it, for an attack: 2.00 lost at a margin of a quarter of 10.00 a month is earned back in one.
    (found,) = propose_goodwill(number=NUMBER, at=NOW, cause=Cause.ATTACK, policy=POLICY)
    assert found.proposal.granted is not None
    assert found.proposal.granted.left == Money(0, "EUR")
    assert found.effect is not None
    assert (str(found.effect.loss), found.effect.months) == ("2.00 EUR", 1)


def test_a_habit_is_not_a_one_off(folder: Path) -> None:
    fair_world(folder, ALWAYS[:2])
    (found,) = propose_goodwill(number="V2026-0002", at=NOW)
    assert found.history is not None
    assert (found.history.habit, found.proposal.cause, found.proposal.grant) == (Habit.REPEATED, Cause.OTHER, None)
    assert found.budget_left is None
    (first,) = propose_goodwill(number=NUMBER, at=NOW)
    assert first.proposal.cause is Cause.FIRST_TIME


def test_a_grant_is_a_credit_note_on_the_line(folder: Path) -> None:
    world = fair_world(folder, (3000,))
    got = give(Grant(By.SHARE, share=F(1, 4)))
    assert (got.credit_note, got.amount, got.left) == ("C2026-0001", Money(5000, "EUR"), Money(15000, "EUR"))
    give(Grant(By.CAP, Money(12000, "EUR")))
    assert world.papers(kinds="BVC") == table(
        """
        B2026-0001 2026-02: 20.00 + 4.20
          base vps-1 01-01..02-01 1 at 10: 10.00
          base vps-1 02-01..03-01 1 at 10: 10.00
        V2026-0001 2026-01: 200.00 + 42.00
          overage vps-1 01-01..02-01 2000 GB at 0.1: 200.00
        C2026-0001 2026-01: -50.00 + -10.50 on V2026-0001, price_reduction
          credit vps-1 01-01..02-01 1: -50.00
        C2026-0002 2026-01: -30.00 + -6.30 on V2026-0001, price_reduction
          credit vps-1 01-01..02-01 1: -30.00
        """
    )
    newest, oldest = ways_out.goodwill()
    assert (str(newest.amount), newest.cause, newest.credit_note) == ("30.00 EUR", "one_off", "C2026-0002")
    assert ways_out.goodwill_spent(actor="operator:anna", month="2026-07", currency="EUR") == Money(8000, "EUR")
    assert len(audit.events(subject=f"invoice:{NUMBER}", act="goodwill.granted")) == 2
    assert oldest.reason == "a backup ran wild"


@pytest.mark.parametrize(
    ("grant", "more", "says"),
    [
        (Grant(By.AMOUNT, Money(20001, "EUR")), {"role": "billing"}, "only 200.00 EUR"),
        (Grant(By.AMOUNT, Money(10001, "EUR")), {}, "100.00 EUR of 100.00 EUR is left this month"),
        (Grant(By.AMOUNT, Money(1, "EUR")), {"role": "viewer"}, "no goodwill budget"),
        (Grant(By.AMOUNT, Money(1, "EUR")), {"reason": "  "}, "reason"),
        (Grant(By.AMOUNT, Money(1, "EUR")), {"line": 7}, "no usage line 7"),
        (Grant(By.AMOUNT, Money(1, "EUR")), {"number": "B2026-0001"}, "no usage lines"),
        (Grant(By.AMOUNT, Money(1, "USD")), {}, "USD"),
    ],
)
def test_what_is_refused_leaves_nothing(folder: Path, grant: Grant, more: dict[str, Any], says: str) -> None:
    world = fair_world(folder, (3000,))
    with pytest.raises(UnableToGrantError, match=says):
        give(grant, **more)
    assert world.papers(kinds="C") == ""
    assert ways_out.goodwill() == []


def test_which_line_must_be_said(folder: Path) -> None:
    world = fair_world(folder, (), close=False)
    world.service("vps-2", "vps-s", "2026-01-01", meter="traffic")
    world.use("vps-1", {"2026-01-15": 1100}).use("vps-2", {"2026-01-15": 1200}).close("2026-01")
    with pytest.raises(UnableToGrantError, match=r"say which, of 1 .*10.00 EUR\), 2 .*20.00 EUR\)"):
        give(Grant(By.SHARE, share=F(1)))
    assert give(Grant(By.SHARE, share=F(1)), line=2).amount == Money(2000, "EUR")
    assert [str(one.left) for one in propose_goodwill(number=NUMBER, at=NOW)] == ["10.00 EUR", "0.00 EUR"]


def test_a_budget_begins_anew_each_month(folder: Path) -> None:
    fair_world(folder, (3000,))
    give(Grant(By.AMOUNT, Money(10000, "EUR")))
    with pytest.raises(UnableToGrantError, match=r"0\.00 EUR of 100\.00 EUR"):
        give(Grant(By.AMOUNT, Money(1, "EUR")))
    assert give(Grant(By.AMOUNT, Money(1, "EUR")), actor="operator:bert").left == Money(9999, "EUR")
    assert give(Grant(By.AMOUNT, Money(1, "EUR")), at=NOW.replace(month=8)).left == Money(9998, "EUR")


def test_what_is_taken_back_is_given_back_to_the_budget(folder: Path) -> None:
    fair_world(folder, (3000,))
    first = give(Grant(By.AMOUNT, Money(9000, "EUR")))
    give(Grant(By.AMOUNT, Money(1000, "EUR")))
    reverse_credit_note(number=first.credit_note, reason="the wrong customer", actor="operator:bert", at=NOW)
    assert [row.taken_back for row in ways_out.goodwill()] == [False, True]
    assert ways_out.goodwill_spent(actor="operator:anna", month="2026-07", currency="EUR") == Money(1000, "EUR")
    with pytest.raises(UnableToGrantError, match=r"90\.00 EUR of 100\.00 EUR"):
        give(Grant(By.AMOUNT, Money(9001, "EUR")))
    assert give(Grant(By.AMOUNT, Money(9000, "EUR"))).credit_note != first.credit_note


def test_a_record_stays(folder: Path) -> None:
    from django.db import DatabaseError

    fair_world(folder, (3000,))
    give(Grant(By.AMOUNT, Money(1, "EUR")))
    with pytest.raises(DatabaseError, match="stays on record"), connection.cursor() as cursor:
        cursor.execute("UPDATE overage_goodwill SET amount = 2")


def test_neither_line_nor_budget_gives_way_to_threads(lasting: Any, tmp_path: Path) -> None:
    """Twelve grants of 30.00 at once by two people with 100.00 each, on a line of 150.00: five fit, and no sixth."""
    fair_world(tmp_path, (2500,))

    def one(number: int) -> bool:
        try:
            give(Grant(By.AMOUNT, Money(3000, "EUR")), actor=f"operator:{number % 2}")
        except UnableToGrantError:
            return False
        finally:
            connection.close()
        return True

    with ThreadPoolExecutor(6) as pool:
        done = list(pool.map(one, range(12)))
    assert sum(done) == 5
    spent = [ways_out.goodwill_spent(actor=f"operator:{n}", month="2026-07", currency="EUR").minor for n in (0, 1)]
    assert max(spent) <= 10000
    assert sum(spent) == 15000
    assert len(ways_out.goodwill()) == 5
