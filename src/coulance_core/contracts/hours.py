"""Where each minute of work goes: the fee, a card, a pool, an approved hour, or us.

The first law holds for hours too: work beyond cover is charged only where it was approved before it began, for the
rate that was told, within the amount that was approved. What falls outside is absorbed, and shown.

Everything is derived from all entries each time, in the order of when work began: a late, corrected or removed entry
gives the same balance as one that was right at once.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from fractions import Fraction
from itertools import pairwise

from coulance_core.contracts.terms import (
    HOUR,
    Approval,
    Card,
    ContractError,
    Cover,
    Entry,
    Retainer,
    Rollover,
    WorkTerms,
)
from coulance_core.kernel import Explanation, Money, Period, Rounding, currency


class From(StrEnum):
    """What paid for time."""

    FEE = "fee"
    CARD = "card"
    POOL = "pool"
    CARRIED = "carried"
    """Of the pool, what an earlier period left."""
    APPROVED = "approved"
    """By the hour, approved beforehand."""
    FREE = "free"
    """Given away, by us."""
    ABSORBED = "absorbed"
    """Beyond cover and not approved before it began: ours."""


@dataclass(frozen=True, slots=True)
class Draw:
    """So many seconds of an entry, paid from one source; `source` is the card's, period's or approval's key."""

    entry: str
    source: str
    by: From
    seconds: int


@dataclass(frozen=True, slots=True)
class Stop:
    """So many seconds of work the fee includes in each of a contract's years; what is more wants the hourly rate."""

    seconds: int
    years: Sequence[Period]


@dataclass(frozen=True, slots=True)
class CardState:
    """A card at an instant: used, left, and lapsed with its end (breakage)."""

    card: Card
    used: int
    left: int
    lapsed: int


@dataclass(frozen=True, slots=True)
class Cards:
    """Hour cards and the work drawn on them, at an instant."""

    cards: tuple[CardState, ...]
    draws: tuple[Draw, ...]

    @property
    def left(self) -> int:
        """Seconds that can still be drawn, on all cards together."""
        return sum(c.left for c in self.cards)


def draw_cards(
    cards: Iterable[Card],
    entries: Iterable[Entry],
    approvals: Iterable[Approval],
    terms: WorkTerms,
    at: datetime,
    stop: Stop | None = None,
) -> Cards:
    """Draw entries on cards: of those valid when the work began, the one that ends first. The rest by approval.

    Whatever entries and cards there are, each entry's counted time is drawn exactly once, and used + left + lapsed is
    what a card has. Work from after `at` is not known yet.

    >>> from datetime import UTC
    >>> from coulance_core.contracts.terms import Rounding, Up
    >>> day = lambda d: datetime(2026, 5, d, 9, tzinfo=UTC)
    >>> card = Card("C1", 20 * HOUR, Money(180_000, "EUR"), day(1), day(1).replace(year=2027))
    >>> quarters = WorkTerms("v1", rounding=Rounding(900, Up.STARTED))
    >>> state = draw_cards([card], [Entry("e1", day(4), 20 * 60)], [], quarters, day(5))
    >>> state.left / HOUR
    19.5
    """
    known = sorted(cards, key=lambda c: (c.until is None, c.until or c.from_, c.from_, c.key))
    _once([c.key for c in known], "card")
    left = {c.key: c.seconds for c in known}
    beyond, fee = _Approved(approvals), _Included(stop)
    draws: list[Draw] = []
    for entry in _ordered(entries, at):
        need, hourly = _by_cover(entry, terms, draws, fee)
        for card in known if need else ():
            if card.from_ <= entry.began_at and (card.until is None or entry.began_at < card.until):
                need -= _take(draws, entry, card.key, From.CARD, need, left)
        beyond.take(draws, entry, need + hourly)
    states = []
    for card in known:
        over = card.until is not None and card.until <= at
        rest = left[card.key]
        states.append(CardState(card, card.seconds - rest, 0 if over else rest, rest if over else 0))
    return Cards(tuple(states), tuple(draws))


@dataclass(frozen=True, slots=True)
class PoolPeriod:
    """One period of a retainer: its own hours and what was carried in; used of both, lapsed at its end, carried on."""

    period: Period
    pool: int
    carried_in: int
    used: int
    lapsed: int
    carried_on: int


@dataclass(frozen=True, slots=True)
class Pool:
    """A retainer over its periods, and the work drawn on it."""

    periods: tuple[PoolPeriod, ...]
    draws: tuple[Draw, ...]


