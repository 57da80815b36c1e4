"""What invoicing needs of others: an access point to the Peppol network."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from coulance_core.invoicing.en16931_codes import Identifier


class Outcome(StrEnum):
    """What an access point says of a document."""

    TAKEN = "taken"
    """It has it, and is about to deliver."""
    DELIVERED = "delivered"
    """The receiver's access point has it."""
    REFUSED = "refused"
    """It will never be delivered as it is: invalid, or nobody receives at that address."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An access point's answer: its own key of the document, the outcome so far, and words about it."""

    submission: str
    outcome: Outcome
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Parcel:
    """A document to send. `number` is what makes sending it twice the same as once."""

    number: str
    sender: Identifier
    receiver: Identifier
    credit_note: bool
    xml: bytes


class AccessPointError(RuntimeError):
    """It could not be asked, or gave no answer of use: try again later. The message says what happened."""


class AccessPoint(Protocol):
    """Sends documents into the Peppol network and says what became of them."""

    def submit(self, parcel: Parcel) -> Answer:
        """Hand over a document; the same number again gives the same submission. Raises `AccessPointError`."""
        ...

    def status(self, submission: str) -> Answer:
        """What became of one. Raises `AccessPointError`."""
        ...
