"""Closing an account's period: facts in, lines and settled amounts out, the same for a dry run, a run and a replay.

Two questions are asked of the shell and answered here. `wanted` says which figures a service's period needs: one for
each part on which one version's terms hold. `close_account` takes those figures and says what is due: base fees in
advance for the period that follows, credits for days that were billed and not had, overage in arrears with pools, and
what each charge was settled at, so that late samples can be told from what was billed.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from fractions import Fraction
from zoneinfo import ZoneInfo

from coulance_core.catalog.terms import Catalog, Pool
from coulance_core.invoicing.documents import BillLine, ServiceRef
from coulance_core.kernel import Money, Period, Rounding
from coulance_core.rating.base import BilledSpan, DueSpan, base_due
from coulance_core.rating.charges import Allowed, Figure, RatedCharge, rate_charge
from coulance_core.rating.lines import PricedLine
from coulance_core.rating.pools import PoolMember, RatedPool, rate_pool
from coulance_core.rating.segments import ChargePart, SubscriptionSpan, charge_parts, segments
from coulance_core.usage.figures import UsageFigure


@dataclass(frozen=True, slots=True)
class ServiceFacts:
    """A service as closing sees it: who it is, what it subscribed to, and what was billed of it in advance.

    `pool` tells apart groups of an account that pool by themselves. `billed_until`: base fees before that civil day
    were billed elsewhere, before the service came here. `still`: days [start, end) without a base fee, as it was kept
    suspended for a whole period before them.
    """

    ref: ServiceRef
    spans: tuple[SubscriptionSpan, ...]
    billed: tuple[BilledSpan, ...] = ()
    pool: str = ""
    billed_until: date | None = None
    still: tuple[tuple[date, date], ...] = ()


@dataclass(frozen=True, slots=True)
class PartUse:
    """A part of a period on one version's terms, and what was measured in it.

    `allowed` is how much of its overage may be charged, where overage is controlled; none bounds nothing. A pooled
    part is bounded by its pool (`rate_usage`).
    """

    part: ChargePart
    figure: UsageFigure
    allowed: Allowed | None = None


@dataclass(frozen=True, slots=True)
class RatedPart:
    """What a part came to."""

    use: PartUse
    rated: RatedCharge


@dataclass(frozen=True, slots=True)
class ServiceUse:
    """A service's whole period: its parts in order, those of pooled charges too (without lines of their own)."""

    service: ServiceRef
    parts: tuple[RatedPart, ...]


@dataclass(frozen=True, slots=True)
class PoolUse:
    """A pool's period: what its members brought together, and who they are, in the order of `rated.members`."""

    group: str
    pool: Pool
    rated: RatedPool
    members: tuple[ServiceRef, ...]


@dataclass(frozen=True, slots=True)
class Settlement:
    """What one charge of a service, or one pool of the account, was settled at: what a correction starts from.

    `key` is the charge's key, or `pool:` with the pool's key and group. `net` sums the lines; `used` is in `unit`.
    """

    service: ServiceRef | None
    key: str
    used: Fraction
    unit: str
    net: Money
    n: int
    expected: int
    seen: int


@dataclass(frozen=True, slots=True)
class AccountClosing:
    """What a period of an account comes to.

    `base` are the lines of the invoice in advance; `credits` the base days to give back, each to be credited on the
    invoice that billed them; `overage` the lines in arrears.
    """

    base: tuple[BillLine, ...]
    credits: tuple[tuple[ServiceRef, DueSpan], ...]
    overage: tuple[BillLine, ...]
    services: tuple[ServiceUse, ...]
    pools: tuple[PoolUse, ...]
    settlements: tuple[Settlement, ...]


BaseKnown = dict[tuple[object, ...], tuple[DueSpan, ...]]
"""What base fees came to, by the facts they follow from; for one catalog. See `close_account`."""


