"""Which months can be closed, and which were: for screens. Reads only."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from coulance.catalog import queries as catalog
from coulance.customers import listing as customers
from coulance.invoicing import listing
from coulance_core.kernel import anchored_period
from coulance_core.kernel.period import add_months

_BACK = 13
"""Months that are looked at before this one."""


@dataclass(frozen=True, slots=True)
class Month:
    """A month that is not closed: its accounts, how many are due, and from which day the first and the last are."""

    period: str
    accounts: int
    due: int
    first_due_on: date
    last_due_on: date
    ends_on: date


def months(*, at: datetime) -> list[Month]:
    """The months after the newest that was closed (or this month and the last, when none was), oldest first.

    Up to the one that `at` is in. Nothing when no provider file is applied yet, or there are no accounts.
    """
    try:
        provider = catalog.catalog().provider
    except catalog.UnableToFindCatalogError:
        return []
    calendars = customers.calendars()
    if not calendars:
        return []
    here = at.astimezone(provider.zone_info).date()
    closed = listing.closed_periods()
    newest = max(closed, default="")
    out = []
    for back in range(_BACK, -1, -1):
        year, month = add_months(here.year, here.month, -back)
        name = f"{year:04d}-{month:02d}"
        if name <= newest or (not newest and back > 1):
            continue
        ends, days, due = [], [], 0
        for calendar in calendars:
            zone = ZoneInfo(calendar.zone)
            ends.append(anchored_period(year, month, calendar.billing_day, zone).end.astimezone(zone).date())
            days.append(ends[-1] + timedelta(days=provider.settle_after_days))
            due += calendar.accounts if at.astimezone(zone).date() >= days[-1] else 0
        total = sum(calendar.accounts for calendar in calendars)
        out.append(Month(name, total, due, min(days), max(days), max(ends)))
    return out
