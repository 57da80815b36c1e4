"""The prepaid balance and charges by agreement: drawn when invoices are due, topped up when low, announced, stopped.

What a customer let us charge by itself is an agreement with its text and its limits. A charge that was not announced in
time, of another amount than announced, or above a limit, is not made; the next look announces what is owed then.
"""

from collections import defaultdict
from collections.abc import Container
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from hashlib import sha256

from django.db import transaction

from coulance.catalog import queries as catalog
from coulance.customers import queries as customers
from coulance.flows import payments as money
from coulance.flows.payment_order import order_of
from coulance.flows.rails import paying, wording
from coulance.flows.rails.alone import alone
from coulance.flows.rails.direct_debit import portal_link
from coulance.flows.rails.telling import tell, told_at
from coulance.payments import agreements, charging, claims, mandates
from coulance.payments import queries as payments
from coulance.payments.agreements import AUTO_PAY, AUTO_TOP_UP, AgreementRow, Announced
from coulance.payments.errors import PaymentsError, UnableToChargeError
from coulance_core.kernel import Money
from coulance_core.payments import Choice, OpenItem
from coulance_core.payments.agreed import ChargeRefusal, Limits, top_up


@dataclass(slots=True)
class Ran:
    """What a look at balances and agreements did."""

    drawn: list[tuple[int, Money]] = field(default_factory=list)
    announced: list[tuple[int, Money]] = field(default_factory=list)
    charged: list[tuple[int, Money, str]] = field(default_factory=list)
    refused: list[tuple[int, str]] = field(default_factory=list)


def agree_auto_pay(
    *,
    account: int,
    method: int,
    most_each: Money | None,
    most_a_month: Money | None,
    language: str,
    given_by: str,
    at: datetime,
) -> AgreementRow:
    """Agree to be charged for invoices when they are due. Raises `UnableToChargeError`."""
    whole = catalog.catalog()
    (owner,) = customers.accounts([account])
    text = wording.auto_pay_text(
        seller=whole.provider,
        label=charging.stored_method(method=method).label,
        days=whole.payments.charge_notice_days,
        most_each=most_each,
        most_a_month=most_a_month,
        language=language,
    )
    with transaction.atomic():
        return agreements.agree(
            account=account,
            kind=AUTO_PAY,
            stored=method,
            currency=owner.currency,
            limits=Limits(most_each, most_a_month),
            text=text,
            given_by=given_by,
            at=at,
        )


def agree_top_up(
    *,
    account: int,
    method: int,
    below: Money,
    amount: Money,
    most_a_month: Money,
    language: str,
    given_by: str,
    at: datetime,
) -> AgreementRow:
    """Agree that the balance is topped up when low. Raises `UnableToChargeError`."""
    whole = catalog.catalog()
    (owner,) = customers.accounts([account])
    most = whole.payments.top_up_most
    if most is not None and most.currency == amount.currency and amount > most:
        raise UnableToChargeError(f"a balance is topped up by at most {most} at once")
    text = wording.top_up_text(
        seller=whole.provider,
        label=charging.stored_method(method=method).label,
        below=below,
        amount=amount,
        most_a_month=most_a_month,
        language=language,
    )
    with transaction.atomic():
        return agreements.agree(
            account=account,
            kind=AUTO_TOP_UP,
            stored=method,
            currency=owner.currency,
            limits=Limits(None, most_a_month),
            text=text,
            given_by=given_by,
            at=at,
            below=below,
            amount=amount,
        )


def stop(*, agreement: int, actor: str, reason: str, at: datetime) -> None:
    """End an agreement: nothing more is charged by it, announced or not."""
    with transaction.atomic():
        agreements.end(agreement=agreement, actor=actor, reason=reason, at=at)


def run(*, on: date, at: datetime, actor: str) -> Ran:
    """One look at every balance and agreement as of a day; safe to do again at any time."""
    out = Ran()
    draw_due(on=on, at=at, actor=actor, out=out)
    _announce_due(on, at, actor, out)
    _charge_announced(on, at, actor, out)
    top_up_low(at=at, actor=actor, out=out)
    return out


