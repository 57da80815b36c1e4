"""What credits are parts of: the charges of a service for a period, by its terms' own word for them.

The base fee of a day is what was billed for it; where nothing was yet (a service's first month is billed when it is
over), what the price list or the price agreed with the service will make of it. Of a service in a bundle it is its
element's part of the contract's price, beside what is billed for the service itself. Usage is known once it is billed.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from fractions import Fraction

from coulance.catalog import queries as catalog
from coulance.contracts import bundled
from coulance.contracts.bundled import BundledFee
from coulance.flows.promises.terms import Promised
from coulance.invoicing import history
from coulance.invoicing import queries as invoicing
from coulance.services import queries as services
from coulance.sla import queries as sla
from coulance_core.kernel import Money, anchored_period
from coulance_core.kernel.period import add_months
from coulance_core.rating.base import BilledSpan, base_due
from coulance_core.rating.segments import SubscriptionSpan, with_prices
from coulance_core.sla.credits import Charges
from coulance_core.sla.downtime import Downtime
from coulance_core.sla.intervals import instant
from coulance_core.sla.terms import Charged, YearOf

_THIRTY = timedelta(days=30)


class UsageNotBilledError(LookupError):
    """The terms credit parts of usage, and the period's usage isn't billed yet."""


@dataclass(frozen=True)
class Priced:
    """What is known of some services' base fees, by service: what was billed, what they subscribed to, and what is
    theirs of bundles."""

    billed: Mapping[int, Sequence[BilledSpan]]
    spans: Mapping[int, Sequence[SubscriptionSpan]]
    bundled: Mapping[int, Sequence[BundledFee]]


def gather(ids: Collection[int], since: date, until: date) -> Priced:
    """Everything that bears on fees of the days [since, until)."""
    prices = services.agreed_prices(ids)
    spans: dict[int, Sequence[SubscriptionSpan]] = {}
    for service, rows in services.subscriptions(ids).items():
        own = [
            SubscriptionSpan(row.plan, row.quantity, row.valid_from, row.valid_until)
            for row in rows
            if row.valid_until is None or row.valid_until > row.valid_from
        ]
        spans[service] = with_prices(own, [price.span for price in prices.get(service, ())])
    parts = bundled.fees(ids, since=since, until=until)
    return Priced(invoicing.billed_spans(services=ids, since=since), spans, parts)


def charges_of(one: Promised, known: Priced, down: Downtime, *, fee: Money | None = None) -> Charges:
    """What the terms' shares and caps are of. `fee`: the period's, where it is settled already.

    Raises `UsageNotBilledError`.
    """
    caps = one.promise.terms.caps
    fee = fee_of(one, known) if fee is None else fee
    before = most = whole = credited = None
    if caps.before is not None and down.pieces:
        ends = sorted({instant(int(p.spans.end[-1])).astimezone(one.zone).date() for p in down.pieces})
        # The thirty days up to an outage, its own last day among them; of several outages the dearest.
        each = [base_between(one, known, end - _THIRTY + timedelta(days=1), end + timedelta(days=1)) for end in ends]
        before = max(each) if one.promise.terms.charges is Charged.BASE else max(*each, fee)
    if caps.year is not None:
        year, month = add_months(int(one.period_name[:4]), int(one.period_name[5:]), -11)
        since = f"{year:04d}-{month:02d}"
        given = sum(sla.credited_since(row.id, since, one.period_name) for row in one.members)
        credited = Money(given, fee.currency)
        months = [_of_month(one, known, back) for back in range(1, 12)]
        most = max([fee, *months])
        whole = sum(months, fee) if caps.year_of is YearOf.YEAR else None
    return Charges(fee, before, most, credited, whole)


def fee_of(one: Promised, known: Priced) -> Money:
    """The charges of the period that credits are parts of, before tax. Raises `UsageNotBilledError`."""
    charged = one.promise.terms.charges
    base = Money(0, one.account.currency)
    if charged is not Charged.USAGE:
        base = base_between(one, known, *one.days)
    return base if charged is Charged.BASE else base + _usage(one)


def base_between(one: Promised, known: Priced, first: date, end: date) -> Money:
    """The base fees of the days [first, end): billed, less what was given back, still to be billed, and of bundles.

    A fee for longer (a year) counts by its days. Rounded to the cent once.
    """
    total = Fraction(0)
    for service in one.members:
        last = end if service.ended_on is None else min(end, service.ended_on)
        billed = known.billed.get(service.id, ())
        for part in known.bundled.get(service.id, ()):
            total += _within(part, first, min(end, part.until), one.account.currency)
        total += sum((_within(span, first, end, one.account.currency) for span in billed), Fraction(0))
        if first < last and not _covered(billed, max(first, service.started_on), last):
            due = base_due(
                catalog.catalog(),
                known.spans.get(service.id, ()),
                billed,
                billing_day=one.account.billing_day,
                zone=one.zone,
                since=first,
                through=last - timedelta(days=1),
            )
            total += sum((_within(line.span, first, end, one.account.currency) for line in due), Fraction(0))
    return Money.of(max(total, Fraction(0)), one.account.currency, one.promise.terms.rounding)


def said_of_bundles(one: Promised, known: Priced) -> list[str]:
    """Which parts of which bundles' prices are among the period's base fees, in words."""
    if one.promise.terms.charges is Charged.USAGE:
        return []
    first, end = one.days
    return [
        f"{row.external_id} is {part.element} in the bundle {part.contract}: {part.net} of its price from"
        f" {part.start.isoformat()} to {part.end - timedelta(days=1)} is for it, and counts by days"
        for row in one.members
        for part in known.bundled.get(row.id, ())
        if part.start < end and part.until > first
    ]


def _within(span: BilledSpan | BundledFee, first: date, end: date, currency: str) -> Fraction:
    """What of a span's net falls on the days [first, end)."""
    days, within = (span.end - span.start).days, (min(span.end, end) - max(span.start, first)).days
    if days <= 0 or within <= 0 or span.net.currency != currency:
        return Fraction(0)
    return span.net.amount * Fraction(within, days)


