"""Pools while their period runs: what all members have used of what all of them include.

As the closing sees them: every part of the period counts, also of a member that joined, left or changed its plan, and
also what a part that is still to come includes. Members are read by their running counters, each over its own part.
"""

from collections.abc import Sequence
from datetime import datetime
from fractions import Fraction

from coulance.flows.overage_control.counted import Counted, Drawing, Found, series_of, stored_by, used_by
from coulance_core.catalog.terms import Catalog, Direction, NotInCatalogError, UsageCharge
from coulance_core.overage.closing import pool_meter
from coulance_core.rating.segments import ChargePart
from coulance_core.usage.figures import conversion
from coulance_core.usage.job import direction_of

_ADD_UP = (Direction.IN, Direction.OUT, Direction.BOTH)
"""Directions in which a sum over members is what one counter over all would show."""


def pools(parts: Sequence[Found], *, catalog: Catalog, at: datetime) -> list[Counted]:
    """Every pool of these accounts that has a member now."""
    groups: dict[tuple[int, str, str], list[Found]] = {}
    for one in parts:
        if one.part.charge.pool is not None:
            groups.setdefault((one.row.account.id, one.part.charge.pool, one.service.pool), []).append(one)
    out = []
    for (_, key, group), members in sorted(groups.items()):
        if any(at in one.part.active for one in members):
            try:
                out.append(_pool(key, group, members, catalog, at))
            except NotInCatalogError:
                continue  # closing parks the account and says so
    return out


def _pool(key: str, group: str, members: Sequence[Found], catalog: Catalog, at: datetime) -> Counted:
    now = [one for one in members if at in one.part.active]
    # The first that draws now leads; the others follow, those that left or are to come last.
    members = sorted(
        members, key=lambda one: (at not in one.part.active, one.service.external_id, one.part.active.start)
    )
    first = members[0]
    pool = catalog.pool(key, min(one.part.active.start for one in members).astimezone(first.zone).date())
    meter = catalog.meter(pool.measure.meter)
    direction = direction_of(pool.measure, meter)
    armed = direction if direction in _ADD_UP else Direction.BOTH
    series = tuple(sorted({number for one in now for number in series_of(one.service, one.part)}))
    (raw,) = used_by(
        [(series, armed.value)], first.period
    )  # before what was used: nothing that comes between is missed
    stored = stored_by(members, catalog)
    drawings, used, included = [], Fraction(0), Fraction(0)
    for one, amount in zip(members, stored, strict=True):
        measure = one.part.charge.measure
        ratio = measure.unit.size / pool.measure.unit.size
        factor = conversion(catalog.meter(measure.meter), measure).factor * ratio
        used += amount * factor
        included += one.included(catalog) * ratio
        drawings.append(Drawing(one.service, one.part, series_of(one.service, one.part), factor, at in one.part.active))
    charge = UsageCharge(
        key=pool_meter(key, group), name=pool.name, measure=pool.measure, price=pool.price,
        maximum_spend=pool.maximum_spend, tax_class=pool.tax_class,
    )  # fmt: skip
    name = f"{pool.name} ({group})" if group else pool.name
    return Counted(
        account=first.row.account,
        service=first.service._replace(name=name),
        part=ChargePart(first.part.version, charge, 1, first.period),
        period=first.period,
        period_name=first.period_name,
        series=series,
        used=used,
        included=included,
        factor=conversion(meter, pool.measure).factor,
        drawings=tuple(drawings),
        kind="pool",
        raw=raw,
        direction=armed.value,
        pool=pool,
        group=group,
    )
