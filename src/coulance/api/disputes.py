"""Contested bills: cases with their steps and what they hold; opening, asking, answering, deciding."""

from datetime import datetime
from fractions import Fraction
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from django.http import HttpRequest
from ninja import Path, Query, Router, Status
from pydantic import Field

from coulance.api import paging
from coulance.api.access import actor_of
from coulance.api.accounts import account_row
from coulance.api.operation import operation
from coulance.api.paging import Cursor, Limit
from coulance.api.problems import Problem
from coulance.api.schemas import Day, Given, Money, Page, Shown, Text, money
from coulance.customers import queries as customers
from coulance.disputes import queries
from coulance.disputes.errors import DisputesError, UnableToFindCaseError, UnableToOpenError
from coulance.disputes.provider_table import PROGRAM
from coulance.flows.disputing import acting, debts, deciding, opening, working
from coulance.flows.disputing.deciding import Choice
from coulance.invoicing.errors import InvoicingError
from coulance.platform import clock
from coulance_core.disputes import Contest, Grounds, Outcome, State, StepKind, Way
from coulance_core.kernel import Money as Amount
from coulance_core.kernel import Period, exact
from coulance_core.kernel.period import civil_midnight

router = Router(tags=["disputes"])

CaseId = Annotated[int, Path(ge=1, lt=2**63, description="The number of a case.", examples=[1])]
Words = Annotated[Text, Field(min_length=1, max_length=4000, pattern=r"\S")]
Decimals = Annotated[str, Field(pattern=r"^\d{1,12}(\.\d{1,6})?$", examples=["20.00"])]


class CaseStep(Shown):
    """One thing that happened in a case. `reached_at` is when a question of ours was seen, by the evidence."""

    no: int
    kind: StepKind
    at: datetime
    by: str
    text: str
    outcome: Outcome | None
    credit_notes: list[str]
    reached_at: datetime | None


class ContestedPart(Shown):
    """What of a line is contested, before tax."""

    line: int
    way: Way
    net: str


class Case(Shown):
    """A contested bill. `held` is set aside while it is open. `due_at` is our deadline, `lapses_at` the customer's."""

    id: int
    account: str
    number: str
    state: State
    held: Money
    grounds: Grounds
    opened_at: datetime
    closed_at: datetime | None
    due_at: datetime | None
    lapses_at: datetime | None
    parts: list[ContestedPart]
    steps: list[CaseStep]


class PartGiven(Given):
    """A line that is contested: whole, or one of an amount before tax, a quantity, or days (both included).

    Line 0 is the whole of a bill that was taken over from another system: its amounts are with tax.
    """

    line: Annotated[int, Field(ge=0, le=100_000)]
    amount: Decimals | None = None
    quantity: Decimals | None = None
    first_day: Day | None = None
    last_day: Day | None = None
    accepted: Decimals | None = None


class CaseGiven(Given):
    """A case to open on an invoice, or on a bill that was taken over, for its customer."""

    number: Annotated[Text, Field(max_length=140, examples=["V2026-000001"])]
    lines: Annotated[list[PartGiven], Field(min_length=1, max_length=500)]
    grounds: Grounds = Field(strict=False)
    reason: Words
    new_fact: Annotated[Text, Field(max_length=4000, description="Where it was contested before.")] = ""
    contact: Annotated[Text, Field(max_length=100, description="Whom it is opened for.")] = ""
    account: Annotated[Text, Field(max_length=100, description="Whose it is, where bills share a number.")] = ""


class SaidGiven(Given):
    """What is said: `ask` and `note` are ours, `answer` and `withdraw` the customer's."""

    act: Annotated[str, Field(pattern="^(ask|note|answer|withdraw)$", examples=["ask"])]
    text: Words


class CreditGiven(Given):
    """So much of a line, before tax; of line 0, a bill that was taken over, with tax."""

    line: Annotated[int, Field(ge=0, le=100_000)]
    amount: Decimals


