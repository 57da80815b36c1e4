"""What a missed response costs: a credit for each missed ticket, or for a share kept that is below what was promised.

A clock counts in the period in which its deadline fell: final once that instant has passed, whenever the answer came.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from itertools import pairwise

from coulance_core.kernel import Explanation, Money, Period, Rounding, currency
from coulance_core.kernel.explanation import ExplanationBuilder
from coulance_core.sla.clocks import Clock, State
from coulance_core.sla.intervals import micros
from coulance_core.sla.responses import Promise


class PenaltyError(ValueError):
    """Penalty terms that can't be meant: a share out of [0, 1], tiers out of order."""


class Stacking(StrEnum):
    """What becomes of several credits for one period."""

    SUM = "sum"
    BEST = "best"
    """Only the greatest: the customer's best applies."""


@dataclass(frozen=True, slots=True)
class PerMissed:
    """A credit of `share` of the period's fee for each ticket that missed this promise.

    `priorities` empty: all. A ticket that missed several updates counts once.
    """

    promise: Promise
    share: Fraction
    priorities: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        _share(self.share, "share")


@dataclass(frozen=True, slots=True)
class Attainment:
    """A credit when fewer than `promised` of the period's clocks were kept, by how few: "95 % within 15 minutes".

    `tiers` are (below this share kept, this share of the fee), the highest bound first, which is `promised`; a lower
    bound never credits less. `least` clocks must have fallen due, or one miss in a quiet month decides.
    """

    promise: Promise
    tiers: tuple[tuple[Fraction, Fraction], ...]
    priorities: frozenset[str] = frozenset()
    least: int = 1

    def __post_init__(self) -> None:
        if not self.tiers or self.least < 1:
            raise PenaltyError("attainment wants at least one tier, and at least one clock")
        for bound, credit in self.tiers:
            _share(bound, "bound")
            _share(credit, "credit")
        for (high, less), (low, more) in pairwise(self.tiers):
            if low >= high or more < less:
                raise PenaltyError(
                    f"below {low} follows below {high}: expected falling bounds, and credits that never fall"
                )

    @property
    def promised(self) -> Fraction:
        """The share of clocks that is promised to be kept."""
        return self.tiers[0][0]


Rule = PerMissed | Attainment


@dataclass(frozen=True, slots=True)
class PenaltyTerms:
    """The penalties of a contract, of one version: rules, how they stack, and the cap as a share of the fee."""

    version: str
    rules: tuple[Rule, ...]
    cap: Fraction = Fraction(1)
    stacking: Stacking = Stacking.SUM
    rounding: Rounding = Rounding.HALF_UP

    def __post_init__(self) -> None:
        _share(self.cap, "cap")


def _share(value: Fraction, name: str) -> None:
    if not 0 <= value <= 1:
        raise PenaltyError(f"{name} is {value}: expected a share between 0 and 1")


@dataclass(frozen=True, slots=True)
class TicketClock:
    """A clock and the ticket that it belongs to."""

    ticket: str
    clock: Clock


@dataclass(frozen=True, slots=True)
class ResponseCredit:
    """What is credited for a period's responses, why, and the tickets that missed."""

    amount: Money
    missed: tuple[str, ...]
    explanation: Explanation


def response_credit(terms: PenaltyTerms, clocks: Iterable[TicketClock], fee: Money, period: Period) -> ResponseCredit:
    """The credit for the clocks whose deadline fell in `period`; `fee` is what the contract cost then.

    Never above `cap` of the fee; a further miss never lowers it.

    >>> from coulance_core.sla.clocks import Event, EventKind, clocks as read
    >>> from coulance_core.sla.responses import ResponseTerms, Span, Target
    >>> from coulance_core.sla.calendars import Calendar
    >>> from datetime import UTC, datetime
    >>> promised = ResponseTerms("v1", Calendar.always(), {(Promise.FIRST_RESPONSE, ""): Target(Span.SECONDS, 2700)})
    >>> may = Period(datetime(2026, 5, 1, tzinfo=UTC), datetime(2026, 6, 1, tzinfo=UTC))
    >>> start = micros(may.start)
    >>> late = read([Event(start, 0, EventKind.OPENED)], promised, start + 3600 * 10**6)[0]
    >>> terms = PenaltyTerms("v1", (PerMissed(Promise.FIRST_RESPONSE, Fraction(5, 100)),))
    >>> response_credit(terms, [TicketClock("T1", late)], Money(8000, "EUR"), may).amount
    Money(minor=400, currency='EUR')
    """
    start, end = micros(period.start), micros(period.end)
    # What ended in time without being done was no longer asked for: neither kept nor missed.
    counted = [c for c in clocks if start <= c.clock.due < end and c.clock.state is not State.ENDED]
    missed: set[str] = set()
    e = Explanation.build("sla.response_credit", terms=terms.version).fact("fee", fee.decimal(), fee.currency)
    shares: list[str] = []
    for number, rule in enumerate(terms.rules, 1):
        shares.append(f"share {number}")
        late = _explained(rule, counted, number, e)
        missed |= late
    e.step("together", "add" if terms.stacking is Stacking.SUM else "max", *(shares or ["0"]))
    e.step("capped", "min", "together", terms.cap)
    e.step("credit", "multiply", "fee", "capped", unit=fee.currency)
    e.step("rounded", "round", "credit", currency(fee.currency).exponent, terms.rounding.value, unit=fee.currency)
    e.convention(f"stacking: {terms.stacking.value}").convention("a clock counts in the period of its deadline")
    return ResponseCredit(Money.of(e.number("rounded"), fee.currency), tuple(sorted(missed)), e.freeze())


def _explained(rule: Rule, counted: Sequence[TicketClock], number: int, e: ExplanationBuilder) -> set[str]:
    """State what a rule credits, as `share <number>` of the fee; returns the tickets that missed."""
    of = [
        c
        for c in counted
        if c.clock.promise is rule.promise and (not rule.priorities or c.clock.priority in rule.priorities)
    ]
    late = {c.ticket for c in of if c.clock.breached}
    about = f"{rule.promise.value}{' of ' + ', '.join(sorted(rule.priorities)) if rule.priorities else ''}"
    if isinstance(rule, PerMissed):
        e.fact(f"missed {number}", len(late), "tickets", about)
        e.step(f"share {number}", "multiply", f"missed {number}", rule.share)
        return late
    kept = sum(not c.clock.breached for c in of)
    e.fact(f"kept {number}", kept, "clocks", about).fact(f"due {number}", len(of), "clocks", about)
    credit = Fraction(0)
    if len(of) >= rule.least and of:
        e.step(f"attained {number}", "divide", f"kept {number}", f"due {number}")
        attained = e.number(f"attained {number}")
        credit = max((share for bound, share in rule.tiers if attained < bound), default=credit)
    e.fact(f"share {number}", credit, source=f"promised {rule.promised}; tiers of {about}")
    return late
