"""Documents as double entries: what an issued document books, and what carrying a small amount forward books."""

from datetime import date

from coulance_core.invoicing.documents import DocumentDraft, DocumentKind
from coulance_core.kernel import Money
from coulance_core.ledger import CARRIED, RECEIVABLE, Entry, EntryKind, Posting, combine, revenue, tax


def journal(draft: DocumentDraft) -> tuple[Posting, ...]:
    """What issuing `draft` books: gross to the customer's receivable, net to revenue by line, tax by code.

    Empty for a usage statement and for a document of nothing. A credit note's amounts are negative, so that the same
    rule books it the other way round.
    """
    if draft.kind is DocumentKind.USAGE_STATEMENT:
        return ()
    code = draft.currency
    return combine(
        [
            (RECEIVABLE, draft.totals.gross.minor, code),
            *((line.account, -line.net.minor, code) for line in draft.lines),
            *((tax(row.code), -row.tax.minor, code) for row in draft.tax),
        ]
    )


def entry_for(draft: DocumentDraft, *, party: bytes, source: str) -> Entry | None:
    """The entry of an issued document, or `None` when there is nothing to book."""
    postings = journal(draft)
    if not postings:
        return None
    kind = EntryKind.CREDIT_NOTE if draft.kind is DocumentKind.CREDIT_NOTE else EntryKind.INVOICE
    return Entry(party, kind, source, draft.issued_on, postings)


def carry_journal(net: Money) -> tuple[Posting, ...]:
    """What carrying `net` forward books: earned as overage, not yet a receivable. Tax comes with the invoice.

    Only where prices are without tax: see `assemble.account_of`.

    >>> [(p.account, p.amount) for p in carry_journal(Money(150, "EUR"))]
    [('carried', 150), ('revenue:overage', -150)]
    """
    return combine([(CARRIED, net.minor, net.currency), (revenue("overage"), -net.minor, net.currency)])


def carry_entry(net: Money, *, party: bytes, source: str, on: date) -> Entry | None:
    """The entry of one carried amount, or `None` for zero."""
    postings = carry_journal(net)
    return Entry(party, EntryKind.CARRY, source, on, postings) if postings else None
