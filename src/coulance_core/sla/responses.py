"""What is promised in response, by priority, and how such a promise counts its time.

A promise is seconds of open time, or whole working days, or working weeks: "2 working days" is another thing than 16
hours. Everything that contracts do differently has a name here, so that it stands on paper.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from fractions import Fraction

from coulance_core.sla.calendars import Calendar


class Promise(StrEnum):
    """What is promised."""

    FIRST_RESPONSE = "first_response"
    """A person's first answer."""
    NEXT_UPDATE = "next_update"
    """The next word, after the customer wrote or (by `UpdateRule.EVERY`) after our last."""
    SOLUTION = "solution"
    """That it works again."""


class Span(StrEnum):
    """What a target counts."""

    SECONDS = "seconds"
    """Open time, to the second."""
    WORKING_DAYS = "working_days"
    """Whole working days: by default to the close of the n-th after the day it came in."""
    WORKING_WEEKS = "working_weeks"
    """As many working days as n usual weeks of the calendar have."""


class DayRule(StrEnum):
    """Until when on the n-th working day."""

    CLOSE = "close"
    """Until the desk closes."""
    SAME_TIME = "same_time"
    """Until the same time of day; outside open time, the next open instant."""


class UpdateRule(StrEnum):
    """What starts the clock of the next update."""

    AFTER_CUSTOMER = "after_customer"
    """The customer's message that waits for an answer."""
    EVERY = "every"
    """Also our own last answer, while the ticket is open: an update every so often."""


class PriorityRule(StrEnum):
    """What a change of priority does to a clock that runs. A target missed before the change stays missed."""

    RESTART_WHEN_RAISED = "restart_when_raised"
    """A shorter target runs from the change, a longer one from the start: nobody is late by an upgrade alone."""
    FROM_START = "from_start"
    """The new target holds as if it had always been."""


@dataclass(frozen=True, slots=True)
class Target:
    """How soon: `amount` of `span`, above zero.

    >>> Target(Span.SECONDS, 900)
    Target(span=<Span.SECONDS: 'seconds'>, amount=900, rule=<DayRule.CLOSE: 'close'>)
    """

    span: Span
    amount: int
    rule: DayRule = DayRule.CLOSE

    def __post_init__(self) -> None:
        if self.amount < 1:
            raise ValueError(f"a target of {self.amount} {self.span.value.replace('_', ' ')}: expected 1 or more")

    def __str__(self) -> str:
        if self.span is not Span.SECONDS:
            return f"{self.amount} {self.span.value.replace('_', ' ')}"
        hours, rest = divmod(self.amount, 3600)
        minutes, seconds = divmod(rest, 60)
        parts = [(hours, "h"), (minutes, "min"), (seconds, "s")]
        return " ".join(f"{n} {unit}" for n, unit in parts if n)


@dataclass(frozen=True)
class ResponseTerms:
    """The response part of a contract, of one version.

    `targets` by (promise, priority); one of no priority ("") is for every priority that has none of its own, and what
    is not in it is not promised. `calendars` by priority, `calendar` for the others: a P1 desk may be open 7 x 24 and
    the rest 5 x 8. `warn_share` is how much of a target may be gone before those who can still prevent a breach are
    warned.
    """

    version: str
    calendar: Calendar
    targets: Mapping[tuple[Promise, str], Target]
    calendars: Mapping[str, Calendar] = field(default_factory=dict)
    update_rule: UpdateRule = UpdateRule.AFTER_CUSTOMER
    priority_rule: PriorityRule = PriorityRule.RESTART_WHEN_RAISED
    warn_share: Fraction = Fraction(3, 4)

    def __post_init__(self) -> None:
        if not 0 < self.warn_share < 1:
            raise ValueError(f"warn_share is {self.warn_share}: expected a share of the target, between 0 and 1")

    def target_of(self, promise: Promise, priority: str) -> Target | None:
        """What is promised to a priority; None: nothing."""
        return self.targets.get((promise, priority), self.targets.get((promise, "")))

    def calendar_of(self, priority: str) -> Calendar:
        """The calendar by which a priority's time counts."""
        return self.calendars.get(priority, self.calendar)
