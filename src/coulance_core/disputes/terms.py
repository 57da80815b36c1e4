"""The words of disputes: what is contested and how much, what happened in a case, and how it can end."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from fractions import Fraction

from coulance_core.kernel import Money, Period, require_aware


class Grounds(StrEnum):
    """Why a charge is contested, in the customer's choice of a few."""

    QUANTITY = "quantity"
    """The use is not right."""
    PRICE = "price"
    """The price is not what was agreed."""
    NOT_AGREED = "not_agreed"
    """Never ordered, or no overage was agreed to."""
    NOT_WARNED = "not_warned"
    """No warning came before it cost."""
    NOT_USABLE = "not_usable"
    """The service did not work."""
    ATTACK = "attack"
    """The traffic was an attack, or somebody else's doing."""
    PAID = "paid"
    """Paid already, or credited already."""
    OTHER = "other"


class Way(StrEnum):
    """How the contested part of a line is named."""

    WHOLE = "whole"
    AMOUNT = "amount"
    """So much of it, before tax."""
    QUANTITY = "quantity"
    """So much of its quantity, in the line's own unit, at the line's average price."""
    PERIOD = "period"
    """What falls in a part of its period, by time."""


class Outcome(StrEnum):
    """How a case was decided."""

    UPHELD = "upheld"
    """The customer is right: all that was contested is credited."""
    PART = "part"
    """The customer is right in part: what is named is credited."""
    REJECTED = "rejected"
    """The charge stands."""
    SHARED = "shared"
    """Nobody is right alone: a share of what was contested is credited."""
    PLAN_CHANGE = "plan_change"
    """The larger plan for that period takes the place of the overage."""
    GOODWILL = "goodwill"
    """The charge stands, and something is given anyway."""


class State(StrEnum):
    """Where a case stands. Derived from its steps, never kept."""

    OPEN = "open"
    """With us: to be decided or asked about."""
    ASKED = "asked"
    """A question of ours came to the customer, who has not answered it."""
    MEDIATION = "mediation"
    """With a third party."""
    DECIDED = "decided"
    WITHDRAWN = "withdrawn"
    """Taken back by the customer."""
    LAPSED = "lapsed"
    """Closed, as a question stayed unanswered."""

    @property
    def is_closed(self) -> bool:
        """Whether nothing is held by it any more."""
        return self in (State.DECIDED, State.WITHDRAWN, State.LAPSED)


class StepKind(StrEnum):
    """What happened in a case."""

    OPENED = "opened"
    SAID = "said"
    """The customer added something."""
    NOTED = "noted"
    """We added something that both sides see."""
    ASKED = "asked"
    """We ask the customer."""
    ANSWERED = "answered"
    """The customer answers."""
    MEDIATION = "mediation"
    """A third party looks at it."""
    MEDIATED = "mediated"
    """The third party is done."""
    DECIDED = "decided"
    WITHDRAWN = "withdrawn"
    LAPSED = "lapsed"

    @property
    def closes(self) -> bool:
        """Whether it ends the case.

        >>> [k.value for k in StepKind if k.closes]
        ['decided', 'withdrawn', 'lapsed']
        """
        return self in (StepKind.DECIDED, StepKind.WITHDRAWN, StepKind.LAPSED)


MAY_FOLLOW: Mapping[State, frozenset[StepKind]] = {
    State.OPEN: frozenset(
        {StepKind.SAID, StepKind.NOTED, StepKind.ASKED, StepKind.MEDIATION, StepKind.DECIDED, StepKind.WITHDRAWN}
    ),
    State.ASKED: frozenset(
        {
            StepKind.ANSWERED,
            StepKind.NOTED,
            StepKind.MEDIATION,
            StepKind.DECIDED,
            StepKind.WITHDRAWN,
            StepKind.LAPSED,
        }
    ),
    State.MEDIATION: frozenset(
        {StepKind.SAID, StepKind.NOTED, StepKind.MEDIATED, StepKind.DECIDED, StepKind.WITHDRAWN}
    ),
    State.DECIDED: frozenset(),
    State.WITHDRAWN: frozenset(),
    State.LAPSED: frozenset(),
}
"""What can happen in a case, by where it stands. One question at a time; a closed case stays closed."""


class DisputeError(ValueError):
    """A contest or a decision that cannot be: of a line that isn't there, of nothing, or of more than there is."""


@dataclass(frozen=True, slots=True)
class Policy:
    """The times that bind both sides, and bounds. Pinned to a case when it is opened.

    `decide_within` is ours in all; after an answer or a mediation we have `again_within` at least. `answer_within`
    counts from when a question reached the customer. `open_within` is how long after issue a customer can contest.
    """

    decide_within: timedelta = timedelta(days=14)
    again_within: timedelta = timedelta(days=5)
    answer_within: timedelta = timedelta(days=14)
    open_within: timedelta = timedelta(days=365)
    customer_cases: int = 2
    """How many cases on one debt a customer can open alone: the second with a new fact; more, an operator opens."""

    def __post_init__(self) -> None:
        for name in ("decide_within", "again_within", "answer_within", "open_within"):
            if getattr(self, name) <= timedelta(0):
                raise ValueError(f"{name} is more than nothing, not {getattr(self, name)}")


@dataclass(frozen=True, slots=True)
class Contest:
    """What is contested of one line: all of it, or so much by `way`. `accepted` is what of that is agreed, before tax.

    >>> Contest(2, Way.QUANTITY, quantity=Fraction(300))
    Contest(line=2, way=<Way.QUANTITY: 'quantity'>, amount=None, quantity=Fraction(300, 1), period=None, accepted=None)
    """

    line: int
    way: Way = Way.WHOLE
    amount: Money | None = None
    quantity: Fraction | None = None
    period: Period | None = None
    accepted: Money | None = None

    def __post_init__(self) -> None:
        given = {
            Way.AMOUNT: self.amount is not None,
            Way.QUANTITY: self.quantity is not None,
            Way.PERIOD: self.period is not None,
        }
        wrong = [way.value for way, there in given.items() if there != (way is self.way)]
        if wrong:
            raise DisputeError(f"line {self.line} is contested by {self.way.value}: give that, and nothing else")


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happened in a case.

    Of a question, `arrived_at` is when it counted as delivered and `reached_at` when a person saw it, by the evidence.
    """

    kind: StepKind
    at: datetime
    arrived_at: datetime | None = None
    reached_at: datetime | None = None

    def __post_init__(self) -> None:
        require_aware(self.at)


@dataclass(frozen=True, slots=True)
class Hold:
    """An amount that an open case sets aside of a debt, tax included: as contested, before payments.

    `ref` is the debt as payments refers to it. `until` is None while it is held.
    """

    ref: str
    account: int
    amount: Money
    since: datetime
    until: datetime | None
    dispute: int
