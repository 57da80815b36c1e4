"""What a country's law says about late payment, as data: costs, interest, letters, fees, when a clock starts.

A pack is a file (`parse_pack` reads its tables); every rule names its source and the day it holds from. This is not
legal advice, and says so wherever it is shown.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from fractions import Fraction
from typing import Protocol, TypeVar

from coulance_core.arrears.terms import Debtor
from coulance_core.catalog.faults import Fault, refuse
from coulance_core.catalog.paying import LawOrder
from coulance_core.kernel import Money, Rounding
from coulance_core.notices import DeemedRule

ALL_DEBTORS = frozenset(Debtor)


class Lock(StrEnum):
    """Which rate a day of interest bears."""

    HALF_YEAR = "half_year"
    """The one in force on the 1st of January or July before it: floats, reset twice a year."""
    AT_START = "at_start"
    """The one in force on the 30th of June or 31st of December before interest began: locked for the debt's life."""
    BY_DAY = "by_day"
    """The one in force that day."""


class Begins(StrEnum):
    """The day after which interest runs."""

    DUE = "due"
    """The day it was due: the day says enough."""
    NOTICE = "notice"
    """The day on which the first notice after it was received: only that puts the debtor in default."""
    LETTER = "letter"
    """The last of the days that the law's letter gives."""


class ClockStart(StrEnum):
    """From when a letter's days run."""

    RECEIPT = "receipt"
    """The day after it was received, which the sender proves."""
    DISPATCH = "dispatch"
    """So many days after it was sent, whether or not it arrived."""


class Per(StrEnum):
    """What costs are counted over."""

    CLAIM = "claim"
    """The sum of the debts that are claimed together."""
    DEBT = "debt"
    """Each debt by itself."""


@dataclass(frozen=True, slots=True)
class Rate:
    """A reference rate, in percent, from a day on. `verify`: the figure has one source only."""

    valid_from: date
    percent: Fraction
    verify: bool = False


@dataclass(frozen=True, slots=True)
class InterestRule:
    """Interest for being late: a series of rates plus `points`, simple or added yearly, by 365 days.

    `round_up_to`: the sum of rate and points is rounded up to a multiple of it (Belgium: half a point); 0 is not at
    all. `series` empty: `points` is the whole rate. `floor`: never less than this rate in percent. `begins`: after
    which day it runs; `letter` names the letter, where that is it.
    """

    debtors: frozenset[Debtor]
    valid_from: date
    points: Fraction
    series: str = ""
    lock: Lock = Lock.HALF_YEAR
    yearly: bool = False
    round_up_to: Fraction = Fraction(0)
    floor: Fraction = Fraction(0)
    valid_until: date | None = None
    cites: str = ""
    begins: Begins = Begins.DUE
    letter: str = ""


@dataclass(frozen=True, slots=True)
class Band:
    """Costs of a claim above the band before it, up to `up_to`: `base`, and `percent` of what is above that one."""

    up_to: Fraction | None
    base: Fraction
    percent: Fraction = Fraction(0)


@dataclass(frozen=True, slots=True)
class CostRule:
    """What collecting may cost the debtor. `inclusive`: whether a claim of exactly `up_to` is in the band.

    `letter`: the key of the letter that must have run out before; empty: none is needed.
    """

    debtors: frozenset[Debtor]
    valid_from: date
    currency: str
    bands: tuple[Band, ...]
    per: Per = Per.CLAIM
    inclusive: bool = True
    minimum: Fraction = Fraction(0)
    maximum: Fraction | None = None
    letter: str = ""
    rounding: Rounding = Rounding.HALF_UP
    valid_until: date | None = None
    cites: str = ""


@dataclass(frozen=True, slots=True)
class LetterRule:
    """A letter that the law wants before costs: its days, when they start, and what it must say.

    With `dispatch`: `email_days` after a mail was sent, `post_working_days` after a letter was posted.
    """

    key: str
    debtors: frozenset[Debtor]
    valid_from: date
    days: int
    start: ClockStart = ClockStart.RECEIPT
    email_days: int = 0
    post_working_days: int = 0
    must_say: tuple[str, ...] = ()
    valid_until: date | None = None
    cites: str = ""


