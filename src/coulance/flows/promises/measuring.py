"""From evidence to what counts: samples, what operators said, restrictions that were right and wrong.

Each check is judged by itself, by all its vantage points. A service is down when one of its checks is; its time is
unknown only where no check says anything, so that one source's silence is filled by another's. An application is down
when its services really were, as it is made of them.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from fractions import Fraction

import numpy as np

from coulance.arrears import queries as arrears
from coulance.enforcement import queries as enforcement
from coulance.flows.promises import counting, fees
from coulance.flows.promises.terms import Promised, life_of
from coulance.sla import looks, rates
from coulance.sla import queries as sla
from coulance.sla.looks import Stream
from coulance.sla.operations import GRANTED, WRONGFUL
from coulance.sla.queries import CheckRow, DistrustRow, EntryRow
from coulance.sla.rates import Rates
from coulance_core.enforcement.restrictions import Action
from coulance_core.kernel import Explanation, Money, Period
from coulance_core.sla import composite
from coulance_core.sla.credits import Charges, Credit, credit
from coulance_core.sla.downtime import Downtime, Exclusion, Facts, Maintenance, Outage, downtime
from coulance_core.sla.evidence import Quorum, Samples, Verdict, judge
from coulance_core.sla.intervals import EMPTY, Instants, Spans, at_least, instant, micros
from coulance_core.sla.terms import ErrorTiers, Whole
from coulance_core.sla.terms_file import Promise

COUNTED = "requests"
"""The kind of checks whose source counts requests, and says of no instant whether it was up."""
ANYBODY = Quorum(180_000_000)
"""How services without a promise are judged: anybody's failure counts."""
_FOR_EVER = 2**60
_SETTLES = 10 * 60 * 1_000_000
"""Looks are on their way for some minutes; what is younger isn't unknown yet."""
_BEYOND = 3600 * 1_000_000
"""How far beyond a period its outages are followed: as far as looks are read."""
_MOST_SHOWN = 200
RECENT = 5 * 60 * 1_000_000
"""What was down within this is down now."""


@dataclass(frozen=True)
class Measured:
    """A service's period: the facts, what is owed by its terms, and its outages for people."""

    of: Promised
    facts: Facts
    credit: Credit
    charges: Charges
    outages: tuple[Mapping[str, str], ...]
    so_far: bool = False

    @property
    def fee(self) -> Money:
        """What its credits are parts of."""
        return self.charges.fee

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
    rates: Mapping[int, Rates]
    distrusted: Sequence[DistrustRow]
    priced: fees.Priced


def gather(services: Collection[int], start: datetime, end: datetime, *, years: bool = False) -> Evidence:
    """Everything, in a query a room. `years`: fees of the twelve months before too."""
    checks: dict[int, list[CheckRow]] = defaultdict(list)
    for check in sla.checks(services=services, live=False):
        checks[check.service].append(check)
    every = [check for rows in checks.values() for check in rows]
    looked = [c.id for c in every if c.kind != COUNTED]
    found = looks.streams(checks=looked, start=start, end=end, holding=[c.id for c in every if c.holds])
    streams: dict[int, list[Stream]] = defaultdict(list)
    for stream in found:
        streams[stream.check].append(stream)
    entries: dict[int, list[EntryRow]] = defaultdict(list)
    for entry in sla.entries(services=services, start=start, end=end, most=10_000_000):
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
    suspended = {service: Spans.of(pairs) for service, pairs in paused.items()}
    counted = rates.rates(checks=[c.id for c in every if c.kind == COUNTED], start=start, end=end)
    since = (start - timedelta(days=370 if years else 1)).date()
    return Evidence(
        checks,
        streams,
        entries,
        wrongful,
        suspended,
        {one.check: one for one in counted},
        sla.distrusted(start=start, end=end),
        fees.gather(services, since, (end + timedelta(days=1)).date()),
    )


def gather_for(rows: Sequence[Promised], *, start: datetime | None = None) -> Evidence:
    """The same for services with their promises, all their parts among them, from `start` or their periods' on."""
    start = min(one.period.start for one in rows) if start is None else start
    end = max(one.period.end for one in rows)
    years = any(c.year is not None or c.before is not None for c in (one.promise.terms.caps for one in rows))
    return gather({row.id for one in rows for row in one.members}, start, end, years=years)


