"""Direct debit: mandates, collections and the files they went in; and money that goes back."""

from datetime import date, datetime
from typing import Annotated, Any

from django.http import HttpRequest, HttpResponse
from ninja import Path, Query, Router, Status
from pydantic import Field

from coulance.api import paging
from coulance.api.access import actor_of
from coulance.api.accounts import account_row
from coulance.api.operation import operation
from coulance.api.paging import Cursor, Limit
from coulance.api.problems import Problem
from coulance.api.schemas import Day, Given, Money, Page, Reason, Shown, Text, amount_of, money
from coulance.catalog import queries as catalog
from coulance.customers import queries as customers
from coulance.flows.rails import direct_debit, paying_back
from coulance.flows.rails import mandates as signing
from coulance.payments import collections, errors, mandates, payback_rows, queries
from coulance.payments.collections import CollectionRow, RunRow
from coulance.payments.mandates import SignedMandate
from coulance.payments.payback_rows import PaybackRow
from coulance.platform import clock
from coulance_core.payments import Scheme
from coulance_core.payments.direct_debit import CollectionState
from coulance_core.payments.paybacks import PaybackState

of_mandates = Router(tags=["direct debit"])
of_collections = Router(tags=["direct debit"])
of_files = Router(tags=["direct debit"])
of_paybacks = Router(tags=["paying back"])

MandateId = Annotated[int, Path(ge=1, lt=2**63, description="The id of a mandate.", examples=[1])]
CollectionId = Annotated[int, Path(ge=1, lt=2**63, description="The id of a collection.", examples=[1])]
FileId = Annotated[int, Path(ge=1, lt=2**63, description="The id of a file.", examples=[1])]
PaybackId = Annotated[int, Path(ge=1, lt=2**63, description="The id of a payback.", examples=[1])]
OfAccount = Annotated[str | None, Query(max_length=100, description="Only of this account.")]
_IBAN = Field(pattern="^([A-Z]{2}[0-9]{2}[A-Z0-9]{11,30})?$", examples=["NL91ABNA0417164300"])


class Mandate(Shown):
    """A customer's leave to collect. `unusable` says why nothing may be collected by it today; null: it may."""

    id: int
    account: str
    reference: str
    iban: str
    holder: str
    signed_on: date
    scheme: Scheme
    how: str
    text_sha256: str
    last_used_on: date | None
    withdrawn_on: date | None
    withdrawn_why: str
    unusable: str | None


class MandateGiven(Given):
    """A mandate that was signed on paper, in the words that this version prints."""

    account: Annotated[Text, Field(min_length=1, max_length=100, examples=["1001"])]
    iban: Annotated[Text, Field(min_length=15, max_length=42, examples=["NL91ABNA0417164300"])]
    holder: Annotated[Text, Field(min_length=1, max_length=140, examples=["Acme BV"])]
    signed_on: Day
    kept: Annotated[Text, Field(min_length=1, max_length=150, description="Where the paper is.", examples=["binder 3"])]
    scheme: Annotated[str, Field(pattern="^(core|b2b)$")] = "core"
    bic: Annotated[str, Field(pattern="^([A-Z0-9]{8}|[A-Z0-9]{11})?$")] = ""


class MandateEnd(Given):
    """Why a mandate ends."""

    reason: Reason


class CollectedFor(Shown):
    """A debt that a collection brings so much for."""

    number: str
    amount: Money


class Collection(Shown):
    """A collection. `for` is empty where it fills the balance; `bank_says` is what the bank last answered of it."""

    id: int
    account: str
    end_to_end_id: str
    amount: Money
    collect_on: date
    state: CollectionState
    purpose: str
    mandate: int
    file: int | None
    payment: int | None
    final_on: date | None
    return_code: str
    why: str
    bank_says: str
    for_: Annotated[list[CollectedFor], Field(alias="for")]


class CollectionFile(Shown):
    """A file of collections (pain.008). `sent_at` is when it was marked as sent: from then on it is under way."""

    id: int
    reference: str
    scheme: Scheme
    form: str
    count: int
    total: Money
    sha256: str
    made_at: datetime
    sent_at: datetime | None
    sent_by: str
    cancelled_at: datetime | None