def _covered(billed: Sequence[BilledSpan], first: date, end: date) -> bool:
    """Whether every day of [first, end) was charged, and none given back."""
    if any(span.credit and span.start < end and span.end > first for span in billed):
        return False
    for span in sorted(billed, key=lambda span: span.start):
        if span.start <= first < span.end:
            first = span.end
    return first >= end


def _of_month(one: Promised, known: Priced, back: int) -> Money:
    """The charges of the period so many before."""
    year, month = add_months(int(one.period_name[:4]), int(one.period_name[5:]), -back)
    period = anchored_period(year, month, one.account.billing_day, one.zone)
    first, end = period.start.astimezone(one.zone).date(), period.end.astimezone(one.zone).date()
    charged = one.promise.terms.charges
    found = Money(0, one.account.currency)
    if charged is not Charged.USAGE:
        found += base_between(one, known, first, end)
    if charged is not Charged.BASE:
        found += _billed_usage(one, period.start, period.end)
    return found


def _usage(one: Promised) -> Money:
    if one.account.id not in history.accounts_done(period=one.period_name) or invoicing.documents(
        account=one.account.id, period_name=one.period_name, kind="overage_invoice", state="draft"
    ):
        raise UsageNotBilledError(f"{one.service.external_id}: usage of {one.period_name} isn't billed yet")
    return _billed_usage(one, one.period.start, one.period.end)


def _billed_usage(one: Promised, start: datetime, end: datetime) -> Money:
    ids = {row.id for row in one.members}
    rows = history.usage_lines(accounts=[one.account.id], start=start, end=end)
    return Money(sum(row.net for row in rows if row.service in ids), one.account.currency)
