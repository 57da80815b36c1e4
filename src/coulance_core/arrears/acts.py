"""What a step of arrears can do, and what each act is: how much it hurts, what it withholds, and what undoes it."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Act(StrEnum):
    """What a step does."""

    REMIND = "remind"
    """A message: before the due day, on it, or after it."""
    DEMAND = "demand"
    """A formal message: pay within so many days, this happens otherwise, and this stops it."""
    PHONE = "phone"
    """A task for a person: call."""
    WEBHOOK = "webhook"
    """Another system is told."""
    CHARGE_COSTS = "charge_costs"
    """Collection costs, as the law pack says, on a document of their own."""
    CHARGE_INTEREST = "charge_interest"
    """Interest up to the day, on a document of its own."""
    BLOCK_ORDERS = "block_orders"
    """Nothing new can be ordered. What runs, runs."""
    THROTTLE = "throttle"
    """The network goes slower, never under the floor."""
    LIMIT = "limit"
    """Features that the policy names are off."""
    DOWNGRADE = "downgrade"
    """A smaller plan."""
    BACK_UP = "back_up"
    """A backup is made of what we hold, and verified."""
    SUSPEND = "suspend"
    """Isolated: no route in, addresses and names reserved."""
    NOTICE_OF_TERMINATION = "notice_of_termination"
    TERMINATE = "terminate"
    """The contract ends. The debt stays."""
    NOTICE_OF_DELETION = "notice_of_deletion"
    DELETE = "delete"
    """The data is gone."""
    NOTICE_OF_NON_RENEWAL = "notice_of_non_renewal"
    NOT_RENEW = "not_renew"
    """The contract isn't renewed: it ends with its term."""
    OFFER_RETRIEVAL = "offer_retrieval"
    """The customer may fetch their data."""
    HAND_OVER = "hand_over"
    """To mediation or to a collector."""


class Reversal(StrEnum):
    """What it takes to undo an act."""

    NOTHING = "nothing"
    """There is nothing to undo: a message was sent, a call was made."""
    AT_ONCE = "at_once"
    """Undone by the program, the moment its ground is gone."""
    BY_HAND = "by_hand"
    """Somebody has to: the program says so, and only where it was wrong."""
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Nature:
    """What an act is.

    `notice`: it tells the customer, and its arrival can be proven. `claims`: it takes the debt further (costs, a
    collector, an end with the term), and wants proof of what was told. `restricts`: it takes away something that the
    customer has, and stands until it is lifted. `withholds` data that we hold, `destroys` it. `people`: how many must
    approve, always. `inverse` undoes it. `each_service`: done to one service at a time.
    """

    notice: bool = False
    claims: bool = False
    restricts: bool = False
    withholds: bool = False
    destroys: bool = False
    people: int = 0
    inverse: str = ""
    reversal: Reversal = Reversal.NOTHING
    each_service: bool = False

    @property
    def hurts(self) -> bool:
        """Whether earlier notices must be proven before it."""
        return self.claims or self.restricts


def _restriction(inverse: str, *, service: bool = True, withholds: bool = False) -> Nature:
    return Nature(restricts=True, withholds=withholds, inverse=inverse, reversal=Reversal.AT_ONCE, each_service=service)


_WITHDRAWN = Nature(notice=True, inverse="withdraw_notice", reversal=Reversal.AT_ONCE)

NATURES: Mapping[Act, Nature] = {
    Act.REMIND: Nature(notice=True),
    Act.DEMAND: Nature(notice=True),
    Act.PHONE: Nature(),
    Act.WEBHOOK: Nature(),
    Act.CHARGE_COSTS: Nature(claims=True, inverse="credit_costs", reversal=Reversal.BY_HAND),
    Act.CHARGE_INTEREST: Nature(claims=True, inverse="credit_interest", reversal=Reversal.BY_HAND),
    Act.BLOCK_ORDERS: _restriction("allow_orders", service=False),
    Act.THROTTLE: _restriction("unthrottle"),
    Act.LIMIT: _restriction("restore_features"),
    Act.DOWNGRADE: _restriction("restore_plan"),
    Act.BACK_UP: Nature(each_service=True),
    Act.SUSPEND: _restriction("unsuspend", withholds=True),
    Act.NOTICE_OF_TERMINATION: _WITHDRAWN,
    Act.TERMINATE: Nature(
        restricts=True,
        withholds=True,
        people=2,
        inverse="reinstate",
        reversal=Reversal.BY_HAND,
        each_service=True,
    ),
    Act.NOTICE_OF_DELETION: _WITHDRAWN,
    Act.DELETE: Nature(
        restricts=True, withholds=True, destroys=True, people=2, reversal=Reversal.NEVER, each_service=True
    ),
    Act.NOTICE_OF_NON_RENEWAL: _WITHDRAWN,
    Act.NOT_RENEW: Nature(claims=True, inverse="renew", reversal=Reversal.AT_ONCE, each_service=True),
    Act.OFFER_RETRIEVAL: Nature(each_service=True),
    Act.HAND_OVER: Nature(claims=True, inverse="recall", reversal=Reversal.AT_ONCE),
}


class Route(StrEnum):
    """The ways a debt can go. They share the demand, and nothing else: none needs another."""

    DEMAND = "demand"
    """The stem: reminders and the demand."""
    COLLECT = "collect"
    """Costs, interest, hand-over."""
    END_AT_TERM = "end_at_term"
    """Notice, no renewal, and the way out for the data."""
    RESTRICT = "restrict"
    """Throttle, suspend, terminate, delete."""


ROUTE_ACTS: Mapping[Route, frozenset[Act]] = {
    Route.DEMAND: frozenset({Act.REMIND, Act.DEMAND, Act.PHONE, Act.WEBHOOK}),
    Route.COLLECT: frozenset(
        {Act.REMIND, Act.DEMAND, Act.PHONE, Act.WEBHOOK, Act.CHARGE_COSTS, Act.CHARGE_INTEREST, Act.HAND_OVER}
    ),
    Route.END_AT_TERM: frozenset(
        {
            Act.REMIND,
            Act.PHONE,
            Act.WEBHOOK,
            Act.NOTICE_OF_NON_RENEWAL,
            Act.NOT_RENEW,
            Act.BACK_UP,
            Act.OFFER_RETRIEVAL,
            Act.NOTICE_OF_DELETION,
            Act.DELETE,
        }
    ),
    Route.RESTRICT: frozenset(
        {
            Act.REMIND,
            Act.DEMAND,
            Act.PHONE,
            Act.WEBHOOK,
            Act.BLOCK_ORDERS,
            Act.THROTTLE,
            Act.LIMIT,
            Act.DOWNGRADE,
            Act.BACK_UP,
            Act.SUSPEND,
            Act.NOTICE_OF_TERMINATION,
            Act.TERMINATE,
            Act.OFFER_RETRIEVAL,
            Act.NOTICE_OF_DELETION,
            Act.DELETE,
        }
    ),
}
"""Which acts a route may hold. Only `restrict` restricts; `end_at_term` may delete what is left after the term."""
