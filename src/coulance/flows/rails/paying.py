"""Paying at a gateway: a page to pay on, a charge of a kept method, refunds, events, and what was paid out to our bank.

Each call to a gateway is written down before it is made, under the key it is made with, and its answer after. Killed
between the two, `sweep` asks again by the same key, or finds what became of it: nothing is charged twice.
"""

import contextlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from django.db import transaction

from coulance.catalog import queries as catalog
from coulance.customers import queries as customers
from coulance.flows.rails import wording
from coulance.flows.rails.alone import alone
from coulance.flows.rails.folding import fold, pay_back
from coulance.flows.sending.wording import language_of
from coulance.payments import agreements, charging, told
from coulance.payments import queries as payments
from coulance.payments.charging import PaymentRow
from coulance.payments.errors import PaymentsError, UnableToChargeError
from coulance.payments.ports import (
    GatewayRefusedError,
    Seen,
    SeenState,
    UnableToReachGatewayError,
    Wanted,
    configured,
    gateway,
)
from coulance.payments.restored import is_resting
from coulance.payments.told import AskedRefund
from coulance.platform.alarms import clear_alarm, raise_alarm
from coulance_core.kernel import Money
from coulance_core.payments import Choice

STRANGE_ALARM = "payments.payout_strange"
WAITS = timedelta(minutes=2)
"""How long an answer is waited for before it is asked for."""
GIVE_UP = timedelta(hours=24)
"""A page that was never made is given up after this."""


@dataclass(frozen=True, slots=True)
class Started:
    """A payment that was begun: where the payer goes, and how it is known here."""

    payment: PaymentRow
    url: str


def offered() -> tuple[str, ...]:
    """The gateways that customers may pay by: those of the provider file that have a key here."""
    return configured(name.value for name in catalog.payment_terms().gateways)


def hook_url(name: str) -> str:
    """Where a gateway tells of events."""
    import os

    return (os.environ.get("COULANCE_URL", "").rstrip("/") or "http://127.0.0.1:8000") + f"/hooks/pay/{name}"


def start(
    *,
    account: int,
    name: str,
    amount: Money,
    return_url: str,
    language: str,
    actor: str,
    at: datetime,
    numbers: Sequence[tuple[str, str]] = (),
    top_up: bool = False,
    keep: bool = False,
    key: str = "",
) -> Started:
    """Begin a payment on a gateway's page: for items (`numbers`: ref and number), or to fill the balance.

    `keep`: the payer lets the way to pay be kept, by the words of `wording.keep_text`. Asked again by the same `key` it
    gives the same page. Raises `UnableToChargeError`, `GatewayRefusedError`, `UnableToReachGatewayError`.
    """
    whole = catalog.catalog()
    if name not in offered():
        raise UnableToChargeError(f"nobody pays by {name} here: [payments] gateways, and its key, say who may")
    if top_up:
        _check_top_up(amount)
    (owner,) = customers.accounts([account])
    if amount.currency != owner.currency:
        raise UnableToChargeError(f"{owner.external_id} is billed in {owner.currency}, not {amount.currency}")
    said = ", ".join(number for _, number in numbers) or owner.external_id
    customer = _customer(account, name, at) if keep else charging.customer_ref(account=account, gateway=name)
    with transaction.atomic():
        row = charging.make_payment(
            account=account,
            gateway=name,
            purpose="top_up" if top_up else "pay",
            amount=amount,
            key=key or secrets.token_hex(16),
            description=f"{whole.provider.name}: {said}",
            actor=actor,
            at=at,
            choice=[Choice(ref) for ref, _ in numbers],
            keep_text=wording.keep_text(seller=whole.provider, language=language) if keep else "",
        )
    if row.url:
        return Started(row, row.url)
    page = gateway(name).create_checkout(
        Wanted(
            key=row.key,
            amount=row.amount,
            description=row.description,
            customer_ref=customer,
            store=keep,
            return_url=return_url,
            webhook_url=hook_url(name),
            language=language_of(language),
        )
    )
    with transaction.atomic():
        row = charging.payment(payment=row.id, lock=True)
        state = {"state": "open"} if row.state == "made" else {}
        row = charging.move(row, at=at, url=page.url, refs=[page.ref], **state)
    return Started(row, page.url)


