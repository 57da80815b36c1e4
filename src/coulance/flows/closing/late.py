"""Settled periods looked at again because samples came late: measured and rated whole, under their own terms.

More use becomes a line on the next overage invoice; less use a `Decrease`, which `corrections` turns into credit notes.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from fractions import Fraction
from zoneinfo import ZoneInfo

from coulance.flows.closing.controlled import UNCONTROLLED, control, voided
from coulance.flows.closing.measuring import AROUND, Request, measure
from coulance.flows.closing.terms import Closing
from coulance.invoicing import history
from coulance.invoicing import queries as invoicing
from coulance.invoicing.queries import SettledRow
from coulance.invoicing.writing import NewFigure
from coulance.overage import queries as overage
from coulance.overage.operations import NewSettlement
from coulance.services.queries import AccountForClose
from coulance.usage import queries as usage
from coulance_core.catalog.terms import MeterKind
from coulance_core.invoicing import (
    BillLine,
    ServiceRef,
)
from coulance_core.invoicing.closing import (
    PartUse,
    PoolUse,
    ServiceFacts,
    ServiceUse,
    bill_line,
    pool_key,
    rate_usage,
    settlements,
    wanted,
)
from coulance_core.kernel import Money, Period, civil_midnight
from coulance_core.kernel.period import add_months
from coulance_core.rating.charges import RatedCharge
from coulance_core.rating.late import LateResult, Settled, rate_late
from coulance_core.usage.levels import HOLD_INTERVALS

_EPOCH = date(1970, 1, 1)


@dataclass
class Late:
    """What late samples change for an account: lines to add, amounts to give back, and figures to record."""

    lines: list[BillLine] = field(default_factory=list)
    figures: list[NewFigure] = field(default_factory=list)
    decreases: list["Decrease"] = field(default_factory=list)
    overage: list[NewSettlement] = field(default_factory=list)

    def add(self, other: "Late") -> None:
        """Put another period's to it."""
        self.lines += other.lines
        self.figures += other.figures
        self.decreases += other.decreases
        self.overage += other.overage


@dataclass(frozen=True, slots=True)
class Decrease:
    """Usage of a settled period that turned out less than billed: by how much, and why."""

    settled: SettledRow
    period: Period
    line: BillLine
    amount: int


def late_usage(
    run: Closing, group: Sequence[AccountForClose], facts: Mapping[int, Sequence[ServiceFacts]], zone: ZoneInfo
) -> dict[int, Late]:
    """For accounts of one zone: every period settled before that samples touched since, rated again.

    Looks back as far as late use may be billed, and a year at least, since a decrease is credited however it is capped.
    """
    accounts = [row.account.id for row in group if row.account.id in facts]
    back = max(run.provider.back_billing_cap_months, 12) + 1
    year, month = add_months(run.year, run.month, -back)
    settled: dict[int, set[str]] = {}
    marks: dict[int, int] = {}
    for one in history.settled_marks(accounts=accounts, since=f"{year:04d}-{month:02d}") if accounts else ():
        # Whatever period an account was closed for, all its settled ones were looked at then, up to that mark.
        marks[one.account] = max(marks.get(one.account, 0), one.watermark)
        if one.period_name != run.name:
            settled.setdefault(one.account, set()).add(one.period_name)
    if not settled:
        return {}
    by_id = {row.account.id: row for row in group}
    names = sorted({name for own in settled.values() for name in own})
    periods = {name: _named(run, name, group[0].account.billing_day, zone) for name in names}
    moved = _moved(run, [by_id[account] for account in settled], marks, periods, zone)
    # Nothing was used anew where only a notice turned out to be void: no charge of such a period can come to more.
    bounced = voided(list(by_id.values()), settled, since=f"{year:04d}-{month:02d}")
    out: dict[int, Late] = {}
    for name in names:
        changed = {account: own for account, own in moved.get(name, {}).items() if name in settled[account]}
        only_void = bounced.get(name, {}).keys() - changed.keys()
        for account, touched in bounced.get(name, {}).items():
            changed[account] = changed.get(account, set()) | touched
        figures: dict[int, list[SettledRow]] = {}
        for figure in invoicing.settled_figures(accounts=list(changed), period_name=name) if changed else ():
            figures.setdefault(figure.account, []).append(figure)
        for account, touched in changed.items():
            late = Late()
            _again(run, by_id[account], facts[account], figures[account], touched, name, periods[name], zone, late)
            if account in only_void:
                late = only_less(late, account=account, period_name=name)
            out.setdefault(account, Late()).add(late)
    return {account: late for account, late in out.items() if late.figures or late.overage}


def settled_again(
    run: Closing, row: AccountForClose, facts: Sequence[ServiceFacts], *, period: Period, zone: ZoneInfo
) -> Late:
    """What a settled period of an account comes to less, by all that is known now; what comes to more is left out.

    Its figures keep the mark of what was known of samples: more use is found by the next close, as ever.
    """
    found = invoicing.settled_figures(accounts=[row.account.id], period_name=run.name)
    late = Late()
    _again(run, row, facts, found, {service.id for service in row.services}, run.name, period, zone, late)
    late = only_less(late, account=row.account.id, period_name=run.name)
    known = {(one.service, one.pool, one.charge): one.watermark for one in found}
    late.figures = [replace(one, watermark=known[one.service, one.pool, one.charge]) for one in late.figures]
    return late


