"""From evidence to what counts: samples, what operators said, restrictions that were right and wrong.

Each check is judged by itself, by all its vantage points. A service is down when one of its checks is; its time is
unknown only where no check says anything, so that one source's silence is filled by another's.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from fractions import Fraction

import numpy as np

from coulance.arrears import queries as arrears
from coulance.enforcement import queries as enforcement
from coulance.flows.promises.terms import Promised
from coulance.invoicing import queries as invoicing
from coulance.sla import looks
from coulance.sla import queries as sla
from coulance.sla.looks import Stream
from coulance.sla.queries import CheckRow, EntryRow
from coulance_core.enforcement.restrictions import Action
from coulance_core.kernel import Money, Period
from coulance_core.kernel.period import add_months
from coulance_core.rating.base import BilledSpan
from coulance_core.sla.credits import Charges, Credit, credit
from coulance_core.sla.downtime import Exclusion, Facts, Maintenance, Outage
from coulance_core.sla.evidence import Samples, Verdict, judge
from coulance_core.sla.intervals import EMPTY, Instants, Spans, at_least, instant, micros
from coulance_core.sla.terms_file import Promise

_FOR_EVER = 2**60
_SETTLES = 10 * 60 * 1_000_000
"""Looks are on their way for some minutes; what is younger isn't unknown yet."""
_MOST_SHOWN = 200
RECENT = 5 * 60 * 1_000_000
"""What was down within this is down now."""


@dataclass(frozen=True)
class Measured:
    """A service's period: the facts, what is owed by its terms, and its outages for people."""

    of: Promised
    facts: Facts
    credit: Credit
    fee: Money
    outages: tuple[Mapping[str, str], ...]

    @property
    def unknown(self) -> int:
        """Time that no evidence speaks of, in microseconds."""
        return (self.facts.unknown - self.facts.shown_up).total


@dataclass(frozen=True)
class Evidence:
    """All that is known of some services in some time, by service."""

    checks: Mapping[int, Sequence[CheckRow]]
    streams: Mapping[int, Sequence[Stream]]
    entries: Mapping[int, Sequence[EntryRow]]
    wrongful: Mapping[int, Sequence[tuple[datetime, datetime | None]]]
    suspended: Mapping[int, Spans]
    billed: Mapping[int, Sequence[BilledSpan]]


def gather(services: Collection[int], start: datetime, end: datetime) -> Evidence:
    """Everything, in a query a room."""
    checks: dict[int, list[CheckRow]] = defaultdict(list)
    for check in sla.checks(services=services, live=False):
        checks[check.service].append(check)
    every = [check for rows in checks.values() for check in rows]
    found = looks.streams(checks=[c.id for c in every], start=start, end=end, holding=[c.id for c in every if c.holds])
    streams: dict[int, list[Stream]] = defaultdict(list)
    for stream in found:
        streams[stream.check].append(stream)
    entries: dict[int, list[EntryRow]] = defaultdict(list)
    for entry in sla.entries(services=services, start=start, end=end):
        entries[entry.service].append(entry)
    wrongful = arrears.wrongful(list(services))
    paused: dict[int, list[tuple[int, int]]] = defaultdict(list)
    far = micros(end + timedelta(days=1))
    for row in enforcement.restrictions(services=services, open_only=False, limit=1_000_000):
        held = row.restriction
        if held.action is Action.PAUSE and not held.observe:
            until = far if held.lifted_at is None else micros(held.lifted_at)
            if until > micros(held.placed_at):
                paused[row.service].append((micros(held.placed_at), until))
    billed = invoicing.billed_spans(services=services, since=(start - timedelta(days=1)).date())
    suspended = {service: Spans.of(pairs) for service, pairs in paused.items()}
    return Evidence(checks, streams, entries, wrongful, suspended, billed)


