"""What a night reads, works out and bills: the due and the changed alone, figures kept, plans' interest by the day."""

from datetime import date, datetime
from fractions import Fraction
from typing import Any

import pytest

from coulance.arrears import nights
from coulance.arrears import queries as records
from coulance.flows.arrears import people, picking, plan_interest, running
from coulance.flows.arrears.facts import read, settings
from coulance.payments import columns as payments
from coulance_core.arrears import in_parts
from coulance_core.kernel import Money
from tests.arrears.street import ANNA, ON, Street, at, eur

INTEREST = (
    ON
    + """
[[arrears.policy]]
name = "bears"
from = 2026-01-01
law = "nl"
[arrears.policy.scope]
groups = ["reseller"]
[arrears.policy.plans]
interest = true
auto_below = ["500.00 EUR"]
[[arrears.policy.step]]
key = "before"
route = "demand"
act = "remind"
days = -3
within = [-8, -2]
[[arrears.policy.step]]
key = "reminder"
route = "demand"
act = "remind"
days = 1
evidence = "delivered"
[[arrears.policy]]
name = "rest"
from = 2026-01-01
[[arrears.policy.step]]
key = "late"
route = "demand"
act = "remind"
days = 30
"""
)


@pytest.fixture
def reseller(db: Any, store_here: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Street:
    monkeypatch.setenv("COULANCE_URL", "https://billing.example.nl")
    return Street.of(tmp_path, arrears=INTEREST, groups=["reseller"])


def test_a_night_reads_whose_time_has_come_and_whom_something_happened_to(reseller: Street) -> None:
    street = reseller
    street.billed()
    owes = payments.open_columns()
    assert [owes[name].tolist() for name in ("account", "open")] == [[street.account], [12_100]]
    assert owes["due"].astype(object).tolist() == [date(2026, 6, 18)]

    def night(when: datetime) -> int:
        terms = settings()
        assert terms is not None
        found = picking.pick(terms, at=when)
        assert len(found.accounts) == running.run_day(at=when).judged
        return len(found.accounts)

    assert [running.is_night_due(at=at("2026-06-05", hour)) for hour in (5, 6, 7)] == [False, True, True]
    assert night(at("2026-06-05", 6)) == 1  # the first reads everybody
    assert not running.is_night_due(at=at("2026-06-05", 7))
    assert night(at("2026-06-06", 6)) == 0  # nothing happened, and its time hasn't come
    street.pays("1.00", at("2026-06-07", 12), "B2026-0001")
    assert [night(at("2026-06-08", 6)), night(at("2026-06-09", 6))] == [1, 0]
    # How they pay moved their reminder to eight days before the 18th.
    nights.keep_habits(
        [nights.NewHabit(street.account, Fraction(3, 4), 4, late=True, remind_days=20, gentler=(), explanation=why())],
        at=at("2026-06-08"),
    )
    assert read([street.account], at=at("2026-06-08"))[street.account].facts.remind_days == 20
    assert running.run_arrears(at=at("2026-06-10", 9.5), accounts=[street.account]).done == 1
    assert street.story() == ["06-10 before"]
    assert records.case(street.account) is not None
    # By group: the case keeps the version of the policy that its account's group chose.
    assert records.cases()[0].version == "bears@2026-01-01"
    street.pays("21.00", at("2026-06-11", 12), "B2026-0001")
    hours = [picking.pick_of_hour(at=at("2026-06-11", hour), since=at("2026-06-11", hour - 3)) for hour in (13, 17)]
    assert hours == [[street.account], []]  # its money moved; and then its case's time hasn't come
    assert nights.last_night() is not None


def why() -> Any:
    from coulance_core.kernel import Explanation

    return Explanation.build("arrears.score").freeze()


def test_what_a_plan_bears_is_shown_before_it_is_agreed_and_billed_by_the_day_when_it_is_over(reseller: Street) -> None:
    street = reseller
    street.billed()
    street.run(at("2026-06-19"))
    limits = people.bounds(account=street.account, at=at("2026-06-20"))
    parts = in_parts(eur("121.00"), [date(2026, 6, 27), date(2026, 7, 27)])
    shown = people.interest_of(bounds=limits, instalments=parts)
    assert shown is not None
    # 10.15 % (ECB 2.15 + 8): 121.00 for 7 nights, then 60.50 for 30.
    assert shown.amount == Money.of("0.74", "EUR")
    plan = people.propose_plan(account=street.account, instalments=parts, actor="contact:boss", at=at("2026-06-20"))
    assert (plan.state, plan.interest_most) == ("agreed", eur("0.74"))
    assert plan_interest.settle_due(at=at("2026-06-25")) == []
    street.pays("121.00", at("2026-06-30", 12), "B2026-0001")  # sooner than planned: it costs less
    (document,) = plan_interest.settle_due(at=at("2026-07-01"))
    (paper,) = [one for one in street.documents() if one.id == document]
    assert (paper.kind, str(paper.gross)) == ("interest_invoice", "0.34 EUR")  # 121.00 for 10 nights
    assert plan_interest.settle_due(at=at("2026-07-02")) == []
    assert records.plan(plan.id).interest_document == document


def test_another_group_falls_under_another_policy(db: Any, store_here: Any, tmp_path: Any) -> None:
    street = Street.of(tmp_path, arrears=INTEREST)
    one = read([street.account], at=at("2026-06-05"))[street.account]
    assert one.policy.version == "rest@2026-01-01"
    assert ANNA
