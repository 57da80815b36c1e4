"""Money that goes back: asked for, approved, booked, put in a file, handed over, and what became of it.

Each act takes the lock of the account's books first and checks at the write where a payback stands. It is booked as a
refund when it is approved: from then on its money is nobody else's.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import date, datetime

from coulance.ledger import operations as ledger
from coulance.payments import booking, payback_rows, queries, undoing
from coulance.payments.collections import fetch
from coulance.payments.errors import UnableToPayBackError, UnableToTakeOverError
from coulance.payments.handing import is_fetched_again
from coulance.payments.payback_rows import PaybackRow, PaybackRunRow, move
from coulance.payments.taking_over import checked_iban
from coulance.payments.transfer_file import Debtor, Transfer, transfer_file
from coulance.platform import audit
from coulance_core.kernel import Money, require_aware
from coulance_core.payments import Method
from coulance_core.payments.paybacks import PaybackState

BANK = "bank"


def end_to_end_id(payback: int) -> str:
    """What a bank knows a payback by.

    >>> end_to_end_id(17)
    'PB0000000017'
    """
    return f"PB{payback:010d}"


def _iban(said: str) -> str:
    try:
        return checked_iban(said, "the payback")
    except UnableToTakeOverError as error:
        raise UnableToPayBackError(str(error)) from error


def ask(
    *,
    receipt: int,
    amount: Money,
    way: str,
    iban: str,
    holder: str,
    source_key: str,
    reason: str,
    actor: str,
    at: datetime,
) -> PaybackRow:
    """Ask that money left of a receipt goes back, by bank to `iban` (empty: nobody said where yet) or by its gateway.

    Idempotent by source. Raises `UnableToPayBackError` for more than is left and not asked back yet.
    """
    booking.require_transaction("ask")
    why = booking.require_reason(reason)
    found = undoing.locked_receipt(receipt)
    there = fetch("SELECT id, receipt_id, amount FROM payments_payback WHERE source_key = %s", [source_key])
    if there:
        if (there[0][1], there[0][2]) != (receipt, amount.minor):
            raise UnableToPayBackError(f"{source_key!r} was asked as payback {there[0][0]}, of something else")
        return payback_rows.payback(payback=there[0][0])
    asked = sum(
        (one.amount for one in payback_rows.paybacks(receipts=[receipt], states=[PaybackState.ASKED])),
        Money(0, found.amount.currency),
    )
    if amount.currency != found.amount.currency or not 0 < amount.minor <= (found.left - asked).minor:
        raise UnableToPayBackError(
            f"{found.left} is left of receipt {receipt}, {asked} of it is asked back already: {amount} can't be"
        )
    if found.method is Method.WRITE_OFF:
        raise UnableToPayBackError(f"receipt {receipt} is a write-off: there is no money in it")
    if way == BANK and amount.currency != "EUR":
        raise UnableToPayBackError(f"SEPA pays euros: pay {amount} back by hand, and book it (payment refund)")
    number = int(fetch("SELECT nextval('payments_payback_id_seq')", [])[0][0])
    fetch(
        "INSERT INTO payments_payback (id, account_id, receipt_id, amount, currency, way, iban, holder, end_to_end_id,"
        " source_key, reason, asked_at, asked_by, changed_at)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) RETURNING id",
        [
            number,
            found.account,
            receipt,
            amount.minor,
            amount.currency,
            way,
            _iban(iban) if iban else "",
            holder.strip()[:140],
            end_to_end_id(number),
            source_key,
            why,
            require_aware(at),
            actor,
            at,
        ],
    )
    row = payback_rows.payback(payback=number)
    _tell(row, "payback.asked", actor, why, at)
    return row


def send_to(*, payback: int, iban: str, actor: str, reason: str, at: datetime) -> PaybackRow:
    """Say where it goes, while it waits; those who approved another account approve anew."""
    booking.require_transaction("send_to")
    why = booking.require_reason(reason)
    row = payback_rows.payback(payback=payback, lock=True)
    if row.state is not PaybackState.ASKED or row.way != BANK:
        raise UnableToPayBackError(f"payback {row.end_to_end_id} is {row.state.value}: where it goes stands")
    if row.approved_by:
        raise UnableToPayBackError(
            f"payback {row.end_to_end_id} was approved for {row.shown_iban or 'another account'} by"
            f" {', '.join(row.approved_by)}: decline it, and ask anew"
        )
    done = move(row, PaybackState.ASKED, at=at, iban=_iban(iban))
    _tell(done, "payback.sent_elsewhere", actor, why, at)
    return done


def approve(*, payback: int, actor: str, reason: str, at: datetime) -> PaybackRow:
    """A person's yes. It goes on once there are enough (`book`). Raises `UnableToPayBackError`."""
    booking.require_transaction("approve")
    why = booking.require_reason(reason)
    row = payback_rows.payback(payback=payback, lock=True)
    if row.state is not PaybackState.ASKED:
        raise UnableToPayBackError(f"payback {row.end_to_end_id} is {row.state.value}: nothing is to be approved")
    if row.way == BANK and not row.iban:
        raise UnableToPayBackError(f"payback {row.end_to_end_id}: nobody said yet to which account it goes")
    if not fetch(
        "INSERT INTO payments_payback_approval (payback_id, by, reason, at) VALUES (%s, %s, %s, %s)"
        " ON CONFLICT DO NOTHING RETURNING id",
        [payback, actor, why, require_aware(at)],
    ):
        raise UnableToPayBackError(f"{actor} approved payback {row.end_to_end_id} already: another person is needed")
    done = payback_rows.payback(payback=payback)
    _tell(done, "payback.approved", actor, why, at)
    return done


