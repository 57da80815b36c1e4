"""The words of disputes: what is contested and how much, what happened in a case, and how it can end."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from fractions import Fraction

from coulance_core.kernel import Money, Period, Refusal, require_aware


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


class DecideRefusal(StrEnum):
    """Why somebody may not decide a case."""

    NOT_THEIRS = "not_theirs"
    TOO_MUCH = "too_much"


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
class Mediator:
    """A third party that both sides can turn to: who, where, in which words, and how long they usually take."""

    name: str
    url: str = ""
    about: str = ""
    usually: timedelta = timedelta(days=90)


@dataclass(frozen=True, slots=True)
class Decider:
    """A role that may decide cases in which up to so much is contested, tax included: an amount a currency.

    Without any amount it may decide every case; in a currency that isn't named, none.
    """

    role: str
    upto: tuple[Money, ...] = ()

    def may(self, contested: Money) -> bool:
        """Whether this role may decide a case of that amount.

        >>> Decider("support", (Money(5000, "EUR"),)).may(Money(5000, "EUR"))
        True
        >>> Decider("support", (Money(5000, "EUR"),)).may(Money(1, "USD"))
        False
        """
        if not self.upto:
            return True
        return any(one.currency == contested.currency and contested <= one for one in self.upto)


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
    grounds: tuple[Grounds, ...] = tuple(Grounds)
    """What a customer can choose from, in this order."""
    mediator: Mediator | None = None
    deciders: tuple[Decider, ...] = ()
    """Who may decide what; none named: whoever may write credit notes, every amount."""
    version: str = ""
    """What it is called by; empty for the usual one."""

    def __post_init__(self) -> None:
        for name in ("decide_within", "again_within", "answer_within", "open_within"):
            if getattr(self, name) <= timedelta(0):
                raise ValueError(f"{name} is more than nothing, not {getattr(self, name)}")

    def may_decide(self, role: str, contested: Money) -> Refusal | None:
        """Why a role may not decide a case of that amount; none when it may. Of no deciders, every role may.

        >>> by_two = Policy(deciders=(Decider("billing", (Money(20000, "EUR"),)), Decider("admin")))
        >>> by_two.may_decide("admin", Money(900000, "EUR")) is None
        True
        >>> by_two.may_decide("billing", Money(20001, "EUR")).message
        'billing decides up to 200.00 EUR, and 200.01 EUR is contested: admin may decide it'
        """
        if not self.deciders:
            return None
        own = next((one for one in self.deciders if one.role == role), None)
        if own is not None and own.may(contested):
            return None
        who = [one.role for one in self.deciders if one.may(contested)]
        others = f"{' or '.join(who)} may decide it" if who else "nobody may: see [[disputes.decider]]"
        if own is None:
            return Refusal(DecideRefusal.NOT_THEIRS, f"{role or 'this'} decides no contested bills: {others}")
        bound = " or ".join(str(one) for one in own.upto)
        return Refusal(DecideRefusal.TOO_MUCH, f"{role} decides up to {bound}, and {contested} is contested: {others}")


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
