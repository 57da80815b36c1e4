"""Collections: planned and announced, put in a file, handed over, credited by the bank, perhaps returned.

Each act takes the lock of the account's books first and checks at the write that a collection stands where it must. A
debt is claimed as long as a collection of it may bring money, so nothing else collects it meanwhile; once the file went
to the bank the claim is in flight, and a hold in the ledger says so.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

from coulance.ledger import operations as ledger
from coulance.payments import booking, claims, collections, mandates
from coulance.payments.collections import CollectionRow, RunRow, fetch
from coulance.payments.debit_file import Creditor, Transaction, debit_file
from coulance.payments.errors import UnableToCollectError
from coulance.payments.handing import is_fetched_again
from coulance.payments.mandates import SignedMandate
from coulance.payments.undoing import external_id
from coulance.platform import audit
from coulance_core.kernel import Money, require_aware
from coulance_core.payments import MandateSequence, Scheme
from coulance_core.payments.direct_debit import CollectionState, final_on, return_reason, sequence_to_say


def next_collection() -> int:
    """The id of a collection to come: its announcement is written with it."""
    number: int = fetch("SELECT nextval('payments_collection_id_seq')", [])[0][0]
    return number


def end_to_end_id(collection: int) -> str:
    """What a bank knows a collection by.

    >>> end_to_end_id(17)
    'DD0000000017'
    """
    return f"DD{collection:010d}"


def plan_collection(
    *,
    collection: int,
    mandate: SignedMandate,
    parts: Sequence[tuple[str, Money]],
    collect_on: date,
    message_key: str,
    actor: str,
    at: datetime,
    amount: Money,
    purpose: str = collections.DEBTS,
    basis: str = "",
    retry_of: CollectionRow | None = None,
) -> CollectionRow:
    """Plan a collection of debts (in euros), which claims them; or of an amount for the balance, of no debt.

    Raises `UnableToCollectError`.
    """
    booking.require_transaction("plan_collection")
    if amount.minor <= 0 or amount.currency != "EUR":
        raise UnableToCollectError(f"a collection is of more than nothing, in euros, not of {amount}")
    if (purpose == collections.TOP_UP) is bool(parts):
        raise UnableToCollectError("a collection is either for debts or for the balance")
    if parts and sum((part for _, part in parts), Money(0, "EUR")) != amount:
        raise UnableToCollectError(f"the parts of a collection don't come to {amount}")
    if (reason := mandate.unusable(collect_on)) is not None:
        raise UnableToCollectError(f"mandate {mandate.reference} is {reason.value}: nothing is collected by it")
    ledger.lock_accounts(accounts=[mandate.account])
    fetch(
        "INSERT INTO payments_collection (id, account_id, mandate_id, amount, currency, collect_on, end_to_end_id,"
        " message_key, attempt, retry_of_id, planned_at, planned_by, changed_at, purpose, basis)"
        " VALUES (%s, %s, %s, %s, 'EUR', %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) RETURNING id",
        [
            collection,
            mandate.account,
            mandate.id,
            amount.minor,
            collect_on,
            end_to_end_id(collection),
            message_key,
            1 if retry_of is None else retry_of.attempt + 1,
            None if retry_of is None else retry_of.id,
            require_aware(at),
            actor,
            at,
            purpose,
            basis,
        ],
    )
    claims.claim(account=mandate.account, parts=parts, collection=collection, at=at)
    audit.record(
        actor=actor,
        act="collection.planned",
        subject=f"account:{external_id(mandate.account)}",
        at=at,
        detail={
            "collection": collection,
            "mandate": mandate.reference,
            "amount": str(amount),
            "on": collect_on.isoformat(),
            "for": {ref: str(part) for ref, part in parts} or purpose,
        },
    )
    return collections.collection(collection=collection)


def _move(
    row: CollectionRow, becomes: CollectionState, *, at: datetime, on: date | None = None, why: str = "", **more: Any
) -> CollectionRow:
    """Move one on, if it still stands where it was read. Raises `UnableToCollectError` when it doesn't."""
    columns = {"state": becomes.value, "changed_at": require_aware(at), "ended_on": on, "why": why, **more}
    assigned = ", ".join(f"{name} = %s" for name in columns)
    if not fetch(
        f"UPDATE payments_collection SET {assigned} WHERE id = %s AND state = %s RETURNING id",  # noqa: S608 - ours
        [*columns.values(), row.id, row.state.value],
    ):
        raise UnableToCollectError(f"collection {row.end_to_end_id} is not {row.state.value} any more")
    return collections.collection(collection=row.id)


