"""Payments: what came in and where it went; booking, allocating and undoing; open items and balances of an account."""

from datetime import date
from typing import Annotated, Any

from django.http import HttpRequest, HttpResponse
from ninja import Path, Query, Router, Status
from pydantic import Field

from coulance.api import paging
from coulance.api.access import actor_of, token_of
from coulance.api.accounts import AccountId, account_row
from coulance.api.operation import operation
from coulance.api.paging import Cursor, Limit
from coulance.api.problems import Problem
from coulance.api.schemas import Day, Given, Money, Page, Reason, Shown, Text, amount_of, money
from coulance.customers import queries as customers
from coulance.flows import payments as flow
from coulance.payments import errors, queries
from coulance.payments.operations import NewReceipt
from coulance.platform import clock
from coulance_core.payments import ItemKind, Method, OpenItem, Receipt, ReversalKind

router = Router(tags=["payments"])
of_account = Router(tags=["payments"])

ReceiptId = Annotated[int, Path(ge=1, lt=2**63, description="The id of a payment.", examples=[1])]
RefundId = Annotated[int, Path(ge=1, lt=2**63, description="The id of a refund.", examples=[1])]
_METHOD = Field(pattern="^(bank|cash|card|other)$", examples=["bank"])
_SOURCE = Field(
    min_length=1,
    max_length=150,
    description="Your own name of it, of its account: the same again is the same payment, and is booked once. Another "
    "token's is refused (409).",
    examples=["psp/tr_4711"],
)


class Allocated(Shown):
    """A part of a payment and the document it settles; of a prepaid balance, `number` is empty."""

    id: int
    number: str
    amount: Money
    on: date


class Payment(Shown):
    """Money that came in. `left` is what is neither allocated nor paid back."""

    id: int
    account: str
    amount: Money
    left: Money
    received_on: date
    method: Method
    source: str
    payer_ref: str
    payer_iban: str
    reversed_on: date | None


class PaymentWithParts(Payment):
    """A payment, and what it settles."""

    allocations: list[Allocated]


class Part(Given):
    """A document by its number, and how much goes to it; without an amount all that is open."""

    number: Annotated[Text, Field(min_length=1, max_length=140, examples=["V2026-000001"])]
    amount: Money | None = None


class PaymentGiven(Given):
    """Money that came in, to book. Without `for` it settles what is open: base fees before overage, oldest first."""

    account: Annotated[Text, Field(min_length=1, max_length=100, examples=["1001"])]
    amount: Money
    received_on: Day
    method: Annotated[str, _METHOD]
    source: Annotated[Text, _SOURCE]
    reason: Reason
    payer_ref: Annotated[Text, Field(max_length=500)] = ""
    payer_name: Annotated[Text, Field(max_length=200)] = ""
    payer_iban: Annotated[
        str, Field(pattern="^([A-Z]{2}[0-9]{2}[A-Z0-9]{11,30})?$", examples=["NL91ABNA0417164300"])
    ] = ""
    for_: Annotated[list[Part], Field(alias="for", max_length=100)] = []


class Allocation(Given):
    """Where what is left of a payment goes; `anew` takes its allocations back first."""

    on: Day
    reason: Reason
    for_: Annotated[list[Part], Field(alias="for", max_length=100)] = []
    anew: bool = False


class Reversal(Given):
    """Undo a payment: the bank took it back, it was sent back, or it never was so."""

    kind: Annotated[str, Field(pattern="^(bounced|returned|mistake)$", examples=["bounced"])]
    on: Day
    reason: Reason
    reclaim: Annotated[
        bool,
        Field(description="What of it was refunded becomes a debt of the customer; without this, it is refused (409)."),
    ] = False


class RefundReversal(Given):
    """Undo a refund: its money came back, or it never left."""

    kind: Annotated[str, Field(pattern="^(bounced|returned|mistake)$", examples=["returned"])]
    on: Day
    reason: Reason


class RefundGiven(Given):
    """Money that was paid back out of a payment."""

    amount: Money
    refunded_on: Day
    source: Annotated[Text, _SOURCE]
    reason: Reason
    method: Annotated[str, _METHOD] | None = None
    iban: Annotated[str, Field(pattern="^([A-Z]{2}[0-9]{2}[A-Z0-9]{11,30})?$")] = ""


class Refund(Shown):
    """A refund as booked."""

    id: int
    payment: int
    amount: Money
    refunded_on: date


class Item(Shown):
    """Something open: a debt, or credit when `open` is below zero."""

    number: str
    kind: ItemKind
    issued_on: date
    due_on: date
    gross: Money
    open: Money


class OneBalance(Shown):
    """Where an account stands in a currency. `due` is what it owes less its money on hand."""

    owed: Money
    unallocated: Money
    prepaid: Money
    due: Money