class Sent(Given):
    """Mark a file as sent; `reason` only where it was before, and is sent again."""

    reason: Annotated[Text, Field(max_length=500)] = ""


class Payback(Shown):
    """Money that goes back. `way` is `bank` or the gateway it came by."""

    id: int
    account: str
    payment: int
    end_to_end_id: str
    amount: Money
    way: str
    iban: str
    state: PaybackState
    reason: str
    asked_at: datetime
    approved_by: list[str]
    why: str


class PaybackGiven(Given):
    """Ask that what is left of a payment goes back. People approve it; a token can't."""

    payment: Annotated[int, Field(ge=1, lt=2**63, examples=[1])]
    amount: Money
    source: Annotated[
        Text, Field(min_length=1, max_length=150, description="Your own name of it: the same again asks once.")
    ]
    reason: Reason
    iban: Annotated[str, _IBAN] = ""


def _today() -> date:
    return clock.now().astimezone(catalog.catalog().provider.zone_info).date()


def _owner(account: str | None) -> int | None:
    return account_row(account).id if account is not None else None


def _names(accounts: set[int]) -> dict[int, str]:
    return {row.id: row.external_id for row in customers.accounts(accounts)}


def _mandate(row: SignedMandate, account: str, on: date) -> dict[str, Any]:
    reason = row.unusable(on)
    return {
        "id": row.id,
        "account": account,
        "reference": row.reference,
        "iban": row.iban,
        "holder": row.holder,
        "signed_on": row.signed_on,
        "scheme": row.scheme,
        "how": row.how,
        "text_sha256": row.text_hash,
        "last_used_on": row.last_used_on,
        "withdrawn_on": row.withdrawn_on,
        "withdrawn_why": row.withdrawn_why,
        "unusable": None if reason is None else reason.value,
    }


def _one_mandate(number: int) -> dict[str, Any]:
    try:
        row = mandates.mandate(mandate=number)
    except errors.UnableToCollectError as fault:
        raise Problem(404, "not-there", str(fault), where="mandate") from fault
    return _mandate(row, _names({row.account})[row.account], _today())


def _collection(row: CollectionRow, account: str, numbers: dict[str, str]) -> dict[str, Any]:
    return {
        "id": row.id,
        "account": account,
        "end_to_end_id": row.end_to_end_id,
        "amount": money(row.amount),
        "collect_on": row.collect_on,
        "state": row.state,
        "purpose": row.purpose,
        "mandate": row.mandate,
        "file": row.run,
        "payment": row.receipt,
        "final_on": row.final_on,
        "return_code": row.return_code,
        "why": row.why,
        "bank_says": row.bank_says,
        "for": [{"number": numbers.get(ref, ref), "amount": money(part)} for ref, part in row.parts],
    }


def _numbers(rows: list[CollectionRow]) -> dict[str, str]:
    return {
        item.ref: item.number for account in {row.account for row in rows} for item in queries.items(account=account)
    }


def _file(row: RunRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "reference": row.reference,
        "scheme": row.scheme,
        "form": row.form,
        "count": row.count,
        "total": money(row.total),
        "sha256": row.file_hash,
        "made_at": row.made_at,
        "sent_at": row.handed_at,
        "sent_by": row.handed_by,
        "cancelled_at": row.cancelled_at,
    }


def _run(number: int) -> RunRow:
    found = collections.runs(run=number)
    if not found:
        raise Problem(404, "not-there", f"there is no file {number}", where="file")
    return found[0]


def _payback(row: PaybackRow, account: str) -> dict[str, Any]:
    return {
        "id": row.id,
        "account": account,
        "payment": row.receipt,
        "end_to_end_id": row.end_to_end_id,
        "amount": money(row.amount),
        "way": row.way,
        "iban": row.iban,
        "state": row.state,
        "reason": row.reason,
        "asked_at": row.asked_at,
        "approved_by": list(row.approved_by),
        "why": row.why,
    }


def _before(cursor: str | None, name: str) -> int | None:
    key = paging.after(cursor, name, int)
    return key[0] if key else None


@operation(of_mandates, "GET", "", scope="debit:read", summary="Mandates, the last kept first",
           response=Page[Mandate], refusals=[404])  # fmt: skip