def draw_due(*, on: date, at: datetime, actor: str, out: Ran) -> None:
    """Pay what is due out of prepaid balances, in the order of the provider's file."""
    for account, by_code in sorted(payments.balances().items()):
        for code, stands in by_code.items():
            if stands.prepaid.minor <= 0:
                continue
            with alone(f"drawing on the balance of account {account}", at=at), transaction.atomic():
                taken = claims.claimed(accounts=[account])
                due = [
                    item
                    for item in payments.open_items(accounts=[account]).get(account, ())
                    if item.payable.minor > 0
                    and item.open.currency == code
                    and item.is_due(on)
                    and item.ref not in taken
                ]
                asked = sum((item.payable for item in due), Money(0, code))
                amount = min(asked, stands.prepaid)
                if amount.minor <= 0:
                    continue
                refs = ",".join(sorted(item.ref for item in due))
                money.draw_prepaid(
                    account=account,
                    amount=amount,
                    drawn_on=on,
                    source_key=f"wallet/{account}/{sha256(f'{refs} {amount} {at}'.encode()).hexdigest()[:24]}",
                    actor=actor,
                    reason=f"due, and paid from the balance: {refs}"[:500],
                    at=at,
                    choice=[Choice(item.ref, item.payable) for item in _in_order(due, account, at)],
                )
                out.drawn.append((account, amount))


def _in_order(items: list[OpenItem], account: int, at: datetime) -> list[OpenItem]:
    from coulance_core.payments.orders import tiers

    policy = order_of(account, at=at)
    day = max((item.due_on for item in items), default=date.min)
    return [item for tier in tiers(items, policy=policy, on=day) for item in tier.items]


def _announce_due(on: date, at: datetime, actor: str, out: Ran) -> None:
    in_force = agreements.agreements(kind=AUTO_PAY)
    waiting = {(one.agreement, one.ref) for one in agreements.announced()}
    collected = mandates.in_force(on=on, accounts=[one.account for one in in_force])
    for agreed in in_force:
        if agreed.stored is None:
            continue  # collected by the mandate
        mandate = collected.get(agreed.account)
        if mandate is not None and agreements.invoices_by(mandate=mandate.id, account=agreed.account) is not False:
            continue  # a mandate collects already
        with alone(f"announcing by agreement {agreed.id}", at=at):
            _announce(agreed, waiting, on, at, actor, out)


def _announce(
    agreed: AgreementRow, waiting: Container[tuple[int, str]], on: date, at: datetime, actor: str, out: Ran
) -> None:
    whole = catalog.catalog()
    days = whole.payments.charge_notice_days
    taken = claims.claimed(accounts=[agreed.account])
    assert agreed.stored is not None
    method = charging.stored_method(method=agreed.stored)
    for item in payments.open_items(accounts=[agreed.account]).get(agreed.account, ()):
        if item.payable.minor <= 0 or item.ref in taken or (agreed.id, item.ref) in waiting:
            continue
        if item.due_on > on + timedelta(days=days + 7):
            continue
        if failed_before(agreed, item.ref):
            continue
        spent = charged_in_month(agreed.account, agreed.kind, at)
        if (refusal := agreed.limits.refuses(item.payable, spent)) is not None:
            out.refused.append((agreed.account, f"{item.ref}: {refusal.value}"))
            continue
        charge_on = max(item.due_on, on + timedelta(days=days + 1 if days else 0))
        key = f"charge/{agreed.id}/{item.ref}/{at:%Y%m%d%H%M%S}"
        with transaction.atomic():
            told = tell(
                key=key,
                account=agreed.account,
                about=item.ref,
                at=at,
                actor=actor,
                write=lambda language, name, item=item, method=method, charge_on=charge_on: wording.charge_ahead(  # type: ignore[misc]
                    label=method.label,
                    items=[(item.number, item.payable)],
                    on=charge_on,
                    seller=whole.provider,
                    language=language,
                    name=name,
                    link=portal_link(),
                ),
            )
            if not told:
                out.refused.append((agreed.account, f"{item.number}: there is nobody to tell"))
                continue
            agreements.announce(
                agreement=agreed.id,
                ref=item.ref,
                amount=item.payable,
                charge_on=charge_on,
                message_key=key,
                at=at,
            )
        out.announced.append((agreed.account, item.payable))


def failed_before(agreed: AgreementRow, ref: str) -> bool:
    """Whether this item was charged by this way to pay and failed: once is enough, its people were told."""
    return any(
        row.state in ("failed", "cancelled", "expired")
        and row.stored == agreed.stored
        and row.by_itself
        and any(one.ref == ref for one in row.choice)
        for row in charging.payments(accounts=[agreed.account])
    )


def _charge_announced(on: date, at: datetime, actor: str, out: Ran) -> None:
    by_id = {one.id: one for one in agreements.agreements(kind=AUTO_PAY)}
    for waiting in agreements.announced(until=on):
        agreed = by_id.get(waiting.agreement)
        if agreed is None:
            continue
        with alone(f"charging what was announced as {waiting.id}", at=at):
            _charge(agreed, waiting, on, at, actor, out)


