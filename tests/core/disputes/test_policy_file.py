"""The table of disputes: what it says, what is wrong with it and in which field, and who may decide what."""

from datetime import timedelta
from typing import Any

import pytest

from coulance_core.catalog.faults import TermsError
from coulance_core.disputes import Decider, Grounds, Mediator, Policy, parse_policy
from coulance_core.kernel import Money

WHOLE: dict[str, Any] = {
    "decide_days": 10,
    "again_days": 3,
    "answer_days": 21,
    "open_days": 180,
    "customer_cases": 3,
    "grounds": ["not_warned", "quantity", "other"],
    "mediation": {"name": "Geschillencommissie", "url": "https://www.example.org", "about": "Free.", "days": 60},
    "decider": [{"role": "support", "upto": ["50.00 EUR", "40.00 USD"]}, {"role": "admin"}],
}


def test_every_field_is_read() -> None:
    assert parse_policy(WHOLE, version="disputes@1") == Policy(
        timedelta(days=10),
        timedelta(days=3),
        timedelta(days=21),
        timedelta(days=180),
        3,
        (Grounds.NOT_WARNED, Grounds.QUANTITY, Grounds.OTHER),
        Mediator("Geschillencommissie", "https://www.example.org", "Free.", timedelta(days=60)),
        (Decider("support", (Money(5000, "EUR"), Money(4000, "USD"))), Decider("admin")),
        "disputes@1",
    )
    assert parse_policy({}) == Policy()
    assert parse_policy({"decide_days": 3}).again_within == timedelta(days=3)  # never longer than the whole


BAD: list[tuple[dict[str, Any], str, str]] = [
    ({"decide_days": 61}, "decide_days", "expected 1 to 60"),
    ({"decide_days": 7, "again_days": 8}, "again_days", "expected 1 to 7"),
    ({"answer_days": 13}, "answer_days", "expected 14 to 180"),
    ({"open_days": 30}, "open_days", "expected 60 to 3650"),
    ({"customer_cases": 0}, "customer_cases", "expected 1 to 20"),
    ({"grounds": ["quantity"]}, "grounds", 'keep "other"'),
    ({"grounds": ["other", "other"]}, "grounds", "there twice"),
    ({"grounds": ["because", "other"]}, "grounds[0]", "because"),
    ({"mediation": {}}, "mediation.name", "is missing"),
    ({"mediation": {"name": " "}}, "mediation.name", "say who"),
    ({"mediation": {"name": "X", "url": "javascript:alert(1)"}}, "mediation.url", "expected an address"),
    ({"mediation": {"name": "X", "fee": 1}}, "mediation.fee", "no such field"),
    ({"decider": [{"role": "boss"}]}, "decider[0].role", "there is no role"),
    ({"decider": [{"role": "admin"}, {"role": "admin"}]}, "decider[1].role", "there twice"),
    ({"decider": [{"role": "admin", "upto": ["50.00 EUR"]}]}, "decider", "nobody may decide the largest"),
    ({"decider": [{"role": "admin", "upto": [50]}]}, "decider[0].upto[0]", "50"),
    ({"windows": 1}, "windows", "no such field"),
]


@pytest.mark.parametrize(("data", "field", "says"), BAD, ids=[f"{field} {says}" for _, field, says in BAD])
def test_what_is_wrong_is_said_by_its_field(data: dict[str, Any], field: str, says: str) -> None:
    with pytest.raises(TermsError) as caught:
        parse_policy(data, roles=frozenset({"support", "billing", "admin"}))
    found = {fault.field: fault.message for fault in caught.value.faults}
    assert says in found[field], found


@pytest.mark.parametrize(
    ("role", "amount", "says"),
    [
        ("support", "50.00", ""),
        ("support", "50.01", "support decides up to 50.00 EUR or 40.00 USD"),
        ("admin", "99999.00", ""),
        ("billing", "0.01", "billing decides no contested bills: support or admin may decide it"),
    ],
)
def test_who_may_decide_what(role: str, amount: str, says: str) -> None:
    refusal = parse_policy(WHOLE).may_decide(role, Money.of(amount, "EUR"))
    assert (refusal is None) == (says == "")
    assert refusal is None or says in refusal.message