def facts_of(one: Promised, known: Evidence, at: datetime, *, only_over: bool = False) -> Facts:
    """What is known of a service in its period by an instant.

    `only_over`: only what is over, as its terms have it settle; what still goes on, and silence, may come to less by
    what is on its way, and are left for later.
    """
    horizon = micros(at) - one.promise.terms.settles if only_over else None
    if one.made_of is not None:
        return _together(one, known, at, horizon)
    service = one.service.id
    now, start, end = micros(at), micros(one.period.start), micros(one.period.end)
    outages: list[Outage] = []
    watched, speaking = EMPTY, EMPTY
    for check in known.checks.get(service, ()):
        if check.kind == COUNTED:
            continue
        life = life_of_check(check, at, start, end)
        # Outages as long as they were, also where the period cuts them: terms forgive by length.
        wide = start - _BEYOND, end + _BEYOND
        verdict = verdict_of(check, known.streams.get(check.id, ()), one.promise, *wide)
        watched = watched | life
        speaking = speaking | (life - verdict.unknown)
        down = verdict.down(one.promise.terms.bound) & life_of_check(check, at, *wide)
        outages += [
            Outage(f"check {check.id} at {instant(s):%dT%H:%M:%SZ}", Spans.of([(s, e)])) for s, e in down.pairs()
        ]
    seen_up = speaking - at_least(1, EMPTY, *(outage.spans for outage in outages))
    said = _said(known.entries.get(service, ()), at)
    outages += said.outages
    wrongful = said.wrongful
    for n, (since, until) in enumerate(known.wrongful.get(service, ()), 1):
        spans = _spans(since, until, at)
        wrongful = wrongful | spans
        outages.append(Outage(f"wrongful restriction {n}", spans, micros(since), cause="a restriction that was wrong"))
    # Suspended by right: our own pauses, but for those that were wrong.
    suspended = known.suspended.get(service, EMPTY) - wrongful
    facts = Facts(
        one.period,
        one.life,
        tuple(outages),
        watched - speaking,
        said.shown_up,
        suspended if horizon is None else suspended.clip(0, max(0, now)),
        tuple(said.maintenance),
        tuple(said.exclusions),
    )
    if any(isinstance(model, ErrorTiers) for model in one.promise.terms.models):
        counted = [check for check in known.checks.get(service, ()) if check.kind == COUNTED]
        sure = at_least(1, EMPTY, wrongful, *(o.spans for o in said.outages))
        facts = counting.with_rates(
            facts,
            counted,
            known.rates,
            sure=sure,
            seen_up=seen_up | said.shown_up,
            at=at,
            horizon=horizon,
            unknown=one.promise.terms.unknown,
        )
    return facts if horizon is None else _over(facts, horizon)


def life_of_check(check: CheckRow, at: datetime, start: int, end: int) -> Spans:
    """When in [start, end) something was to be heard of a check: from its first day on, but for what is on its way."""
    now = micros(at)
    since = micros(check.since)
    life = Spans.of([(since, max(since, micros(check.until or at + timedelta(1))))])
    return life.clip(start, min(end, max(start, now - (_SETTLES if now < end + _SETTLES else 0))))


@dataclass
class _Said:
    """What entries say."""

    outages: list[Outage]
    maintenance: list[Maintenance]
    exclusions: list[Exclusion]
    shown_up: Spans = EMPTY
    wrongful: Spans = EMPTY


def _said(entries: Iterable[EntryRow], at: datetime) -> _Said:
    out = _Said([], [], [])
    for entry in entries:
        spans = _spans(entry.since, entry.until, at)
        match entry.says:
            case "outage":
                reported = micros(entry.reported_at) if entry.reported_at else None
                wrongful = entry.kind == WRONGFUL
                key = f"{'wrongful ' if wrongful else ''}entry {entry.id}"
                out.outages.append(Outage(key, spans, reported, Fraction(entry.affected), entry.words))
                if entry.kind in (WRONGFUL, GRANTED):
                    out.wrongful = out.wrongful | spans
            case "maintenance":
                announced = micros(entry.announced_at) if entry.announced_at else None
                ends = micros(entry.until or at)
                out.maintenance.append(Maintenance(f"maintenance {entry.id}", micros(entry.since), ends, announced))
            case "exclusion":
                out.exclusions.append(Exclusion(entry.kind, spans, f"entry {entry.id}: {entry.evidence}"))
            case "up":
                out.shown_up = out.shown_up | spans
    return out


