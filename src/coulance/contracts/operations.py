"""Writing contracts. Every function runs inside the caller's transaction; flows own it, and what goes with it."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

from django.db import IntegrityError, transaction

from coulance.catalog import queries as catalogs
from coulance.contracts import models, queries
from coulance.contracts.errors import (
    ContractsError,
    UnableToAgreeError,
    UnableToApproveError,
    UnableToChangeError,
    UnableToFindContractError,
    UnableToRecordError,
)
from coulance.contracts.provider_table import Agreed, names, pin
from coulance.contracts.queries import ContractRow, LeaveRow
from coulance.customers import queries as customers
from coulance.platform import audit
from coulance_core.contracts.renewal import months_later
from coulance_core.contracts.terms import Kind
from coulance_core.kernel import Explanation, Money, require_aware

__all__ = [
    "ContractsError",
    "UnableToAgreeError",
    "UnableToApproveError",
    "UnableToChangeError",
    "UnableToFindContractError",
    "UnableToRecordError",
    "agree",
    "answer_leave",
    "ask_leave",
    "bind",
    "buy_card",
    "change",
    "locked",
    "put_on_credit_note",
    "put_on_invoice",
    "record_charge",
    "record_credit",
    "record_earning",
    "record_lapse",
    "take_card_back",
]


def locked(key: str) -> ContractRow:
    """A contract, with others who would act on it kept waiting. Raises `UnableToFindContractError`."""
    if models.Contract.objects.select_for_update(no_key=True).filter(key=key).first() is None:
        raise UnableToFindContractError(f"there is no contract {key!r}")
    return queries.contract(key)


def agree(
    *,
    key: str,
    account: str,
    terms: str,
    starts_on: date,
    price: Money | None = None,
    seats: int = 1,
    service: int | None = None,
    actor: str,
    at: datetime,
    reason: str = "",
) -> ContractRow:
    """Agree a contract on the named terms in force on its first day; they are kept with it.

    `price` in place of the terms' own wants a reason. Raises `UnableToAgreeError`, `UnableToFindAccountError`.
    """
    owner = customers.account(account)
    table = catalogs.table("contracts")
    pinned = pin(table, terms, starts_on)
    if pinned is None:
        known = ", ".join(names(table)) or "none: add [[contracts.terms]] to the provider's file"
        raise UnableToAgreeError(f"there are no terms {terms!r} on {starts_on.isoformat()}; there are {known}")
    if pinned.get("response", {}) is None:
        raise UnableToAgreeError(f"the promises of response of {terms!r} begin after {starts_on.isoformat()}")
    of = Agreed.of(pinned).terms
    if of.currency != owner.currency or (price is not None and price.currency != owner.currency):
        raise UnableToAgreeError(f"{terms!r} is in {of.currency}, the account in {owner.currency}")
    if seats < 1 or (seats != 1 and of.kind is not Kind.PER_SEAT):
        raise UnableToAgreeError(f"{seats} seats: a contract of kind {of.kind.value} has one")
    if price is not None and not reason.strip():
        raise UnableToAgreeError("a price other than the terms' own needs a reason")
    try:
        with transaction.atomic():
            models.Contract.objects.create(
                key=key, account_id=owner.id, service_id=service, kind=of.kind.value, terms=of.version, agreed=pinned,
                currency=of.currency, price=(of.price if price is None else price).minor,
                seats=seats, starts_on=starts_on, agreed_at=require_aware(at), by=actor, reason=reason.strip(),
            )  # fmt: skip
    except IntegrityError as error:
        raise UnableToAgreeError(f"there is a contract {key!r} already, or its key is empty") from error
    _audit("contract.agreed", key, actor, at, reason, {"account": account, "terms": of.version, "seats": seats})
    return queries.contract(key)


def change(
    *,
    contract: ContractRow,
    kind: str,
    on: date,
    value: int,
    explanation: Explanation | None = None,
    actor: str,
    reason: str,
    at: datetime,
) -> None:
    """Write a change of a contract: `price`, `seats`, `end`, `go_on`; of a bundle `element_end`, `element_on`.

    Raises `UnableToChangeError` without a reason.
    """
    if not reason.strip():
        raise UnableToChangeError("a change of a contract needs a reason: the customer reads it")
    if on < contract.starts_on:
        raise UnableToChangeError(f"{contract.key} begins on {contract.starts_on.isoformat()}: nothing changes before")
    models.Change.objects.create(
        contract_id=contract.id, kind=kind, on=on, value=value, at=require_aware(at), by=actor, reason=reason.strip(),
        explanation=explanation.to_json() if explanation is not None else None,
    )  # fmt: skip
    _audit(f"contract.{kind}", contract.key, actor, at, reason, {"on": on.isoformat(), "value": value})


def bind(*, contract: ContractRow, element: str, service: int, plan: str, at: datetime) -> None:
    """Say which service is an element of a bundle (the caller looked at both)."""
    models.Bound.objects.create(
        contract_id=contract.id, element=element, service_id=service, plan=plan, at=require_aware(at)
    )


def buy_card(
    *, contract: ContractRow, product: str, key: str, actor: str, at: datetime, from_: date, price: Money | None = None
) -> int:
    """Add a card of the contract's terms, usable from a day on; its id, or 0 where it is there by that key.

    `price` is its part of a bundle's, in place of its own. Raises `UnableToRecordError`.
    """
    try:
        sold = contract.terms.card(product)
    except LookupError as error:
        raise UnableToRecordError(str(error)) from error
    until = contract.midnight(months_later(from_, sold.months)) if sold.months else None
    made, new = models.Card.objects.get_or_create(
        key=key,
        defaults={
            "contract_id": contract.id, "product": product, "seconds": sold.seconds,
            "price": (sold.price if price is None else price).minor, "currency": sold.price.currency,
            "from_at": contract.midnight(from_), "until": until, "bought_at": require_aware(at), "by": actor,
            "deferred": True,
        },
    )  # fmt: skip
    if not new:
        if made.contract_id != contract.id or made.product != product:
            raise UnableToRecordError(f"there is a card {key!r} already, and it is another")
        return 0
    _audit("contract.card_bought", contract.key, actor, at, "", {"card": key, "product": product})
    return made.id


def take_card_back(*, contract: ContractRow, key: str, actor: str, reason: str, at: datetime) -> None:
    """Take back a card that nothing is drawn on (the caller looked). Raises `UnableToRecordError`."""
    if not reason.strip():
        raise UnableToRecordError("taking a card back needs a reason")
    changed = models.Card.objects.filter(contract=contract.id, key=key, taken_back_at__isnull=True).update(
        taken_back_at=require_aware(at), taken_back_by=actor, taken_back_why=reason.strip()
    )
    if not changed:
        raise UnableToRecordError(f"{contract.key} has no card {key!r} that isn't taken back already")
    _audit("contract.card_taken_back", contract.key, actor, at, reason, {"card": key})


def ask_leave(
    *, contract: ContractRow, key: str, seconds: int, rate: Money, text: str, until: datetime, actor: str, at: datetime
) -> LeaveRow:
    """Ask the customer for leave for work beyond cover. Raises `UnableToApproveError`."""
    if not text.strip() or seconds < 1:
        raise UnableToApproveError("say what the work is, and how long it may take")
    models.Leave.objects.create(
        contract_id=contract.id, key=key, seconds=seconds, rate=rate.minor, currency=rate.currency, text=text.strip(),
        until=until, asked_at=require_aware(at), by=actor,
    )  # fmt: skip
    _audit("contract.leave_asked", contract.key, actor, at, "", {"leave": key, "seconds": seconds, "rate": str(rate)})
    return queries.leave(key)


def answer_leave(*, key: str, approved: bool, by: str, at: datetime) -> LeaveRow:
    """Write the customer's answer, once. Leave counts from this instant on: never for work that began before.

    Raises `UnableToApproveError` where it was answered or is too old.
    """
    row = models.Leave.objects.select_for_update(no_key=True).get(key=key)
    if row.answered_at is not None:
        raise UnableToApproveError("it was answered already")
    if not row.asked_at <= at < row.until:
        raise UnableToApproveError(f"it could be answered until {row.until:%Y-%m-%d %H:%M} UTC: ask again")
    row.answered_at, row.approved, row.answered_by = require_aware(at), approved, by
    row.save(update_fields=["answered_at", "approved", "answered_by"])
    _audit("contract.leave_answered", row.contract.key, by, at, "", {"leave": key, "approved": approved})
    return queries.leave(key)


def record_charge(
    *, contract: ContractRow, key: str, kind: str, starts_on: date, ends_on: date, amount: Money,
    explanation: Explanation, actor: str, at: datetime, element: str = "",
) -> bool:  # fmt: skip
    """Write what a contract (of a bundle, an element of it) costs, once by its key; whether it is new."""
    _, new = models.Charge.objects.get_or_create(
        key=key,
        defaults={
            "contract_id": contract.id, "kind": kind, "starts_on": starts_on, "ends_on": ends_on,
            "amount": amount.minor, "currency": amount.currency, "explanation": explanation.to_json(),
            "made_at": require_aware(at), "by": actor, "element": element,
        },
    )  # fmt: skip
    return new


def record_earning(*, card: int, no: int, used: Money, lapsed: Money, actor: str, at: datetime) -> None:
    """Write what of a card's price was booked as income by now."""
    models.Earning.objects.create(
        card_id=card, no=no, used=used.minor, lapsed=lapsed.minor, booked_at=require_aware(at), by=actor
    )


