"""What a gateway says of a payment, made so in the books: received, refunded, taken back, given back, or failed.

Always the whole of what is so there now, under the lock of the payment's row, and each thing once: so events may come
twice, late and in any order, and a payment may be looked at whenever somebody likes.
"""

from collections.abc import Sequence
from datetime import date, datetime

from django.db import transaction

from coulance.catalog import queries as catalog
from coulance.customers import queries as customers
from coulance.flows import payments as money
from coulance.flows.rails import wording
from coulance.flows.rails.direct_debit import portal_link
from coulance.flows.rails.telling import tell
from coulance.payments import agreements, charging, claims, operations, told
from coulance.payments import queries as payments
from coulance.payments.charging import PaymentRow
from coulance.payments.errors import UnableToRefundError
from coulance.payments.operations import NewReceipt
from coulance.payments.ports import Seen, SeenDispute, SeenRefund, SeenState
from coulance.platform import audit
from coulance.platform.alarms import raise_alarm
from coulance.platform.webhooks import emit
from coulance_core.kernel import Money
from coulance_core.payments import Choice, Method, OpenItem, Receipt, ReversalKind

WRONG_AMOUNT_ALARM = "payments.gateway_amount"
AGAIN_ALARM = "payments.chargeback_again"
LOST_ALARM = "payments.chargeback_lost"


def fold(*, payment: int, seen: Seen, at: datetime, actor: str = "worker") -> PaymentRow:
    """Make the books say what the gateway says of a payment; how it stands then."""
    on = at.astimezone(catalog.catalog().provider.zone_info).date()
    with transaction.atomic():
        row = charging.payment(payment=payment, lock=True)
        row = charging.move(row, at=at, refs=seen.refs, method=seen.method[:100] or row.method)
        if seen.state is SeenState.PAID and row.receipt is None:
            row = _received(row, seen, on, actor, at)
        elif seen.state is SeenState.PENDING and row.state in ("made", "open", "failed", "expired"):
            row = charging.move(row, at=at, state="pending", final_on=seen.final_on or on)
            _claim(row, at)
            claims.hold_claims(payment=row.id, at=at)
        elif seen.state is SeenState.OPEN and row.state in ("made", "failed"):
            row = charging.move(row, at=at, state="open")
        elif seen.state.is_over and seen.state is not SeenState.PAID and row.state in ("made", "open", "pending"):
            row = charging.move(row, at=at, state=seen.state.value, failure=seen.failure)
            claims.end_claims(payment=row.id, at=at, why=f"{seen.state.value}: {seen.failure}")
            _failed(row, actor, at)
        if row.receipt is not None:
            for refund in seen.refunds:
                _refunded(row, refund, on, actor, at)
            for dispute in seen.disputes:
                _disputed(row, dispute, on, actor, at)
    return row


def _claim(row: PaymentRow, at: datetime) -> None:
    """Claim what a page's payer chose, as far as it is open and nothing else brings it."""
    taken = claims.claimed(accounts=[row.account])
    open_now = {item.ref: item.open for item in payments.open_items(accounts=[row.account]).get(row.account, ())}
    left = row.amount
    parts: list[tuple[str, Money]] = []
    for one in row.choice:
        there = open_now.get(one.ref)
        if there is None or there.minor <= 0 or one.ref in taken or there.currency != left.currency:
            continue
        part = min(there, left, one.amount or left)
        if part.minor > 0:
            parts.append((one.ref, part))
            left = left - part
    if parts:
        claims.claim(account=row.account, parts=parts, payment=row.id, at=at)


def _received(row: PaymentRow, seen: Seen, on: date, actor: str, at: datetime) -> PaymentRow:
    if seen.amount != row.amount:
        raise_alarm(
            key=f"{WRONG_AMOUNT_ALARM}/{row.id}",
            severity="critical",
            what=f"{row.gateway} says that payment {row.key} is {seen.amount}; {row.amount} was asked for. Not booked.",
            at=at,
        )
        return row
    claims.end_claims(payment=row.id, at=at, why="received")
    booked = money.book_payment(
        receipt=NewReceipt(
            account=row.account,
            amount=row.amount,
            received_on=min(seen.paid_on or on, on),
            method=Method(row.gateway),
            source_key=f"gateway/{row.id}",
            reason=f"paid at {row.gateway}: {row.refs[0] if row.refs else row.key}",
            payer_ref=seen.method,
            choice=row.choice,
            prepaid=row.tops_up,
        ),
        actor=actor,
        at=at,
    )
    row = charging.move(row, at=at, state="paid", receipt_id=booked.receipt, failure="")
    if seen.method_ref and row.keep_text:
        charging.keep_method(
            account=row.account,
            gateway=row.gateway,
            customer=charging.customer_ref(account=row.account, gateway=row.gateway),
            method_ref=seen.method_ref,
            label=seen.method or row.gateway,
            text=row.keep_text,
            given_by=row.made_by,
            at=at,
        )
    return row


