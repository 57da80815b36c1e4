"""What customers let us collect by their mandate, by their own word: invoices (or not), and what fills their balance.

A mandate collects invoices when they are due unless its owner says otherwise; their last word counts. A top-up is
announced like any collection, and on the balance when the provider's terms say (`top_up_counts`).
"""

from dataclasses import dataclass, field
from datetime import date, datetime

from django.db import transaction

from coulance.catalog import queries as catalog
from coulance.flows.rails import agreed_wording, wording
from coulance.payments import agreements, collections, mandates
from coulance.payments import operations as room
from coulance.payments import queries as payments
from coulance.payments.agreements import AUTO_PAY, AUTO_TOP_UP, AgreementRow
from coulance.payments.collections import CollectionRow
from coulance.payments.errors import UnableToChargeError
from coulance.payments.mandates import SignedMandate
from coulance_core.catalog.paying import TopUpCounts
from coulance_core.kernel import Money
from coulance_core.payments.agreed import Limits, top_up
from coulance_core.payments.direct_debit import CollectionState, collect_on

_PREFIX = "agreement/"
_COMING = (CollectionState.PLANNED, CollectionState.FILED, CollectionState.HANDED)


@dataclass(slots=True)
class ToppedUp:
    """What a look at balances that mandates fill did."""

    planned: list[CollectionRow] = field(default_factory=list)
    refused: list[tuple[int, str]] = field(default_factory=list)
    counted: list[tuple[int, Money]] = field(default_factory=list)


def _mandate(account: int, on: date) -> SignedMandate:
    found = mandates.in_force(on=on, accounts=[account]).get(account)
    if found is None:
        raise UnableToChargeError("there is no mandate in force: sign one first")
    return found


def collect_invoices(
    *,
    account: int,
    most_each: Money | None,
    most_a_month: Money | None,
    language: str,
    given_by: str,
    on: date,
    at: datetime,
) -> AgreementRow:
    """Agree that invoices are collected by the mandate in force, within limits. Raises `UnableToChargeError`."""
    whole = catalog.catalog()
    mandate = _mandate(account, on)
    text = wording.auto_pay_text(
        seller=whole.provider,
        label=agreed_wording.by_debit(mandate.shown_iban, language),
        days=whole.payments.notice_days,
        most_each=most_each,
        most_a_month=most_a_month,
        language=language,
    )
    with transaction.atomic():
        return agreements.agree(
            account=account,
            kind=AUTO_PAY,
            mandate=mandate.id,
            currency="EUR",
            limits=Limits(most_each, most_a_month),
            text=text,
            given_by=given_by,
            at=at,
        )


def stop_collecting(*, account: int, language: str, by: str, on: date, at: datetime) -> None:
    """Collect invoices by the mandate no more; it stays in force for what else they let us collect.

    What is planned is called off when its file is made, what is with the bank can't be. Where nothing was said before,
    what the mandate says of itself is written down and ended, so that the last word is a row.
    """
    mandate = _mandate(account, on)
    with transaction.atomic():
        word = agreements.invoices_by(mandate=mandate.id, account=account)
        if word is False:
            return
        if word is None:
            word = collect_invoices(
                account=account, most_each=None, most_a_month=None, language=language, given_by=by, on=on, at=at
            )
        agreements.end(agreement=word.id, actor=by, reason="they pay their invoices themselves", at=at)


def agree_top_up(
    *,
    account: int,
    below: Money,
    amount: Money,
    most_a_month: Money,
    language: str,
    given_by: str,
    on: date,
    at: datetime,
) -> AgreementRow:
    """Agree that the balance is filled by the mandate in force when low. Raises `UnableToChargeError`."""
    whole = catalog.catalog()
    terms = whole.payments
    mandate = _mandate(account, on)
    if terms.top_up_most is not None and terms.top_up_most.currency == amount.currency and amount > terms.top_up_most:
        raise UnableToChargeError(f"a balance is topped up by at most {terms.top_up_most} at once")
    text = agreed_wording.top_up_by_debit(
        seller=whole.provider,
        iban=mandate.shown_iban,
        days=terms.notice_days,
        below=below,
        amount=amount,
        most_a_month=most_a_month,
        at_once=terms.top_up_counts is TopUpCounts.COLLECTED,
        language=language,
    )
    with transaction.atomic():
        return agreements.agree(
            account=account,
            kind=AUTO_TOP_UP,
            mandate=mandate.id,
            currency="EUR",
            limits=Limits(None, most_a_month),
            text=text,
            given_by=given_by,
            at=at,
            below=below,
            amount=amount,
        )