def facts_of(one: Promised, known: Evidence, at: datetime) -> Facts:
    """What is known of a service in its period by an instant."""
    start, end = micros(one.period.start), micros(one.period.end)
    now = micros(at)
    service = one.service.id
    bound = one.promise.terms.bound
    outages: list[Outage] = []
    watched, speaking = EMPTY, EMPTY
    for check in known.checks.get(service, ()):
        life = Spans.of([(micros(check.since), max(micros(check.since), micros(check.until or at + timedelta(1))))])
        life = life.clip(start, min(end, max(start, now - (_SETTLES if now < end + _SETTLES else 0))))
        verdict = verdict_of(check, known.streams.get(check.id, ()), one.promise, start, end)
        watched = watched | life
        speaking = speaking | (life - verdict.unknown)
        down = verdict.down(bound) & life
        outages += [
            Outage(f"check {check.id} at {instant(s):%dT%H:%M:%SZ}", Spans.of([(s, e)])) for s, e in down.pairs()
        ]
    shown_up, maintenance, exclusions = EMPTY, [], []
    for entry in known.entries.get(service, ()):
        spans = _spans(entry.since, entry.until, at)
        match entry.says:
            case "outage":
                reported = micros(entry.reported_at) if entry.reported_at else None
                outages.append(Outage(f"entry {entry.id}", spans, reported, Fraction(entry.affected), entry.words))
            case "maintenance":
                announced = micros(entry.announced_at) if entry.announced_at else None
                ends = micros(entry.until or at)
                maintenance.append(Maintenance(f"maintenance {entry.id}", micros(entry.since), ends, announced))
            case "exclusion":
                exclusions.append(Exclusion(entry.kind, spans, f"entry {entry.id}: {entry.evidence}"))
            case "up":
                shown_up = shown_up | spans
    wrongful = EMPTY
    for n, (since, until) in enumerate(known.wrongful.get(service, ()), 1):
        spans = _spans(since, until, at)
        wrongful = wrongful | spans
        outages.append(Outage(f"wrongful restriction {n}", spans, micros(since), cause="a restriction that was wrong"))
    return Facts(
        one.period,
        one.life,
        tuple(outages),
        watched - speaking,
        shown_up,
        # Suspended by right: our own pauses, but for those that were wrong.
        known.suspended.get(service, EMPTY) - wrongful,
        tuple(maintenance),
        tuple(exclusions),
    )


def verdict_of(check: CheckRow, streams: Iterable[Stream], promise: Promise, start: int, end: int) -> Verdict:
    """What one check's vantage points together say. An outside source speaks for itself: nobody else sees with it."""
    quorum = promise.quorum
    ttl = _FOR_EVER if check.holds else max(quorum.ttl, 3 * check.every_s * 1_000_000)
    if check.kind == "outside":
        quorum = replace(quorum, down=1, fresh=1, confirm=1 if check.holds else quorum.confirm)
    return judge([Samples(s.at, s.up, ttl) for s in streams], quorum, start, end)


def _spans(since: datetime, until: datetime | None, at: datetime) -> Spans:
    low = micros(since)
    return Spans.of([(low, max(low, micros(until if until is not None else at)))])


def fee_of(one: Promised, billed: Sequence[BilledSpan]) -> Money:
    """What the period's base fee came to: what was charged of its days, less what was given back; before tax.

    A fee for longer (a year) counts by its days. Rounded to the cent once.
    """
    first, last = one.period.start.astimezone(one.zone).date(), one.period.end.astimezone(one.zone).date()
    total = Fraction(0)
    for span in billed:
        days = (span.end - span.start).days
        within = (min(span.end, last) - max(span.start, first)).days
        if days > 0 and within > 0 and span.net.currency == one.account.currency:
            total += span.net.amount * Fraction(within, days)
    return Money.of(max(total, Fraction(0)), one.account.currency, one.promise.terms.rounding)


def measured(one: Promised, known: Evidence, *, at: datetime, fee: Money | None = None) -> Measured:
    """What a service's period comes to by its terms, from all evidence known at an instant. `fee`: else as billed."""
    facts = facts_of(one, known, at)
    fee = fee_of(one, known.billed.get(one.service.id, ())) if fee is None else fee
    year, month = add_months(int(one.period_name[:4]), int(one.period_name[5:]), -11)
    credited = sla.credited_since(one.service.id, f"{year:04d}-{month:02d}", one.period_name)
    found = credit(one.promise.terms, facts, Charges(fee, credited=Money(credited, fee.currency)))
    return Measured(one, facts, found, fee, outages_of(found))


def outages_of(found: Credit) -> tuple[Mapping[str, str], ...]:
    """The outages that count, for people and machines: since, until, what said so."""
    rows = [
        {"since": instant(s).isoformat(), "until": instant(e).isoformat(), "by": piece.key}
        for piece in found.downtime.pieces
        for s, e in piece.spans.pairs()
    ]
    return tuple(sorted(rows, key=lambda row: (row["since"], row["by"])))[:_MOST_SHOWN]


def down_now(service: int, known: Evidence, promise: Promise, period: Period, at: datetime) -> Spans:
    """When a service was down by all evidence, without what terms forgive: for status pages. Steps between looks."""
    start, end = micros(period.start), min(micros(period.end), micros(at))
    parts = [
        verdict_of(check, known.streams.get(check.id, ()), promise, start, end).step
        for check in known.checks.get(service, ())
    ]
    parts += [
        _spans(e.since, e.until, at).clip(start, end) for e in known.entries.get(service, ()) if e.says == "outage"
    ]
    return at_least(1, *parts) if parts else EMPTY


def whole(start: int, end: int) -> Spans:
    """All of [start, end)."""
    return Spans.of([(start, end)])


def instants(values: Sequence[int]) -> Instants:
    """Instants as core takes them."""
    return np.array(values, np.int64)