def _check_top_up(amount: Money) -> None:
    terms = catalog.payment_terms()
    least, most = terms.top_up_least, terms.top_up_most
    low = least is not None and least.currency == amount.currency and amount < least
    high = most is not None and most.currency == amount.currency and amount > most
    if low or high:
        bounds = " and ".join(
            f"{word} {limit}" for word, limit in (("at least", least), ("at most", most)) if limit is not None
        )
        raise UnableToChargeError(f"a balance is topped up by {bounds} at once, not {amount}")


def _customer(account: int, name: str, at: datetime) -> str:
    """How the gateway knows an account; made known there when it isn't yet; the first name stays."""
    known = charging.customer_ref(account=account, gateway=name)
    if known:
        return known
    (owner,) = customers.accounts([account])
    people = customers.contacts([account])
    made = gateway(name).make_customer(
        key=f"customer-{owner.pseudonym}", name=owner.name, email=people[0].email if people else ""
    )
    with transaction.atomic():
        charging.keep_customer(account=account, gateway=name, ref=made, at=at)
    return charging.customer_ref(account=account, gateway=name)


def charge(
    *,
    account: int,
    method: int,
    amount: Money,
    purpose: str,
    key: str,
    actor: str,
    at: datetime,
    claimed: Sequence[tuple[str, Money]] = (),
    said: str = "",
) -> PaymentRow:
    """Charge a kept way to pay, for debts (which are claimed until it is known) or the balance; how it stands then.

    Raises `UnableToChargeError` for a way that ended, `UnableToCollectError` for a debt that is being collected.
    """
    found = charging.stored_method(method=method)
    if found.account != account or found.ended_at is not None or not found.method_ref:
        raise UnableToChargeError("this way to pay is not there any more")
    if is_resting():
        raise UnableToChargeError("after a restore it isn't known what was charged since: clear the alarm first")
    whole = catalog.catalog()
    with transaction.atomic():
        row = charging.make_payment(
            account=account,
            gateway=found.gateway,
            purpose=purpose,
            amount=amount,
            key=key,
            description=f"{whole.provider.name}: {said}"[:200],
            actor=actor,
            at=at,
            choice=[Choice(ref, part) for ref, part in claimed],
            claimed=claimed,
            stored=method,
        )
    return _find_or_ask(row, at=at)


def _find_or_ask(row: PaymentRow, *, at: datetime) -> PaymentRow:
    """Find a charge by our key, and ask for it only where it was not made there.

    Its answer was perhaps never read, or forgotten by a restore, and a gateway forgets our keys (Mollie within the
    hour): the key alone would charge a second time after a long night.
    """
    if row.state != "made":
        return row
    customer = charging.customer_ref(account=row.account, gateway=row.gateway)
    try:
        seen = gateway(row.gateway).find(key=row.key, customer_ref=customer)
    except (UnableToReachGatewayError, GatewayRefusedError):
        return row  # `sweep` asks, and says what is refused
    return _ask(row, at=at) if seen is None else fold(payment=row.id, seen=seen, at=at)


def _ask(row: PaymentRow, *, at: datetime) -> PaymentRow:
    """Ask a gateway for a charge that is written down; what it refuses for good is over."""
    assert row.stored is not None
    if row.state != "made":
        return row
    found = charging.stored_method(method=row.stored)
    wanted = Wanted(
        key=row.key,
        amount=row.amount,
        description=row.description,
        customer_ref=found.customer_ref,
        webhook_url=hook_url(row.gateway),
    )
    try:
        seen = gateway(row.gateway).charge_stored(wanted, method_ref=found.method_ref)
    except UnableToReachGatewayError:
        return row  # perhaps it was done there: `sweep` finds out
    except GatewayRefusedError as error:
        return _refused(row, str(error), at)
    return fold(payment=row.id, seen=seen, at=at)


def _refused(row: PaymentRow, why: str, at: datetime) -> PaymentRow:
    nothing = Seen((), row.key, SeenState.FAILED, row.amount, failure=why)
    return fold(payment=row.id, seen=nothing, at=at)


def refresh(*, payment: int, at: datetime) -> PaymentRow:
    """Look at a payment at its gateway now. Raises `UnableToReachGatewayError`, `GatewayRefusedError`."""
    row = charging.payment(payment=payment)
    if not row.refs:
        return row
    return fold(payment=payment, seen=gateway(row.gateway).fetch(row.refs[0]), at=at)


