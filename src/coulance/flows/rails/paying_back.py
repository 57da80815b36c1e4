"""Money that goes back to customers: asked for, approved by as many people as the provider says, filed once, confirmed.

Left-over money that a customer asks back, credit that is paid out, a promise that pays money: all of it waits in one
queue. It goes back by bank (a pain.001 file, confirmed by the entry on a statement), or by the gateway it came by.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from django.db import transaction

from coulance.catalog import queries as catalog
from coulance.customers import queries as customers
from coulance.flows import payments as money
from coulance.flows.rails import left_wording
from coulance.flows.rails.telling import tell
from coulance.payments import charging, collections, payback_rows, paying_back, told
from coulance.payments import operations as room
from coulance.payments import queries as payments
from coulance.payments.errors import PaymentsError, UnableToPayBackError
from coulance.payments.payback_rows import PaybackRow, PaybackRunRow
from coulance.payments.restored import is_resting
from coulance.payments.transfer_file import Debtor
from coulance.platform.alarms import raise_alarm
from coulance.platform.webhooks import emit
from coulance_core.kernel import Money
from coulance_core.payments import Method, ReversalKind
from coulance_core.payments.direct_debit import REFUND_WEEKS, target_day
from coulance_core.payments.paybacks import PaybackState, may_go, people_needed

NEVER_FETCHED_ALARM = "payments.paid_unfetched"
UNDONE_ALARM = "payments.payback_of_undone"


@dataclass(frozen=True, slots=True)
class Waiting:
    """A payback with what a person should know before they say yes: how many are needed, and what to look at."""

    row: PaybackRow
    needed: int
    cautions: tuple[str, ...]


def ask(
    *,
    receipt: int,
    amount: Money,
    reason: str,
    actor: str,
    at: datetime,
    source_key: str,
    iban: str = "",
) -> PaybackRow:
    """Ask that money left of a receipt goes back, the way it came: by its gateway, or by bank.

    Without `iban` it goes to where it came from, or to the account of the customer's mandate; where neither is known,
    somebody says where (`send_to`). Where nobody needs to approve it, it is approved at once. Idempotent by source.
    Raises `UnableToPayBackError`.
    """
    with transaction.atomic():
        found = payments.receipt(receipt=receipt)
        gateway = found.method.value if found.method in (Method.STRIPE, Method.MOLLIE) and not iban else ""
        (owner,) = customers.accounts([found.account])
        row = paying_back.ask(
            receipt=receipt,
            amount=amount,
            way=gateway or paying_back.BANK,
            iban="" if gateway else iban or paying_back.usual_iban(found.account, receipt),
            holder=owner.name,
            source_key=source_key,
            reason=reason,
            actor=actor,
            at=at,
        )
        if row.asked_at == at:
            _emit(row, at)
        if row.state is PaybackState.ASKED and not gateway and row.iban and _enough(row):
            row = _book(row, actor="worker", reason=f"{reason} (nobody needs to approve it)", at=at)
    return row


def ask_left_over(*, account: int, actor: str, reason: str, at: datetime) -> list[PaybackRow]:
    """Ask back all that is left over of an account's money, each part the way it came. Raises when nothing is."""
    with transaction.atomic():
        made = []
        for found in payments.receipts(accounts=[account], with_left=True):
            free = left_of(found.id)
            if free.minor <= 0 or found.method is Method.WRITE_OFF:
                continue
            count = len(payback_rows.paybacks(receipts=[found.id]))
            made.append(
                ask(
                    receipt=found.id,
                    amount=free,
                    reason=reason,
                    actor=actor,
                    at=at,
                    source_key=f"left/{found.id}/{count + 1}",
                )
            )
        if not made:
            raise UnableToPayBackError("nothing is left over to pay back")
    return made


def ask_credit(
    *, account: int, amount: Money, actor: str, reason: str, at: datetime, source_key: str, iban: str = ""
) -> PaybackRow:
    """Ask back credit of the account (a credit note on what was paid already)."""
    with transaction.atomic():
        on = at.astimezone(catalog.catalog().provider.zone_info).date()
        freed = room.free_credit(
            account=account, amount=amount, on=on, source_key=f"{source_key}/freed"[:200], actor=actor, reason=reason,
            at=at,
        )  # fmt: skip
        return ask(
            receipt=freed.receipt, amount=amount, reason=reason, actor=actor, at=at, source_key=source_key, iban=iban
        )