def _failed(row: PaymentRow, actor: str, at: datetime) -> None:
    if not row.by_itself or row.stored is None:
        return
    whole = catalog.catalog()
    method = charging.stored_method(method=row.stored)
    tell(
        key=f"gateway_payment/{row.id}/failed",
        account=row.account,
        about=f"gateway_payment/{row.id}",
        at=at,
        actor=actor,
        write=lambda language, name: wording.charge_failed(
            amount=row.amount,
            label=method.label,
            why=row.failure or row.state,
            seller=whole.provider,
            language=language,
            name=name,
            link=portal_link(),
        ),
    )
    if row.purpose == agreements.AUTO_TOP_UP:
        # Trying again and again helps nobody: they agree anew once they know why.
        for one in agreements.agreements(accounts=[row.account], kind=agreements.AUTO_TOP_UP):
            agreements.end(agreement=one.id, actor=actor, reason=f"a charge failed: {row.failure or row.state}", at=at)


def free(*, receipt: int, amount: Money, on: date, actor: str, reason: str, at: datetime) -> None:
    """Take allocations of a receipt back, the newest first, until so much of it is left to pay back."""
    found = payments.receipt(receipt=receipt)
    for one in reversed(payments.allocations(receipts=[receipt])):
        if found.left >= amount:
            return
        operations.reverse_allocation(
            allocation=one.id,
            on=max(on, one.effective_on),
            kind=ReversalKind.MISTAKE,
            actor=actor,
            reason=reason,
            at=at,
        )
        found = payments.receipt(receipt=receipt)


def _again(receipt: int, choice: tuple[Choice, ...], on: date, actor: str, reason: str, at: datetime) -> None:
    """What freeing left over goes back to what it was for."""
    found = payments.receipt(receipt=receipt)
    if found.left.minor <= 0 or not choice:
        return
    there = {item.ref for item in payments.open_items(accounts=[found.account]).get(found.account, ())}
    still = [Choice(one.ref) for one in choice if one.ref in there]
    if still:
        money.allocate_payment(receipt=receipt, on=on, actor=actor, reason=reason, at=at, choice=still)


def _here(row: PaymentRow) -> list[Receipt]:
    """The receipts that stand of a payment: its own, or after chargebacks what they left or gave back."""
    numbers = [row.receipt]
    for one in told.disputes_of(payment=row.id):
        numbers += [one.rest, one.back]
    found = [payments.receipt(receipt=number) for number in numbers if number is not None]
    return [one for one in found if one.reversed_on is None]


def standing(row: PaymentRow, amount: Money) -> Receipt | None:
    """The receipt of which so much of a payment is still here to be paid back."""
    for found in _here(row):
        gone = [one.amount for one in payments.refunds(receipts=[found.id]) if one.reversed_on is None]
        if found.amount - sum(gone, Money(0, amount.currency)) >= amount:
            return found
    return None


def pay_back(*, row: PaymentRow, amount: Money, key: str, on: date, actor: str, reason: str, at: datetime) -> int:
    """Book money paid back out of a payment's receipt, what it paid open again as far as needed; the refund's id.

    Raises `UnableToRefundError` where so much of it is not here any more.
    """
    found = standing(row, amount)
    if found is None:
        raise UnableToRefundError(f"{amount} of payment {row.id} is not here any more: it was charged back or refunded")
    on = max(on, found.received_on)
    free(receipt=found.id, amount=amount, on=on, actor=actor, reason=reason, at=at)
    made = money.refund_payment(
        receipt=found.id,
        amount=amount,
        refunded_on=on,
        source_key=f"gateway_refund/{key}",
        actor=actor,
        reason=reason,
        at=at,
        method=Method(row.gateway),
    )
    _again(found.id, row.choice, on, actor, reason, at)
    return made


def _refunded(row: PaymentRow, seen: SeenRefund, on: date, actor: str, at: datetime) -> None:
    asked = [
        one for one in told.refunds_of(payment=row.id) if seen.ref in (one.ref,) or (seen.key and seen.key == one.key)
    ]
    if not asked:
        if seen.failed:
            return
        reason = f"refunded at {row.gateway} itself: {seen.ref}"
        if standing(row, seen.amount) is None:
            _lost(row, f"{seen.amount} was {reason}", at)
            return
        key = f"{row.gateway}/{seen.ref}"
        made = pay_back(row=row, amount=seen.amount, key=key, on=on, actor=actor, reason=reason, at=at)
        told.keep_refund(
            payment=row.id, amount=seen.amount, key=key, refund=made, reason=reason, actor=actor, at=at, ref=seen.ref
        )
        return
    one = asked[0]
    if seen.failed and one.state != "failed":
        money.reverse_refund(
            refund=one.refund,
            kind=ReversalKind.RETURNED,
            on=on,
            actor=actor,
            reason=f"{row.gateway} could not pay it out: {seen.ref}",
            at=at,
        )
        told.refund_answered(asked=one.id, state="failed", ref=seen.ref)
    elif not seen.failed and one.state == "made":
        told.refund_answered(asked=one.id, state="done", ref=seen.ref)