def only_less(late: Late, *, account: int, period_name: str) -> Late:
    """Of a period that was settled again only what came to less. What came to more stays as its paper says: that bill
    was lawful, and no use is new; a limit that one allowance no longer needs is not another's."""
    lower = {(one.settled.service, one.settled.pool, one.settled.charge) for one in late.decreases}
    before = {one.meter: one for one in overage.settlements(account=account, period_name=period_name)}
    kept = []
    for one in late.overage:
        was = before.get(one.meter.key)
        if was is None or one.billable <= was.billable:
            kept.append(one)
        else:  # looked at, and left as it was
            kept.append(
                replace(
                    one, metered=was.metered, included=was.included, overage=was.overage, billable=was.billable,
                    absorbed=was.absorbed, cost=was.cost, on_budget=was.on_budget, facts=was.facts,
                )
            )  # fmt: skip
    return Late(
        figures=[one for one in late.figures if (one.service, one.pool, one.charge) in lower],
        decreases=late.decreases,
        overage=kept,
    )


def _named(run: Closing, name: str, billing_day: int, zone: ZoneInfo) -> Period:
    year, month = (int(part) for part in name.split("-"))
    return replace(run, year=year, month=month).period(billing_day, zone)


def _moved(
    run: Closing,
    rows: Sequence[AccountForClose],
    marks: Mapping[int, int],
    periods: Mapping[str, Period],
    zone: ZoneInfo,
) -> dict[str, dict[int, set[int]]]:
    """By period and account, the services with samples that count for it and came after the account's mark.

    A reading shortly before or after a period may count for it: a level that still holds, the end of a gap.
    """
    owner = {
        series.id: (row.account.id, service.id, series.meter)
        for row in rows
        for service in row.services
        for series in service.series
    }
    if not owner:
        return {}
    reach = {meter: _days_around(run, meter) for meter in {meter for *_, meter in owner.values()}}
    before, after = (max(days[i] for days in reach.values()) for i in (0, 1))
    days = {name: period.dates(zone) for name, period in periods.items()}
    first, last = min(start for start, _ in days.values()), max(end for _, end in days.values())
    around = Period(civil_midnight(first - before, zone), civil_midnight(last + after, zone))
    since = min(marks[row.account.id] for row in rows)
    touched = usage.touched_since(revision=since, series=sorted(owner), period=around)
    moved: dict[str, dict[int, set[int]]] = {}
    for series, number, revision in zip(
        touched.series.tolist(), touched.day.tolist(), touched.revision.tolist(), strict=True
    ):
        account, service, meter = owner[series]
        if revision <= marks[account]:
            continue
        day, (early, late) = _EPOCH + timedelta(days=number), reach[meter]
        for name, (start, end) in days.items():
            if start - early <= day < end + late:
                moved.setdefault(name, {}).setdefault(account, set()).add(service)
    return moved


