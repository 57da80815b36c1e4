"""Grounds and attacks as JSON and back, so that a settled period can be settled again from a file."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from coulance_core.kernel import Money, exact, show
from coulance_core.overage.closing import Ground
from coulance_core.overage.terms import Consent, Facts, Limit, Span


def ground_json(ground: Ground) -> dict[str, Any]:
    """A ground as plain values."""
    return {
        "keys": list(ground.keys),
        "facts": {name: _facts(facts) for name, facts in ground.facts.items()},
        "caps": {service: [_consent(one) for one in own] for service, own in ground.caps.items()},
    }


def ground_of(data: Mapping[str, Any]) -> Ground:
    """What `ground_json` wrote.

    >>> from datetime import UTC
    >>> noon = datetime(2026, 10, 1, 12, tzinfo=UTC)
    >>> consent = Consent("7", Span(noon), Limit(Money.of("50.00", "EUR"), exact("1/3")), "v@1", (Span(noon, noon),))
    >>> facts = Facts((consent,), (Span(noon),), (noon,), (), Money.of("9.00", "EUR"))
    >>> ground = Ground(("s1/out",), {"GB": facts}, {"s1": (consent,)})
    >>> ground_of(ground_json(ground)) == ground
    True
    """
    return Ground(
        tuple(data["keys"]),
        {name: _facts_of(one) for name, one in data["facts"].items()},
        {service: tuple(_consent_of(one) for one in own) for service, own in data["caps"].items()},
    )


def _facts(facts: Facts) -> dict[str, Any]:
    return {
        "consents": [_consent(one) for one in facts.consents],
        "warned": [_span(one) for one in facts.warned],
        "acknowledged": [one.isoformat() for one in facts.acknowledged],
        "paused": [_span(one) for one in facts.paused],
        "exposure": None if facts.exposure is None else str(facts.exposure),
    }


def _facts_of(data: Mapping[str, Any]) -> Facts:
    return Facts(
        tuple(_consent_of(one) for one in data["consents"]),
        tuple(_span_of(one) for one in data["warned"]),
        tuple(datetime.fromisoformat(one) for one in data["acknowledged"]),
        tuple(_span_of(one) for one in data["paused"]),
        _money_of(data["exposure"]),
    )


def _consent(one: Consent) -> dict[str, Any]:
    return {
        "ref": one.ref,
        "in_force": _span(one.in_force),
        "amount": None if one.limit.amount is None else str(one.limit.amount),
        "quantity": None if one.limit.quantity is None else show(one.limit.quantity),
        "typed": one.limit.typed,
        "terms": one.terms,
        "verified": [_span(span) for span in one.verified],
        "pre_acknowledged": None if one.pre_acknowledged is None else str(one.pre_acknowledged),
    }


def _consent_of(data: Mapping[str, Any]) -> Consent:
    quantity = data["quantity"]
    return Consent(
        data["ref"],
        _span_of(data["in_force"]),
        Limit(_money_of(data["amount"]), None if quantity is None else exact(quantity), data["typed"]),
        data["terms"],
        tuple(_span_of(one) for one in data["verified"]),
        _money_of(data["pre_acknowledged"]),
    )


def _span(one: Span) -> list[str | None]:
    return [one.start.isoformat(), None if one.end is None else one.end.isoformat()]


def _span_of(data: Any) -> Span:
    start, end = data
    return Span(datetime.fromisoformat(start), None if end is None else datetime.fromisoformat(end))


def _money_of(text: str | None) -> Money | None:
    if text is None:
        return None
    amount, code = text.split()
    return Money.of(amount, code)