def list_mandates(
    request: HttpRequest,  # noqa: ARG001 - ninja's signature
    limit: Limit = 50,
    cursor: Cursor = None,
    account: OfAccount = None,
) -> dict[str, Any]:
    """A page of mandates, those that ended too."""
    rows = mandates.page(account=_owner(account), before=_before(cursor, "mandates"), limit=limit + 1)
    names, on = _names({row.account for row in rows}), _today()
    return paging.page(
        rows, limit, "mandates", lambda row: (row.id,), lambda row: _mandate(row, names[row.account], on)
    )


@operation(of_mandates, "POST", "", scope="debit:write", summary="Keep a mandate that was signed on paper",
           response={200: Mandate, 201: Mandate}, refusals=[404])  # fmt: skip
def keep_mandate(request: HttpRequest, response: HttpResponse, given: MandateGiven) -> Any:
    """The one before it ends (201). The same once more is the one that is there (200)."""
    account = account_row(given.account)
    before = {row.id for row in mandates.mandates(accounts=[account.id])}
    made = signing.sign_on_paper(
        account=account.id,
        iban=given.iban,
        holder=given.holder,
        signed_on=given.signed_on,
        kept=given.kept,
        b2b=given.scheme == "b2b",
        bic=given.bic,
        actor=actor_of(request),
        at=clock.now(),
    )
    response["Location"] = f"/api/v1/mandates/{made.id}"
    return Status(200 if made.id in before else 201, _mandate(made, account.external_id, _today()))


@operation(of_mandates, "GET", "/{mandate}", scope="debit:read", summary="A mandate", response=Mandate)
def get_mandate(request: HttpRequest, mandate: MandateId) -> dict[str, Any]:  # noqa: ARG001 - ninja's signature
    """As it stands."""
    return _one_mandate(mandate)


@operation(of_mandates, "POST", "/{mandate}/end", scope="debit:write", summary="End a mandate", response=Mandate)
def end_mandate(request: HttpRequest, mandate: MandateId, given: MandateEnd) -> dict[str, Any]:
    """What is planned by it is called off; what is with the bank can't be. One that ended stays so (200)."""
    if _one_mandate(mandate)["withdrawn_on"] is None:
        direct_debit.end_mandate(
            mandate=mandate, on=_today(), actor=actor_of(request), reason=given.reason, at=clock.now()
        )
    return _one_mandate(mandate)


@operation(of_collections, "GET", "", scope="debit:read", summary="Collections, the last planned first",
           response=Page[Collection], refusals=[404])  # fmt: skip
def list_collections(
    request: HttpRequest,  # noqa: ARG001 - ninja's signature
    limit: Limit = 50,
    cursor: Cursor = None,
    account: OfAccount = None,
    file: Annotated[int | None, Query(ge=1, lt=2**63, description="Only those in this file.")] = None,
    state: Annotated[CollectionState | None, Query(description="Only those in this state.")] = None,
) -> dict[str, Any]:
    """A page of collections."""
    rows = collections.page(
        account=_owner(account), run=file, state=state, before=_before(cursor, "collections"), limit=limit + 1
    )
    names, numbers = _names({row.account for row in rows}), _numbers(rows)
    return paging.page(
        rows, limit, "collections", lambda row: (row.id,), lambda row: _collection(row, names[row.account], numbers)
    )


@operation(of_collections, "GET", "/{collection}", scope="debit:read", summary="A collection", response=Collection)
def get_collection(
    request: HttpRequest,  # noqa: ARG001 - ninja's signature
    collection: CollectionId,
) -> dict[str, Any]:
    """As it stands, with what it is for."""
    try:
        row = collections.collection(collection=collection)
    except errors.UnableToCollectError as fault:
        raise Problem(404, "not-there", str(fault), where="collection") from fault
    return _collection(row, _names({row.account})[row.account], _numbers([row]))


@operation(of_files, "GET", "", scope="debit:read", summary="Files of collections, the newest first",
           response=Page[CollectionFile])  # fmt: skip
def list_collection_files(
    request: HttpRequest,  # noqa: ARG001 - ninja's signature
    limit: Limit = 50,
    cursor: Cursor = None,
) -> dict[str, Any]:
    """A page of files; their collections are listed by `/collections?file=`."""
    rows = collections.runs(before=_before(cursor, "files"), limit=limit + 1)
    return paging.page(rows, limit, "files", lambda row: (row.id,), _file)