@dataclass(frozen=True, slots=True)
class FeeRule:
    """What reminders may cost: the first `free` nothing, later ones at most `most`."""

    debtors: frozenset[Debtor]
    valid_from: date
    free: int
    most: Money
    valid_until: date | None = None
    cites: str = ""


@dataclass(frozen=True, slots=True)
class TermRule:
    """How long a payment term is when nothing was agreed, and at most unless that was agreed expressly."""

    debtors: frozenset[Debtor]
    valid_from: date
    usual: int
    most: int | None = None
    valid_until: date | None = None
    cites: str = ""


@dataclass(frozen=True, slots=True)
class DeemedReceipt:
    """When the law takes a notice by two channels, one postal, as received."""

    debtors: frozenset[Debtor]
    valid_from: date
    days_after_posting: int
    return_voids: bool = True
    valid_until: date | None = None
    cites: str = ""

    @property
    def rule(self) -> DeemedRule:
        """As `notices` judges by it."""
        return DeemedRule(timedelta(days=self.days_after_posting), self.return_voids)


class _Dated(Protocol):
    @property
    def debtors(self) -> frozenset[Debtor]: ...
    @property
    def valid_from(self) -> date: ...
    @property
    def valid_until(self) -> date | None: ...


_R = TypeVar("_R", bound=_Dated)


@dataclass(frozen=True)
class LawPack:
    """A country's law of late payment. `rates` by series; `known_until` the first day for which a series says nothing
    any more: nothing is claimed by it from then on until somebody adds the next rate."""

    name: str
    title: str
    countries: frozenset[str]
    currency: str
    as_of: date
    interest: tuple[InterestRule, ...] = ()
    costs: tuple[CostRule, ...] = ()
    letters: tuple[LetterRule, ...] = ()
    fees: tuple[FeeRule, ...] = ()
    payment_terms: tuple[TermRule, ...] = ()
    deemed: tuple[DeemedReceipt, ...] = ()
    rates: tuple[tuple[str, tuple[Rate, ...]], ...] = ()
    known_until: tuple[tuple[str, date], ...] = ()
    allocation: LawOrder | None = None
    notes: tuple[str, ...] = ()
    __hash__ = object.__hash__

    def __post_init__(self) -> None:
        refuse(f"law pack {self.name!r}", self.faults())

    @property
    def version(self) -> str:
        """As an explanation names it: `nl@2026-01-01`."""
        return f"{self.name}@{self.as_of.isoformat()}"

    def series(self, name: str) -> tuple[Rate, ...]:
        """The rates of a series, oldest first; empty where the pack has none of that name."""
        return next((rates for key, rates in self.rates if key == name), ())

    def until(self, name: str) -> date | None:
        """The first day for which the series says nothing."""
        return next((day for key, day in self.known_until if key == name), None)

    def outdated(self, on: date) -> tuple[str, ...]:
        """The series that say nothing for that day: interest by them has stopped until somebody adds the next rate."""
        return tuple(name for name, until in self.known_until if until <= on)

    def interest_for(self, debtor: Debtor, on: date) -> InterestRule | None:
        """The rule of interest for debts of that debtor that fell due on that day."""
        return in_force(self.interest, debtor, on)

    def costs_for(self, debtor: Debtor, on: date, currency: str) -> CostRule | None:
        """The rule of collection costs, in the currency of the debt."""
        return in_force([rule for rule in self.costs if rule.currency == currency], debtor, on)

    def letter_for(self, key: str, debtor: Debtor, on: date) -> LetterRule | None:
        """The letter of that key, as the debtor must have it."""
        return in_force([rule for rule in self.letters if rule.key == key], debtor, on)

    def fees_for(self, debtor: Debtor, on: date) -> FeeRule | None:
        """What reminders may cost."""
        return in_force(self.fees, debtor, on)

    def term_for(self, debtor: Debtor, on: date) -> TermRule | None:
        """The payment terms."""
        return in_force(self.payment_terms, debtor, on)

    def deemed_for(self, debtor: Debtor, on: date) -> DeemedRule | None:
        """When the law takes a notice as received."""
        found = in_force(self.deemed, debtor, on)
        return None if found is None else found.rule

    def faults(self) -> Iterator[Fault]:
        """Everything wrong with it."""
        if not self.name or "@" in self.name:
            yield Fault("name", f"a pack needs a name without @, not {self.name!r}")
        known = {name for name, _ in self.rates}
        letters = {letter.key for letter in self.letters}
        for n, rule in enumerate(self.interest):
            if rule.series and rule.series not in known:
                yield Fault(f"interest[{n}].series", f"{rule.series!r} is no series of rates in this pack")
            if (rule.begins is Begins.LETTER) != bool(rule.letter):
                yield Fault(f"interest[{n}].letter", "interest that begins with a letter names it, and no other does")
            elif rule.letter and rule.letter not in letters:
                yield Fault(f"interest[{n}].letter", f"{rule.letter!r} is no letter of this pack")
            if rule.round_up_to < 0:
                yield Fault(f"interest[{n}].round_up_to", f"expected 0 or more, not {rule.round_up_to}")
        for n, cost in enumerate(self.costs):
            if cost.letter and cost.letter not in letters:
                yield Fault(f"costs[{n}].letter", f"{cost.letter!r} is no letter of this pack")
            tops = [band.up_to for band in cost.bands]
            if not tops or tops[-1] is not None or None in tops[:-1]:
                yield Fault(f"costs[{n}].bands", "the last band, and only that, has no up_to")
            elif sorted(t for t in tops if t is not None) != tops[:-1] or len(set(tops)) < len(tops):
                yield Fault(f"costs[{n}].bands", "bands stand in order, each above the one before it")
        for n, letter in enumerate(self.letters):
            if letter.days < 1:
                yield Fault(f"letters[{n}].days", f"expected 1 or more, not {letter.days}")
        for name, rates in self.rates:
            days = [rate.valid_from for rate in rates]
            if not days or sorted(set(days)) != days:
                yield Fault(f"rates.{name}", "expected at least one rate, oldest first, each day once")
        for kind in ("interest", "letters", "fees", "payment_terms", "deemed", "costs"):
            yield from _overlaps(kind, getattr(self, kind))


