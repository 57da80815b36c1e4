"""The provider's own terms of sending: from whom mail comes, what is sent, and whether a person looks first."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from coulance_core.catalog.faults import Fault, refuse

ADDRESS = r"[^@\s]+@[^@\s]+\.[^@\s]+"
"""What an e-mail address looks like, as far as a file can tell."""


class SendingMode(StrEnum):
    """Who lets documents go out."""

    REVIEWED = "reviewed"
    """An operator looks at the list and approves it."""
    SCHEDULED = "scheduled"
    """They go by themselves, at an hour of the day."""


class SentKind(StrEnum):
    """Which documents are mailed."""

    BASE_INVOICE = "base_invoice"
    OVERAGE_INVOICE = "overage_invoice"
    CREDIT_NOTE = "credit_note"
    DEBIT_NOTE = "debit_note"
    FEE_INVOICE = "fee_invoice"
    INTEREST_INVOICE = "interest_invoice"
    USAGE_STATEMENT = "usage_statement"


class InvoiceForm(StrEnum):
    """In which electronic form an invoice goes along with its PDF."""

    UBL = "ubl"
    CII = "cii"
    FACTUR_X = "factur_x"
    """The PDF itself, with CII inside."""


@dataclass(frozen=True, slots=True)
class SendingTerms:
    """How documents reach people. `sender` empty is the provider's own address; `hour` is in the provider's zone.

    `bounces_to` is the mailbox to which undeliverable mail comes back (the envelope's sender; empty: `sender`). With
    mode `scheduled`, documents issued from `scheduled_from` on are sent; older ones wait for an operator.
    """

    sender: str = ""
    name: str = ""
    reply_to: str = ""
    bounces_to: str = ""
    bcc: tuple[str, ...] = ()
    mode: SendingMode = SendingMode.REVIEWED
    hour: int = 9
    scheduled_from: date | None = None
    documents: tuple[SentKind, ...] = tuple(SentKind)
    attach: tuple[InvoiceForm, ...] = ()

    def __post_init__(self) -> None:
        refuse("sending", self.faults())

    def faults(self) -> Iterator[Fault]:
        """Everything wrong with it."""
        named = (("sender", self.sender), ("reply_to", self.reply_to), ("bounces_to", self.bounces_to))
        for field, address in (*named, *((f"bcc[{i}]", one) for i, one in enumerate(self.bcc))):
            if address and not re.fullmatch(ADDRESS, address):
                yield Fault(field, f"expected an e-mail address, not {address!r}")
        if not 0 <= self.hour <= 23:
            yield Fault("hour", f"expected 0 to 23, not {self.hour}")
        if self.mode is SendingMode.SCHEDULED and self.scheduled_from is None:
            yield Fault("scheduled_from", "mode scheduled needs the day from whose documents on are sent by themselves")
        if not self.documents:
            yield Fault("documents", f"expected at least one of {', '.join(SentKind)}")
        for field, several in (("documents", self.documents), ("attach", self.attach)):
            if len(set(several)) < len(several):
                yield Fault(field, "expected each one once")
