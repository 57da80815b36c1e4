"""Opening a case: what could be contested of an invoice, what naming it comes to, and doing it in one transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from fractions import Fraction
from zoneinfo import ZoneInfo

from django.db import transaction

from coulance.catalog import queries as catalogs
from coulance.customers import queries as customers
from coulance.disputes import operations as disputes
from coulance.disputes import queries as cases
from coulance.disputes.errors import UnableToFindCaseError, UnableToOpenError
from coulance.disputes.files import Upload, checked
from coulance.disputes.queries import CaseRow
from coulance.flows.arrears.looking import look_soon
from coulance.flows.disputing import acting, telling
from coulance.flows.disputing.acting import Actor
from coulance.invoicing import operations as invoicing
from coulance.invoicing import queries as documents
from coulance.invoicing.crediting import creditable
from coulance.invoicing.queries import DocumentRow
from coulance.payments import queries as payments
from coulance.platform import webhooks
from coulance_core.disputes import (
    Contest,
    Contested,
    DisputeError,
    Grounds,
    OpenRefusal,
    contested,
    may_open,
)
from coulance_core.invoicing import Issued
from coulance_core.kernel import Money, Period


@dataclass(frozen=True, slots=True)
class Line:
    """A line of an invoice as it can be contested: `left` is its amount before tax after credit notes.

    `case` is an open case that contests it already. `last_day` is the last day of its period, in the buyer's zone.
    """

    no: int
    description: str
    service: str
    net: Money
    left: Money
    quantity: Fraction
    unit: str
    period: Period
    first_day: date
    last_day: date
    case: int | None

    @property
    def can_be(self) -> bool:
        """Whether something of it can be contested now."""
        return self.left.minor > 0 and self.case is None


@dataclass(frozen=True, slots=True)
class Contestable:
    """An invoice that can be contested, with its lines. `open` is what is to be paid of it now, held or not."""

    document: DocumentRow
    lines: tuple[Line, ...]
    open: Money
    held: Money
    earlier: tuple[CaseRow, ...]
    grounds: tuple[Grounds, ...] = tuple(Grounds)
    """What the customer chooses from."""

    @property
    def payable(self) -> Money:
        """What is to be paid, less what is held."""
        return self.open - self.held


@dataclass(frozen=True, slots=True)
class Preview:
    """What a contest would come to, with nothing written: what is held of what is open, and what stays to be paid."""

    contested: Contested
    held: Money
    stays: Money
    due_on: date


@dataclass(frozen=True, slots=True)
class Opened:
    """A case that was opened."""

    case: int
    preview: Preview
    decide_by: datetime


def contestable(*, document: int, actor: Actor, at: datetime) -> Contestable:
    """An invoice as it can be contested. Raises `UnableToFindCaseError` for another account's, or what isn't there.

    Raises `UnableToOpenError` for what is no invoice.
    """
    with transaction.atomic():
        row, invoice = _invoice(document, actor)
        earlier = cases.cases(documents=[document], at=at)
    busy = {part.line: case.id for case in earlier if not case.state.is_closed for part in cases.parts(case.id)}
    (buyer,) = customers.accounts([row.account])
    lines = []
    for line in invoice.lines:
        first, after = line.period.dates(ZoneInfo(buyer.zone))
        lines.append(
            Line(
                line.no,
                line.description,
                line.service.name if line.service else line.pool,
                line.net,
                Money(max(invoice.left(line), 0), invoice.currency),
                line.quantity,
                line.unit,
                line.period,
                first,
                date.fromordinal(max(after.toordinal() - 1, first.toordinal())),
                busy.get(line.no),
            )
        )
    open_, held = _open(row)
    return Contestable(row, tuple(lines), open_, held, earlier, acting.policy().grounds)


def preview(*, document: int, contests: Sequence[Contest], actor: Actor) -> Preview:
    """What these contests would come to. Raises `UnableToOpenError`, `UnableToFindCaseError`."""
    with transaction.atomic():
        row, invoice = _invoice(document, actor)
        return _preview(row, _contested(invoice, contests))


def open_dispute(
    *,
    document: int,
    contests: Sequence[Contest],
    grounds: Grounds,
    reason: str,
    actor: Actor,
    at: datetime,
    new_fact: str = "",
    contact: str = "",
    files: Sequence[Upload] = (),
) -> Opened:
    """Contest lines of an issued invoice: the case is opened, its amount held, everybody told; or nothing happens.

    `contact` is whom an operator opens it for. Raises `UnableToOpenError` (with core's refusal, where a rule refused),
    `UnableToKeepFileError`, `UnableToFindCaseError`.
    """
    kept = [checked(one) for one in files]
    policy = acting.policy()
    with transaction.atomic():
        row, invoice = _invoice(document, actor)  # its row queues whoever else contests it
        today = at.astimezone(catalogs.catalog().provider.zone_info).date()
        refusal = may_open(
            lines=[one.line for one in contests],
            reason=reason,
            new_fact=new_fact,
            issued_on=row.issued_on,
            on=today,
            earlier=cases.earlier(document=document, at=at),
            policy=policy,
            by_customer=actor.is_customer,
        )
        if refusal is not None:
            raise UnableToOpenError(refusal.message, refusal)
        found = _contested(invoice, contests)
        made = _preview(row, found)
        assert row.number is not None
        case = disputes.reserve()
        disputes.open_case(
            case=case,
            account=row.account,
            document=document,
            number=row.number,
            contested=found,
            grounds=grounds,
            reason=reason,
            new_fact=new_fact,
            contact=actor.contact or contact,
            policy=policy,
            messages=telling.keys(case, 1, row.account, actor.contact or contact),
            by=actor.name,
            at=at,
        )
        if kept:
            disputes.add_files(case=case, step=1, files=kept, by=actor.name, at=at)
        now = cases.case(case, at=at)
        telling.tell(now, now.steps[0], at=at, stays=made.stays, due_on=made.due_on)
        webhooks.emit(event="dispute.opened", data=telling.told(now), at=at)
        look_soon([row.account])
    assert now.clock.due_at is not None
    return Opened(case, made, now.clock.due_at)


def already(error: UnableToOpenError, *, document: int, at: datetime) -> CaseRow | None:
    """The open case that stood in the way, when that is what refused."""
    if error.refusal is None or error.refusal.code is not OpenRefusal.OPEN_ALREADY:
        return None
    return next((one for one in cases.cases(documents=[document], at=at) if not one.state.is_closed), None)


def issued(document: int, actor: Actor) -> DocumentRow:
    """An issued document that this actor may see. Raises `UnableToFindCaseError`."""
    try:
        row = documents.row_of(document=document)
    except invoicing.UnableToFindDocumentError as error:
        raise UnableToFindCaseError(f"there is no document {document}") from error
    if row.number is None or (actor.account is not None and row.account != actor.account):
        raise UnableToFindCaseError(f"there is no document {document}")
    return row


def _invoice(document: int, actor: Actor) -> tuple[DocumentRow, Issued]:
    row = issued(document, actor)
    assert row.number is not None
    try:
        _, invoice, _ = creditable(row.number)
    except invoicing.UnableToCreditError as error:
        raise UnableToOpenError(f"{row.number} is no invoice: only invoices are contested") from error
    return row, invoice


def _contested(invoice: Issued, contests: Sequence[Contest]) -> Contested:
    try:
        return contested(invoice, contests, rounding=catalogs.catalog().provider.rounding)
    except DisputeError as error:
        raise UnableToOpenError(str(error)) from error


def _open(row: DocumentRow) -> tuple[Money, Money]:
    """What is open of an invoice, and what of that is held; zero when it is paid, or credit."""
    zero = Money(0, row.gross.currency)
    for item in payments.items(account=row.account):
        if item.ref == f"document/{row.id}":
            return max(item.open, zero), zero if item.held is None else item.held
    return zero, zero


def _preview(row: DocumentRow, found: Contested) -> Preview:
    open_, held_before = _open(row)
    free = open_ - held_before
    held = min(found.gross, free)
    return Preview(found, held, free - held, row.due_on)