def _over(facts: Facts, horizon: int) -> Facts:
    """Only the outages that are over by an instant, and no silence. What ended in silence may go on: it isn't over."""
    outages = []
    for outage in facts.outages:
        over = outage.spans.end <= horizon
        if not outage.key.startswith(_SAID):
            over &= ~(facts.unknown - facts.shown_up).covers(outage.spans.end)
        if over.any():
            outages.append(replace(outage, spans=Spans(outage.spans.start[over], outage.spans.end[over])))
    return replace(facts, outages=tuple(outages), unknown=EMPTY)


_SAID = ("entry ", "wrongful ")
"""Keys of outages that somebody said the end of."""


def _together(one: Promised, known: Evidence, at: datetime, horizon: int | None) -> Facts:
    """An application's facts: down and unknown as it is made of its services, each less what is excused of it."""
    assert one.made_of is not None
    down: dict[str, Spans] = {}
    unknown: dict[str, Spans] = {}
    plain = replace(one.promise.terms, shortest=0, whole=Whole.EXACT, hours=None)
    wide = Period(one.period.start - timedelta(hours=1), one.period.end + timedelta(hours=1))
    for name, row in one.parts.items():
        part = replace(one, service=row, life=life_of(row, one.zone, one.period), made_of=None, parts={})
        facts = facts_of(part, known, at)
        # As long as they were, also beyond the period, as a service's own.
        counts = life_of(row, one.zone, wide) - facts.suspended - downtime(plain, facts).excused
        down[name] = at_least(1, EMPTY, *(o.spans for o in facts.outages)) & counts
        unknown[name] = (facts.unknown - facts.shown_up - down[name]) & counts
    spans = composite.down(one.made_of, down)
    perhaps = composite.down(one.made_of, {name: down[name] | unknown[name] for name in down}) - spans
    outages = []
    for s, e in spans.pairs():
        causes = sorted(name for name, own in down.items() if own.clip(s, e))
        outages.append(Outage(f"{' and '.join(causes)} at {instant(s):%dT%H:%M:%SZ}", Spans.of([(s, e)])))
    whole = Facts(one.period, one.life, tuple(outages), perhaps)
    return whole if horizon is None else _over(whole, horizon)


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


def measured(
    one: Promised, known: Evidence, *, at: datetime, fee: Money | None = None, only_over: bool = False
) -> Measured:
    """What a service's period comes to by its terms, from all evidence known at an instant.

    `fee`: else as it was and will be billed. `only_over`: what can be said of it before it is over. Raises
    `fees.UsageNotBilledError`, and `ValueError` for what can't be judged.
    """
    if one.fault:
        raise ValueError(one.fault)
    facts = facts_of(one, known, at, only_over=only_over)
    caps = one.promise.terms.caps
    down = downtime(one.promise.terms, facts) if caps.before is not None else _NOTHING
    charges = fees.charges_of(one, known.priced, down, fee=fee)
    found = credit(one.promise.terms, facts, charges)
    return Measured(one, facts, _with_notes(one, found, known), charges, outages_of(found), only_over)


def _with_notes(one: Promised, found: Credit, known: Evidence) -> Credit:
    """The credit, with what a reader of its explanation must know besides."""
    notes = []
    if one.made_of is not None:
        notes.append(f"judged together, fees of all parts: {one.made_of}")
    terms = one.promise.terms
    notes.append(f"credits are parts of the {charged(one.promise)}")
    notes += fees.said_of_bundles(one, known.priced)
    if terms.claim.days is not None and found.amount.minor:
        notes.append(f"these terms ask for a claim within {terms.claim.days} days: it was made for the customer")
    checks = [check for row in one.members for check in known.checks.get(row.id, ())]
    heard = {stream.agent for check in checks for stream in known.streams.get(check.id, ())}
    heard |= {agent for check in checks if check.id in known.rates for agent in known.rates[check.id].agents}
    for row in known.distrusted:
        if row.agent_id not in heard:
            continue
        until = f" to {row.until:%Y-%m-%dT%H:%M:%SZ}" if row.until else " on"
        notes.append(f"what {row.agent} said doesn't count from {row.since:%Y-%m-%dT%H:%M:%SZ}{until}: {row.reason}")
    why = found.explanation
    return replace(found, explanation=replace(why, notes=(*why.notes, *notes)))


def charged(promise: Promise) -> str:
    """What a promise's credits are parts of, in words."""
    return _CHARGED[promise.terms.charges.value]


_CHARGED = {"base": "base fee", "usage": "charges for usage", "all": "base fee and the charges for usage"}
_NOTHING = Downtime((), 0, EMPTY, EMPTY, (), Explanation("nothing"))


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
        if check.kind != COUNTED
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
