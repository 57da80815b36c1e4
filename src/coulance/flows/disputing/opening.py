"""Opening a case: what could be contested of an invoice, what naming it comes to, and doing it in one transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from fractions import Fraction
from zoneinfo import ZoneInfo

from django.db import transaction
from django.utils.translation import gettext as _

from coulance.catalog import queries as catalogs
from coulance.customers import queries as customers
from coulance.disputes import operations as disputes
from coulance.disputes import queries as cases
from coulance.disputes.errors import UnableToOpenError
from coulance.disputes.files import Upload, checked
from coulance.disputes.queries import CaseRow
from coulance.flows.arrears.looking import look_soon
from coulance.flows.disputing import acting, telling
from coulance.flows.disputing.acting import Actor
from coulance.flows.disputing.debts import Bill, bill, item_of
from coulance.platform import webhooks
from coulance_core.disputes import (
    BY_WHOLE,
    Contest,
    Contested,
    Debt,
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
    """A debt that can be contested, with its lines. `open` is what is to be paid of it now, held or not.

    What was taken over from another system has one line here, number 0: itself, tax included.
    """

    bill: Bill
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


def contestable(*, document: int | None = None, opening: int | None = None, actor: Actor, at: datetime) -> Contestable:
    """An invoice, or a debt that was taken over, as it can be contested.

    Raises `UnableToFindCaseError` for another account's, or what isn't there; `UnableToOpenError` for what is no debt.
    """
    with transaction.atomic():
        found = bill(document=document, opening=opening, actor=actor)
        earlier = cases.cases(refs=[found.ref], at=at)
    busy = {part.line: case.id for case in earlier if not case.state.is_closed for part in cases.parts(case.id)}
    open_, held = _open(found)
    lines = _lines(found, found.of, busy) if isinstance(found.of, Issued) else [_itself(found, found.of, busy)]
    return Contestable(found, tuple(lines), open_, held, earlier, acting.policy().grounds)


def _itself(of: Bill, debt: Debt, busy: Mapping[int, int]) -> Line:
    """A debt without lines, as its only line."""
    start = datetime.combine(of.issued_on, time(), UTC)
    return Line(
        no=BY_WHOLE,
        description=_("%(number)s as a whole, tax included") % {"number": of.number},
        service="",
        net=of.gross,
        left=max(debt.left, Money(0, debt.currency)),
        quantity=Fraction(1),
        unit="1",
        period=Period(start, start + timedelta(days=1)),
        first_day=of.issued_on,
        last_day=of.issued_on,
        case=busy.get(BY_WHOLE),
    )


def _lines(of: Bill, invoice: Issued, busy: Mapping[int, int]) -> list[Line]:
    (buyer,) = customers.accounts([of.account])
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
    return lines


def preview(
    *, document: int | None = None, opening: int | None = None, contests: Sequence[Contest], actor: Actor
) -> Preview:
    """What these contests would come to. Raises `UnableToOpenError`, `UnableToFindCaseError`."""
    with transaction.atomic():
        found = bill(document=document, opening=opening, actor=actor)
        return _preview(found, _contested(found, contests))


def open_dispute(
    *,
    document: int | None = None,
    opening: int | None = None,
    contests: Sequence[Contest],
    grounds: Grounds,
    reason: str,
    actor: Actor,
    at: datetime,
    new_fact: str = "",
    contact: str = "",
    files: Sequence[Upload] = (),
) -> Opened:
    """Contest lines of an issued invoice, or a debt that was taken over (as line 0): the case is opened,
    its amount held, everybody told; or nothing happens.

    `contact` is whom an operator opens it for. Raises `UnableToOpenError` (with core's refusal, where a rule refused),
    `UnableToKeepFileError`, `UnableToFindCaseError`.
    """
    kept = [checked(one) for one in files]
    policy = acting.policy()
    with transaction.atomic():
        of = bill(document=document, opening=opening, actor=actor)  # its row queues whoever else contests it
        today = at.astimezone(catalogs.catalog().provider.zone_info).date()
        refusal = may_open(
            lines=[one.line for one in contests],
            reason=reason,
            new_fact=new_fact,
            issued_on=of.since,
            on=today,
            earlier=cases.earlier(ref=of.ref, at=at),
            policy=policy,
            by_customer=actor.is_customer,
        )
        if refusal is not None:
            raise UnableToOpenError(refusal.message, refusal)
        found = _contested(of, contests)
        made = _preview(of, found)
        case = disputes.reserve()
        disputes.open_case(
            case=case,
            account=of.account,
            document=of.document,
            opening=of.opening,
            number=of.number,
            contested=found,
            grounds=grounds,
            reason=reason,
            new_fact=new_fact,
            contact=actor.contact or contact,
            policy=policy,
            messages=telling.keys(case, 1, of.account, actor.contact or contact),
            by=actor.name,
            at=at,
        )
        if kept:
            disputes.add_files(case=case, step=1, files=kept, by=actor.name, at=at)
        now = cases.case(case, at=at)
        telling.tell(now, now.steps[0], at=at, stays=made.stays, due_on=made.due_on)
        webhooks.emit(event="dispute.opened", data=telling.told(now), at=at)
        look_soon([of.account])
    assert now.clock.due_at is not None
    return Opened(case, made, now.clock.due_at)


def already(error: UnableToOpenError, *, ref: str, at: datetime) -> CaseRow | None:
    """The open case that stood in the way, when that is what refused."""
    if error.refusal is None or error.refusal.code is not OpenRefusal.OPEN_ALREADY:
        return None
    return next((one for one in cases.cases(refs=[ref], at=at) if not one.state.is_closed), None)


def _contested(of: Bill, contests: Sequence[Contest]) -> Contested:
    try:
        return contested(of.of, contests, rounding=catalogs.catalog().provider.rounding)
    except DisputeError as error:
        raise UnableToOpenError(str(error)) from error


def _open(of: Bill) -> tuple[Money, Money]:
    """What is open of a debt, and what of that is held; zero when it is paid, or credit."""
    zero, item = Money(0, of.gross.currency), item_of(of.account, of.ref)
    if item is None:
        return zero, zero
    return max(item.open, zero), zero if item.held is None else item.held


def _preview(of: Bill, found: Contested) -> Preview:
    open_, held_before = _open(of)
    free = open_ - held_before
    held = min(found.gross, free)
    return Preview(found, held, free - held, of.due_on)
