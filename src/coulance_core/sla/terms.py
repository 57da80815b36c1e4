"""What a provider promises in uptime, and what it owes when it doesn't keep it: the terms language.

Published terms differ in nearly everything, so nearly everything has a name here. Shares are exact (`Fraction`), of the
period's fee; times are microseconds. What can't be meant (tiers with gaps, a credit that falls as downtime grows) is
refused when terms are made: `proof.py` says where.
"""

from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

from coulance_core.kernel import Money, Rounding
from coulance_core.sla.calendars import Calendar
from coulance_core.sla.evidence import Bound
from coulance_core.sla.proof import TermsError, Tier, prove, share

HUNDRED = Fraction(100)


class Whole(StrEnum):
    """How an outage's length becomes whole minutes."""

    EXACT = "exact"
    """It doesn't."""
    WHOLE_MINUTES = "whole_minutes"
    """Whole minutes only; what is left over is dropped."""
    STARTED_MINUTES = "started_minutes"
    """A started minute counts."""


class Started(StrEnum):
    """How a length is counted in steps."""

    FULL = "full"
    """Full steps only."""
    STARTED = "started"
    """A started step counts."""


class Denominator(StrEnum):
    """What 100 % is."""

    SCHEDULED = "scheduled"
    """The time that was promised: the period, the service's life and committed hours, less its own suspension."""
    LESS_EXCLUDED = "less_excluded"
    """That, less maintenance and exclusions."""
    PERIOD = "period"
    """The whole period: a calendar month is as long as it is (March 2026 in Amsterdam: 44,580 minutes)."""
    THIRTY_DAYS = "thirty_days"
    """30 days, whatever the month."""


class From(StrEnum):
    """When the clock of an outage starts."""

    DETECTED = "detected"
    REPORTED = "reported"
    """The customer's report; what nobody reported doesn't count. Upstream terms: no way to treat customers."""


class Credited(StrEnum):
    """When a credit is given."""

    CLOSE = "close"
    """When the period is over."""
    INCIDENT = "incident"
    """Soon after each outage is over, and what the period comes to above that when it is over."""


class Charged(StrEnum):
    """What credits are parts of."""

    BASE = "base"
    """The service's base fee."""
    USAGE = "usage"
    """What it was charged for usage."""
    ALL = "all"
    """All charges of the service."""


class YearOf(StrEnum):
    """What a cap of twelve months is a share of."""

    MONTH = "month"
    """A month's fee, the dearest of the twelve."""
    YEAR = "year"
    """The fees of all twelve."""


class Together(StrEnum):
    """What becomes of several credits of one contract for one period."""

    SUM = "sum"
    BEST = "best"
    """They don't stack: the customer's best applies."""


@dataclass(frozen=True, slots=True)
class Tiers:
    """A share of the fee by the period's availability in percent. The tiers partition [0, 100] (proved).

    >>> Tiers((Tier(Fraction(0), Fraction(99), Fraction(1, 4)), Tier(Fraction(99), HUNDRED, Fraction(0)))).credit(
    ...     Fraction(99))
    Fraction(0, 1)
    """

    tiers: tuple[Tier, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "tiers", prove(self.tiers))

    def credit(self, availability: Fraction) -> Fraction:
        """The share credited at an availability between 0 and 100."""
        return next(t.credit for t in reversed(self.tiers) if availability >= t.least)


@dataclass(frozen=True, slots=True)
class ErrorTiers:
    """As `Tiers`, but of 100 less the mean error rate over slots of time (five minutes, say), in percent."""

    tiers: Tiers


@dataclass(frozen=True, slots=True)
class Steps:
    """A share of the fee for each step of downtime: "5 % for each started half hour".

    `grace` is time at the start of each outage that doesn't count. `per_outage` counts steps in each outage; otherwise
    in all downtime of the period together. `in_days`: the credit is so many days' fees ("a day for each half hour").
    """

    step: int
    credit: Fraction
    count: Started = Started.FULL
    grace: int = 0
    per_outage: bool = True
    in_days: bool = False

    def __post_init__(self) -> None:
        if not self.in_days:
            share(self.credit, "credit of a step")
        elif self.credit <= 0:
            raise TermsError(f"a step credits {self.credit} days: expected more than zero")
        if self.step < 1 or self.grace < 0:
            raise TermsError("a step of some length, and a grace of zero or more, were expected")


@dataclass(frozen=True, slots=True)
class Multiple:
    """A multiple of what the downtime itself cost: 50 x the charge of the interruption; 1 is the plain lost time.

    With `by_affected`, an outage that affected a part counts by that part.
    """

    times: Fraction
    by_affected: bool = False

    def __post_init__(self) -> None:
        if self.times <= 0:
            raise TermsError(f"a multiple of {self.times}: expected more than zero")


