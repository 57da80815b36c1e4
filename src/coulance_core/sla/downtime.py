"""What of a service's outages counts against a promise: the period, less what is excused, by the contract's own rules.

    S  the time promised: the period, the service's life, committed hours, less its own lawful suspension
    M  maintenance that kept its terms (notice, window, quota)
    X  exclusions of agreed kinds, with evidence
    D  outages, and unknown time where it counts, unless other evidence shows the service up

Credited downtime is D and S, less M and X. A restriction that was wrongful is an outage, not a suspension.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from coulance_core.kernel import Explanation, Period
from coulance_core.kernel.explanation import ExplanationBuilder
from coulance_core.sla.calendars import OpenTime
from coulance_core.sla.intervals import EMPTY, Spans, at_least, instant, micros
from coulance_core.sla.terms import Denominator, From, MaintenanceTerms, UptimeTerms, Whole

MINUTE = 60_000_000
_THIRTY_DAYS = 30 * 86_400 * 1_000_000
UNKNOWN = "unknown"
"""The key of unknown time where it counts as downtime."""


@dataclass(frozen=True)
class Outage:
    """One outage: when (by the bound that is paid), when it was reported (microseconds), what part was affected.

    `upper` is what it may have been at most; empty: not known apart. `cause` is for people.
    """

    key: str
    spans: Spans
    reported_at: int | None = None
    affected: Fraction = Fraction(1)
    cause: str = ""

    def __post_init__(self) -> None:
        if not 0 < self.affected <= 1:
            raise ValueError(f"outage {self.key}: it affected {self.affected}, expected a part above 0, at most 1")


@dataclass(frozen=True, slots=True)
class Maintenance:
    """Maintenance from `start` to `end`, announced at `announced_at` (None: never). Microseconds."""

    key: str
    start: int
    end: int
    announced_at: int | None


@dataclass(frozen=True)
class Exclusion:
    """Time that doesn't count, of a kind that the terms may agree to, and what shows it."""

    kind: str
    spans: Spans
    evidence: str


@dataclass(frozen=True)
class Facts:
    """What is known of one service in one period. Spans may reach beyond it.

    `life`: when the service existed. `suspended`: suspended by right (a wrongful restriction belongs to `outages`).
    `unknown`: when no evidence says anything; `shown_up`: when other evidence shows the service up all the same.
    `requests` and `errors`: a slot each, for terms of error rates; `slots` are their beginnings, so that slots outside
    the time that was promised, or excused, don't count (None: all count).
    """

    period: Period
    life: Spans
    outages: tuple[Outage, ...] = ()
    unknown: Spans = EMPTY
    shown_up: Spans = EMPTY
    suspended: Spans = EMPTY
    maintenance: tuple[Maintenance, ...] = ()
    exclusions: tuple[Exclusion, ...] = ()
    requests: NDArray[np.int64] | None = None
    errors: NDArray[np.int64] | None = None
    slots: NDArray[np.int64] | None = None


@dataclass(frozen=True)
class Piece:
    """What of one outage counts: its spans, their length by the terms' rounding, the part it affected."""

    key: str
    spans: Spans
    length: int
    affected: Fraction


@dataclass(frozen=True)
class Downtime:
    """The downtime of a period that counts. Microseconds.

    `pieces` don't overlap. `scheduled` is what 100 % is. `excused` is what maintenance and exclusions took off, with
    `refused` why others didn't.
    """

    pieces: tuple[Piece, ...]
    scheduled: int
    promised: Spans
    excused: Spans
    refused: tuple[tuple[str, str], ...]
    explanation: Explanation

    @property
    def length(self) -> int:
        """All of it, by the terms' rounding."""
        return sum(piece.length for piece in self.pieces)

    @property
    def spans(self) -> Spans:
        """When."""
        return at_least(1, *(piece.spans for piece in self.pieces)) if self.pieces else EMPTY

    @property
    def availability(self) -> Fraction:
        """In percent, between 0 and 100; 100 where nothing was promised."""
        if self.scheduled == 0:
            return Fraction(100)
        return max(Fraction(0), 100 * (1 - Fraction(self.length, self.scheduled)))


def downtime(terms: UptimeTerms, facts: Facts) -> Downtime:
    """What counts of a service's outages in a period, piece by piece, with its reasons.

    Where outages overlap, the instant belongs to the one that affected more, then to the earlier key: no instant counts
    twice.

    >>> from datetime import UTC, datetime
    >>> from coulance_core.sla.terms import Multiple
    >>> may = Period(datetime(2026, 5, 1, tzinfo=UTC), datetime(2026, 6, 1, tzinfo=UTC))
    >>> start = micros(may.start)
    >>> down = Outage("o1", Spans.of([(start, start + 14 * MINUTE)]))
    >>> terms = UptimeTerms("v1", Fraction("99.9"), (Multiple(Fraction(1)),))
    >>> found = downtime(terms, Facts(may, Spans.of_periods([may]), (down,)))
    >>> found.length // MINUTE, found.scheduled // MINUTE, round(float(found.availability), 3)
    (14, 44640, 99.969)
    """
    start, end = micros(facts.period.start), micros(facts.period.end)
    promised = (facts.life - facts.suspended).clip(start, end)
    if terms.hours is not None:
        promised = promised & OpenTime.between(terms.hours, start, end).spans
    excused, refused = _maintenance(terms.maintenance, facts.maintenance, start, end)
    agreed = [x for x in facts.exclusions if x.kind in terms.excluded]
    away = at_least(1, excused, *(x.spans for x in agreed)).clip(start, end)
    refused += [(x.kind, "not agreed in these terms") for x in facts.exclusions if x.kind not in terms.excluded]
    outages = list(facts.outages)
    unknown = facts.unknown - facts.shown_up
    if terms.unknown and unknown:
        # What is down by some probes isn't unknown besides.
        outages.append(Outage(UNKNOWN, unknown - at_least(1, *(o.spans for o in facts.outages))))
    pieces = tuple(_pieces(terms, outages, promised, away, start, end))
    scheduled = _scheduled(terms, promised, away, start, end)
    e = Explanation.build("sla.downtime", terms=terms.version)
    _state(e, terms, pieces, scheduled, away, refused)
    for exclusion in agreed:
        e.note(f"excluded, {exclusion.kind}: {_times(exclusion.spans)} [{exclusion.evidence}]")
    return Downtime(pieces, scheduled, promised, away, tuple(refused), e.freeze())


