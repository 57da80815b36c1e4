"""What comes of judging an account: what to do, what to undo, what is held up and by what, and what comes next."""

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from coulance_core.arrears.acts import Act, Route
from coulance_core.arrears.facts import Worth
from coulance_core.kernel import Explanation, Money, Refusal
from coulance_core.notices import Channel


@dataclass(frozen=True, slots=True)
class Intent:
    """An act to be done now: of a step, for these debts, to one service (empty: the account).

    `amount` is the undisputed, due amount that it is about, one currency (claims of costs and interest: what is
    charged). `channels`: by which a notice goes, this time. `about`: of what, where the step alone doesn't say. `fee`:
    what the notice costs the customer. `letter`: the law pack's letter it must be. `worth` stands beside the claim
    where an end is decided. `observe`: record it and do nothing.
    """

    step: str
    route: Route
    act: Act
    debts: tuple[str, ...]
    amount: Money
    service: str = ""
    channels: tuple[Channel, ...] = ()
    about: str = ""
    fee: Money | None = None
    letter: str = ""
    worth: Worth | None = None
    observe: bool = False
    explanation: Explanation | None = None

    @property
    def key(self) -> tuple[str, str, str, tuple[str, ...], str]:
        """What makes it the same intent when it is judged again."""
        return (self.step, self.service, self.about, self.debts, self.amount.currency)


class Ground(StrEnum):
    """Why something is lifted. `wrongful` ones credit what was lost meanwhile."""

    PAID = "paid"
    """No undisputed principal is due any more: paid, credited, or covered by what we hold."""
    DISPUTED = "disputed"
    """What is left is contested."""
    PLANNED = "planned"
    """A payment plan is kept."""
    STAYED = "stayed"
    """An order, or our own error."""
    EVIDENCE_GONE = "evidence_gone"
    """A notice that it rested on turns out not to have arrived. Wrongful."""
    BILL_GONE = "bill_gone"
    """The bill turns out not to have arrived, or only later, so that it isn't due yet. Wrongful."""
    NO_GROUND = "no_ground"
    """Costs, interest or overage alone are left."""
    RECALLED = "recalled"
    """A person took it back. Never core's own word."""


@dataclass(frozen=True, slots=True)
class Lift:
    """Something done that must be undone now, by its inverse. `done` names it.

    `wrongful_since`: from when it should not have been, where it should not have; what sla credits.
    """

    done: str
    step: str
    act: Act
    inverse: str
    service: str
    ground: Ground
    by_hand: bool = False
    wrongful_since: datetime | None = None
    observe: bool = False
    explanation: Explanation | None = None


@dataclass(frozen=True, slots=True)
class HeldUp:
    """A step whose time has come, and what keeps it: the refusal that comes first."""

    step: str
    act: Act
    debts: tuple[str, ...]
    refusal: Refusal
    service: str = ""


@dataclass(frozen=True, slots=True)
class Ahead:
    """A step that comes when a day comes, if nothing changes."""

    step: str
    act: Act
    debts: tuple[str, ...]
    on: date
    service: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """An account, judged at an instant. `wake`: the first instant at which time alone can change it; None: never.

    Lifts come before intents: undo first.
    """

    at: datetime
    policy: str
    lifts: tuple[Lift, ...] = ()
    intents: tuple[Intent, ...] = ()
    held_up: tuple[HeldUp, ...] = ()
    ahead: tuple[Ahead, ...] = ()
    wake: datetime | None = None

    @property
    def is_quiet(self) -> bool:
        """Whether there is nothing to do."""
        return not self.lifts and not self.intents