@dataclass(frozen=True, slots=True)
class FreeSlots:
    """Each clock slot (an hour, say) with more than `over` downtime in it is free: `times` its share of the fee."""

    slot: int
    over: int
    times: Fraction = Fraction(1)

    def __post_init__(self) -> None:
        if not 0 <= self.over < self.slot or self.times <= 0:
            raise TermsError("a slot longer than the downtime it forgives, and a multiple above zero, were expected")


Model = Tiers | ErrorTiers | Steps | Multiple | FreeSlots


@dataclass(frozen=True, slots=True)
class MaintenanceTerms:
    """Which maintenance is excused: announced `notice` ahead, within `window`, no more than `quota` a period.

    `credited` says openly that maintenance is downtime like any other: then none is excused. None: no bound.
    """

    notice: int = 0
    window: Calendar | None = None
    quota: int | None = None
    credited: bool = False


@dataclass(frozen=True, slots=True)
class Caps:
    """The most that is credited. Shares of the period's fee; None: no cap.

    `incident`: for one outage (models that count by outage). `period`: for one period. `year`: for twelve months, of
    what `year_of` says, less what was credited in them. `before`: of the charges of the 30 days up to the outage.
    """

    incident: Fraction | None = None
    period: Fraction | None = Fraction(1)
    year: Fraction | None = None
    before: Fraction | None = None
    year_of: YearOf = YearOf.MONTH

    def __post_init__(self) -> None:
        for name in ("incident", "period", "year", "before"):
            value: Fraction | None = getattr(self, name)
            if value is not None and value < 0:
                raise TermsError(f"cap {name} is {value}: expected zero or more")


@dataclass(frozen=True, slots=True)
class Claim:
    """How a credit comes to be: unasked (`days` None), or on a claim within so many days of the period's end.

    Where our own terms ask for a claim, we make it for the customer: nobody's credit waits for their asking.
    """

    days: int | None = None


@dataclass(frozen=True)
class UptimeTerms:
    """The uptime part of a contract, of one version: target, what counts as downtime, what is owed.

    `target` is the promised availability in percent; with `beyond_target` only downtime past what it allows counts for
    the models of steps and multiples. `shortest`: only outages that last longer count, judged before maintenance and
    exclusions come off, or after (`shortest_after`). `excluded` are the kinds of exclusion that are agreed. `unknown`:
    whether unknown time is credited (downstream it is; terms of others say otherwise). `least`: a credit below it isn't
    paid by these terms (upstream; ours are carried forward). `charges` is what shares are shares of; `credited` when
    credits are given, on the incident after `settles` without news of it (evidence that comes late).

    >>> UptimeTerms("gold-1", Fraction("99.9"), (Multiple(Fraction(1)),)).allowed(43_200)
    Fraction(216, 5)
    """

    version: str
    target: Fraction
    models: tuple[Model, ...]
    bound: Bound = Bound.STEP
    shortest: int = 0
    shortest_after: bool = False
    whole: Whole = Whole.EXACT
    denominator: Denominator = Denominator.SCHEDULED
    hours: Calendar | None = None
    counts_from: From = From.DETECTED
    beyond_target: bool = False
    maintenance: MaintenanceTerms = MaintenanceTerms()
    excluded: frozenset[str] = frozenset()
    unknown: bool = True
    together: Together = Together.SUM
    caps: Caps = Caps()
    claim: Claim = Claim()
    least: Money | None = None
    rounding: Rounding = Rounding.HALF_UP
    charges: Charged = Charged.BASE
    credited: Credited = Credited.CLOSE
    settles: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.target <= HUNDRED:
            raise TermsError(f"target is {self.target}: expected a percentage above 0, at most 100")
        if not self.models:
            raise TermsError("terms that owe nothing: expected at least one model of credit")
        if self.shortest < 0 or self.settles < 0:
            raise TermsError(f"shortest is {self.shortest}, settles {self.settles}: expected zero or more")
        if self.credited is Credited.INCIDENT and self.charges is not Charged.BASE:
            raise TermsError(
                "credits on the incident are parts of the base fee: usage is charged when the period is over"
            )
        for model in self.models:
            _agrees(model, self.target)

    def allowed(self, scheduled: int) -> Fraction:
        """The downtime that the target allows in so much scheduled time, in its unit."""
        return scheduled * (HUNDRED - self.target) / HUNDRED


def _agrees(model: Model, target: Fraction) -> None:
    """Tiers that credit above the target, or nothing just below it, don't say what the target says."""
    if not isinstance(model, Tiers):
        return
    if model.credit(target) != 0:
        raise TermsError(
            f"at the target of {show_percent(target)} the tiers credit something: the promise was kept there"
        )
    below = next(tier for tier in model.tiers if tier.least < target <= tier.below)
    if not below.credit:
        raise TermsError(
            f"just below the target of {show_percent(target)} the tiers credit nothing: the promise was broken there"
        )


def show_percent(value: Fraction) -> str:
    """A percentage as people write it.

    >>> show_percent(Fraction("99.95"))
    '99.95 %'
    """
    text = f"{float(value):.6f}".rstrip("0").rstrip(".")
    return f"{text} %"