class DecisionGiven(Given):
    """How a case ends. `share` is for `shared`; amounts for that, `part` and `goodwill`; `plan` for `plan_change`."""

    outcome: Outcome = Field(strict=False)
    reason: Words
    share: Annotated[str, Field(pattern=r"^(0?\.\d{1,6}|\d{1,4}/[1-9]\d{0,3})$", examples=["1/2"])] | None = None
    credits_: Annotated[list[CreditGiven], Field(alias="credits", max_length=500)] = []
    plan: Annotated[Text, Field(max_length=100)] = ""
    service: Annotated[Text, Field(max_length=100)] = ""


class DecisionShown(Shown):
    """What a decision comes to, tax included, and what is to be paid of the invoice then."""

    credited: Money
    to_pay: Money
    due_on: Day
    credit_notes: list[str]
    invoice: str | None


def _shown(row: queries.CaseRow) -> dict[str, Any]:
    (account,) = customers.accounts([row.account])
    return {
        "id": row.id,
        "account": account.external_id,
        "number": row.number,
        "state": row.state,
        "held": money(row.gross),
        "grounds": row.grounds,
        "opened_at": row.opened_at,
        "closed_at": row.closed_at,
        "due_at": row.clock.due_at,
        "lapses_at": row.clock.lapses_at,
        "parts": [{"line": one.line, "way": one.way, "net": one.net.decimal()} for one in queries.parts(row.id)],
        "steps": [
            {
                "no": one.no,
                "kind": one.kind,
                "at": one.at,
                "by": one.by,
                "text": one.text,
                "outcome": one.outcome,
                "credit_notes": list(one.detail.get("credit_notes") or ()),
                "reached_at": one.reached_at,
            }
            for one in row.steps
        ],
    }


@operation(router, "GET", "", scope="disputes:read", summary="Cases, the newest first",
           response=Page[Case], refusals=[404])  # fmt: skip
def list_cases(
    request: HttpRequest,  # noqa: ARG001 - ninja's signature
    limit: Limit = 50,
    cursor: Cursor = None,
    account: Annotated[str | None, Query(max_length=100, description="Only of this account.")] = None,
    closed: Annotated[bool, Query(description="Those that are closed too.")] = False,
) -> dict[str, Any]:
    """A page of cases."""
    key = paging.after(cursor, "disputes", int)
    rows = queries.cases(
        at=clock.now(),
        accounts=None if account is None else [account_row(account).id],
        closed=closed,
        before=key[0] if key else None,
        limit=limit + 1,
    )
    return paging.page(list(rows), limit, "disputes", lambda row: (row.id,), _shown)


@operation(router, "POST", "", scope="disputes:write", summary="Open a case",
           response={201: Case}, refusals=[404, 409])  # fmt: skip
def open_case(request: HttpRequest, given: CaseGiven) -> Any:
    """What is contested is held at once; the rest of the invoice stays to be paid."""
    found = debts.named(given.number, account=account_row(given.account).id if given.account else None)
    if found is None:
        raise Problem(404, "not-there", f"there is no one bill {given.number!r}", where="body.number")
    (account,) = customers.accounts([found.account])
    try:
        contests = [_contest(one, found.currency, ZoneInfo(account.zone)) for one in given.lines]
        made = opening.open_dispute(
            document=found.document,
            opening=found.opening,
            contests=contests,
            grounds=given.grounds,
            reason=given.reason,
            new_fact=given.new_fact,
            contact=given.contact,
            actor=acting.operator(actor_of(request)),
            at=clock.now(),
        )
    except UnableToOpenError as fault:
        if fault.refusal is not None:
            raise Problem(409, "refused", str(fault)) from fault
        raise Problem(422, "not-as-expected", str(fault), where="body") from fault
    except ValueError as fault:
        raise Problem(422, "not-as-expected", str(fault), where="body.lines") from fault
    return Status(201, _shown(queries.case(made.case, at=clock.now())))


@operation(router, "GET", "/{case}", scope="disputes:read", summary="A case", response=Case)
def get_case(request: HttpRequest, case: CaseId) -> dict[str, Any]:  # noqa: ARG001 - ninja's signature
    """Where it stands, and what happened in it."""
    return _shown(_case(case))


