"""Which plan a service would be cheapest on: its last periods measured again and rated on every plan that is sold.

Reads only, but for `note_told`, which notes whom it told.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from fractions import Fraction
from zoneinfo import ZoneInfo

from django.db import InterfaceError, OperationalError, transaction

from coulance.catalog import queries as catalogs
from coulance.flows.closing.measuring import Request, measure
from coulance.flows.fair_terms import advice_policy
from coulance.invoicing import queries as invoicing
from coulance.overage import queries as overage
from coulance.overage import ways_out
from coulance.platform import audit
from coulance.services import queries as services
from coulance.services.queries import AccountForClose, PriceRow, ServiceForClose, SubscriptionRow
from coulance_core.catalog.terms import Catalog, Measure, NotInCatalogError, PlanVersion, Pool, accumulates
from coulance_core.invoicing import ServiceRef
from coulance_core.invoicing.closing import ServiceFacts, wanted
from coulance_core.kernel import Money, Period, anchored_period, civil_midnight
from coulance_core.kernel.period import add_months
from coulance_core.overage.advice import (
    Advice,
    AdvicePolicy,
    Comparison,
    PeriodUse,
    Verdict,
    compare,
    is_repeat_payer,
    recommend,
    why_not_comparable,
)
from coulance_core.rating.base import at_price
from coulance_core.rating.charges import Allowed, Figure
from coulance_core.rating.pools import PoolMember
from coulance_core.rating.segments import ChargePart

FORECAST_AFTER = timedelta(days=10)
"""A running period is forecast once it has run this long; before, a few quiet days would speak for the month."""


class UnableToAdviseError(ValueError):
    """There is nothing to compare: the service has no plan today, or no whole period behind it."""


@dataclass(frozen=True, slots=True)
class ServiceAdvice:
    """What there is to say about a service's plan, and everything it rests on. `through` names the newest period."""

    service: ServiceRef
    account: int
    comparison: Comparison
    advice: Advice
    through: str


def advise(
    *, service: str, at: datetime, periods: int | None = None, policy: AdvicePolicy | None = None
) -> ServiceAdvice:
    """Compare the plans for a service's last whole periods (the policy's number of them), and say what to do.

    Whoever asks is told, however lately they were. Raises `UnableToFindServiceError`, `UnableToAdviseError`.
    """
    row = services.service(service)
    policy = policy or advice_policy(catalogs.catalog())
    (account,) = services.accounts_for_close([row.account_id])
    own = next(one for one in account.services if one.id == row.id)
    comparison, through = _compared(account, own, at, periods or policy.of_periods)
    ref = ServiceRef(own.external_id, own.name, own.id)
    return ServiceAdvice(ref, row.account_id, comparison, recommend(comparison, policy), through)


def repeat_payers(
    *,
    at: datetime,
    policy: AdvicePolicy | None = None,
    failed: Callable[[str, Exception], None] | None = None,
) -> Iterator[ServiceAdvice]:
    """Advice for every service whose overage was charged in enough of its last periods, dearest habits included.

    Those told within the policy's `every` periods come with the verdict `told`. Services whose overage is a pool's are
    not among them: a pool's habit is not one service's. A service (external id) for which it can't be worked out is
    `failed` and left out, where somebody hears of that; the database's own trouble is everybody's.
    """
    policy = policy or advice_policy(catalogs.catalog())
    rows = services.services()
    accounts = sorted({row.account_id for row in rows})
    for lot in (accounts[i : i + 200] for i in range(0, len(accounts), 200)):
        paid = _paid(lot)
        for account in services.accounts_for_close(lot):
            for own in account.services:
                if own.id not in paid:
                    continue
                try:
                    names = [name for name, _ in _whole_periods(account, own, at, policy.of_periods)]
                    zero = Money(0, account.account.currency)
                    amounts = [paid[own.id].get(name, zero) for name in reversed(names)]
                    if not is_repeat_payer(amounts, in_periods=policy.in_periods, of_periods=policy.of_periods):
                        continue
                    comparison, through = _compared(account, own, at, policy.of_periods)
                except UnableToAdviseError:
                    continue
                except Exception as error:
                    if failed is None or isinstance(error, InterfaceError | OperationalError):
                        raise
                    failed(own.external_id, error)
                    continue
                last = ways_out.last_advised(service=own.id)
                told = None if last is None else _months(through) - _months(last)
                ref = ServiceRef(own.external_id, own.name, own.id)
                advice = recommend(comparison, policy, told_periods_ago=told)
                yield ServiceAdvice(ref, account.account.id, comparison, advice, through)


