"""The bank's side of the room: statements and their entries as files gave them, and what became of each entry.

Everything here runs in the caller's transaction. An entry is stored once per bank account, by its fingerprint, whatever
statements it comes in; a statement once, by its content. What an entry moves is booked by `operations`; here is only
that it was. Statements of an account are stored under a lock on it, so that two imports at once store everything once.
"""

from coulance.payments.bank.balances import AccountStatus, known_marks, status
from coulance.payments.bank.batches import explain_batches
from coulance.payments.bank.candidates import (
    LOOK_BACK,
    collections_expected,
    earlier_receipts,
    learn_ibans,
    own_ibans,
    payouts_expected,
    refunds_expected,
    refunds_gone,
    settled_items,
    taken_back_by,
    top_up_payloads,
    top_up_reference,
)
from coulance.payments.bank.entry_rows import (
    EntryRow,
    NewDecision,
    count,
    decide,
    decide_many,
    entries,
    entry,
    receipts_of,
    to_judge,
)
from coulance.payments.bank.reading import iban_or_none
from coulance.payments.bank.storing import Stored, content_of, store_statement

__all__ = [
    "LOOK_BACK",
    "AccountStatus",
    "EntryRow",
    "NewDecision",
    "Stored",
    "collections_expected",
    "content_of",
    "count",
    "decide",
    "decide_many",
    "earlier_receipts",
    "entries",
    "entry",
    "explain_batches",
    "iban_or_none",
    "known_marks",
    "learn_ibans",
    "own_ibans",
    "payouts_expected",
    "receipts_of",
    "refunds_expected",
    "refunds_gone",
    "settled_items",
    "status",
    "store_statement",
    "taken_back_by",
    "to_judge",
    "top_up_payloads",
    "top_up_reference",
]