@operation(router, "POST", "/{case}/steps", scope="disputes:write", summary="Say something in a case",
           response=Case)  # fmt: skip
def say_in_case(request: HttpRequest, case: CaseId, given: SaidGiven) -> dict[str, Any]:
    """Ask the customer, add something, write down what they answered, or take the case back at their word."""
    _case(case)
    who, at = acting.operator(actor_of(request)), clock.now()
    try:
        if given.act == "withdraw":
            working.withdraw(case=case, reason=given.text, actor=who, at=at)
        else:
            act = {"ask": working.ask, "note": working.note, "answer": working.answer}[given.act]
            act(case=case, text=given.text, actor=who, at=at)
    except DisputesError as fault:
        raise Problem(409, "refused", str(fault)) from fault
    return _shown(_case(case))


@operation(router, "POST", "/{case}/decision", scope="disputes:write", summary="Decide a case",
           response=DecisionShown)  # fmt: skip
def decide_case(
    request: HttpRequest,
    case: CaseId,
    given: DecisionGiven,
    dry_run: Annotated[bool, Query(description="Only what it would come to; nothing is done.")] = False,
) -> dict[str, Any]:
    """Credit note, hold and mail in one transaction; with `dry_run` the figures first."""
    found = _case(case)
    who, at = acting.operator(actor_of(request), role=PROGRAM), clock.now()
    code = found.gross.currency
    try:
        share: Fraction | None = exact(given.share) if given.share else None
        amounts = {one.line: _amount(one.amount, code, "body.credits") for one in given.credits_} or None
        choice = Choice(given.outcome, share=share, amounts=amounts, plan=given.plan, service=given.service)
        if dry_run:
            seen = deciding.preview_decision(case=case, choice=choice, reason=given.reason, actor=who, at=at)
            notes: tuple[str, ...] = ()
            invoice: str | None = None
        else:
            done = deciding.decide_case(case=case, choice=choice, reason=given.reason, actor=who, at=at)
            seen, notes, invoice = done.figures, done.credit_notes, done.invoice
    except (DisputesError, InvoicingError, ZeroDivisionError) as fault:
        raise Problem(409, "refused", str(fault)) from fault
    return {
        "credited": money(seen.credited),
        "to_pay": money(seen.stays),
        "due_on": seen.due_on,
        "credit_notes": list(notes),
        "invoice": invoice,
    }


def _case(case: int) -> queries.CaseRow:
    try:
        return queries.case(case, at=clock.now())
    except UnableToFindCaseError as fault:
        raise Problem(404, "not-there", str(fault)) from fault


def _amount(text: str, code: str, where: str) -> Amount:
    try:
        return Amount.of(text, code)
    except ValueError as fault:
        raise Problem(422, "not-as-expected", str(fault), where=where) from fault


def _contest(given: PartGiven, code: str, zone: Any) -> Contest:
    accepted = None if given.accepted is None else Amount.of(given.accepted, code)
    named = [given.amount is not None, given.quantity is not None, given.first_day is not None]
    if sum(named) > 1 or (given.first_day is None) != (given.last_day is None):
        raise ValueError("name a part by one of amount, quantity, and first_day with last_day")
    if given.amount is not None:
        return Contest(given.line, Way.AMOUNT, amount=Amount.of(given.amount, code), accepted=accepted)
    if given.quantity is not None:
        return Contest(given.line, Way.QUANTITY, quantity=exact(given.quantity), accepted=accepted)
    if given.first_day is not None and given.last_day is not None:
        if given.last_day < given.first_day:
            raise ValueError("the last day is before the first")
        after = given.last_day.fromordinal(given.last_day.toordinal() + 1)
        period = Period(civil_midnight(given.first_day, zone), civil_midnight(after, zone))
        return Contest(given.line, Way.PERIOD, period=period, accepted=accepted)
    return Contest(given.line, accepted=accepted)