@operation(of_files, "GET", "/{file}", scope="debit:read", summary="A file of collections", response=CollectionFile)
def get_collection_file(request: HttpRequest, file: FileId) -> dict[str, Any]:  # noqa: ARG001 - ninja's signature
    """What it holds, and whether it was sent."""
    return _file(_run(file))


@operation(of_files, "POST", "/{file}/sent", scope="debit:write", summary="Mark a file as sent",
           response=CollectionFile)  # fmt: skip
def send_collection_file(request: HttpRequest, file: FileId, given: Sent) -> dict[str, Any]:
    """From now on its collections are under way. Again only with a reason: handed over twice it may be collected twice.

    Refused (409) where something in it was paid, contested or called off meanwhile: call it off, and make it anew.
    """
    _run(file)
    row, _ = direct_debit.hand_over(run=file, actor=actor_of(request), at=clock.now(), reason=given.reason)
    return _file(row)


@operation(of_files, "GET", "/{file}/content", scope="debit:read", summary="The file itself (pain.008)",
           response={200: None}, refusals=[409],
           more={"responses": {200: {"description": "The file.", "content": {"application/xml": {
               "schema": {"type": "string", "format": "binary"}}}}}})  # fmt: skip
def get_collection_file_content(
    request: HttpRequest,  # noqa: ARG001 - ninja's signature
    file: FileId,
) -> HttpResponse:
    """The bytes that the bank is to have, the same each time. 409 until it is marked as sent."""
    run = _run(file)
    try:
        content = collections.file_of(run=file)
    except errors.UnableToCollectError as fault:
        raise Problem(409, "refused", str(fault)) from fault
    answer = HttpResponse(content, content_type="application/xml")
    answer["Content-Disposition"] = f'attachment; filename="{run.reference}.xml"'
    return answer


@operation(of_paybacks, "GET", "", scope="payments:read", summary="Money that goes back, the last asked first",
           response=Page[Payback], refusals=[404])  # fmt: skip
def list_paybacks(
    request: HttpRequest,  # noqa: ARG001 - ninja's signature
    limit: Limit = 50,
    cursor: Cursor = None,
    account: OfAccount = None,
) -> dict[str, Any]:
    """A page of paybacks, those that are over too."""
    owner = _owner(account)
    rows = payback_rows.paybacks(
        accounts=None if owner is None else [owner], before=_before(cursor, "paybacks"), limit=limit + 1
    )
    names = _names({row.account for row in rows})
    return paging.page(rows, limit, "paybacks", lambda row: (row.id,), lambda row: _payback(row, names[row.account]))


@operation(of_paybacks, "POST", "", scope="payments:write", summary="Ask that money goes back",
           response={201: Payback}, refusals=[404])  # fmt: skip
def ask_back(request: HttpRequest, response: HttpResponse, given: PaybackGiven) -> Any:
    """It waits for people to approve it; the same `source` again is the one that is there."""
    try:
        receipt = queries.receipt(receipt=given.payment)
    except errors.UnableToFindPaymentError as fault:
        raise Problem(404, "not-there", str(fault), where="body.payment") from fault
    row = paying_back.ask(
        receipt=receipt.id,
        amount=amount_of(given.amount, "body.amount"),
        iban=given.iban,
        reason=given.reason,
        actor=actor_of(request),
        at=clock.now(),
        source_key=f"api:{receipt.account}:{given.source}",
    )
    response["Location"] = f"/api/v1/paybacks/{row.id}"
    return Status(201, _payback(row, _names({row.account})[row.account]))


@operation(of_paybacks, "GET", "/{payback}", scope="payments:read", summary="Money that goes back", response=Payback)
def get_payback(request: HttpRequest, payback: PaybackId) -> dict[str, Any]:  # noqa: ARG001 - ninja's signature
    """As it stands."""
    try:
        row = payback_rows.payback(payback=payback)
    except errors.UnableToPayBackError as fault:
        raise Problem(404, "not-there", str(fault), where="payback") from fault
    return _payback(row, _names({row.account})[row.account])