def _shown(row: Receipt, account: str) -> dict[str, Any]:
    return {
        "id": row.id,
        "account": account,
        "amount": money(row.amount),
        "left": money(row.left),
        "received_on": row.received_on,
        "method": row.method,
        "source": row.source_key,
        "payer_ref": row.payer_ref,
        "payer_iban": row.payer_iban,
        "reversed_on": row.reversed_on,
    }


def _item(item: OpenItem) -> dict[str, Any]:
    return {
        "number": item.number,
        "kind": item.kind,
        "issued_on": item.issued_on,
        "due_on": item.due_on,
        "gross": money(item.gross),
        "open": money(item.open),
    }


def _receipt(number: int) -> Receipt:
    try:
        return queries.receipt(receipt=number)
    except errors.UnableToFindPaymentError as fault:
        raise Problem(404, "not-there", str(fault), where="payment") from fault


def _whole(number: int) -> dict[str, Any]:
    row = _receipt(number)
    [account] = customers.accounts([row.account])
    parts = [
        {"id": one.id, "number": one.number, "amount": money(one.amount), "on": one.effective_on}
        for one in queries.allocations(receipts=[number])
    ]
    return {**_shown(row, account.external_id), "allocations": parts}


def _choices(account: int, parts: list[Part]) -> Any:
    named = [
        (one.number, amount_of(one.amount, f"body.for.{i}.amount") if one.amount else None)
        for i, one in enumerate(parts)
    ]
    return flow.choices(account=account, named=named)


def _source(request: HttpRequest, account: int, given: str, *, refund: bool = False) -> str:
    """The key that books once: of the account and its source, whatever token sends it.

    What another token booked under it is a conflict (409) that names it: a new token of the same system would book it
    again, and one of another system means other money by the same name.
    """
    actor = actor_of(request)
    there = queries.booked_elsewhere(account=account, source=given, actor=actor, refunds=refund)
    if there is not None:
        what = f"refund {there}" if refund else f"payment {there}, at /api/v1/payments/{there}"
        detail = f"another token booked {given!r} for this account already, as {what}; expected a source of its own"
        raise Problem(409, "refused", detail, where="body.source")
    old = f"api:{token_of(request).prefix}:{given}"
    # Keys were of tokens once: what was booked so is still known by that.
    return old if queries.is_source_used(source_key=old, refunds=refund) else f"api:{account}:{given}"


@operation(router, "GET", "", scope="payments:read", summary="Payments, the newest first", response=Page[Payment],
           refusals=[404])  # fmt: skip
def list_payments(
    request: HttpRequest,  # noqa: ARG001 - ninja's signature
    limit: Limit = 50,
    cursor: Cursor = None,
    account: Annotated[str | None, Query(max_length=100, description="Only of this account.")] = None,
) -> dict[str, Any]:
    """A page of payments, those that were undone too."""
    key = paging.after(cursor, "payments", str, int)
    try:
        before = (date.fromisoformat(key[0]), key[1]) if key else None
    except ValueError:
        raise Problem(422, "not-as-expected", "no cursor of this list", where="query.cursor") from None
    owner = [account_row(account).id] if account is not None else None
    rows = queries.receipts(accounts=owner, before=before, limit=limit + 1)
    names = {row.id: row.external_id for row in customers.accounts({row.account for row in rows})}
    return paging.page(
        rows,
        limit,
        "payments",
        lambda row: (row.received_on.isoformat(), row.id),
        lambda row: _shown(row, names[row.account]),
    )


@operation(router, "POST", "", scope="payments:write", summary="Book a payment",
           response={200: PaymentWithParts, 201: PaymentWithParts}, refusals=[404])  # fmt: skip
def book_payment(request: HttpRequest, response: HttpResponse, given: PaymentGiven) -> Any:
    """Book money that came in (201); the same `source` again is the payment that is there (200)."""
    account = account_row(given.account)
    source = _source(request, account.id, given.source)
    # Of one that is booked, what it was for need not be open any more; whether the rest is the same, the flow judges.
    there = queries.receipt_by_source(source_key=source) is not None
    booked = flow.book_payment(
        receipt=NewReceipt(
            account=account.id,
            amount=amount_of(given.amount, "body.amount"),
            received_on=given.received_on,
            method=Method(given.method),
            source_key=source,
            payer_ref=given.payer_ref,
            payer_name=given.payer_name,
            payer_iban=given.payer_iban,
            choice=() if there else tuple(_choices(account.id, given.for_)),
            reason=given.reason,
        ),
        actor=actor_of(request),
        at=clock.now(),
    )
    response["Location"] = f"/api/v1/payments/{booked.receipt}"
    return Status(200 if booked.already else 201, _whole(booked.receipt))


