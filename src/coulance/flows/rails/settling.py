"""What bank statements say of collections: credited one by one or as a batch's sum, returned. Called by the import."""

from collections.abc import Sequence
from datetime import date, datetime

from coulance.catalog import queries as catalog
from coulance.flows import payments as money
from coulance.flows.rails import returning
from coulance.payments import collecting, collections, mandates
from coulance.payments.bank import EntryRow
from coulance.payments.errors import UnableToCollectError
from coulance.payments.operations import NewReceipt
from coulance_core.catalog.paying import TopUpCounts
from coulance_core.payments import Choice, Method, ReversalKind
from coulance_core.payments.bank_answers import NO_REASON
from coulance_core.payments.direct_debit import CollectionState, return_reason

_COMING = frozenset((CollectionState.HANDED, CollectionState.REFUSED))
"""Where a collection stands that a bank may still credit."""


def credited(*, collection: int, receipt: int, on: date, at: datetime) -> None:
    """A collection was credited by an entry that is booked as that receipt. One that is over stays as it is."""
    row = collections.collection(collection=collection)
    if row.state in _COMING:
        collecting.credited(row=row, receipt=receipt, on=on, at=at)


def batch_credited(*, row: EntryRow, collections: Sequence[int], actor: str, at: datetime) -> str:
    """A batch was credited as one sum: a receipt of each of its collections; what was done, in words.

    Raises a `PaymentsError`, with nothing done, where one of them can't be credited any more.
    """
    from coulance.payments import collections as reading

    found = [reading.collection(collection=one) for one in collections]
    for one in found:
        if one.state not in _COMING:
            raise UnableToCollectError(f"collection {one.end_to_end_id} of the batch is {one.state.value} already")
    at_once = catalog.payment_terms().top_up_counts is TopUpCounts.COLLECTED
    by = {one.id: one for one in mandates.mandates(accounts={one.account for one in found})}
    booked = money.book_payments(
        receipts=[
            NewReceipt(
                account=one.account,
                amount=one.amount,
                received_on=row.entry.booked_on,
                method=Method.BANK,
                source_key=f"bank_entry/{row.id}/dd/{one.id}",
                reason=f"collected: {one.end_to_end_id}, in a batch on bank statement {row.statement}",
                payer_ref=one.end_to_end_id,
                payer_name=by[one.mandate].holder,
                payer_iban=by[one.mandate].iban,
                choice=tuple(Choice(ref) for ref, _ in one.parts),
                beyond_choice=not one.tops_up,
                prepaid=one.tops_up and at_once,
            )
            for one in found
        ],
        actor=actor,
        at=at,
    )
    for one, done in zip(found, booked, strict=True):
        collecting.credited(row=one, receipt=done.receipt, on=row.entry.booked_on, at=at)
    return f"{len(found)} collections"


def returned(*, receipt: int, code: str, on: date, actor: str, at: datetime) -> None:
    """A receipt came back and was undone: if it was a collection, it came back, with what follows."""
    try:
        row = collections.collection(receipt=receipt)
    except UnableToCollectError:
        return
    # Refused, credited in spite of that, and taken back for the same reason: its people heard of that.
    heard = bool(row.return_code) and row.return_code == return_reason(code).code
    done = collecting.came_back(row=row, code=code, on=on, actor=actor, at=at)
    if not heard:
        returning.after_return(done, on=on, actor=actor, at=at)


def undone_by_hand(*, receipt: int, kind: ReversalKind, on: date, actor: str, at: datetime) -> None:
    """A person undid a receipt: if it was a collection's money, that did not come, and a person says what follows.

    What the bank took back its payer hears of; of a mistake of ours they don't.
    """
    try:
        row = collections.collection(receipt=receipt)
    except UnableToCollectError:
        return
    if row.state is not CollectionState.COLLECTED:
        return
    done = collecting.came_back(row=row, code=NO_REASON, on=on, actor=actor, at=at)
    if kind is not ReversalKind.MISTAKE:
        returning.after_return(done, on=on, actor=actor, at=at)