def wanted(catalog: Catalog, service: ServiceFacts, period: Period, zone: ZoneInfo) -> tuple[ChargePart, ...]:
    """The parts of a service's period that need a figure each, in the order `close_account` takes them.

    Raises `NotInCatalogError` when a plan it subscribed to has no terms on a day of the period.
    """
    start, end = period.dates(zone)
    return charge_parts(segments(catalog, service.spans, start, end), zone)


def close_account(
    catalog: Catalog,
    services: Sequence[ServiceFacts],
    figures: Mapping[str, Sequence[PartUse]],
    *,
    period: Period,
    zone: ZoneInfo,
    billing_day: int,
    base_since: date,
    known: BaseKnown | None = None,
    allowed: Mapping[tuple[str, str], Allowed] | None = None,
) -> AccountClosing:
    """Everything due for `period` of one account. `figures` holds, by a service's external id, its `wanted` parts.

    Base cycles begun up to the day the period ends, that day included, are due; cycles that ended by `base_since` are
    not looked at. `known` remembers base fees between accounts of one catalog: most services have a plan, a start and
    a history that others have too, and what is due in advance depends on nothing else. `allowed` bounds pools, by pool
    and group.
    """
    rounding = catalog.provider.rounding
    through = period.end.astimezone(zone).date()
    base: list[BillLine] = []
    given_back: list[tuple[ServiceRef, DueSpan]] = []
    due_of = {} if known is None else known
    for service in services:
        same = (
            service.spans,
            service.billed,
            service.billed_until,
            service.still,
            through,
            base_since,
            billing_day,
            zone.key,
        )
        found = due_of.get(same)
        if found is None:
            found = due_of[same] = base_due(
                catalog,
                _billable(service),
                service.billed,
                billing_day=billing_day,
                zone=zone,
                since=base_since,
                through=through,
                rounding=rounding,
            )
        for due in found:
            if due.span.credit:
                given_back.append((service.ref, due))
            else:
                base.append(bill_line(due.line, service.ref, span=due.span))
    used, pools, overage = rate_usage(catalog, services, figures, period=period, zone=zone, allowed=allowed)
    return AccountClosing(tuple(base), tuple(given_back), overage, used, pools, settlements(used, pools))


def rate_usage(
    catalog: Catalog,
    services: Sequence[ServiceFacts],
    figures: Mapping[str, Sequence[PartUse]],
    *,
    period: Period,
    zone: ZoneInfo,
    allowed: Mapping[tuple[str, str], Allowed] | None = None,
) -> tuple[tuple[ServiceUse, ...], tuple[PoolUse, ...], tuple[BillLine, ...]]:
    """The usage half of a closing: what each service used, what each pool did, and the lines they cost.

    The same call rates a settled period again when samples came late. `allowed` bounds what may be charged of a pool's
    overage, by the pool's key and group; a service's own charges are bounded by their `PartUse`.
    """
    rounding = catalog.provider.rounding
    lines: list[BillLine] = []
    used: list[ServiceUse] = []
    pooled: dict[tuple[str, str], list[tuple[ServiceRef, PartUse]]] = {}
    for service in services:
        parts: list[RatedPart] = []
        for use in figures.get(service.ref.external_id, ()):
            part = use.part
            rated = _rate(use, service.ref.external_id, period, zone, rounding)
            parts.append(RatedPart(use, rated))
            if part.charge.pool is not None:
                pooled.setdefault((part.charge.pool, service.pool), []).append((service.ref, use))
            lines.extend(bill_line(line, service.ref) for line in rated.lines)
        if parts:
            used.append(ServiceUse(service.ref, tuple(parts)))
    pools: list[PoolUse] = []
    for (key, group), members in sorted(pooled.items(), key=lambda item: item[0]):
        pool = catalog.pool(key, min(use.part.active.start for _, use in members).astimezone(zone).date())
        rated_pool = rate_pool(
            pool,
            [
                PoolMember(
                    ref.external_id, use.part.version, use.part.charge, use.figure, use.part.active, use.part.units
                )
                for ref, use in members
            ],
            period=period,
            zone=zone,
            rounding=rounding,
            allowed=None if allowed is None else allowed.get((key, group)),
        )
        pools.append(PoolUse(group, pool, rated_pool, tuple(ref for ref, _ in members)))
        lines.extend(bill_line(line, None, settled=pool_key(pools[-1])) for line in rated_pool.lines)
    return tuple(used), tuple(pools), tuple(lines)