def refund(*, payment: int, amount: Money, actor: str, reason: str, at: datetime, key: str = "") -> int:
    """Pay back out of a payment by its gateway; our refund's id. Idempotent by key.

    It is booked before the gateway is asked, and taken back when it refuses. Raises `UnableToChargeError`,
    `UnableToRefundError`, `GatewayRefusedError`.
    """
    key = key or secrets.token_hex(16)
    on = at.astimezone(catalog.catalog().provider.zone_info).date()
    with transaction.atomic():
        row = charging.payment(payment=payment, lock=True)
        if row.receipt is None:
            raise UnableToChargeError(f"payment {payment} is {row.state}: nothing of it is here to pay back")
        before = next((one for one in told.refunds_of(payment=payment) if one.key == key), None)
        if before is not None:
            return before.refund
        made = pay_back(row=row, amount=amount, key=key, on=on, actor=actor, reason=reason, at=at)
        asked = told.keep_refund(
            payment=payment, amount=amount, key=key, refund=made, reason=reason, actor=actor, at=at
        )
    _ask_refund(row, asked, key, amount, reason, actor, at)
    return made


def _ask_refund(row: PaymentRow, asked: int, key: str, amount: Money, reason: str, actor: str, at: datetime) -> None:
    try:
        seen = gateway(row.gateway).refund(key=key, ref=row.refs[0], amount=amount, reason=reason)
    except UnableToReachGatewayError:
        return  # `sweep` asks again by the same key
    except GatewayRefusedError as error:
        from coulance.flows import payments as money
        from coulance_core.payments import ReversalKind

        with transaction.atomic():
            one = next(one for one in told.refunds_of(payment=row.id) if one.id == asked)
            refunded_on = next(
                each.refunded_on for each in payments.refunds(receipts=[row.receipt or 0]) if each.id == one.refund
            )
            money.reverse_refund(
                refund=one.refund, kind=ReversalKind.MISTAKE, on=refunded_on, actor=actor, reason=str(error), at=at
            )
            told.refund_answered(asked=asked, state="failed")
        raise
    with transaction.atomic():
        told.refund_answered(asked=asked, state="failed" if seen.failed else "done", ref=seen.ref)


def forget(*, method: int, actor: str, reason: str, at: datetime) -> None:
    """End a kept way to pay, with the agreements that charge it, here at once and then at the gateway."""
    with transaction.atomic():
        done = charging.end_method(method=method, actor=actor, reason=reason, at=at)
        for one in agreements.agreements(accounts=[done.account]):
            if one.stored == method:
                agreements.end(agreement=one.id, actor=actor, reason="its way to pay is gone", at=at)
    try:
        gateway(done.gateway).forget_method(customer_ref=done.customer_ref, method_ref=done.method_ref)
    except (UnableToReachGatewayError, GatewayRefusedError):
        return  # nothing here charges it any more, whatever is kept there


# events


def receive(*, name: str, headers: Mapping[str, str], body: bytes, at: datetime) -> int | None:
    """Keep an event that proves where it comes from, to be done by a job; its id, or none when it came before.

    Of those that prove nothing only what names a payment of ours is kept: strangers fill no table here. Raises
    `UnableToVerifyEventError`.
    """
    seen = gateway(name).verify_event(headers=headers, body=body, at=at)
    if not seen.proven and charging.known_as(gateway=name, refs=seen.refs) is None:
        return None
    with transaction.atomic():
        kept = told.keep_event(gateway=name, event=seen, body=body, at=at)
        if kept is not None:
            from coulance.flows.tasks.rails import do_event

            do_event.defer(event=kept)
    return kept


def do_event(*, event: int, at: datetime) -> str:
    """Do an event, or do it again: look at the payment it names, and make the books say what is so; the outcome.

    Raises `UnableToReachGatewayError`: it stays to be done.
    """
    row = told.event(event=event)
    try:
        outcome = _done(row.gateway, row.refs, at)
    except UnableToReachGatewayError as error:
        told.event_failed(event=event, why=str(error))
        raise
    except (GatewayRefusedError, PaymentsError) as error:
        outcome = f"refused: {error}"
    told.event_done(event=event, outcome=outcome, at=at)
    return outcome