def note_told(found: ServiceAdvice, *, actor: str, at: datetime) -> bool:
    """Note that the customer is told of this advice now, so that they aren't each month. False: they were already."""
    if found.advice.verdict is not Verdict.CHANGE or found.advice.plan is None or found.service.id is None:
        raise UnableToAdviseError(f"{found.service.external_id}: there is no change to tell of")
    with transaction.atomic():
        new = ways_out.record_advice(
            service=found.service.id,
            period_name=found.through,
            plan=found.advice.plan.version,
            saved=found.advice.saved,
            actor=actor,
            at=at,
        )
        if new:
            audit.record(
                actor=actor,
                act="advice.told",
                subject=f"service:{found.service.external_id}",
                at=at,
                reason="",
                detail={"plan": found.advice.plan.version, "saved": str(found.advice.saved), "through": found.through},
            )
    return new


def _paid(accounts: Sequence[int]) -> dict[int, dict[str, Money]]:
    """What was charged for each service's overage, by the period's name."""
    out: dict[int, dict[str, Money]] = {}
    for row in invoicing.settled_figures(accounts=accounts):
        if row.service is not None and row.net.minor > 0:
            own = out.setdefault(row.service, {})
            own[row.period_name] = own.get(row.period_name, Money(0, row.net.currency)) + row.net
    return out


def _months(name: str) -> int:
    year, _, month = name.partition("-")
    return int(year) * 12 + int(month)


def _whole_periods(account: AccountForClose, own: ServiceForClose, at: datetime, most: int) -> list[tuple[str, Period]]:
    """The service's last periods that are over and that it ran through, newest first. Raises `UnableToAdviseError`."""
    zone, billing_day = ZoneInfo(account.account.zone), account.account.billing_day
    today = at.astimezone(zone).date()
    out: list[tuple[str, Period]] = []
    for back in range(most + 2):
        year, month = add_months(today.year, today.month, -back)
        period = anchored_period(year, month, billing_day, zone)
        first, after = period.dates(zone)
        if period.end > at or (own.ended_on is not None and own.ended_on < after):
            continue
        if first < own.started_on or len(out) == most:
            break
        out.append((f"{year:04d}-{month:02d}", period))
    if not out:
        raise UnableToAdviseError(
            f"{own.external_id} has run through no whole period yet: there is nothing to compare plans by"
        )
    return out


def _compared(account: AccountForClose, own: ServiceForClose, at: datetime, most: int) -> tuple[Comparison, str]:
    catalog = catalogs.catalog()
    zone = ZoneInfo(account.account.zone)
    today = at.astimezone(zone).date()
    now = _subscribed(own, today)
    if now is None:
        raise UnableToAdviseError(f"{own.external_id} is on no plan on {today.isoformat()}")
    present = catalog.plan_version(now.plan, today)
    present = as_agreed(present, own.prices, today)
    candidates = sold_beside(catalog, present, today)
    spans = list(reversed(_whole_periods(account, own, at, most)))
    uses = period_uses(catalog, account, own, spans, [present, *candidates], units=now.quantity, zone=zone)
    uses = [_bounded(use, account.account.id, own.id) for use in uses]
    ahead = _forecast(catalog, account, own, at, [present, *candidates], now.quantity, zone)
    if ahead is not None:
        uses.append(ahead)
    found = compare(
        present, candidates, uses, zone=zone, pools=pools_of(catalog, today), rounding=catalog.provider.rounding
    )
    return found, spans[-1][0]


def as_agreed(version: PlanVersion, prices: Iterable[PriceRow], on: date) -> PlanVersion:
    """A plan's terms as they are for one service on a day: its base fee is what was agreed for it, where that was."""
    for agreed in prices:
        if agreed.plan == version.plan and agreed.start <= on and (agreed.end is None or agreed.end > on):
            return at_price(version, agreed.span.price)
    return version


def sold_beside(catalog: Catalog, present: PlanVersion, on: date) -> list[PlanVersion]:
    """The versions in force of the plans that are sold, without the present one, by key."""
    out = []
    for key in catalogs.plans_sold():
        try:
            version = catalog.plan_version(key, on)
        except NotInCatalogError:
            continue  # sold from a later day
        if key != present.plan:
            out.append(version)
    return out


def pools_of(catalog: Catalog, on: date) -> dict[str, Pool]:
    """The terms of every pool in force on a day."""
    found = {}
    for key in catalog.pools:
        try:
            found[key] = catalog.pool(key, on)
        except NotInCatalogError:
            continue
    return found


def _subscribed(own: ServiceForClose, on: date) -> SubscriptionRow | None:
    for row in own.subscriptions:
        if row.valid_from <= on and (row.valid_until is None or row.valid_until > on):
            return row
    return None