def left_of(receipt: int) -> Money:
    """What is left of a receipt, less what is asked back of it already."""
    found = payments.receipt(receipt=receipt)
    asked = payback_rows.paybacks(receipts=[receipt], states=[PaybackState.ASKED])
    return found.left - sum((one.amount for one in asked), Money(0, found.amount.currency))


def send_to(*, payback: int, iban: str, actor: str, reason: str, at: datetime) -> PaybackRow:
    """Say to which account it goes. Raises `UnableToPayBackError`."""
    with transaction.atomic():
        return paying_back.send_to(payback=payback, iban=iban, actor=actor, reason=reason, at=at)


def approve(*, payback: int, actor: str, reason: str, at: datetime) -> PaybackRow:
    """A person's yes; with enough of them it is booked, and goes in the next file, or back by its gateway at once.

    Raises `UnableToPayBackError`, also when less is left meanwhile than was asked, and what a gateway refuses.
    """
    with transaction.atomic():
        row = paying_back.approve(payback=payback, actor=actor, reason=reason, at=at)
        if not _enough(row):
            return row
        if row.way == paying_back.BANK:
            return _book(row, actor=actor, reason=reason, at=at)
    return _by_gateway(row, actor, reason, at)


def _enough(row: PaybackRow) -> bool:
    terms = catalog.payment_terms()
    if not row.approved_by and row.way == paying_back.BANK and row.iban not in paying_back.known_ibans(row.account):
        return False  # an account that never paid us is looked at by somebody
    return may_go(row.amount, row.approved_by, people=terms.payback_people, two_above=terms.payback_two_above)


def _book(row: PaybackRow, *, actor: str, reason: str, at: datetime) -> PaybackRow:
    on = at.astimezone(catalog.catalog().provider.zone_info).date()
    received = payments.receipt(receipt=row.receipt).received_on
    try:
        refund = money.refund_payment(
            receipt=row.receipt,
            amount=row.amount,
            refunded_on=max(on, received),
            source_key=row.end_to_end_id,
            actor=actor,
            reason=f"{row.reason}: {reason}" if reason != row.reason else reason,
            at=at,
            method=Method.BANK,
            iban=row.iban,
        )
    except PaymentsError as error:
        raise UnableToPayBackError(f"payback {row.end_to_end_id}: {error}") from error
    done = paying_back.booked(row=row, refund=refund, at=at)
    _emit(done, at)
    return done


def _by_gateway(row: PaybackRow, actor: str, reason: str, at: datetime) -> PaybackRow:
    from coulance.flows.rails import paying

    payment = next((one for one in charging.payments(accounts=[row.account]) if one.receipt == row.receipt), None)
    if payment is None:
        raise UnableToPayBackError(
            f"payback {row.end_to_end_id}: no payment at {row.way} brought receipt {row.receipt}: decline it, and ask"
            " it back to an account"
        )
    refund = paying.refund(
        payment=payment.id, amount=row.amount, actor=actor, reason=reason, at=at, key=f"payback-{row.id}"
    )
    with transaction.atomic():
        row = payback_rows.payback(payback=row.id, lock=True)
        if row.state is PaybackState.ASKED:
            row = paying_back.booked(row=row, refund=refund, at=at)
    look_at_gateways(at=at)
    return payback_rows.payback(payback=row.id)


def look_at_gateways(*, at: datetime) -> int:
    """Paybacks that went by a gateway which has paid them since are paid; how many."""
    done = 0
    on = at.astimezone(catalog.catalog().provider.zone_info).date()
    for row in payback_rows.paybacks(states=[PaybackState.APPROVED]):
        if row.way == paying_back.BANK or row.refund is None:
            continue
        asked = told.refund_asked(refund=row.refund)
        if asked is not None and asked.state == "done":
            with transaction.atomic():
                _emit(paying_back.paid(row=row, on=on, at=at), at)
            done += 1
    return done