def _disputed(row: PaymentRow, seen: SeenDispute, on: date, actor: str, at: datetime) -> None:
    known = next((one for one in told.disputes_of(payment=row.id) if one.ref == seen.ref), None)
    reason = f"charged back: {seen.reason or 'no reason given'} ({seen.ref})"
    if known is None:
        there = _here(row)
        receipt = next((one for one in there if one.amount >= seen.amount), there[0] if there else None)
        if receipt is None or receipt.amount < seen.amount:
            _lost(row, f"{seen.amount} was {reason}", at)
        if receipt is None:
            return  # undone by hand, or by an earlier chargeback: nothing more of it is here
        _again_charged_back(row, at)
        day = max(seen.on, receipt.received_on)
        before = {item.ref for item in payments.open_items(accounts=[row.account]).get(row.account, ())}
        money.reverse_payment(
            receipt=receipt.id, kind=ReversalKind.BOUNCED, on=day, actor=actor, reason=reason, at=at, reclaim=True
        )
        rest = None
        if seen.amount < receipt.amount:
            # What was not taken back is here still: for what the undoing made (a refund reclaimed), then as before.
            items = payments.open_items(accounts=[row.account]).get(row.account, ())
            reclaimed = [
                Choice(item.ref) for item in items if item.ref not in before and item.ref.startswith("opening/")
            ]
            rest = money.book_payment(
                receipt=NewReceipt(
                    account=row.account,
                    amount=receipt.amount - seen.amount,
                    received_on=day,
                    method=Method(row.gateway),
                    source_key=f"gateway/{row.id}/rest/{seen.ref}"[:200],
                    reason=f"what was not charged back: {seen.ref}",
                    choice=(*reclaimed, *_still(row, items)),
                    prepaid=row.tops_up and not reclaimed,
                ),
                actor=actor,
                at=at,
            ).receipt
        told.keep_dispute(payment=row.id, seen=seen, undone=receipt.id, rest=rest, at=at)
        if row.stored is not None and charging.stored_method(method=row.stored).ended_at is None:
            _end_stored(row.stored, actor, reason, at)
        _tell_dispute(row, seen, "taken", at)
        known = next(one for one in told.disputes_of(payment=row.id) if one.ref == seen.ref)
    if seen.won and known.back is None:
        back = money.book_payment(
            receipt=NewReceipt(
                account=row.account,
                amount=seen.amount,
                received_on=on,
                method=Method(row.gateway),
                source_key=f"gateway/{row.id}/won/{seen.ref}"[:200],
                reason=f"a chargeback was given back to us: {seen.ref}",
                choice=_still(row, payments.open_items(accounts=[row.account]).get(row.account, ())),
                prepaid=row.tops_up,
            ),
            actor=actor,
            at=at,
        )
        told.dispute_won(dispute=known.id, receipt=back.receipt)
        _tell_dispute(row, seen, "won", at)


def _still(row: PaymentRow, items: Sequence[OpenItem]) -> tuple[Choice, ...]:
    """What a payment was for, as far as it is open now."""
    there = {item.ref for item in items if item.open.minor > 0}
    return tuple(one for one in row.choice if one.ref in there)


def _again_charged_back(row: PaymentRow, at: datetime) -> None:
    """A second chargeback of one payment is booked like the first; somebody looks at what its payer does."""
    before = told.disputes_of(payment=row.id)
    if before:
        raise_alarm(
            key=f"{AGAIN_ALARM}/{row.id}",
            severity="warning",
            what=f"payment {row.key} of {row.amount} at {row.gateway} is charged back a second time, after"
            f" {', '.join(str(one.amount) for one in before)}: see whether it is right, and whether this customer may"
            " go on paying so; then clear this alarm",
            at=at,
        )


def _lost(row: PaymentRow, what: str, at: datetime) -> None:
    """The gateway took more of a payment than the books have of it: only a person knows why."""
    raise_alarm(
        key=f"{LOST_ALARM}/{row.id}",
        severity="critical",
        what=f"of payment {row.key} at {row.gateway} {what}, and the books have less of it (undone by hand?): put the"
        " books right, then clear this alarm",
        at=at,
    )


def _end_stored(method: int, actor: str, reason: str, at: datetime) -> None:
    """A way to pay whose charge was disputed isn't charged by itself again."""
    done = charging.end_method(method=method, actor=actor, reason=reason, at=at)
    for one in agreements.agreements(accounts=[done.account]):
        if one.stored == method:
            agreements.end(agreement=one.id, actor=actor, reason=reason, at=at)


def _tell_dispute(row: PaymentRow, seen: SeenDispute, what: str, at: datetime) -> None:
    (account,) = customers.accounts([row.account])
    emit(
        event="payment.disputed",
        data={
            "account": account.external_id,
            "gateway": row.gateway,
            "payment": row.key,
            "amount": seen.amount.decimal(),
            "currency": seen.amount.currency,
            "what": what,
            "reason": seen.reason,
        },
        at=at,
    )
    audit.record(
        actor="worker",
        act=f"payment.dispute_{what}",
        subject=f"account:{account.external_id}",
        at=at,
        detail={"payment": row.id, "dispute": seen.ref, "amount": str(seen.amount)},
    )