def period_uses(
    catalog: Catalog,
    account: AccountForClose,
    own: ServiceForClose,
    spans: Sequence[tuple[str, Period]],
    versions: Sequence[PlanVersion],
    *,
    units: int,
    zone: ZoneInfo,
) -> list[PeriodUse]:
    """What a service used in these periods, in every measure that the comparable ones of `versions` charge.

    The first version is the present one. With it goes what the others of its account brought to pools they may share.
    """
    comparable = [version for version in versions if not why_not_comparable(versions[0], version)]
    charged: dict[Measure, ChargePart] = {}
    shared: set[str] = set()
    for version in comparable:
        for charge in version.charges:
            charged.setdefault(charge.measure, ChargePart(version, charge, units, spans[0][1]))
            if charge.pool is not None:
                shared.add(charge.pool)
    requests: list[Request] = []
    asked: list[tuple[str, Measure | None, ServiceForClose, ChargePart]] = []
    for name, period in spans:
        for what, part in charged.items():
            part = ChargePart(part.version, part.charge, units, period)
            requests.append(_request(part, own))
            asked.append((name, what, own, part))
        for other in account.services:
            if not shared or other.id == own.id or other.pool != own.pool:
                continue
            for part in wanted(catalog, _facts(other), period, zone):
                if part.charge.pool in shared:
                    requests.append(_request(part, other))
                    asked.append((name, None, other, part))
    figures: dict[str, dict[Measure, Figure | Fraction]] = {name: {} for name, _ in spans}
    members: dict[str, dict[str, list[PoolMember]]] = {name: {} for name, _ in spans}
    measured = measure(requests, catalog, zone, charts=False)
    for (name, measured_as, who, part), got in zip(asked, measured, strict=True):
        if measured_as is not None:
            figures[name][measured_as] = got.figure
        else:
            member = PoolMember(who.external_id, part.version, part.charge, got.figure, part.active, part.units)
            members[name].setdefault(part.charge.pool or "", []).append(member)
    return [PeriodUse(name, period, figures[name], units, others=members[name]) for name, period in spans]


def _request(part: ChargePart, of: ServiceForClose) -> Request:
    return Request(part, tuple(s.id for s in of.series if s.meter == part.charge.measure.meter))


def _facts(service: ServiceForClose) -> ServiceFacts:
    ref = ServiceRef(service.external_id, service.name, service.id)
    return ServiceFacts(ref, service.spans(), (), service.pool)


def _bounded(use: PeriodUse, account: int, service: int) -> PeriodUse:
    """With what limits and warnings left billable, where the period was settled so: what was absorbed cost nothing."""
    allowed: dict[str, Allowed] = {}
    for row in overage.settlements(account=account, period_name=use.name):
        if row.observed:
            continue
        if row.service == service:
            allowed[row.charge] = Allowed(row.billable)
        elif row.pool:
            allowed[f"pool:{row.pool.partition('/')[0]}"] = Allowed(row.billable)
    return PeriodUse(use.name, use.period, use.figures, use.units, others=use.others, allowed=allowed)


def _forecast(
    catalog: Catalog,
    account: AccountForClose,
    own: ServiceForClose,
    at: datetime,
    versions: Sequence[PlanVersion],
    units: int,
    zone: ZoneInfo,
) -> PeriodUse | None:
    """The running period at the pace of its whole days so far: amounts in proportion, levels as they are."""
    today = at.astimezone(zone).date()
    for back in (0, 1):
        year, month = add_months(today.year, today.month, -back)
        period = anchored_period(year, month, account.account.billing_day, zone)
        if period.start <= at < period.end:
            break
    else:
        return None
    midnight = civil_midnight(today, zone)
    if midnight - period.start < FORECAST_AFTER or own.started_on > period.dates(zone)[0]:
        return None
    so_far = Period(period.start, midnight)
    (use,) = period_uses(catalog, account, own, [(f"{year:04d}-{month:02d}", so_far)], versions, units=units, zone=zone)
    factor = 1 / so_far.share_of(period)
    return PeriodUse(
        use.name,
        period,
        _paced(use.figures.items(), factor),
        units,
        others={
            pool: [
                PoolMember(
                    one.service, one.version, one.charge, _pace(one.charge.measure, one.used, factor), period, one.units
                )
                for one in members
            ]
            for pool, members in use.others.items()
        },
        forecast=True,
    )


def _paced(
    figures: Iterable[tuple[Measure, Figure | Fraction]], factor: Fraction
) -> Mapping[Measure, Figure | Fraction]:
    return {what: _pace(what, figure, factor) for what, figure in figures}


def _pace(what: Measure, figure: Figure | Fraction, factor: Fraction) -> Fraction:
    quantity = figure if isinstance(figure, Fraction) else figure.quantity
    return quantity * factor if accumulates(what) else quantity