def cancel_collection(*, row: CollectionRow, on: date, actor: str, reason: str, at: datetime) -> CollectionRow:
    """Call a collection off before its file is made; its debts are free. Raises `UnableToCollectError`."""
    why = booking.require_reason(reason)
    if row.state is not CollectionState.PLANNED:
        raise UnableToCollectError(
            f"collection {row.end_to_end_id} is {row.state.value}: only what is in no file yet is called off"
        )
    ledger.lock_accounts(accounts=[row.account])
    done = _move(row, CollectionState.CANCELLED, at=at, on=on, why=why)
    claims.end_claims(at=at, why=why, collection=row.id)
    _tell(done, "collection.cancelled", actor, why, at)
    return done


def make_run(
    *,
    rows: Sequence[CollectionRow],
    texts: Mapping[int, str],
    scheme: Scheme,
    creditor: Creditor,
    form: str,
    first_says_first: bool,
    on: date,
    actor: str,
    at: datetime,
) -> RunRow:
    """Put planned collections of one scheme in a file; `texts` is what each says to its payer.

    Raises `UnableToCollectError`, and does nothing, when one is not planned any more or the file would not be valid.
    """
    booking.require_transaction("make_run")
    if not rows:
        raise UnableToCollectError("there is nothing to collect")
    ledger.lock_accounts(accounts={row.account for row in rows})
    number = int(fetch("SELECT nextval('payments_collection_run_id_seq')", [])[0][0])
    reference = f"DD{on:%Y%m%d}-{number}"
    by = {one.id: one for one in mandates.mandates(accounts={row.account for row in rows})}
    sequences: dict[int, MandateSequence] = {}
    seen: set[int] = set()
    for row in sorted(rows, key=lambda row: (row.collect_on, row.id)):
        mandate = by[row.mandate]
        if (reason := mandate.unusable(row.collect_on)) is not None:
            raise UnableToCollectError(f"mandate {mandate.reference} is {reason.value}: cancel {row.end_to_end_id}")
        if mandate.scheme is not scheme:
            raise UnableToCollectError(f"{row.end_to_end_id} is {mandate.scheme.value}, the file {scheme.value}")
        sequences[row.id] = sequence_to_say(
            mandate.sequence,
            used=mandate.last_used_on is not None or mandate.id in seen,
            first_says_first=first_says_first,
        )
        seen.add(mandate.id)
    file = debit_file(
        reference=reference,
        form=form,
        scheme=scheme,
        creditor=creditor,
        transactions=[
            Transaction(
                end_to_end_id=row.end_to_end_id,
                amount=row.amount,
                collect_on=row.collect_on,
                sequence=sequences[row.id],
                mandate=by[row.mandate].reference,
                signed_on=by[row.mandate].signed_on,
                holder=by[row.mandate].holder,
                iban=by[row.mandate].iban,
                bic=by[row.mandate].bic,
                text=texts[row.id],
            )
            for row in rows
        ],
        made_at=at,
    )
    digest = hashlib.sha256(file).digest()
    total = sum((row.amount for row in rows), Money(0, "EUR"))
    fetch(
        "INSERT INTO payments_collection_run (id, reference, scheme, currency, form, creditor, count, total, file,"
        " file_hash, made_at, made_by) VALUES (%s, %s, %s, 'EUR', %s, %s, %s, %s, %s, %s, %s, %s) RETURNING id",
        [
            number,
            reference,
            scheme.value,
            form,
            json.dumps({"name": creditor.name, "iban": creditor.iban, "creditor_id": creditor.creditor_id}),
            len(rows),
            total.minor,
            file,
            digest,
            require_aware(at),
            actor,
        ],
    )
    for row in rows:
        _move(row, CollectionState.FILED, at=at, run_id=number, sequence=sequences[row.id].value)
    audit.record(
        actor=actor,
        act="collection.filed",
        subject=f"collection_run:{reference}",
        at=at,
        detail={"count": len(rows), "total": str(total), "sha256": digest.hex(), "scheme": scheme.value},
    )
    return collections.runs(run=number)[0]


