"""What each act of payments books. The customer's own accounts are `receivable`, `unallocated` and `prepaid`.

Money in is `unallocated` first: the customer's, ours to give back. An allocation moves it to the debt. So a receipt and
its allocations are entries of their own, and each is undone by itself.
"""

from datetime import date

from coulance_core.kernel import Money
from coulance_core.ledger import (
    BAD_DEBT,
    OPENING,
    PREPAID,
    RECEIVABLE,
    UNALLOCATED,
    Entry,
    EntryKind,
    Posting,
    cash,
    combine,
)
from coulance_core.payments.terms import Method


def receipt_journal(method: Method, amount: Money) -> tuple[Posting, ...]:
    """What a receipt books: where it comes from, to `unallocated`. Nothing for credit: that is freed, not received.

    >>> [(p.account, p.amount) for p in receipt_journal(Method.BANK, Money(500, "EUR"))]
    [('cash:bank', 500), ('unallocated', -500)]
    >>> [(p.account, p.amount) for p in receipt_journal(Method.WRITE_OFF, Money(500, "EUR"))]
    [('bad_debt', 500), ('unallocated', -500)]
    """
    if method is Method.CREDIT:
        return ()
    whence = {Method.PREPAID: PREPAID, Method.WRITE_OFF: BAD_DEBT, Method.OPENING: OPENING}.get(method)
    code = amount.currency
    return combine([(whence or cash(method.value), amount.minor, code), (UNALLOCATED, -amount.minor, code)])


def receipt_entry(method: Method, amount: Money, *, party: bytes, source: str, on: date) -> Entry | None:
    """The entry of a receipt, or `None` when it books nothing."""
    kinds = {Method.WRITE_OFF: EntryKind.WRITE_OFF, Method.OPENING: EntryKind.ADJUSTMENT}
    legs = receipt_journal(method, amount)
    return Entry(party, kinds.get(method, EntryKind.PAYMENT), source, on, legs) if legs else None


def allocation_entry(method: Method, amount: Money, *, prepaid: bool, party: bytes, source: str, on: date) -> Entry:
    """The entry of an allocation: from `unallocated` to a debt, or to the prepaid balance. Below zero it frees credit.

    >>> e = allocation_entry(Method.BANK, Money(500, "EUR"), prepaid=False, party=bytes(16), source="allocation/1",
    ...                      on=date(2026, 11, 1))
    >>> [(p.account, p.amount) for p in e.postings]
    [('unallocated', 500), ('receivable', -500)]
    """
    kind = EntryKind.WRITE_OFF if method is Method.WRITE_OFF else EntryKind.PAYMENT
    code, target = amount.currency, PREPAID if prepaid else RECEIVABLE
    return Entry(
        party, kind, source, on, (Posting(UNALLOCATED, amount.minor, code), Posting(target, -amount.minor, code))
    )


def refund_entry(method: Method, amount: Money, *, party: bytes, source: str, on: date) -> Entry:
    """The entry of a refund: out of `unallocated`, paid by bank or otherwise."""
    code = amount.currency
    legs = (Posting(UNALLOCATED, amount.minor, code), Posting(cash(method.value), -amount.minor, code))
    return Entry(party, EntryKind.PAYMENT, source, on, legs)


def reclaim_entry(amount: Money, *, party: bytes, source: str, on: date) -> Entry:
    """The entry of a refund reclaimed, as what it refunded was taken back: owed, where `unallocated` lacks it.

    >>> e = reclaim_entry(Money(500, "EUR"), party=bytes(16), source="opening/1", on=date(2026, 11, 1))
    >>> [(p.account, p.amount) for p in e.postings]
    [('receivable', 500), ('unallocated', -500)]
    """
    code = amount.currency
    legs = (Posting(RECEIVABLE, amount.minor, code), Posting(UNALLOCATED, -amount.minor, code))
    return Entry(party, EntryKind.ADJUSTMENT, source, on, legs)


def opening_entry(open_amount: Money, *, party: bytes, source: str, on: date) -> Entry:
    """The entry of an item taken over: owed here from `on`, its other side in `equity:opening`."""
    code = open_amount.currency
    legs = (Posting(RECEIVABLE, open_amount.minor, code), Posting(OPENING, -open_amount.minor, code))
    return Entry(party, EntryKind.ADJUSTMENT, source, on, legs)