def put_on_invoice(*, charges: Sequence[tuple[int, int]], invoice: str) -> None:
    """Say which line of which invoice each charge (its id, the line) became."""
    for charge, line in charges:
        models.Charge.objects.filter(id=charge).update(invoice=invoice, line=line)


def record_credit(
    *, contract: ContractRow, starts_on: date, ends_on: date, amount: Money, missed: Sequence[str],
    explanation: Explanation, actor: str, at: datetime,
) -> int:  # fmt: skip
    """Write what a period's missed responses come to beside what was written before; gives its id."""
    revision = models.Credit.objects.filter(contract_id=contract.id, period_start=starts_on).count() + 1
    made = models.Credit.objects.create(
        contract_id=contract.id,
        period_start=starts_on,
        period_end=ends_on,
        revision=revision,
        amount=amount.minor,
        currency=amount.currency,
        missed=list(missed),
        explanation=explanation.to_json(),
        made_at=require_aware(at),
        by=actor,
    )
    return made.id


def put_on_credit_note(*, credit: int, number: str) -> None:
    """Say which credit note a credit became."""
    models.Credit.objects.filter(id=credit).update(credit_note=number)


def record_lapse(*, card: str, seconds: int, amount: Money, on: date, at: datetime) -> bool:
    """Write down hours that ended unused, once a card; whether it is new."""
    row = models.Card.objects.get(key=card)
    _, new = models.Lapse.objects.get_or_create(
        card=row, defaults={"seconds": seconds, "amount": amount.minor, "on": on, "recorded_at": require_aware(at)}
    )
    return new


def _audit(act: str, key: str, actor: str, at: datetime, reason: str, detail: Mapping[str, Any]) -> None:
    audit.record(actor=actor, act=act, subject=f"contract:{key}", at=at, reason=reason.strip(), detail=dict(detail))