def hand_over(*, run: int, actor: str, at: datetime, reason: str = "") -> tuple[RunRow, bytes]:
    """Fetch a run's file for the bank: the first time it goes, and its collections are under way.

    Fetched again it is the same bytes, for a reason that is recorded: a bank takes one message once. Raises
    `UnableToCollectError` for a run that was called off, or again without a reason.
    """
    booking.require_transaction("hand_over")
    found = fetch("SELECT file FROM payments_collection_run WHERE id = %s FOR UPDATE", [run])
    if not found:
        raise UnableToCollectError(f"there is no run {run}")
    row, file = collections.runs(run=run)[0], bytes(found[0][0])
    named = f"run {row.reference}"
    if is_fetched_again(row, file, named=named, risk="collected", reason=reason, error=UnableToCollectError):
        _tell_run(row, "collection.file_fetched_again", actor, reason.strip(), at)
        return row, file
    fetch(
        "UPDATE payments_collection_run SET handed_at = %s, handed_by = %s WHERE id = %s RETURNING id",
        [require_aware(at), actor, run],
    )
    filed = collections.collections(run=run, states=[CollectionState.FILED])
    ledger.lock_accounts(accounts={one.account for one in filed})
    for one in filed:
        _move(one, CollectionState.HANDED, at=at, final_on=final_on(one.collect_on, row.scheme))
        claims.hold_claims(at=at, collection=one.id)
        mandates.mark_used(mandates=[one.mandate], on=one.collect_on)
    _tell_run(row, "collection.handed_over", actor, reason.strip(), at)
    return collections.runs(run=run)[0], file


def cancel_run(*, run: int, actor: str, reason: str, at: datetime) -> list[CollectionRow]:
    """Call a file off before anybody fetched it: its collections are planned again. Raises `UnableToCollectError`."""
    booking.require_transaction("cancel_run")
    why = booking.require_reason(reason)
    if not fetch(
        "UPDATE payments_collection_run SET cancelled_at = %s, cancelled_by = %s, cancelled_why = %s"
        " WHERE id = %s AND handed_at IS NULL AND cancelled_at IS NULL RETURNING id",
        [require_aware(at), actor, why, run],
    ):
        raise UnableToCollectError(f"run {run} is not there, was fetched for the bank, or was called off before")
    filed = collections.collections(run=run, states=[CollectionState.FILED])
    ledger.lock_accounts(accounts={one.account for one in filed})
    done = [_move(one, CollectionState.PLANNED, at=at, run_id=None, sequence="") for one in filed]
    _tell_run(collections.runs(run=run)[0], "collection.file_cancelled", actor, why, at)
    return done


def credited(*, row: CollectionRow, receipt: int, on: date, at: datetime) -> CollectionRow:
    """The bank credited it: it is collected, by that receipt. Raises `UnableToCollectError`."""
    booking.require_transaction("credited")
    done = _move(row, CollectionState.COLLECTED, at=at, on=on, receipt_id=receipt)
    claims.end_claims(at=at, why=f"collected: receipt {receipt}", collection=row.id)
    return done


def came_back(*, row: CollectionRow, code: str, on: date, actor: str, at: datetime) -> CollectionRow:
    """The bank took it back, or returned it before it was credited. Its receipt is undone elsewhere."""
    booking.require_transaction("came_back")
    meant = return_reason(code)
    done = _move(
        row,
        CollectionState.RETURNED,
        at=at,
        on=on,
        why=meant.means,
        return_code=meant.code[:10],
    )
    claims.end_claims(at=at, why=f"returned: {meant.code}", collection=row.id)
    _tell(done, "collection.returned", actor, meant.means, at)
    return done


def bank_refused(*, row: CollectionRow, code: str, on: date, actor: str, reason: str, at: datetime) -> CollectionRow:
    """The bank refused it before its day: it was never under way. Raises `UnableToCollectError`."""
    booking.require_transaction("bank_refused")
    if row.state is not CollectionState.HANDED:
        raise UnableToCollectError(f"collection {row.end_to_end_id} is {row.state.value}, not with the bank")
    ledger.lock_accounts(accounts=[row.account])
    meant = return_reason(code)
    done = _move(row, CollectionState.REFUSED, at=at, on=on, why=meant.means, return_code=meant.code[:10])
    claims.end_claims(at=at, why=f"refused: {meant.code}", collection=row.id)
    _tell(done, "collection.refused", actor, booking.require_reason(reason), at)
    return done


def _tell(row: CollectionRow, act: str, actor: str, why: str, at: datetime) -> None:
    audit.record(
        actor=actor,
        act=act,
        subject=f"account:{external_id(row.account)}",
        at=at,
        reason=why,
        detail={"collection": row.id, "end_to_end_id": row.end_to_end_id, "amount": str(row.amount)}
        | ({"code": row.return_code} if row.return_code else {}),
    )


def _tell_run(row: RunRow, act: str, actor: str, why: str, at: datetime) -> None:
    audit.record(
        actor=actor,
        act=act,
        subject=f"collection_run:{row.reference}",
        at=at,
        reason=why,
        detail={"count": row.count, "total": str(row.total), "sha256": row.file_hash},
    )