def decline(*, payback: int, actor: str, reason: str, at: datetime) -> PaybackRow:
    """Not paid back after all: the money is on hand again. Raises `UnableToPayBackError` once it went."""
    with transaction.atomic():
        done = paying_back.decline(payback=payback, actor=actor, reason=reason, at=at)
        if done.refund is not None:
            refund = next(one for one in payments.refunds(receipts=[done.receipt]) if one.id == done.refund)
            money.reverse_refund(
                refund=refund.id, kind=ReversalKind.MISTAKE, on=refund.refunded_on, actor=actor, reason=reason, at=at
            )
        _emit(done, at)
    return done


def stop_for(*, receipt: int, actor: str, reason: str, at: datetime) -> None:
    """A receipt is undone: what of it was to be paid back, and went in no file yet, is not."""
    for row in payback_rows.paybacks(receipts=[receipt], states=[PaybackState.ASKED, PaybackState.APPROVED]):
        if row.state is PaybackState.ASKED or row.way == paying_back.BANK:
            decline(payback=row.id, actor=actor, reason=f"its payment was undone: {reason}"[:500], at=at)
    for row in payback_rows.paybacks(receipts=[receipt], states=[PaybackState.FILED]):
        raise_alarm(
            key=f"{UNDONE_ALARM}/{row.end_to_end_id}",
            severity="critical",
            what=f"{row.end_to_end_id} ({row.amount}) is in a file to be paid back, and the payment that it is of was"
            " undone: call that file off, decline it, and make the file anew",
            at=at,
        )


def file_due(*, on: date, actor: str, at: datetime) -> PaybackRunRow | None:
    """Put what is approved in a file for the bank; none when nothing is. Raises `UnableToPayBackError`."""
    whole = catalog.catalog()
    if is_resting():
        raise UnableToPayBackError(
            "after a restore it isn't known what the bank has been given since: look there, and clear the alarm"
            " payments.restored"
        )
    with transaction.atomic():
        rows = [
            row
            for row in payback_rows.paybacks(states=[PaybackState.APPROVED], limit=100_000)
            if row.way == paying_back.BANK
        ]
        if not rows:
            return None
        if not whole.provider.iban:
            raise UnableToPayBackError("to pay back, the provider file says [provider] iban")
        return paying_back.make_run(
            rows=sorted(rows, key=lambda row: row.id),
            texts={row.id: _said(row) for row in rows},
            debtor=Debtor(
                whole.provider.name,
                "".join(whole.provider.iban.split()),
                "".join((whole.provider.bic or "").split()),
            ),
            form=whole.payments.transfer_file.value,
            pay_on=target_day(on),
            on=on,
            actor=actor,
            at=at,
        )


def _said(row: PaybackRow) -> str:
    (owner,) = customers.accounts([row.account])
    return f"{owner.external_id} {row.end_to_end_id}"[:140]


def hand_over(*, run: int, actor: str, at: datetime, reason: str = "") -> tuple[PaybackRunRow, bytes]:
    """Fetch a file for the bank: the first time, what is in it is on its way, and its customers are told."""
    with transaction.atomic():
        if is_resting():
            raise UnableToPayBackError("after a restore nothing is paid back until the alarm payments.restored is over")
        filed = payback_rows.paybacks(run=run, states=[PaybackState.FILED], limit=100_000)
        done = paying_back.hand_over(run=run, actor=actor, at=at, reason=reason)
        for row in filed:
            handed = payback_rows.payback(payback=row.id)
            _emit(handed, at)
            _tell(handed, "sent", at, actor)
    return done


def cancel_run(*, run: int, actor: str, reason: str, at: datetime) -> int:
    """Call a file off before it was fetched; how many paybacks are to be filed again."""
    with transaction.atomic():
        return len(paying_back.cancel_run(run=run, actor=actor, reason=reason, at=at))