def _maintenance(
    terms: MaintenanceTerms, announced: Iterable[Maintenance], start: int, end: int
) -> tuple[Spans, list[tuple[str, str]]]:
    """Which maintenance is excused in the period; and of the rest, why not."""
    refused: list[tuple[str, str]] = []
    taken: list[tuple[int, int]] = []
    left = terms.quota
    for one in sorted(announced, key=lambda m: (m.start, m.end, m.key)):
        if one.end <= start or one.start >= end or one.end <= one.start:
            continue
        if terms.credited:
            refused.append((one.key, "maintenance is credited by these terms"))
            continue
        if one.announced_at is None or one.announced_at > one.start - terms.notice:
            refused.append((one.key, f"announced less than {terms.notice // MINUTE} min ahead"))
            continue
        spans = (Spans.of([(one.start, one.end)]) - Spans.of(taken)).clip(start, end)
        if terms.window is not None:
            open_time = OpenTime.between(terms.window, one.start, one.end).spans
            if spans - open_time != EMPTY:
                refused.append((one.key, "outside the agreed window, for a part"))
            spans = spans & open_time
        if left is not None and spans.total > left:
            refused.append((one.key, f"past the quota of {(terms.quota or 0) // MINUTE} min, for a part"))
            spans = _first(spans, left)
        left = None if left is None else left - spans.total
        taken += spans.pairs()
    return (Spans.of(taken) if taken else EMPTY), refused


def _first(spans: Spans, length: int) -> Spans:
    """The first `length` microseconds of some spans."""
    if length <= 0:
        return EMPTY
    before = spans.before
    end = np.minimum(spans.end, spans.start + (length - before))
    some = end > spans.start
    return Spans(spans.start[some], end[some])


def _pieces(
    terms: UptimeTerms, outages: Sequence[Outage], promised: Spans, away: Spans, start: int, end: int
) -> Iterable[Piece]:
    counted = EMPTY
    for outage in sorted(outages, key=lambda o: (-o.affected, o.key)):
        spans = outage.spans
        if terms.counts_from is From.REPORTED:
            if outage.reported_at is None:
                continue
            spans = spans.clip(outage.reported_at, max(end, outage.reported_at))
        if not terms.shortest_after:
            spans = spans.longer_than(terms.shortest)
        beyond = spans - Spans.of([(start, end)])
        spans = (spans.clip(start, end) & promised) - away - counted
        if terms.shortest_after:
            # What goes on beyond the period is as long as it is: cut in two it is no two short ones.
            spans = (spans | beyond).longer_than(terms.shortest).clip(start, end)
        if not spans:
            continue
        counted = counted | spans
        length = sum(_rounded(e - s, terms.whole) for s, e in spans.pairs())
        if length:
            yield Piece(outage.key, spans, length, outage.affected)


def _rounded(length: int, whole: Whole) -> int:
    match whole:
        case Whole.WHOLE_MINUTES:
            return length // MINUTE * MINUTE
        case Whole.STARTED_MINUTES:
            return -(-length // MINUTE) * MINUTE
    return length


def _scheduled(terms: UptimeTerms, promised: Spans, away: Spans, start: int, end: int) -> int:
    match terms.denominator:
        case Denominator.PERIOD:
            return end - start
        case Denominator.THIRTY_DAYS:
            return _THIRTY_DAYS
        case Denominator.LESS_EXCLUDED:
            return (promised - away).total
    return promised.total


def _state(
    e: ExplanationBuilder,
    terms: UptimeTerms,
    pieces: Sequence[Piece],
    scheduled: int,
    away: Spans,
    refused: Iterable[tuple[str, str]],
) -> None:
    names = []
    for piece in sorted(pieces, key=lambda p: (int(p.spans.start[0]), p.key)):
        names.append(piece.key)
        e.fact(piece.key, Fraction(piece.length, MINUTE), "min", _times(piece.spans))
    e.step("downtime", "add", *(names or ["0"]), unit="min")
    e.fact("scheduled", Fraction(scheduled, MINUTE), "min", terms.denominator.value)
    e.fact("excused", Fraction(away.total, MINUTE), "min")
    if scheduled:
        e.step("down share", "divide", "downtime", "scheduled")
        e.step("down percent", "multiply", "down share", "100", unit="%")
        e.step("availability", "subtract", "100", "down percent", unit="%")
    e.convention(f"outages: {terms.bound.value} bound").convention(f"100 %: {terms.denominator.value}")
    if terms.whole is not Whole.EXACT:
        e.convention(f"lengths: {terms.whole.value}")
    for key, why in refused:
        e.note(f"{key} is not excused: {why}")


def _times(spans: Spans) -> str:
    shown = [f"{instant(s):%Y-%m-%dT%H:%M:%SZ}/{instant(e):%Y-%m-%dT%H:%M:%SZ}" for s, e in spans.pairs()[:8]]
    more = len(spans.pairs()) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")
