"""The words of payments: what is open, what came in, by what means, and why it was undone."""

from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum

from coulance_core.kernel import Money


class ItemKind(StrEnum):
    """What an open item is for; policies rank them."""

    BASE = "base"
    """Fees in advance."""
    OVERAGE = "overage"
    """Usage above what was included."""
    OTHER = "other"
    """Anything else: an invoice taken over that doesn't say, or mixes."""
    COSTS = "costs"
    """Costs of collecting a debt, or a fee that was agreed: a document of its own, never added to the debt."""
    INTEREST = "interest"
    """Interest on a debt that is late, likewise."""

    @property
    def is_principal(self) -> bool:
        """Whether it was owed for what was sold: only such a debt may restrict anything.

        >>> [kind.value for kind in ItemKind if kind.is_principal]
        ['base', 'overage', 'other']
        """
        return self not in (ItemKind.COSTS, ItemKind.INTEREST)


class Method(StrEnum):
    """How a receipt came in. Not all are money: some stand for it, so that every settlement is one kind of row."""

    BANK = "bank"
    CASH = "cash"
    CARD = "card"
    OTHER = "other"
    STRIPE = "stripe"
    """Paid at Stripe, which holds it until it pays out."""
    MOLLIE = "mollie"
    """Paid at Mollie, likewise."""
    PREPAID = "prepaid"
    """Drawn from the account's prepaid balance."""
    CREDIT = "credit"
    """Credit that the account has (a credit note on what was paid already, or taken over), set off against debts."""
    WRITE_OFF = "write_off"
    """Given up: an expense of ours, not money."""
    OPENING = "opening"
    """Held for the customer in the system that was left."""

    @property
    def is_money(self) -> bool:
        """Whether money came in by it, now and here.

        >>> [m.value for m in Method if m.is_money]
        ['bank', 'cash', 'card', 'other', 'stripe', 'mollie']
        """
        return self not in (Method.PREPAID, Method.CREDIT, Method.WRITE_OFF, Method.OPENING)


class ReversalKind(StrEnum):
    """Why a receipt or refund is undone."""

    BOUNCED = "bounced"
    """The bank took it back: a returned debit, a chargeback."""
    RETURNED = "returned"
    """The payer or payee's bank sent it back: a closed account, say."""
    MISTAKE = "mistake"
    """It was never so: booked on the wrong account, or twice."""


class Scheme(StrEnum):
    """The SEPA direct debit scheme of a mandate."""

    CORE = "core"
    B2B = "b2b"


class MandateSequence(StrEnum):
    """Where a mandate stands in its life: what its next collection must say."""

    FIRST = "first"
    RECURRING = "recurring"
    FINAL = "final"
    ONE_OFF = "one_off"


@dataclass(frozen=True, slots=True)
class OpenItem:
    """A debt, or a credit when `open` is below zero, of one account.

    `ref` is "document/<id>" of an issued invoice or "opening/<id>" of an item taken over. `open` is the gross, less
    credit notes that name it and what was allocated to it; below zero it is credit of the account. `gross` is as
    issued. A credit note issued here is no item of its own: it lowers the invoice it names. `held` is what of `open`
    the customer disputes, never more than that: it is not asked for, and money that doesn't name the item leaves it.

    >>> item = OpenItem("document/7", 1, ItemKind.BASE, "B2026-7", date(2026, 11, 1), date(2026, 11, 15),
    ...                 Money(1210, "EUR"), Money(710, "EUR"))
    >>> item.is_due(date(2026, 11, 15)), item.is_due(date(2026, 11, 14)), item.days_late(date(2026, 11, 20))
    (True, False, 5)
    >>> replace(item, held=Money(200, "EUR")).payable
    Money(minor=510, currency='EUR')
    """

    ref: str
    account: int
    kind: ItemKind
    number: str
    issued_on: date
    due_on: date
    gross: Money
    open: Money
    held: Money | None = None
    burden: int | None = None
    """How heavily it weighs on the debtor, to compare by; None: as usual for its kind (`orders.USUAL_BURDEN`)."""

    @property
    def payable(self) -> Money:
        """What may be asked for now: open, less what is disputed of it. Credit as it is."""
        return self.open if self.held is None else self.open - self.held

    def left(self, open_now: Money) -> "OpenItem":
        """The item with that much open, paid from the undisputed part first: what is held of it shrinks with it."""
        if self.held is None or self.held <= open_now:
            return replace(self, open=open_now)
        return replace(self, open=open_now, held=open_now if open_now.minor > 0 else None)

    def is_due(self, on: date) -> bool:
        """Whether payment may be asked on that day: the day it is due, or later."""
        return self.due_on <= on

    def days_late(self, on: date) -> int:
        """Whole days past the day it was due; zero or less while it is not late."""
        return (on - self.due_on).days


@dataclass(frozen=True, slots=True)
class Receipt:
    """Money that came in for an account, or what stands for it. `left` is neither allocated nor refunded.

    `source_key` names what it comes from, once: a bank entry, a cash book line. `payer_ref` is what the payer wrote.
    `reversed_on` is the day it was undone, if it was.
    """

    id: int
    account: int
    amount: Money
    left: Money
    received_on: date
    method: Method
    source_key: str
    payer_ref: str
    payer_iban: str
    reversed_on: date | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """What the payer (or an operator) says a payment is for: an item, and how much of it; none is all it takes."""

    ref: str
    amount: Money | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """What of a receipt goes to one item, and what is open of the item afterwards."""

    ref: str
    amount: Money
    left_open: Money