def confirmed(*, refund: int, on: date, at: datetime) -> None:
    """A bank entry shows a refund leaving; where it was a payback, that is paid."""
    try:
        row = payback_rows.payback(refund=refund)
    except UnableToPayBackError:
        return
    if row.state is PaybackState.HANDED:
        _emit(paying_back.paid(row=row, on=on, at=at), at)
    elif row.state in (PaybackState.APPROVED, PaybackState.FILED):
        raise_alarm(
            key=f"{NEVER_FETCHED_ALARM}/{row.end_to_end_id}",
            severity="critical",
            what=f"the bank paid {row.end_to_end_id} ({row.amount}), whose file was never fetched here: call the file"
            " off before it is paid twice, and ask who paid it",
            at=at,
        )


def is_paid(*, refund: int) -> bool:
    """Whether a refund was a payback that a statement shows leaving."""
    try:
        return payback_rows.payback(refund=refund).state is PaybackState.PAID
    except UnableToPayBackError:
        return False


def failed(*, row: PaybackRow, why: str, kind: ReversalKind, on: date, actor: str, at: datetime) -> PaybackRow:
    """The bank refused it, or it came back: the money is on hand again, and its customer is asked where it goes."""
    assert row.refund is not None
    refund = next(one for one in payments.refunds(receipts=[row.receipt]) if one.id == row.refund)
    money.reverse_refund(refund=row.refund, kind=kind, on=max(on, refund.refunded_on), actor=actor, reason=why, at=at)
    done = payback_rows.payback(payback=row.id)
    _emit(done, at)
    _tell(done, "failed", at, actor)
    return done


def came_back(*, refund: int, why: str, on: date, actor: str, at: datetime) -> None:
    """A refund's money is here again, by a bank entry: undone, and where it was a payback, that failed."""
    try:
        row = payback_rows.payback(refund=refund)
    except UnableToPayBackError:
        money.reverse_refund(refund=refund, kind=ReversalKind.RETURNED, on=on, actor=actor, reason=why, at=at)
        return
    failed(row=row, why=why, kind=ReversalKind.RETURNED, on=on, actor=actor, at=at)


def waiting(*, on: date) -> list[Waiting]:
    """What waits for people, the oldest first, with what to look at before saying yes."""
    terms = catalog.payment_terms()
    rows = payback_rows.paybacks(states=[PaybackState.ASKED])
    return [
        Waiting(
            row,
            max(
                people_needed(row.amount, people=terms.payback_people, two_above=terms.payback_two_above),
                1,
            ),
            tuple(_cautions(row, on)),
        )
        for row in reversed(rows)
    ]


def _cautions(row: PaybackRow, on: date) -> Sequence[str]:
    out = []
    found = payments.receipt(receipt=row.receipt)
    if found.left < row.amount:
        out.append(f"only {found.left} of the payment is left: the rest paid what fell due meanwhile")
    if row.way == paying_back.BANK and not row.iban:
        out.append("nobody said yet to which account it goes")
    elif row.way == paying_back.BANK and row.iban not in paying_back.known_ibans(row.account):
        out.append("nothing ever came from that account: make sure that the customer wants it there")
    if (collected := _collected_on(row.receipt)) is not None:
        until = collected + timedelta(weeks=REFUND_WEEKS)
        if on <= until:
            out.append(f"it came by direct debit: its payer can have it back from their bank until {until}")
    return out


def _collected_on(receipt: int) -> date | None:
    try:
        row = collections.collection(receipt=receipt)
    except PaymentsError:
        return None
    return row.collect_on


def _emit(row: PaybackRow, at: datetime) -> None:
    (account,) = customers.accounts([row.account])
    emit(
        event="payback.changed",
        data={
            "account": account.external_id,
            "payback": row.end_to_end_id,
            "amount": row.amount.decimal(),
            "currency": row.amount.currency,
            "state": row.state.value,
            "way": row.way,
            "why": row.why,
        },
        at=at,
    )


def _tell(row: PaybackRow, what: str, at: datetime, actor: str) -> None:
    whole = catalog.catalog()
    tell(
        key=f"payback/{row.id}/{what}",
        account=row.account,
        about=f"payback/{row.id}",
        at=at,
        actor=actor,
        write=lambda language, name: left_wording.payback(
            amount=row.amount,
            to=row.shown_iban,
            failed=what == "failed",
            seller=whole.provider,
            language=language,
            name=name,
        ),
    )
