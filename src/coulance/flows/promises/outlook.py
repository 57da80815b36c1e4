"""Looking ahead: what terms would have cost, what is at risk this month."""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime
from fractions import Fraction

from coulance.catalog import queries as catalog
from coulance.flows.promises import fees, measuring, terms
from coulance.flows.promises.measuring import Measured
from coulance.sla import queries as sla
from coulance_core.kernel import Money
from coulance_core.kernel.period import add_months
from coulance_core.sla.intervals import micros
from coulance_core.sla.planning import Plan, plan
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
    rows = [one for one in terms.promised(year=today.year, month=today.month, only=watched) if not one.fault][:MOST]
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


def show_share(value: Fraction) -> str:
    """A share in percent, with two decimals."""
    return f"{float(100 * value):.2f} %"
