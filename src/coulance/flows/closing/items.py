"""What a snapshot shows of usage: one item for each part of each charge, with its picture, coverage and conventions."""

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Any

from coulance.flows.closing.controlled import NO_MARKS, Marks
from coulance_core.invoicing.closing import PoolUse, RatedPart, ServiceUse, pool_key
from coulance_core.invoicing.documents import ServiceRef
from coulance_core.kernel import show
from coulance_core.overage.terms import Absorbed
from coulance_core.usage.figures import UsageFigure
from coulance_core.usage.job import direction_of

Item = dict[str, Any]


def usage_item(
    service: ServiceRef,
    part: RatedPart,
    chart: Mapping[str, Any] | None,
    pool: PoolUse | None,
    absorbed: Mapping[Absorbed, Fraction] | None = None,
) -> Item:
    """One part of one charge as a snapshot keeps it. A pool member carries its pool's totals too.

    `absorbed` is what is not charged, by reason: of this part, or of its whole pool.
    """
    figure, charge, rated = part.use.figure, part.use.part.charge, part.rated
    item: Item = {
        "service": {"id": service.external_id, "name": service.name},
        "pool": None,
        "charge": charge.name,
        "meter": figure.meter.name,
        "measure": _measure(figure),
        "conventions": [*dict.fromkeys((*rated.explanation.conventions, *_own_conventions(figure)))],
        "period": {"start": figure.period.start.isoformat(), "end": figure.period.end.isoformat()},
        "terms": part.use.part.version.version,
        "allowance": show(rated.included) if charge.allowance is not None else None,
        "commit": show(rated.included) if charge.commitment is not None else None,
        "used": show(rated.used),
        "overage": show(rated.overage),
        "unit": rated.unit,
        "coverage": {"seen": figure.seen, "expected": figure.expected},
        "flags": {flag: count for flag, count in figure.flags.items() if count},
        "notes": list(figure.notes),
        "chart": chart,
        "explanation": rated.explanation.to_json(),
    }
    if figure.estimated:
        item["estimated"] = show(figure.estimated)
    detail = _percentile(figure)
    if detail is not None:
        item["percentile"] = detail
    if pool is not None:
        item["pool"] = pool.pool.name
        item["pool_key"] = pool.pool.key
        item["pool_used"] = show(pool.rated.used)
        item["pool_allowance"] = show(pool.rated.included)
        item["pool_overage"] = show(pool.rated.overage)
    if absorbed is not None:
        charged = rated.charged if pool is None else pool.rated.charged
        item["charged"] = show(charged if charged is not None else rated.overage)
        item["absorbed"] = [
            {"reason": reason.value, "quantity": show(absorbed[reason])} for reason in Absorbed if absorbed.get(reason)
        ]
    return item


_SAID_BY_RATING = ("direction:", "percentile:", "missing samples:")


def _own_conventions(figure: UsageFigure) -> list[str]:
    """What measuring has to say beside rating, which says direction and percentile in plainer words."""
    return [text for text in figure.conventions if not text.startswith(_SAID_BY_RATING)]


def _measure(figure: UsageFigure) -> dict[str, str]:
    """How samples became the figure; a meter of one value (mailboxes) has no direction to speak of."""
    measure = figure.measure
    out = {"aggregation": measure.aggregation.value}
    if direction_of(measure, figure.meter) is measure.direction:
        out["direction"] = measure.direction.value
    return out


def _percentile(figure: UsageFigure) -> dict[str, Any] | None:
    detail = figure.percentile
    if detail is None:
        return None
    terms = figure.measure.percentile
    return {
        "value": show(figure.quantity),
        "rank": detail.rank.ascending,
        "n": detail.rank.n,
        "dropped": detail.rank.n - detail.rank.ascending,
        "convention": terms.rank.value if terms else "",
    }


def items_of(
    services: Sequence[ServiceUse],
    pools: Sequence[PoolUse],
    charts: Mapping[int, Mapping[str, Any] | None],
    *,
    only: Iterable[tuple[str, str]] | None = None,
    absorbed: Marks = NO_MARKS,
) -> list[Item]:
    """Items of these services in order; `only` keeps those whose (service, charge) or (`pool:...`, "") is named.

    `charts` holds the picture of each figure by the figure's identity (`id`).
    """
    of_pool = {(ref.external_id, pool.pool.key): pool for pool in pools for ref in pool.members}
    wanted = None if only is None else set(only)
    out: list[Item] = []
    for service in services:
        name = service.service.external_id
        for i, part in enumerate(service.parts):
            pool = of_pool.get((name, part.use.part.charge.pool or ""))
            if (
                wanted is None
                or (name, part.use.part.charge.key) in wanted
                or (pool is not None and (pool_key(pool), "") in wanted)
            ):
                marks = absorbed.parts.get((name, i))
                if pool is not None:
                    marks = absorbed.pools.get((pool.pool.key, pool.group))
                out.append(usage_item(service.service, part, charts.get(id(part.use.figure)), pool, marks))
    return out