def booked(*, row: PaybackRow, refund: int, at: datetime) -> PaybackRow:
    """It is approved by enough, and in the books as that refund."""
    booking.require_transaction("booked")
    return move(row, PaybackState.APPROVED, at=at, refund_id=refund)


def decline(*, payback: int, actor: str, reason: str, at: datetime) -> PaybackRow:
    """Not paid back after all. One that is booked has its refund undone by the caller. Raises when it went."""
    booking.require_transaction("decline")
    why = booking.require_reason(reason)
    row = payback_rows.payback(payback=payback, lock=True)
    if row.state is PaybackState.FILED:
        raise UnableToPayBackError(f"payback {row.end_to_end_id} is in a file: call that file off first")
    if row.state not in (PaybackState.ASKED, PaybackState.APPROVED) or (
        row.state is PaybackState.APPROVED and row.way != BANK
    ):
        raise UnableToPayBackError(f"payback {row.end_to_end_id} is {row.state.value}: it can't be declined any more")
    done = move(row, PaybackState.DECLINED, at=at, on=at.date(), why=why)
    _tell(done, "payback.declined", actor, why, at)
    return done


def make_run(
    *,
    rows: Sequence[PaybackRow],
    texts: Mapping[int, str],
    debtor: Debtor,
    form: str,
    pay_on: date,
    on: date,
    actor: str,
    at: datetime,
) -> PaybackRunRow:
    """Put approved paybacks in a file. Raises `UnableToPayBackError`, and does nothing, where one isn't approved."""
    booking.require_transaction("make_run")
    if not rows:
        raise UnableToPayBackError("there is nothing to pay back")
    ledger.lock_accounts(accounts={row.account for row in rows})
    number = int(fetch("SELECT nextval('payments_payback_run_id_seq')", [])[0][0])
    reference = f"PB{on:%Y%m%d}-{number}"
    file = transfer_file(
        reference=reference,
        form=form,
        debtor=debtor,
        transfers=[Transfer(row.end_to_end_id, row.amount, row.holder, row.iban, texts[row.id]) for row in rows],
        pay_on=pay_on,
        made_at=at,
    )
    total = sum((row.amount for row in rows), Money(0, "EUR"))
    digest = hashlib.sha256(file).digest()
    fetch(
        "INSERT INTO payments_payback_run (id, reference, currency, form, debtor, count, total, file, file_hash,"
        " made_at, made_by) VALUES (%s, %s, 'EUR', %s, %s, %s, %s, %s, %s, %s, %s) RETURNING id",
        [
            number,
            reference,
            form,
            json.dumps({"name": debtor.name, "iban": debtor.iban}),
            len(rows),
            total.minor,
            file,
            digest,
            require_aware(at),
            actor,
        ],
    )
    for row in rows:
        move(row, PaybackState.FILED, at=at, run_id=number)
    run = payback_rows.payback_runs(run=number)[0]
    _tell_run(run, "payback.filed", actor, "", at)
    return run