def draw_pool(
    retainer: Retainer,
    periods: Sequence[Period],
    entries: Iterable[Entry],
    approvals: Iterable[Approval],
    terms: WorkTerms,
    at: datetime,
    stop: Stop | None = None,
) -> Pool:
    """Draw entries on a retainer, period by period; what was carried in is used first, the oldest of it before.

    `periods` follow each other. Work outside of them is beyond cover. In each period used + lapsed + carried on is its
    pool and what was carried in.
    """
    for one, two in pairwise(periods):
        if two.start < one.end:
            raise ContractError(f"periods overlap at {two.start.isoformat()}")
    work = _ordered(entries, at)
    beyond, fee = _Approved(approvals), _Included(stop)
    draws: list[Draw] = []
    found: list[PoolPeriod] = []
    carried: list[tuple[int, int]] = []  # (how many more periods it keeps, seconds), the oldest first
    position = 0
    for period in periods:
        while position < len(work) and work[position].began_at < period.start:
            beyond.take(draws, work[position], sum(_by_cover(work[position], terms, draws, fee)))
            position += 1
        carried_in = sum(seconds for _, seconds in carried)
        key = period.start.date().isoformat()
        left = {"carried": carried_in, key: retainer.seconds}
        while position < len(work) and work[position].began_at < period.end:
            entry = work[position]
            need, hourly = _by_cover(entry, terms, draws, fee)
            need -= _take(draws, entry, "carried", From.CARRIED, need, left)
            need -= _take(draws, entry, key, From.POOL, need, left)
            beyond.take(draws, entry, need + hourly)
            position += 1
        used_carried = carried_in - left["carried"]
        kept = _kept(retainer, _less(carried, used_carried), left[key])
        rest = left["carried"] + left[key]
        on = sum(seconds for _, seconds in kept)
        used = carried_in + retainer.seconds - rest
        found.append(PoolPeriod(period, retainer.seconds, carried_in, used, rest - on, on))
        carried = kept
    for entry in work[position:]:
        beyond.take(draws, entry, sum(_by_cover(entry, terms, draws, fee)))
    return Pool(tuple(found), tuple(draws))


def _less(carried: list[tuple[int, int]], used: int) -> list[tuple[int, int]]:
    """What is left of carried hours after the oldest were used first."""
    left = []
    for keeps, seconds in carried:
        taken = min(used, seconds)
        used -= taken
        left.append((keeps, seconds - taken))
    return left


def _kept(retainer: Retainer, carried: list[tuple[int, int]], own: int) -> list[tuple[int, int]]:
    """What goes to the next period: what keeps longest is kept where the bound takes some away."""
    if retainer.rollover is Rollover.LAPSE:
        return []
    offered = [(keeps - 1, seconds) for keeps, seconds in carried if keeps > 1] + [(retainer.carry_periods, own)]
    bound = retainer.carry_most
    kept: list[tuple[int, int]] = []
    for keeps, seconds in reversed(offered):
        take = seconds if bound is None else min(seconds, bound)
        bound = None if bound is None else bound - take
        if take:
            kept.append((keeps, take))
    return kept[::-1]


def draw_hourly(
    entries: Iterable[Entry], approvals: Iterable[Approval], terms: WorkTerms, at: datetime, stop: Stop | None = None
) -> tuple[Draw, ...]:
    """Draw entries where there is neither card nor pool (best effort, a fixed fee): covered classes go to the fee."""
    beyond, fee = _Approved(approvals), _Included(stop)
    draws: list[Draw] = []
    for entry in _ordered(entries, at):
        beyond.take(draws, entry, sum(_by_cover(entry, terms, draws, fee)))
    return tuple(draws)


class _Included:
    """What the fee includes, and what is left of it in each year where it has a bound."""

    def __init__(self, stop: Stop | None) -> None:
        self._stop = stop
        self._left = [stop.seconds for _ in stop.years] if stop is not None else []

    def take(self, entry: Entry, need: int) -> int:
        """How much of `need` the fee pays."""
        if self._stop is None:
            return need
        for n, year in enumerate(self._stop.years):
            if entry.began_at in year:
                taken = min(need, self._left[n])
                self._left[n] -= taken
                return taken
        return 0


class _Approved:
    """Approvals and what is left of each."""

    def __init__(self, approvals: Iterable[Approval]) -> None:
        self._all = sorted(approvals, key=lambda a: (a.until, a.at, a.key))
        _once([a.key for a in self._all], "approval")
        self._left = {a.key: a.seconds for a in self._all}

    def take(self, draws: list[Draw], entry: Entry, need: int) -> None:
        """Draw what is beyond cover: by approvals given before the work began, then on us."""
        for approval in self._all if need else ():
            if approval.at <= entry.began_at < approval.until:
                need -= _take(draws, entry, approval.key, From.APPROVED, need, self._left)
        if need:
            draws.append(Draw(entry.key, "", From.ABSORBED, need))


def _ordered(entries: Iterable[Entry], at: datetime) -> list[Entry]:
    known = sorted((e for e in entries if e.began_at <= at), key=lambda e: (e.began_at, e.key))
    _once([e.key for e in known], "entry")
    return known


