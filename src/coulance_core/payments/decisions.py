"""What an entry of a bank can turn out to be: the rules that make it sure, the flags, and the decision itself."""

from dataclasses import dataclass
from enum import StrEnum

from coulance_core.kernel import Explanation, Money

MOST_SUGGESTIONS = 10


class Rule(StrEnum):
    """What made a match sure, in order of precedence."""

    OWN_TRANSFER = "own_transfer"
    """The other side is one of our own accounts."""
    RETURNED = "returned"
    """It takes back an earlier receipt, named by its id or by the bank's reference, or the only one it can be."""
    COLLECTION = "collection"
    """A collection of ours by direct debit that the bank credits, by its end-to-end id or as the sum of its batch."""
    PAYOUT = "payout"
    """What a gateway paid out, booked when it said so."""
    TOP_UP = "top_up"
    """The reference by which an account fills its prepaid balance."""
    REFUND = "refund"
    """It is a refund of ours leaving."""
    SENT_BACK = "sent_back"
    """A refund of ours that its payee's bank sent back."""
    OUTGOING = "outgoing"
    """Money out that nothing here knows of: not a customer's."""
    REFERENCE = "reference"
    """A structured reference whose check digits are right."""
    END_TO_END = "end_to_end"
    """An end-to-end id that we gave, or that is a document's number."""
    NUMBER = "number"
    """Document numbers in the text."""
    IBAN_AND_AMOUNT = "iban_and_amount"
    """A known IBAN, and the amount of exactly one of its debts."""
    IBAN_AND_ALL = "iban_and_all"
    """A known IBAN, and the sum of all its debts."""


class Flag(StrEnum):
    """What a person may want to look at, though the match is sure."""

    PARTIAL = "partial"
    OVERPAID = "overpaid"
    SETTLED = "settled"
    """What it names is paid already: the money is unallocated cash of that account."""
    IBAN_OF_ANOTHER = "iban_of_another"
    """The IBAN is known to be another account's; the reference goes before it."""
    RETURN = "return"


class Outcome(StrEnum):
    """What is to be done with an entry."""

    MATCH = "match"
    """Book it as a receipt of the account, for the items named."""
    COLLECTED = "collected"
    """Book a receipt of each collection named: the entry is the sum of their batch."""
    REVERSE = "reverse"
    """Undo the receipt named."""
    SENT_BACK = "sent_back"
    """Undo the refund named: its money is here again."""
    SET_ASIDE = "set_aside"
    """It moves nothing here; the rule says why."""
    SUGGEST = "suggest"
    """A person decides; suggestions are ranked."""
    NOTHING = "nothing"
    """A person decides, and there is nothing to suggest."""


@dataclass(frozen=True, slots=True)
class EarlierReceipt:
    """A receipt that may come back: what its entry said of itself."""

    receipt: int
    account: int
    amount: Money
    end_to_end_id: str = ""
    bank_ref: str = ""
    iban: str = ""


@dataclass(frozen=True, slots=True)
class Refund:
    """A refund that we made and the bank should show."""

    refund: int
    account: int
    amount: Money
    iban: str = ""
    end_to_end_id: str = ""


@dataclass(frozen=True, slots=True)
class Expected:
    """A collection that the bank has: what it will credit, under which id and in which batch."""

    collection: int
    account: int
    amount: Money
    end_to_end_id: str
    batch: str
    refs: tuple[str, ...]
    refused: bool = False
    """The bank said that it won't; what it credits in spite of that counts."""
    tops_up: bool = False
    """It is for the prepaid balance, not for debts."""
    settles_on_balance: bool = False
    """Of one for the balance: it goes there as soon as it is credited."""


@dataclass(frozen=True, slots=True)
class ExpectedPayout:
    """What a gateway paid out to our bank."""

    payout: int
    gateway: str
    amount: Money
    reference: str


@dataclass(frozen=True, slots=True)
class Suggestion:
    """One way to read an entry: an account, items it may pay (none: unallocated), a score (higher first), and why."""

    account: int
    refs: tuple[str, ...]
    numbers: tuple[str, ...]
    score: int
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Decision:
    """What an entry is. `explanation` says by which rule, from which facts, with which sums."""

    outcome: Outcome
    explanation: Explanation
    rule: Rule | None = None
    account: int | None = None
    refs: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()
    receipt: int | None = None
    refund: int | None = None
    flags: tuple[Flag, ...] = ()
    suggestions: tuple[Suggestion, ...] = ()
    collections: tuple[int, ...] = ()
    """The collections of ours that it credits."""
    prepaid: bool = False
    """Whether all of it goes to the prepaid balance."""
