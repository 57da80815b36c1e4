"""What a service contract says: kinds of work, what is covered, how time is counted, hour cards and retainers.

Time is whole seconds of work; only its rounding turns it into what is billed. Rates are exact prices of an hour.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from fractions import Fraction

from coulance_core.kernel import Money

HOUR = 3600
MINUTE = 60


class ContractError(ValueError):
    """Contract terms that can't be meant."""


class Work(StrEnum):
    """What a piece of work is, as ISO/IEC/IEEE 14764 divides maintenance: what is covered differs by it."""

    CORRECTIVE = "corrective"
    """It was broken."""
    ADAPTIVE = "adaptive"
    """The world around it changed."""
    PERFECTIVE = "perfective"
    """It is made better, or does something new."""
    PREVENTIVE = "preventive"
    """So that it doesn't break."""


class Kind(StrEnum):
    """What kind of contract it is."""

    CARD = "card"
    """Hours bought beforehand."""
    RETAINER = "retainer"
    """A pool of hours each period, for a fee."""
    FIXED = "fixed"
    """A fee, and what it covers is covered."""
    BEST_EFFORT = "best_effort"
    """Nothing is promised; work is by the hour."""
    PER_SEAT = "per_seat"
    """A fee for each seat."""


class Cover(StrEnum):
    """What pays for a class of work."""

    INCLUDED = "included"
    """The fee; nothing is drawn."""
    DRAWN = "drawn"
    """The hours of the card or pool."""
    HOURLY = "hourly"
    """The hourly rate, approved beforehand."""


class Up(StrEnum):
    """How a length becomes whole units."""

    EXACT = "exact"
    STARTED = "started"
    """A started unit counts whole."""
    NEAREST = "nearest"
    """To the nearest unit, a half up."""


@dataclass(frozen=True, slots=True)
class Rounding:
    """How an entry's time is counted: in units of `unit` seconds by a rule, at least `least` seconds.

    >>> quarters = Rounding(15 * MINUTE, Up.STARTED)
    >>> [quarters.count(m * MINUTE) // MINUTE for m in (0, 1, 15, 16)]
    [0, 15, 15, 30]
    """

    unit: int = 1
    rule: Up = Up.EXACT
    least: int = 0

    def __post_init__(self) -> None:
        if self.unit < 1 or self.least < 0:
            raise ContractError("rounding wants a unit of at least a second, and a least time of zero or more")

    def count(self, seconds: int) -> int:
        """What `seconds` of work count as; nothing counts as nothing."""
        if seconds < 0:
            raise ContractError(f"{seconds} s of work: expected zero or more")
        if seconds == 0:
            return 0
        match self.rule:
            case Up.STARTED:
                seconds = -(-seconds // self.unit) * self.unit
            case Up.NEAREST:
                seconds = (2 * seconds + self.unit) // (2 * self.unit) * self.unit
        return max(seconds, self.least)


@dataclass(frozen=True, slots=True)
class Entry:
    """Work that was done: when it began, how long it took (seconds), its class. `key` names it once.

    `free` was given away (goodwill, our own fault): it is logged, shown, and draws nothing.
    """

    key: str
    began_at: datetime
    seconds: int
    work: Work = Work.CORRECTIVE
    free: bool = False

    def __post_init__(self) -> None:
        if self.seconds < 0 or self.began_at.tzinfo is None:
            raise ContractError(f"entry {self.key}: expected an aware instant and a time of zero or more")


@dataclass(frozen=True, slots=True)
class Approval:
    """The customer's leave for work beyond cover: up to `seconds` of it, beginning from `at` on and before `until`.

    `rate` is what they were told an hour costs.
    """

    key: str
    at: datetime
    until: datetime
    seconds: int
    rate: Fraction

    def __post_init__(self) -> None:
        if self.seconds < 0 or self.rate < 0 or self.at.tzinfo is None or self.until.tzinfo is None:
            raise ContractError(f"approval {self.key}: expected aware instants, and a time and a rate of zero or more")


@dataclass(frozen=True, slots=True)
class Card:
    """Hours bought beforehand: `seconds` for `price`, usable from `from_` and before `until` (None: always)."""

    key: str
    seconds: int
    price: Money
    from_: datetime
    until: datetime | None

    def __post_init__(self) -> None:
        if self.seconds < 1 or (self.until is not None and self.until <= self.from_):
            raise ContractError(f"card {self.key}: expected some hours, and an end after its beginning")


class Rollover(StrEnum):
    """What becomes of hours of a retainer that were not used."""

    LAPSE = "lapse"
    CARRY = "carry"
    """They go to the next period, up to a bound, for so many periods."""


@dataclass(frozen=True, slots=True)
class Retainer:
    """A pool of hours each period for a fee.

    `carry_most` bounds what is carried into a period (seconds; None: no bound), `carry_periods` how long it keeps.
    `rate` prices an hour beyond the pool, with approval; None: work stops there.
    """

    seconds: int
    fee: Money
    rollover: Rollover = Rollover.LAPSE
    carry_most: int | None = None
    carry_periods: int = 1
    rate: Fraction | None = None

    def __post_init__(self) -> None:
        if self.seconds < 0 or self.carry_periods < 1 or (self.carry_most is not None and self.carry_most < 0):
            raise ContractError("a retainer wants hours of zero or more, carried for at least one period")
        if self.rate is not None and self.rate < 0:
            raise ContractError(f"an hourly rate of {self.rate}: expected zero or more")


@dataclass(frozen=True)
class WorkTerms:
    """How a contract treats work, of one version: cover by class (drawn where nothing is said), and rounding."""

    version: str
    cover: Mapping[Work, Cover] = field(default_factory=dict)
    rounding: Rounding = Rounding()

    def cover_of(self, work: Work) -> Cover:
        """What pays for a class of work."""
        return self.cover.get(work, Cover.DRAWN)


@dataclass(frozen=True, slots=True)
class Span:
    """A period of a contract as civil dates [start, end)."""

    start: date
    end: date