def in_force(rules: Iterable[_R], debtor: Debtor, on: date) -> _R | None:
    """The rule for a debtor on a day: of those in force, the one that came last."""
    found = [
        rule
        for rule in rules
        if debtor in rule.debtors and rule.valid_from <= on and (rule.valid_until is None or on < rule.valid_until)
    ]
    return max(found, key=lambda rule: rule.valid_from, default=None)


def _overlaps(kind: str, rules: Sequence[_Dated]) -> Iterator[Fault]:
    """Two rules that begin on one day for one debtor: nobody could say which holds."""
    seen: dict[tuple[object, ...], int] = {}
    for n, rule in enumerate(rules):
        if rule.valid_until is not None and rule.valid_until <= rule.valid_from:
            yield Fault(f"{kind}[{n}].until", "it ends before it begins")
        if not rule.debtors:
            yield Fault(f"{kind}[{n}].debtors", "for nobody")
        for debtor in sorted(rule.debtors):
            mark = (debtor, rule.valid_from, getattr(rule, "key", ""), getattr(rule, "currency", ""))
            if mark in seen:
                yield Fault(f"{kind}[{n}]", f"for {debtor.value} from {rule.valid_from} {kind}[{seen[mark]}] holds too")
            seen[mark] = n


def choose_pack(packs: Sequence[LawPack], *, country: str, debtor: Debtor) -> LawPack | None:
    """The pack of a customer's country: one that names the country and says anything for such a debtor.

    Of several the one for the fewest countries: a country's own before one for many.
    """
    fit = [pack for pack in packs if country in pack.countries and any(debtor in rule.debtors for rule in _rules(pack))]
    return min(fit, key=lambda pack: (len(pack.countries), pack.name), default=None)


def _rules(pack: LawPack) -> tuple[_Dated, ...]:
    return (*pack.interest, *pack.costs, *pack.letters)
