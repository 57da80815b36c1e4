"""How far a customer may go without asking: by age, by how they paid, by plan; typed in money or in gigabytes."""

from datetime import date
from typing import Any

import pytest

from coulance.catalog.reader import read_provider_file
from coulance.flows import overage_by_hand
from coulance.overage import queries as records
from coulance.payments import lateness
from coulance_core.catalog.overage import CreditRule
from coulance_core.kernel import Money
from coulance_core.overage.credit import Known, bound
from tests.overage_control.town import Town, sent_accounts

NEW = '[[overage.credit]]\nmost = "20.00 EUR"\nyounger_than_days = 90\n'
LATE = '[[overage.credit]]\nmost = "10.00 EUR"\nlate = 1\n'
PLAN = '[[overage.credit]]\nmost = "5.00 EUR"\nplans = ["vps"]\n'


def town_with(town: Town, rules: str, started: str = "2026-09-01") -> Town:
    town.controlled(more=rules)
    town.customer().service("web", "vps", since=started, meter="traffic")
    return town.verify("boss@acme.example", "2026-10-01T00:00")


CASES = [
    # rules, service since, typed, waits for approval
    ("", "2026-09-01", {"amount": "500"}, False),
    (NEW, "2026-09-01", {"amount": "20"}, False),
    (NEW, "2026-09-01", {"amount": "20.01"}, True),
    (NEW, "2026-09-01", {"quantity": "100000"}, True),  # typed in GB: the same bound
    (NEW, "2026-01-01", {"amount": "500"}, False),
    (NEW + PLAN, "2026-09-01", {"amount": "6"}, True),
    (PLAN, "2026-01-01", {"amount": "5"}, False),
]


@pytest.mark.parametrize(("rules", "since", "typed", "waits"), CASES)
def test_above_the_bound_a_person_decides(
    town: Town, rules: str, since: str, typed: dict[str, str], waits: bool
) -> None:
    town_with(town, rules, since)
    given = town.allows("web", "2026-10-05T12:00", **typed)
    assert given.pending is waits
    in_force = records.consent_in_force(
        meter=town.judged("web", "2026-10-05T13:00").ref, at=town.at("2026-10-05T13:00"), period_name="2026-10"
    )
    assert (in_force is None) is waits


def test_an_operator_is_bound_by_it_too_and_may_decide(town: Town) -> None:
    town_with(town, NEW)
    at = town.at("2026-10-05T12:00")
    _, given = overage_by_hand.consent(
        service="web", contact="boss", amount="50", actor="operator:anna", reason="phoned, known voice", at=at
    )
    assert given.pending
    decided = overage_by_hand.decide(
        consent=given.id, approve=True, actor="operator:bea", reason="paid ahead", at=town.at("2026-10-05T13:00")
    )
    assert not decided.pending


def test_late_payers_are_counted_by_what_happened(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    town_with(town, LATE, "2026-01-01")
    assert not town.allows("web", "2026-10-05T12:00", amount="50").pending
    monkeypatch.setattr(lateness, "paid_late", lambda **_: 1)
    assert town.allows("web", "2026-10-06T12:00", amount="60").pending


def test_what_was_paid_late(town: Town) -> None:
    """September's fee, due 14 days later: unpaid it is late from the seventh day after; paid in time it never was."""
    town_with(town, "", "2026-09-01")
    town.close("2026-09")
    account = sent_accounts("acme")[0]
    from coulance.payments import queries

    item = queries.items_since(accounts=[account])[0].item

    def late(on: date) -> int:
        return lateness.paid_late(account=account, since=date(2026, 1, 1), on=on, days=7)

    after = [late(date.fromordinal(item.due_on.toordinal() + n)) for n in (6, 7)]
    assert after == [0, 1]


RULES = [CreditRule(Money(100, "EUR"), younger_than_days=30), CreditRule(Money(50, "EUR"), late=2, plans=("a",))]


@pytest.mark.parametrize(
    ("known", "expected"),
    [(Known(29, 0, "a"), 100), (Known(30, 0, "a"), None), (Known(29, 2, "a"), 50), (Known(400, 2, "b"), None)],
)
def test_the_lowest_bound_that_holds(known: Known, expected: int | None) -> None:
    found = bound(RULES, known, "EUR")
    assert (None if found is None else found.minor) == expected
    assert bound(RULES, known, "USD") is None


def test_rules_that_can_not_be(tmp_path: Any) -> None:
    from tests.catalog import SMALL

    text = '[[overage.credit]]\nmost = "5.00 EUR"\nlate = 0\nplans = ["nothing"]\n'
    file = tmp_path / "provider.toml"
    file.write_text(f'{SMALL}\n[overage]\ncontrol = "contract"\n{text}')
    said = [str(f) for f in read_provider_file(file).faults]
    assert any("overage.credit[0].late" in s for s in said)
    assert any("unknown plan 'nothing'" in s for s in said)
