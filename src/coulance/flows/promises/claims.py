"""What suppliers owe us: the claim with its text, by when, and a reminder before the time for it is over."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from coulance.catalog import queries as catalog
from coulance.flows.promises import measuring, terms
from coulance.platform import alarms
from coulance.platform.alarms import Severity
from coulance.sla import operations
from coulance.sla import queries as sla
from coulance.sla.errors import SlaError
from coulance_core.kernel import Money
from coulance_core.kernel.period import add_months
from coulance_core.sla.credits import Charges, credit
from coulance_core.sla.downtime import Facts, Outage
from coulance_core.sla.intervals import EMPTY, Spans, at_least
from coulance_core.sla.planning import Upstream, upstream
from coulance_core.sla.terms_file import Promise

REMIND = timedelta(days=14)
"""How long before a claim's last day somebody is reminded."""
URGENT = timedelta(days=3)
_MONTHS = 6
"""How far back claims may still be open: longer windows are reminded of for so long."""


class UnableToClaimError(SlaError):
    """There is no such supplier, or nothing to claim of it."""


@dataclass(frozen=True)
class Claim:
    """What can be claimed of a supplier for a month, with its text; nothing to claim: `upstream.amount` is zero.

    `claimed`: how much was claimed, where, and when; None: not yet.
    """

    promise: Promise
    month: str
    upstream: Upstream
    text: str
    claimed: tuple[Money, str, datetime] | None = None


def claims(*, year: int, month: int, at: datetime) -> list[Claim]:
    """What suppliers owe for a month by their own terms, from the outages of the services that stand on them."""
    if catalog.current_revision() is None:
        return []
    zone = catalog.catalog().provider.zone_info
    known = terms.table()
    name = f"{year:04d}-{month:02d}"
    out = []
    for promise in known.suppliers(date(year, month, 1)):
        rows = terms.promised(year=year, month=month, own=promise)
        rows = [one for one in rows if one.service.external_id in promise.services]
        if not rows or promise.fee is None:
            continue
        evidence = measuring.gather_for(rows)
        facts = [measuring.facts_of(one, evidence, at) for one in rows]
        # What stands on a supplier and was down together was down by it: one outage, whoever noticed.
        spans = at_least(1, EMPTY, *(o.spans for f in facts for o in f.outages if not o.key.startswith("wrongful")))
        reported = [o.reported_at for f in facts for o in f.outages if o.reported_at is not None]
        first = min(reported, default=None)
        outages = tuple(Outage(f"outage {n}", Spans.of([p]), first) for n, p in enumerate(spans.pairs(), 1))
        life = at_least(1, *(one.life for one in rows))
        found = credit(promise.terms, Facts(rows[0].period, life, outages), Charges(promise.fee))
        given = sla.given(services=[o.service.id for o in rows], period_name=name)
        owed = sum(
            (g.amount for g in given if g.amount.currency == promise.fee.currency), Money(0, promise.fee.currency)
        )
        end = rows[0].period.end.astimezone(zone).date()
        what = upstream(promise.supplier, promise.terms, found, owed, end)
        text = _text(promise, name, found.downtime.length, what, spans)
        out.append(Claim(promise, name, what, text, sla.claimed(promise.supplier, promise.name, name)))
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


def remind(*, at: datetime) -> list[Claim]:
    """Alarm about claims whose last day is near, with their text: operators get it by mail. Cleared once claimed, or
    when it is too late. Returns those that wait for somebody."""
    if catalog.current_revision() is None:
        return []
    today = at.astimezone(catalog.catalog().provider.zone_info).date()
    out = []
    for back in range(_MONTHS, 0, -1):
        year, month = add_months(today.year, today.month, -back)
        for one in claims(year=year, month=month, at=at):
            key = f"sla-claim/{one.promise.name}/{one.month}"
            by = one.upstream.by
            waits = one.claimed is None and by is not None and one.upstream.amount.minor and by >= today
            if by is None or not waits or by - today > REMIND:
                alarms.clear_alarm(key=key, at=at)
                continue
            severity: Severity = "critical" if by - today <= URGENT else "warning"
            what = (
                f"Claim {one.upstream.amount} of {one.upstream.supplier} for {one.month} by {by.isoformat()}; then: "
                f"coulance sla claimed '{one.upstream.supplier}' --period {one.month} --reference THEIR-TICKET\n"
                f"{one.text}"
            )
            alarms.raise_alarm(key=key, severity=severity, what=what, at=at)
            out.append(one)
    return out


def note(
    *, supplier: str, year: int, month: int, reference: str, actor: str, at: datetime, waived: bool = False
) -> Money:
    """Note that what a supplier owes for a month was claimed (`waived`: won't be); how much. Raises `SlaError`."""
    open_ = [
        one
        for one in claims(year=year, month=month, at=at)
        if one.upstream.supplier == supplier and one.upstream.amount.minor
    ]
    if not open_:
        raise UnableToClaimError(f"nothing is owed by {supplier!r} for {year:04d}-{month:02d}")
    total = Money(0, open_[0].upstream.amount.currency)
    for one in open_:
        amount = Money(0, one.upstream.amount.currency) if waived else one.upstream.amount
        operations.note_claim(
            supplier=supplier,
            terms=one.promise.name,
            period_name=one.month,
            amount=amount,
            reference=reference,
            actor=actor,
            at=at,
        )
        alarms.clear_alarm(key=f"sla-claim/{one.promise.name}/{one.month}", at=at)
        total += amount
    return total