def settlements(used: Sequence[ServiceUse], pools: Sequence[PoolUse]) -> tuple[Settlement, ...]:
    """What each charge and pool came to, one row a charge whatever number of parts it had."""
    out: list[Settlement] = []
    for service in used:
        by_charge: dict[str, list[RatedPart]] = {}
        for part in service.parts:
            by_charge.setdefault(part.use.part.charge.key, []).append(part)
        for key, parts in by_charge.items():
            currency = parts[0].use.part.version.currency
            out.append(
                Settlement(
                    service=service.service,
                    key=key,
                    used=sum((part.rated.used for part in parts), Fraction(0)),
                    unit=parts[0].rated.unit,
                    net=Money(sum(part.rated.net(currency).minor for part in parts), currency),
                    n=sum(part.use.figure.n for part in parts),
                    expected=sum(part.use.figure.expected for part in parts),
                    seen=sum(part.use.figure.seen for part in parts),
                )
            )
    out.extend(
        Settlement(
            service=None,
            key=pool_key(pool),
            used=pool.rated.used,
            unit=pool.rated.unit,
            net=pool.rated.net(pool.pool.currency),
            n=len(pool.members),
            expected=0,
            seen=0,
        )
        for pool in pools
    )
    return tuple(out)


def pool_key(pool: PoolUse) -> str:
    """How a pool of an account is named among its settlements."""
    return f"pool:{pool.pool.key}" + (f"/{pool.group}" if pool.group else "")


def bill_line(
    line: PricedLine, service: ServiceRef | None, *, span: BilledSpan | None = None, settled: str = ""
) -> BillLine:
    """A priced line on its way to a document. `settled` is a pool's settlement: groups of one pool are told apart."""
    return BillLine(
        kind=line.kind.value,
        description=line.description,
        period=line.period,
        quantity=line.quantity,
        unit=line.unit,
        unit_price=line.unit_price,
        amount=line.net,
        tax_class=line.tax_class,
        explanation=line.explanation,
        service=service,
        pool=line.pool or "",
        charge=line.charge,
        plan_version=line.terms,
        span=span,
        settled=settled,
    )


def _rate(use: PartUse, service: str, period: Period, zone: ZoneInfo, rounding: Rounding) -> RatedCharge:
    """Rate on the bare quantity first: most services stay within what is included, and a figure's explanation costs
    more than rating does. Where something is due the line explains itself down to the samples."""
    part = use.part

    def rate(what: Figure | Fraction) -> RatedCharge:
        return rate_charge(
            part.charge,
            what,
            period=period,
            version=part.version,
            zone=zone,
            rounding=rounding,
            active=part.active,
            units=part.units,
            service=service,
            allowed=use.allowed,
        )

    plain = rate(use.figure.quantity)
    return rate(use.figure) if plain.lines else plain


def _billable(service: ServiceFacts) -> tuple[SubscriptionSpan, ...]:
    spans = service.spans
    if service.billed_until is not None:
        first = service.billed_until
        spans = tuple(
            replace(span, start=max(span.start, first)) for span in spans if span.end is None or span.end > first
        )
    for start, end in service.still:
        spans = tuple(part for span in spans for part in _without(span, start, end))
    return spans


def _without(span: SubscriptionSpan, start: date, end: date) -> Iterator[SubscriptionSpan]:
    """A span without the days [start, end)."""
    if span.start < start:
        yield replace(span, end=start if span.end is None else min(span.end, start))
    if span.end is None or span.end > end:
        yield replace(span, start=max(span.start, end))