@operation(router, "GET", "/{payment}", scope="payments:read", summary="A payment, and what it settles",
           response=PaymentWithParts)  # fmt: skip
def get_payment(request: HttpRequest, payment: ReceiptId) -> dict[str, Any]:  # noqa: ARG001 - ninja's signature
    """The payment with its allocations as they stand."""
    return _whole(payment)


@operation(router, "POST", "/{payment}/allocate", scope="payments:write", summary="Allocate what is left of a payment",
           response=PaymentWithParts)  # fmt: skip
def allocate_payment(request: HttpRequest, payment: ReceiptId, given: Allocation) -> dict[str, Any]:
    """To the documents named, or to what is open."""
    found = _receipt(payment)
    flow.allocate_payment(
        receipt=payment,
        on=given.on,
        choice=_choices(found.account, given.for_),
        beyond_choice=not given.for_,
        anew=given.anew,
        actor=actor_of(request),
        reason=given.reason,
        at=clock.now(),
    )
    return _whole(payment)


@operation(router, "POST", "/{payment}/reverse", scope="payments:write", summary="Undo a payment",
           response=PaymentWithParts)  # fmt: skip
def reverse_payment(request: HttpRequest, payment: ReceiptId, given: Reversal) -> dict[str, Any]:
    """With all that was done with it: what it settled is open again."""
    _receipt(payment)
    flow.reverse_payment(
        receipt=payment,
        kind=ReversalKind(given.kind),
        reclaim=given.reclaim,
        on=given.on,
        actor=actor_of(request),
        reason=given.reason,
        at=clock.now(),
    )
    return _whole(payment)


@operation(router, "POST", "/{payment}/refunds", scope="payments:write", summary="Book a refund",
           response={201: Refund})  # fmt: skip
def refund_payment(request: HttpRequest, payment: ReceiptId, given: RefundGiven) -> Any:
    """Money paid back out of what is left of a payment. It books; it moves no money."""
    found = _receipt(payment)
    amount = amount_of(given.amount, "body.amount")
    made = flow.refund_payment(
        receipt=payment,
        amount=amount,
        refunded_on=given.refunded_on,
        source_key=_source(request, found.account, given.source, refund=True),
        method=Method(given.method) if given.method else None,
        iban=given.iban,
        actor=actor_of(request),
        reason=given.reason,
        at=clock.now(),
    )
    return Status(201, {"id": made, "payment": payment, "amount": money(amount), "refunded_on": given.refunded_on})


@operation(router, "POST", "/{payment}/refunds/{refund}/reverse", scope="payments:write", summary="Undo a refund",
           response=PaymentWithParts)  # fmt: skip
def reverse_refund(request: HttpRequest, payment: ReceiptId, refund: RefundId, given: RefundReversal) -> dict[str, Any]:
    """Its money is here again, unallocated; a debt that reclaimed it is gone with it."""
    _receipt(payment)
    if refund not in {one.id for one in queries.refunds(receipts=[payment])}:
        raise Problem(404, "not-there", f"payment {payment} has no refund {refund}", where="refund")
    flow.reverse_refund(
        refund=refund,
        kind=ReversalKind(given.kind),
        on=given.on,
        actor=actor_of(request),
        reason=given.reason,
        at=clock.now(),
    )
    return _whole(payment)


@operation(of_account, "GET", "/{account}/open-items", scope="payments:read", summary="What is open of an account",
           response=list[Item])  # fmt: skip
def list_open_items(
    request: HttpRequest,  # noqa: ARG001 - ninja's signature
    account: AccountId,
    on: Annotated[Day | None, Query(description="As it stood at the end of this day.")] = None,
) -> list[dict[str, Any]]:
    """Debts, and credit below zero, in the order they fall due."""
    row = account_row(account)
    return [_item(item) for item in queries.open_items(accounts=[row.id], on=on).get(row.id, ())]


@operation(of_account, "GET", "/{account}/balance", scope="payments:read", summary="Where an account stands",
           response=list[OneBalance])  # fmt: skip
def get_balance(
    request: HttpRequest,  # noqa: ARG001 - ninja's signature
    account: AccountId,
    on: Annotated[Day | None, Query(description="As it stood at the end of this day.")] = None,
) -> list[dict[str, Any]]:
    """In each currency that anything was booked in, from the journal."""
    row = account_row(account)
    return [
        {
            "owed": money(one.owed),
            "unallocated": money(one.unallocated),
            "prepaid": money(one.prepaid),
            "due": money(one.due),
        }
        for _, one in sorted(queries.balances(accounts=[row.id], on=on).get(row.id, {}).items())
    ]
