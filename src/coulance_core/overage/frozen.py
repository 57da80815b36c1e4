"""Grounds and attacks as JSON and back, so that a settled period can be settled again from a file."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

from coulance_core.catalog.terms import Catalog
from coulance_core.invoicing.closing import PartUse, ServiceFacts
from coulance_core.kernel import Money, Period, exact, show, unit
from coulance_core.overage.closing import Ground, OverPart, Settling, overruns, settle_overruns
from coulance_core.overage.settle import Attack
from coulance_core.overage.terms import Consent, Facts, Limit, Span
from coulance_core.usage.draws import Drawn


def ground_json(ground: Ground) -> dict[str, Any]:
    """A ground as plain values."""
    return {
        "keys": list(ground.keys),
        "facts": {name: _facts(facts) for name, facts in ground.facts.items()},
        "caps": {service: [_consent(one) for one in own] for service, own in ground.caps.items()},
        "paused": {service: [_span(one) for one in own] for service, own in ground.paused.items()},
    }


def ground_of(data: Mapping[str, Any]) -> Ground:
    """What `ground_json` wrote.

    >>> from datetime import UTC
    >>> noon = datetime(2026, 10, 1, 12, tzinfo=UTC)
    >>> consent = Consent("7", Span(noon), Limit(Money.of("50.00", "EUR"), exact("1/3")), "v@1", (Span(noon, noon),))
    >>> facts = Facts((consent,), (Span(noon),), (noon,), (), Money.of("9.00", "EUR"))
    >>> ground = Ground(("s1/out",), {"GB": facts}, {"s1": (consent,)}, {"s1": (Span(noon),)})
    >>> ground_of(ground_json(ground)) == ground
    True
    """
    return Ground(
        tuple(data["keys"]),
        {name: _facts_of(one) for name, one in data["facts"].items()},
        {service: tuple(_consent_of(one) for one in own) for service, own in data["caps"].items()},
        {service: tuple(_span_of(one) for one in own) for service, own in data.get("paused", {}).items()},
    )


def at_most_in(quantity: Fraction, given: str, wanted: str) -> Fraction | None:
    """How much an attack was at most, in a measure's unit; None where the bound is of another kind: all of it then.

    >>> at_most_in(Fraction(2), "TB", "GB"), at_most_in(Fraction(2), "TB", "Mbit/s")
    (Fraction(2000, 1), None)
    """
    one, other = unit(given), unit(wanted)
    return quantity * one.size / other.size if one.dimension is other.dimension else None


def settle_frozen(
    catalog: Catalog,
    services: Sequence[ServiceFacts],
    uses: Mapping[str, Sequence[PartUse]],
    drawn: Callable[[OverPart], Drawn],
    bounds: Mapping[str, Any],
    *,
    period: Period,
    zone: ZoneInfo,
) -> Settling:
    """Settle a period again from what was kept of it: grounds, attacks, tolerance, tax. `drawn` gives a part's use."""
    found = overruns(catalog, services, uses, period=period, zone=zone)

    def attacks(wanted: str) -> list[Attack]:
        return [
            Attack(
                one["service"],
                Span(datetime.fromisoformat(one["start"]), datetime.fromisoformat(one["until"])),
                one["evidence"],
                None if one["at_most"] is None else at_most_in(exact(one["at_most"]), one["unit"], wanted),
            )
            for one in bounds["attacks"]
        ]

    return settle_overruns(
        catalog,
        found,
        {(part.service, part.index): drawn(part) for one in found for part in one.parts},
        [ground_of(one) for one in bounds["grounds"]],
        period=period,
        zone=zone,
        tax_rate=lambda name: exact(bounds["tax_rates"][name]),
        tax_included=bounds["tax_included"],
        tolerance=exact(bounds["tolerance"]),
        attacks=attacks,
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