def _once(keys: list[str], what: str) -> None:
    seen: set[str] = set()
    for key in keys:
        if key in seen:
            raise ContractError(f"{what} {key} is given twice")
        seen.add(key)


def _by_cover(entry: Entry, terms: WorkTerms, draws: list[Draw], fee: _Included) -> tuple[int, int]:
    """Draw what the fee or we pay; returns what is left to draw on hours, and what wants the hourly rate."""
    counted = terms.rounding.count(entry.seconds)
    if not counted:
        return 0, 0
    cover = terms.cover_of(entry.work)
    if entry.free:
        draws.append(Draw(entry.key, "", From.FREE, counted))
        return 0, 0
    if cover is Cover.INCLUDED:
        included = fee.take(entry, counted)
        if included:
            draws.append(Draw(entry.key, "", From.FEE, included))
        return 0, counted - included
    return (0, counted) if cover is Cover.HOURLY else (counted, 0)


def _take(draws: list[Draw], entry: Entry, source: str, by: From, need: int, left: dict[str, int]) -> int:
    """Draw as much of `need` as the source has left; returns how much."""
    taken = min(need, left[source])
    if taken > 0:
        left[source] -= taken
        draws.append(Draw(entry.key, source, by, taken))
    return max(taken, 0)


@dataclass(frozen=True, slots=True)
class HourlyCharge:
    """What approved work costs: rounded once a rate, with the arithmetic."""

    amount: Money
    explanation: Explanation


def charge(
    draws: Iterable[Draw], approvals: Iterable[Approval], code: str, version: str, rule: Rounding = Rounding.HALF_UP
) -> HourlyCharge:
    """The price of the approved draws in currency `code`: hours by rate, each rate's amount rounded once.

    >>> from datetime import UTC
    >>> from fractions import Fraction
    >>> may = datetime(2026, 5, 1, tzinfo=UTC)
    >>> leave = Approval("a1", may, may.replace(month=6), 4 * HOUR, Fraction(95))
    >>> charge([Draw("e1", "a1", From.APPROVED, 5400)], [leave], "EUR", "v1").amount
    Money(minor=14250, currency='EUR')
    """
    rates = {a.key: a.rate for a in approvals}
    seconds: dict[Fraction, int] = {}
    absorbed = 0
    for draw in draws:
        if draw.by is From.APPROVED:
            rate = rates[draw.source]
            seconds[rate] = seconds.get(rate, 0) + draw.seconds
        elif draw.by is From.ABSORBED:
            absorbed += draw.seconds
    e = Explanation.build("contracts.hours", terms=version)
    names = []
    for number, (rate, total) in enumerate(sorted(seconds.items()), 1):
        e.fact(f"seconds {number}", total, "s").fact(f"rate {number}", rate, f"{code}/h")
        e.step(f"hours {number}", "divide", f"seconds {number}", str(HOUR), unit="h")
        e.step(f"exact {number}", "multiply", f"hours {number}", f"rate {number}", unit=code)
        e.step(f"amount {number}", "round", f"exact {number}", currency(code).exponent, rule.value, unit=code)
        names.append(f"amount {number}")
    e.step("amount", "add", *(names or ["0"]), unit=code)
    if absorbed:
        e.note(f"{absorbed} s of work beyond cover were not approved before they began, and aren't charged")
    return HourlyCharge(Money.of(e.number("amount"), code), e.freeze())


def breakage(state: CardState) -> Money:
    """What of a card's price was paid for hours that lapsed: income without work, to be booked and shown as such.

    Rounded down, so that used and lapsed shares of all cards never exceed what was paid.
    """
    card = state.card
    return Money.of(card.price.amount * state.lapsed / card.seconds, card.price.currency, Rounding.DOWN)


class Warn(StrEnum):
    """What a holder of hours is told in time."""

    LOW = "low"
    EMPTY = "empty"
    ENDS = "ends"
    """Hours are left that end soon."""


@dataclass(frozen=True, slots=True)
class CardWarning:
    """A warning due now. `key` names it once: a top-up or a new card gives it another chance."""

    key: str
    warn: Warn
    seconds: int


def card_warnings(cards: Cards, at: datetime, *, low: int, ahead: timedelta) -> tuple[CardWarning, ...]:
    """What is to be told at an instant: few hours left (at most `low` seconds in all), none, or hours that end soon."""
    found: list[CardWarning] = []
    total, bought = cards.left, sum(c.card.seconds for c in cards.cards)
    if cards.cards and total <= low:
        warn = Warn.LOW if total else Warn.EMPTY
        found.append(CardWarning(f"{warn.value}/{bought}", warn, total))
    for state in cards.cards:
        until = state.card.until
        if until is not None and state.left and at < until <= at + ahead:
            found.append(CardWarning(f"ends/{state.card.key}", Warn.ENDS, state.left))
    return tuple(found)