def _days_around(run: Closing, meter: str) -> tuple[timedelta, timedelta]:
    """How many days before and after a period a meter's readings may count for it. What only estimates is left out."""
    known = run.catalog.meters.get(meter)
    if known is None or known.kind is MeterKind.DELTA:
        return timedelta(0), timedelta(0)
    if known.kind is MeterKind.GAUGE:
        return timedelta(days=-(-HOLD_INTERVALS * known.interval_s // 86_400)), timedelta(0)
    return timedelta(seconds=AROUND), timedelta(seconds=AROUND)


def _again(
    run: Closing,
    row: AccountForClose,
    facts: Sequence[ServiceFacts],
    figures: Sequence[SettledRow],
    moved: set[int],
    name: str,
    period: Period,
    zone: ZoneInfo,
    late: Late,
) -> None:
    """Measure and rate the whole period again, and compare what touched services and their pools came to."""
    uses: dict[str, list[PartUse]] = {}
    requests: list[tuple[str, Request]] = []
    for service, fact in zip(row.services, facts, strict=True):
        for part in wanted(run.catalog, fact, period, zone):
            ids = tuple(s.id for s in service.series if s.meter == part.charge.measure.meter)
            requests.append((service.external_id, Request(part, ids)))
    got = measure([request for _, request in requests], run.catalog, zone, charts=False)
    for (service_name, request), measured in zip(requests, got, strict=True):
        uses.setdefault(service_name, []).append(PartUse(request.part, measured.figure))
    account = row.account.id
    # An increase is under that period's own consent, warnings and limit, as evidence stands now.
    settled, problems = control(
        run.catalog, [row], {account: facts}, {account: uses}, period=period, period_name=name, zone=zone
    )
    if account in problems:
        raise problems[account]
    bounded = settled.get(account, UNCONTROLLED)
    late.overage.extend(bounded.settlements)
    used, pools, _ = rate_usage(
        run.catalog, facts, bounded.bound(uses), period=period, zone=zone, allowed=bounded.pools
    )
    by_service = {one.service.id: one for one in used}
    by_pool = {pool_key(pool): pool for pool in pools}
    for figure in (*figures, *_never_settled(row, figures, used, pools, name)):
        if figure.service is not None:
            service_use = by_service.get(figure.service)
            if figure.service not in moved or service_use is None:
                continue
            _compare_charge(run, figure, service_use, name, period, zone, late)
        else:
            pool = by_pool.get(figure.pool)
            if pool is None or not moved & {ref.id for ref in pool.members}:
                continue
            _compare_pool(run, figure, pool, name, period, zone, late)


def _never_settled(
    row: AccountForClose, figures: Iterable[SettledRow], used: Iterable[ServiceUse], pools: Iterable[PoolUse], name: str
) -> list[SettledRow]:
    """Charges that the period was closed without, as figures of nothing: their service was entered afterwards."""
    known = {(figure.service, figure.pool, figure.charge) for figure in figures}
    return [
        SettledRow(
            account=row.account.id,
            service=one.service.id if one.service else None,
            pool=pool,
            charge=charge,
            period_name=name,
            revision=0,
            quantity=Fraction(0),
            unit=one.unit,
            n=0,
            seen=0,
            expected=0,
            net=Money(0, one.net.currency),
            watermark="0",
            detail={},
        )
        for one in settlements(tuple(used), tuple(pools))
        for pool, charge in [("", one.key) if one.service else (one.key, "")]
        if (one.service.id if one.service else None, pool, charge) not in known
    ]


def _compare_charge(
    run: Closing, figure: SettledRow, service: ServiceUse, name: str, period: Period, zone: ZoneInfo, late: Late
) -> None:
    parts = [part for part in service.parts if part.use.part.charge.key == figure.charge]
    if not parts:
        return
    version, charge = parts[-1].use.part.version, parts[-1].use.part.charge
    # The explanation must reach down to the samples, so each part is rated on its figure, not on the bare quantity.
    result = rate_late(
        _billed(figure),
        [part.rated for part in parts],
        charge=charge.key,
        name=charge.name,
        period=period,
        found_on=run.issued_on,
        cap_months=run.provider.back_billing_cap_months,
        zone=zone,
        tax_class=version.tax_class_of(charge),
        terms=version.version,
        service=service.service.external_id,
    )
    now = Money(sum(part.rated.net(version.currency).minor for part in parts), version.currency)
    seen = (
        sum(part.use.figure.n for part in parts),
        sum(part.use.figure.seen for part in parts),
        sum(part.use.figure.expected for part in parts),
    )
    quantity = sum((part.rated.used for part in parts), Fraction(0))
    _record(run, figure, result, name, period, now, quantity, seen, service.service, late)


def _compare_pool(
    run: Closing, figure: SettledRow, pool: PoolUse, name: str, period: Period, zone: ZoneInfo, late: Late
) -> None:
    result = rate_late(
        _billed(figure),
        RatedCharge(
            pool.rated.pool,
            pool.rated.lines,
            pool.rated.used,
            pool.rated.included,
            pool.rated.overage,
            pool.rated.unit,
            pool.rated.explanation,
        ),
        charge=pool.pool.key,
        name=pool.pool.name,
        period=period,
        found_on=run.issued_on,
        cap_months=run.provider.back_billing_cap_months,
        zone=zone,
        tax_class=pool.pool.tax_class,
        terms=pool.pool.version,
        pool=pool.pool.key,
    )
    now = pool.rated.net(pool.pool.currency)
    _record(run, figure, result, name, period, now, pool.rated.used, (len(pool.members), 0, 0), None, late)


def _billed(figure: SettledRow) -> Settled:
    return Settled(figure.quantity, figure.net)


def _record(
    run: Closing,
    figure: SettledRow,
    result: LateResult,
    name: str,
    period: Period,
    now: Money,
    quantity: Fraction,
    seen: tuple[int, int, int],
    service: ServiceRef | None,
    late: Late,
) -> None:
    """Keep what is known now as the figure's next revision, with what was billed for it all in all."""
    if result.line is not None:
        line = bill_line(result.line, service, settled=figure.pool)
        if result.line.net.minor > 0:
            late.lines.append(line)
        else:
            late.decreases.append(Decrease(figure, period, line, -result.line.net.minor))
    late.figures.append(
        NewFigure(
            account=figure.account,
            service=figure.service,
            pool=figure.pool,
            charge=figure.charge,
            period_name=name,
            quantity=quantity,
            unit=figure.unit,
            n=seen[0],
            seen=seen[1],
            expected=seen[2],
            net=now if result.line is not None else figure.net,
            watermark=str(run.fence),
            detail={"absorbed": str(result.absorbed)} if result.absorbed.minor else None,
        )
    )