def hand_over(*, run: int, actor: str, at: datetime, reason: str = "") -> tuple[PaybackRunRow, bytes]:
    """Fetch a run's file for the bank: once, or again for a reason, which is recorded. It is the same bytes."""
    booking.require_transaction("hand_over")
    found = fetch("SELECT file FROM payments_payback_run WHERE id = %s FOR UPDATE", [run])
    if not found:
        raise UnableToPayBackError(f"there is no file {run} of paybacks")
    row, file = payback_rows.payback_runs(run=run)[0], bytes(found[0][0])
    named = f"file {row.reference}"
    if is_fetched_again(row, file, named=named, risk="paid", reason=reason, error=UnableToPayBackError):
        _tell_run(row, "payback.file_fetched_again", actor, reason.strip(), at)
        return row, file
    fetch(
        "UPDATE payments_payback_run SET handed_at = %s, handed_by = %s WHERE id = %s RETURNING id",
        [require_aware(at), actor, run],
    )
    filed = payback_rows.paybacks(run=run, states=[PaybackState.FILED], limit=100_000)
    ledger.lock_accounts(accounts={one.account for one in filed})
    for one in filed:
        move(one, PaybackState.HANDED, at=at)
    _tell_run(row, "payback.handed_over", actor, reason.strip(), at)
    return payback_rows.payback_runs(run=run)[0], file


def cancel_run(*, run: int, actor: str, reason: str, at: datetime) -> list[PaybackRow]:
    """Call a file off before anybody fetched it: what is in it is approved as before."""
    booking.require_transaction("cancel_run")
    why = booking.require_reason(reason)
    if not fetch(
        "UPDATE payments_payback_run SET cancelled_at = %s, cancelled_by = %s, cancelled_why = %s"
        " WHERE id = %s AND handed_at IS NULL AND cancelled_at IS NULL RETURNING id",
        [require_aware(at), actor, why, run],
    ):
        raise UnableToPayBackError(f"file {run} is not there, was fetched for the bank, or was called off before")
    filed = payback_rows.paybacks(run=run, states=[PaybackState.FILED], limit=100_000)
    ledger.lock_accounts(accounts={one.account for one in filed})
    done = [move(one, PaybackState.APPROVED, at=at, run_id=None) for one in filed]
    _tell_run(payback_rows.payback_runs(run=run)[0], "payback.file_cancelled", actor, why, at)
    return done


def paid(*, row: PaybackRow, on: date, at: datetime) -> PaybackRow:
    """A bank entry shows it leaving, or its gateway paid it."""
    booking.require_transaction("paid")
    return move(row, PaybackState.PAID, at=at, on=on)


def note_answer(*, row: PaybackRow, status: str, at: datetime) -> None:
    """Keep what the bank answered of it."""
    fetch(
        "UPDATE payments_payback SET bank_says = %s, changed_at = %s WHERE id = %s RETURNING id",
        [status, require_aware(at), row.id],
    )


def known_ibans(account: int) -> set[str]:
    """The accounts that a customer paid us from, or lets us collect from: money goes back to those without a doubt."""
    return {one.iban for one in queries.known_ibans(accounts=[account])} | {
        one.iban for one in queries.mandates(accounts=[account]) if one.withdrawn_on is None
    }


def usual_iban(account: int, receipt: int) -> str:
    """Where money of a receipt goes back to: where it came from, else the mandate's account, else the last known."""
    found = queries.receipt(receipt=receipt)
    if found.payer_iban:
        return found.payer_iban
    for mandate in queries.mandates(accounts=[account]):
        if mandate.withdrawn_on is None:
            return mandate.iban
    known = sorted(queries.known_ibans(accounts=[account]), key=lambda one: one.learnt_at)
    return known[-1].iban if known else ""


def _tell(row: PaybackRow, act: str, actor: str, why: str, at: datetime) -> None:
    audit.record(
        actor=actor,
        act=act,
        subject=f"account:{undoing.external_id(row.account)}",
        at=at,
        reason=why,
        detail={"payback": row.id, "receipt": row.receipt, "amount": str(row.amount), "to": row.shown_iban or row.way},
    )


def _tell_run(row: PaybackRunRow, act: str, actor: str, why: str, at: datetime) -> None:
    audit.record(
        actor=actor,
        act=act,
        subject=f"payback_run:{row.reference}",
        at=at,
        reason=why,
        detail={"count": row.count, "total": str(row.total), "sha256": row.file_hash},
    )