def _done(name: str, refs: Sequence[str], at: datetime) -> str:
    if any(ref.startswith(("po_", "stl_")) for ref in refs):
        since = at.date() - timedelta(days=10)
        return f"payouts: {read_payouts(name=name, since=since, at=at)} booked"
    known = charging.known_as(gateway=name, refs=refs)
    if known is not None:
        # By the name that tells most: the page's own where there is one.
        done = fold(payment=known.id, seen=gateway(name).fetch(known.refs[0] if known.refs else refs[0]), at=at)
        return f"payment {done.id}: {done.state}"
    for ref in refs:
        try:
            seen = gateway(name).fetch(ref)
        except GatewayRefusedError:
            continue
        known = charging.known_as(gateway=name, refs=seen.refs, key=seen.key)
        if known is not None:
            return f"payment {known.id}: {fold(payment=known.id, seen=seen, at=at).state}"
    return "no payment of ours"


def sweep(*, at: datetime) -> int:
    """Look after what waits for an answer: charges, refunds, payments under way, events; how many moved."""
    moved = 0
    for row in charging.payments(states=charging.LIVE, limit=2000):
        age = at - row.changed_at
        with alone(f"payment {row.id} at {row.gateway}", at=at, gateway=row.gateway):
            if row.state == "made" and age >= WAITS:
                moved += _sweep_made(row, at)
            elif row.state in ("open", "pending") and age >= timedelta(hours=1):
                moved += refresh(payment=row.id, at=at).state != row.state
    for asked in told.refunds_open():
        row = charging.payment(payment=asked.payment)
        with alone(f"refund {asked.refund} at {row.gateway}", at=at, gateway=row.gateway):
            moved += _sweep_refund(row, asked, at)
    for event in told.events(open_only=True):
        with alone(f"event {event.id} of {event.gateway}", at=at, gateway=event.gateway):
            do_event(event=event.id, at=at)
            moved += 1
    return moved


def _sweep_refund(row: PaymentRow, asked: AskedRefund, at: datetime) -> int:
    """A refund whose answer was never read: find it there by its key, else ask again; a refused one is booked back."""
    fold(payment=row.id, seen=gateway(row.gateway).fetch(row.refs[0]), at=at)
    if all(one.id != asked.id or one.state == "made" for one in told.refunds_of(payment=row.id)):
        with contextlib.suppress(GatewayRefusedError):
            _ask_refund(row, asked.id, asked.key, asked.amount, asked.reason, "worker", at)
    return 1


def _sweep_made(row: PaymentRow, at: datetime) -> int:
    """A payment whose answer was never read: find it there, else ask again by its key, else let it go."""
    customer = charging.customer_ref(account=row.account, gateway=row.gateway)
    seen = gateway(row.gateway).find(key=row.key, customer_ref=customer) if customer else None
    if seen is not None:
        fold(payment=row.id, seen=seen, at=at)
        return 1
    if row.stored is not None:
        return int(_ask(row, at=at).state != "made")
    if at - row.made_at >= GIVE_UP:
        nothing = Seen((), row.key, SeenState.CANCELLED, row.amount, failure="its page was never made")
        fold(payment=row.id, seen=nothing, at=at)
        return 1
    return 0


def read_payouts(*, name: str, since: date, at: datetime) -> int:
    """Book what a gateway paid out since a day; how many were new. What in them is not ours raises an alarm."""
    made = 0
    for seen in gateway(name).payouts(since=since):
        with transaction.atomic():
            strange = told.book_payout(gateway=name, seen=seen, at=at)
            if strange is None:
                continue
            made += 1
            if strange:
                raise_alarm(
                    key=f"{STRANGE_ALARM}/{name}/{seen.ref}",
                    severity="warning",
                    what=f"{name} paid out {seen.ref} with {len(strange)} things that nothing here has: "
                    + ", ".join(strange[:5]),
                    at=at,
                )
    return made


def accept_payout(*, name: str, ref: str, at: datetime) -> None:
    """A person looked at what in a payout is not ours: its alarm ends."""
    clear_alarm(key=f"{STRANGE_ALARM}/{name}/{ref}", at=at)