def top_up_low(*, on: date, actor: str, at: datetime) -> ToppedUp:
    """Plan and announce what fills balances that are low, and put on them what is certain now; safe to do again."""
    from coulance.flows.rails.alone import alone

    out = ToppedUp()
    for row in collections.top_ups_to_count(before=on):
        with alone(f"counting top-up {row.end_to_end_id}", at=at), transaction.atomic():
            _count(row, on, actor, at, out)
    for agreed in agreements.agreements(kind=AUTO_TOP_UP):
        if agreed.mandate is not None:
            with alone(f"topping up by agreement {agreed.id}", at=at), transaction.atomic():
                _top_up(agreed, on, actor, at, out)
    return out


def _count(row: CollectionRow, on: date, actor: str, at: datetime, out: ToppedUp) -> None:
    assert row.receipt is not None
    found = payments.receipt(receipt=row.receipt)
    if found.reversed_on is not None or found.left.minor <= 0:
        return
    room.allocate_receipt(
        receipt=row.receipt,
        on=on,
        actor=actor,
        reason=f"{row.end_to_end_id}: its bank can return it no more",
        at=at,
        prepaid=found.left,
    )
    out.counted.append((row.account, found.left))


def _top_up(agreed: AgreementRow, on: date, actor: str, at: datetime, out: ToppedUp) -> None:
    from coulance.flows.rails.planning import Line, announce, require_may_collect

    assert agreed.below is not None
    assert agreed.amount is not None
    mandate = mandates.in_force(on=on, accounts=[agreed.account]).get(agreed.account)
    if mandate is None or mandate.id != agreed.mandate:
        agreements.end(agreement=agreed.id, actor=actor, reason="its mandate is not in force any more", at=at)
        return
    by = top_up(
        balance=payments.prepaid(account=agreed.account, currency="EUR"),
        below=agreed.below,
        by=agreed.amount,
        under_way=coming(agreed.account),
    )
    if by is None:
        return
    require_may_collect()
    whole = catalog.catalog()
    terms = whole.payments
    day = collect_on(due_on=on, told_on=on, notice_days=terms.notice_days, lead_days=terms.lead_days)
    month = collections.collected_in_month(mandate=mandate.id, month=day, purpose=collections.TOP_UP)
    if (refusal := agreed.limits.refuses(by, month)) is not None:
        out.refused.append((agreed.account, f"top-up: {refusal.value}"))
        return
    made = announce(
        mandate, [Line("", "", by)], day, whole, actor, at, None,
        purpose=collections.TOP_UP, basis=f"{_PREFIX}{agreed.id}",
    )  # fmt: skip
    if made is None:
        out.refused.append((agreed.account, "top-up: there is nobody to announce it to"))
    else:
        out.planned.append(made)


def coming(account: int, *, but: int = 0) -> Money:
    """What mandates are bringing to a balance, or brought and isn't on it yet."""
    total = Money(0, "EUR")
    for row in collections.collections(accounts=[account]):
        if not row.tops_up or row.id == but:
            continue
        if row.state in _COMING:
            total += row.amount
        elif row.state is CollectionState.COLLECTED and row.receipt is not None:
            total += payments.receipt(receipt=row.receipt).left
    return total


def top_up_off(row: CollectionRow) -> str | None:
    """Why a top-up that was announced is not collected: they stopped it, or the balance isn't low any more."""
    number = int(row.basis.removeprefix(_PREFIX))
    agreed = next((one for one in agreements.agreements(accounts=[row.account]) if one.id == number), None)
    if agreed is None or agreed.below is None:
        return "they agree to it no more"
    if payments.prepaid(account=row.account, currency="EUR") + coming(row.account, but=row.id) >= agreed.below:
        return "the balance is not low any more"
    return None


def top_up_failed(row: CollectionRow, *, why: str, actor: str, at: datetime) -> None:
    """A top-up came back or was refused: nothing more is collected for the balance until they agree anew."""
    number = int(row.basis.removeprefix(_PREFIX))
    for agreed in agreements.agreements(accounts=[row.account], kind=AUTO_TOP_UP):
        if agreed.id == number:
            agreements.end(agreement=number, actor=actor, reason=f"a top-up came back: {why}", at=at)


def end_replaced(*, account: int, on: date, actor: str, at: datetime) -> None:
    """A mandate took another's place: what was agreed by that one is over."""
    now = mandates.in_force(on=on, accounts=[account]).get(account)
    for agreed in agreements.agreements(accounts=[account]):
        if agreed.mandate is not None and (now is None or agreed.mandate != now.id):
            agreements.end(agreement=agreed.id, actor=actor, reason="another mandate took its place", at=at)
