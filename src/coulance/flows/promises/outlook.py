"""Looking ahead and around: what terms would have cost, what is at risk this month, what suppliers owe us."""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import date, datetime
from fractions import Fraction

from coulance.catalog import queries as catalog
from coulance.flows.promises import fees, measuring, terms
from coulance.flows.promises.measuring import Measured
from coulance.sla import queries as sla
from coulance_core.kernel import Money
from coulance_core.kernel.period import add_months
from coulance_core.sla.credits import Charges, credit
from coulance_core.sla.downtime import Facts, Outage
from coulance_core.sla.intervals import EMPTY, Spans, at_least, micros
from coulance_core.sla.planning import Plan, Upstream, plan, upstream
from coulance_core.sla.terms import Charged
from coulance_core.sla.terms_file import Promise

MOST = 5_000


class UnableToPlanError(ValueError):
    """There is nothing to plan on, or no such terms."""


@dataclass(frozen=True)
class Planned:
    """What terms would have cost of one service."""

    service: str
    plan: Plan


def what_it_would_cost(
    *, promise: Promise, months: int, at: datetime, only: Collection[int] | None = None
) -> list[Planned]:
    """What terms would have cost on the real outages of the last months, service by service; dearest first.

    `only`: these services; else all that were watched. Fees are what was billed. Raises
    `UnableToPlanError` where nothing was watched, or billed.
    """
    today = at.astimezone(catalog.catalog().provider.zone_info).date()
    found: dict[int, list[Measured]] = defaultdict(list)
    watched = sla.services_watched() if only is None else only
    for back in range(months, 0, -1):
        year, month = add_months(today.year, today.month, -back)
        rows = terms.promised(year=year, month=month, only=watched, own=promise)[:MOST]
        if not rows:
            continue
        known = measuring.gather_for(rows)
        for one in rows:
            try:
                made = measuring.measured(one, known, at=at)
            except fees.UsageNotBilledError:
                continue
            if made.fee.minor > 0:
                found[one.service.id].append(made)
    if not found:
        raise UnableToPlanError(
            "there is no service that was both watched and billed in these months: bring its outages in first "
            "(coulance sla bring, coulance sla outage add)"
        )
    out = []
    for measures in found.values():
        history = [(m.facts, replace(m.charges, credited=None)) for m in measures]
        out.append(Planned(measures[0].of.service.external_id, plan(promise.terms, history, measures[0].of.zone)))
    return sorted(out, key=lambda one: (-one.plan.total.minor, one.service))


@dataclass(frozen=True)
class AtRisk:
    """A service whose promise of this month is not kept, or nearly so: what is down, allowed, and owed by now."""

    service: str
    terms: str
    downtime: int
    allowed: int
    owed: Money
    down_now: bool


def at_risk(*, at: datetime, most: int = 100) -> list[AtRisk]:
    """Promises of the running month that used half of what they allow or more, or are down now; worst first."""
    if catalog.current_revision() is None:
        return []  # nothing is promised before a provider file is applied
    today = at.astimezone(catalog.catalog().provider.zone_info).date()
    watched = sla.services_watched()
    rows = terms.promised(year=today.year, month=today.month, only=watched)[:MOST]
    if not rows:
        return []
    known = measuring.gather_for(rows)
    out = []
    for one in rows:
        # Usage isn't billed before the month is over: what is owed of it can't be said yet.
        fee = None if one.promise.terms.charges is Charged.BASE else Money(0, one.account.currency)
        made = measuring.measured(one, known, at=at, fee=fee)
        down = made.credit.downtime
        allowed = int(one.promise.terms.allowed(down.scheduled))
        now = measuring.down_now(one.service.id, known, one.promise, one.period, at)
        is_down = bool(now) and int(now.end[-1]) >= micros(at) - measuring.RECENT
        if is_down or (down.length and down.length * 2 >= allowed):
            out.append(
                AtRisk(one.service.external_id, one.promise.version, down.length, allowed, made.credit.amount, is_down)
            )
    out.sort(key=lambda one: (not one.down_now, -one.owed.minor, one.service))
    return out[:most]


@dataclass(frozen=True)
class Claim:
    """What can be claimed of a supplier for a month, with its text; nothing to claim: `upstream.amount` is zero."""

    promise: Promise
    month: str
    upstream: Upstream
    text: str


def claims(*, year: int, month: int, at: datetime) -> list[Claim]:
    """What suppliers owe for a month by their own terms, from the outages of the services that stand on them."""
    if catalog.current_revision() is None:
        return []
    zone = catalog.catalog().provider.zone_info
    known = terms.table()
    out = []
    for promise in known.suppliers(date(year, month, 1)):
        rows = terms.promised(year=year, month=month, own=promise)
        rows = [one for one in rows if one.service.external_id in promise.services]
        if not rows or promise.fee is None:
            continue
        evidence = measuring.gather([o.service.id for o in rows], rows[0].period.start, rows[0].period.end)
        facts = [measuring.facts_of(one, evidence, at) for one in rows]
        # What stands on a supplier and was down together was down by it: one outage, whoever noticed.
        spans = at_least(1, EMPTY, *(o.spans for f in facts for o in f.outages if not o.key.startswith("wrongful")))
        reported = [o.reported_at for f in facts for o in f.outages if o.reported_at is not None]
        first = min(reported, default=None)
        outages = tuple(Outage(f"outage {n}", Spans.of([p]), first) for n, p in enumerate(spans.pairs(), 1))
        whole = Facts(rows[0].period, rows[0].life, outages)
        found = credit(promise.terms, replace(whole, life=rows[0].life), Charges(promise.fee))
        name = f"{year:04d}-{month:02d}"
        given = sla.given(services=[o.service.id for o in rows], period_name=name)
        owed = sum(
            (g.amount for g in given if g.amount.currency == promise.fee.currency), Money(0, promise.fee.currency)
        )
        end = rows[0].period.end.astimezone(zone).date()
        what = upstream(promise.supplier, promise.terms, found, owed, end)
        out.append(Claim(promise, name, what, _text(promise, name, found.downtime.length, what, spans)))
    return out


def _text(promise: Promise, month: str, length: int, what: Upstream, spans: Spans) -> str:
    lines = [
        f"To {promise.supplier}: claim of service credit for {month}, by your terms {promise.name!r}.",
        f"Downtime that counts: {length // 60_000_000} min, in these intervals (UTC):",
        *(f"  {p.start:%Y-%m-%d %H:%M:%S} - {p.end:%Y-%m-%d %H:%M:%S}" for p in spans.periods()[:100]),
        f"Credit by these terms: {what.amount} of a monthly fee of {promise.fee}.",
    ]
    if what.by is not None:
        lines.append(f"This claim is made before {what.by.isoformat()}, within {promise.terms.claim.days} days.")
    return "\n".join(lines)


def show_share(value: Fraction) -> str:
    """A share in percent, with two decimals."""
    return f"{float(100 * value):.2f} %"