def _charge(agreed: AgreementRow, waiting: Announced, on: date, at: datetime, actor: str, out: Ran) -> None:
    items = {item.ref: item for item in payments.open_items(accounts=[agreed.account]).get(agreed.account, ())}
    item = items.get(waiting.ref)
    refusal = _refusal(agreed, waiting, item.payable if item is not None else None, on, at)
    if refusal is not None:
        with transaction.atomic():
            agreements.settle_announcement(announcement=waiting.id, at=at, why=refusal.value)
        out.refused.append((agreed.account, f"{waiting.ref}: {refusal.value}"))
        return
    assert item is not None
    assert agreed.stored is not None
    try:
        row = paying.charge(
            account=agreed.account,
            method=agreed.stored,
            amount=waiting.amount,
            purpose=AUTO_PAY,
            key=f"announced-{waiting.id}-{sha256(waiting.message_key.encode()).hexdigest()[:16]}",
            claimed=[(waiting.ref, waiting.amount)],
            said=item.number,
            actor=actor,
            at=at,
        )
    except PaymentsError as error:
        out.refused.append((agreed.account, f"{waiting.ref}: {error}"))
        return
    with transaction.atomic():
        agreements.settle_announcement(announcement=waiting.id, at=at, why=row.state, payment=row.id)
    out.charged.append((agreed.account, waiting.amount, row.state))


def _refusal(
    agreed: AgreementRow, waiting: Announced, payable: Money | None, on: date, at: datetime
) -> ChargeRefusal | None:
    zone = catalog.catalog().provider.zone_info
    told = told_at(waiting.message_key, at=at)
    days = catalog.payment_terms().charge_notice_days
    if told is None or told.astimezone(zone).date() + timedelta(days=days) > on:
        return ChargeRefusal.NOT_TOLD
    if payable != waiting.amount:
        return ChargeRefusal.CHANGED
    return agreed.limits.refuses(waiting.amount, charged_in_month(agreed.account, agreed.kind, at))


def charged_in_month(account: int, kind: str, at: datetime) -> Money:
    """What was charged by agreements of a kind (or is being charged) in the calendar month of an instant."""
    zone = catalog.catalog().provider.zone_info
    local = at.astimezone(zone)
    start = local.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    (owner,) = customers.accounts([account])
    rows = charging.payments(
        accounts=[account], states=["made", "open", "pending", "paid"], since=start.astimezone(at.tzinfo)
    )
    return sum((row.amount for row in rows if row.purpose == kind), Money(0, owner.currency))


def top_up_low(*, at: datetime, actor: str, out: Ran) -> None:
    """Top balances up that are below what their owner agreed to, at most as much a month as they agreed to."""
    under_way: dict[int, int] = defaultdict(int)
    for row in charging.payments(states=charging.LIVE):
        if row.tops_up and row.state != "open":
            under_way[row.account] += row.amount.minor
    for agreed in agreements.agreements(kind=AUTO_TOP_UP):
        if agreed.stored is None:
            continue  # `by_mandate` does
        with alone(f"topping up by agreement {agreed.id}", at=at):
            _top_up(agreed, under_way[agreed.account], at, actor, out)


def _top_up(agreed: AgreementRow, under_way: int, at: datetime, actor: str, out: Ran) -> None:
    assert agreed.stored is not None
    assert agreed.below is not None
    assert agreed.amount is not None
    code = agreed.amount.currency
    by = top_up(
        balance=payments.prepaid(account=agreed.account, currency=code),
        below=agreed.below,
        by=agreed.amount,
        under_way=Money(under_way, code),
    )
    if by is None:
        return
    refusal = agreed.limits.refuses(by, charged_in_month(agreed.account, AUTO_TOP_UP, at))
    if refusal is not None:
        out.refused.append((agreed.account, f"top-up: {refusal.value}"))
        return
    try:
        row = paying.charge(
            account=agreed.account,
            method=agreed.stored,
            amount=by,
            purpose=AUTO_TOP_UP,
            key=f"top-up-{agreed.id}-{agreed.given_at:%Y%m%d%H%M%S}-{_how_many(agreed.account)}",
            actor=actor,
            at=at,
        )
    except PaymentsError as error:
        out.refused.append((agreed.account, f"top-up: {error}"))
        return
    out.charged.append((agreed.account, by, row.state))


def _how_many(account: int) -> int:
    """How many top-ups there were: the next one's key is its own, and the same until it is written down."""
    return sum(1 for row in charging.payments(accounts=[account], limit=100_000) if row.purpose == AUTO_TOP_UP)
