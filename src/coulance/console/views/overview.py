"""The first page: what wants attention, how metering goes, which month is next, and what was billed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django.core.cache import cache
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from coulance.catalog import queries as catalog
from coulance.console.access import operators_only
from coulance.customers import listing as customers
from coulance.flows.closing import due
from coulance.flows.sending import status as sending
from coulance.invoicing import listing
from coulance.invoicing import queries as invoicing
from coulance.notices import queries as notices
from coulance.payments import bank, statements
from coulance.platform import alarms, clock, heartbeat
from coulance.platform.roles import Permission
from coulance.services import listing as services
from coulance.usage import queries as usage
from coulance_core.kernel import Money
from coulance_core.kernel.period import add_months

SHOWN = 8
KEPT_S = 60
"""How long sums over everything are kept: a dashboard that is left open must not read all books each time."""
LONG_AGO = timedelta(days=10)
"""Sooner than that after the last sample, it is an outage, not an end."""
STALE = timedelta(minutes=15)
"""A newest sample older than this is said aloud."""


@dataclass(frozen=True, slots=True)
class Billed:
    """What was issued in a month in one currency, base and overage apart, credit notes apart; and the month before."""

    currency: str
    base: Money
    overage: Money
    credits: Money
    base_before: Money
    overage_before: Money


@operators_only(Permission.SEE)
def overview(request: HttpRequest) -> HttpResponse:
    """Cards, each leading on; then runs, the largest overage, and whom the last close left out."""
    at = clock.now()
    today = _today(at)
    runs = listing.runs_page(limit=4)
    last = next((run for run in runs if run.purpose == "close"), None)
    months = due.months(at=at)
    parked = invoicing.parked()
    quarantined = usage.quarantined()
    metered = usage.overview()
    ended = _ended(metered.last_at, last.period if last else "", at)
    sums = _sums(today, metered.last_at if ended else None)
    return render(
        request,
        "console/overview.html",
        {
            "here": "overview",
            "at": at,
            "today": today,
            "last": last,
            "runs": runs,
            "month": next((month for month in months if month.due), months[0] if months else None),
            "months_due": [month for month in months if month.due],
            "alarms": alarms.open_alarms(),
            "worker_seen": heartbeat.last_seen(),
            "usage": metered,
            "ended": ended,
            "stale": metered.last_at is not None and at - metered.last_at > STALE and not ended,
            "parked": parked[:SHOWN],
            "parked_count": len(parked),
            "quarantined_count": len(quarantined),
            "quarantined_rows": sum(one.rows for one in quarantined),
            "largest": listing.largest(run=last.id, limit=6) if last else [],
            "mail": notices.mail_state(at=at),
            "undelivered": len(sending.undelivered_documents(limit=200)),
            "bank_waiting": bank.count(states=("suggested", "new")),
            "collectors": _collectors(at),
            **sums,
        },
    )


def _today(at: datetime) -> date:
    try:
        return at.astimezone(catalog.catalog().provider.zone_info).date()
    except catalog.UnableToFindCatalogError:
        return at.date()


def _ended(newest: datetime | None, closed: str, at: datetime) -> bool:
    """Whether metering ended with a month that is closed, long ago: the card then says so, instead of "silent, 0 %"."""
    return newest is not None and at - newest > LONG_AGO and f"{newest - timedelta(hours=12):%Y-%m}" <= closed


def _measured_on(today: date, newest: datetime | None) -> date:
    """The newest day that was measured whole: yesterday, or where metering ended before, its last day."""
    yesterday = today - timedelta(days=1)
    return yesterday if newest is None else min(yesterday, (newest - timedelta(hours=12)).date())


def _sums(today: date, newest: datetime | None) -> dict[str, Any]:
    """Sums over everything, as they were at most a minute ago."""
    kept: dict[str, Any] | None = cache.get("console.overview")
    if kept is not None and kept["day"] == today:
        return kept
    made: dict[str, Any] = {
        "day": today,
        "accounts": customers.count_accounts(),
        "services": services.count_services(),
        "coverage": usage.coverage_of(day=_measured_on(today, newest)),
        "billed": _billed(today),
        "owed": _owed(today),
        "this_month": f"{today:%Y-%m}",
    }
    cache.set("console.overview", made, KEPT_S)
    return made


@dataclass(frozen=True, slots=True)
class Collecting:
    """A collector as a card shows it."""

    name: str
    trouble: bool
    state: str
    said: str


def _collectors(at: datetime) -> list[Collecting]:
    """Every collector with how many of its targets do well."""
    found: dict[str, list[usage.CollectorHealth]] = {}
    for one in usage.collector_health(at=at):
        found.setdefault(one.collector, []).append(one)
    out = []
    for name, targets in sorted(found.items()):
        failing = [one for one in targets if one.state == "failing"]
        behind = sum(one.state == "behind" for one in targets)
        state = f"{len(failing)} failing" if failing else f"{behind} behind" if behind else "well"
        said = failing[0].last_error if failing else f"{len(targets)} target{'s' if len(targets) != 1 else ''}"
        out.append(Collecting(name, bool(failing), state, said[:120]))
    return out


@dataclass(frozen=True, slots=True)
class Owed:
    """What is open in one currency, by how late it is."""

    currency: str
    due: Money
    unallocated: Money
    not_late: Money
    to_30: Money
    late_long: Money


def _owed(today: date) -> list[Owed]:
    return [
        Owed(
            each.currency,
            each.due,
            each.unallocated,
            each.not_late + each.disputed,
            each.to_30,
            each.to_60 + each.to_90 + each.older,
        )
        for _, each in sorted(statements.totals(statements.aged_accounts(on=today)).items())
    ]


def _billed(today: date) -> Sequence[Billed]:
    """This month's issue beside the last's, in every currency."""
    year, month = add_months(today.year, today.month, -1)
    first = date(year, month, 1)
    now = f"{today:%Y-%m}"
    nets: dict[str, dict[tuple[bool, str], Money]] = {}
    for one in listing.issued_by_month(since=first):
        nets.setdefault(one.net.currency, {})[one.month == now, one.kind] = one.net
    return [
        Billed(
            code,
            got.get((True, "base_invoice"), Money(0, code)),
            got.get((True, "overage_invoice"), Money(0, code)),
            got.get((True, "credit_note"), Money(0, code)),
            got.get((False, "base_invoice"), Money(0, code)),
            got.get((False, "overage_invoice"), Money(0, code)),
        )
        for code, got in sorted(nets.items())
    ]
