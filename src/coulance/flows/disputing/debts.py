"""What a case can be of: an invoice of ours, or a debt that was taken over from another system, without lines here.

What is given back of the latter is a credit that is taken over likewise: it lowers what was open when this began. The
credit note, with its tax, belongs to the system that issued the invoice.
"""

from dataclasses import dataclass
from datetime import date, datetime

from coulance.catalog import queries as catalogs
from coulance.disputes import queries as cases
from coulance.disputes.errors import UnableToFindCaseError, UnableToOpenError
from coulance.disputes.queries import CaseRow
from coulance.flows.disputing.acting import Actor
from coulance.flows.payment_order import order_of
from coulance.invoicing import operations as invoicing
from coulance.invoicing import queries as documents
from coulance.invoicing.crediting import creditable
from coulance.payments import openings
from coulance.payments import operations as paying
from coulance.payments import queries as payments
from coulance_core.disputes import Debt
from coulance_core.invoicing import Issued
from coulance_core.kernel import Money
from coulance_core.payments import Choice, OpenItem


@dataclass(frozen=True, slots=True)
class Bill:
    """A debt as it can be contested: `document` or `opening` is its id, `of` its lines, or itself without any.

    `since` is from when the time to contest it runs: its issue, or when it was taken over.
    """

    document: int | None
    opening: int | None
    account: int
    number: str
    issued_on: date
    since: date
    due_on: date
    gross: Money
    of: Issued | Debt

    @property
    def ref(self) -> str:
        """As payments refers to it."""
        return f"opening/{self.opening}" if self.document is None else f"document/{self.document}"


@dataclass(frozen=True, slots=True)
class Named:
    """A bill that was found by its number: `document` or `opening` is its id."""

    document: int | None
    opening: int | None
    account: int
    currency: str


def named(number: str, *, account: int | None = None) -> Named | None:
    """The bill of that number: an invoice of ours, else the one debt that was taken over; of `account`, where given.

    None where there is none, or several customers have one of that number from before.
    """
    try:
        row = documents.document(number=number).row
    except invoicing.UnableToFindDocumentError:
        pass
    else:
        return Named(row.id, None, row.account, row.gross.currency) if account in (None, row.account) else None
    taken = [
        item
        for item in payments.items_by_number(numbers=[number]).get(number, ())
        if item.ref.startswith("opening/") and item.gross.minor > 0 and account in (None, item.account)
    ]
    if len(taken) != 1:
        return None
    return Named(None, int(taken[0].ref.removeprefix("opening/")), taken[0].account, taken[0].gross.currency)


def bill(*, document: int | None = None, opening: int | None = None, actor: Actor) -> Bill:
    """One of both, locked against others who act on it, as this actor may see it.

    Raises `UnableToFindCaseError` for another account's or what isn't there, `UnableToOpenError` for what is no debt.
    """
    if (document is None) == (opening is None):
        raise ValueError("a case is of a document or of a debt that was taken over: name one")
    return _taken_over(opening, actor) if document is None else _invoice(document, actor)


def bill_of(case: CaseRow) -> Bill:
    """What a case is of, locked. A debt whose taking over was undone since is not there."""
    return bill(document=case.document, opening=case.opening, actor=Actor("worker"))


def item_of(account: int, ref: str) -> OpenItem | None:
    """The debt as payments has it: what is open, held and due. None where it isn't any more."""
    return next((one for one in payments.items(account=account) if one.ref == ref), None)


def give_back(case: CaseRow, amount: Money, *, actor: str, reason: str, at: datetime) -> str:
    """Give so much of a debt that was taken over back, tax included; the number of the credit.

    It pays the debt first; what it doesn't need is on hand. To undo it, reverse its allocations, then the item.
    """
    taken = None if case.opening is None else openings.debt(opening=case.opening)
    assert taken is not None
    today = at.astimezone(catalogs.catalog().provider.zone_info).date()
    day = max(today, taken.taken_on)
    number = f"{case.number}-D{case.id}"
    credit = paying.TakenItem(
        source_key=source_of(case.id),
        kind=taken.kind,
        number=number,
        issued_on=day,
        due_on=day,
        gross=-amount,
        open=-amount,
    )
    paying.take_over_items(account=case.account, items=[credit], taken_on=day, actor=actor, reason=reason, at=at)
    left = item_of(case.account, case.ref)
    if left is not None and left.open.minor > 0:
        paying.apply_credit(
            account=case.account,
            currency=amount.currency,
            on=day,
            source_key=f"{source_of(case.id)}/set-off",
            actor=actor,
            reason=reason,
            at=at,
            choice=[Choice(case.ref)],
            policy=order_of(case.account, at=at),
        )
    return number


def source_of(case: int) -> str:
    """What the credit of a case is known by.

    >>> source_of(7)
    'dispute/7'
    """
    return f"dispute/{case}"


def _invoice(document: int, actor: Actor) -> Bill:
    try:
        row = documents.row_of(document=document)
    except invoicing.UnableToFindDocumentError as error:
        raise UnableToFindCaseError(f"there is no document {document}") from error
    if row.number is None or (actor.account is not None and row.account != actor.account):
        raise UnableToFindCaseError(f"there is no document {document}")
    try:
        _, invoice, _ = creditable(row.number)
    except invoicing.UnableToCreditError as error:
        raise UnableToOpenError(f"{row.number} is no invoice: only invoices are contested") from error
    return Bill(document, None, row.account, row.number, row.issued_on, row.issued_on, row.due_on, row.gross, invoice)


def _taken_over(opening: int | None, actor: Actor) -> Bill:
    found = None if opening is None else openings.debt(opening=opening, lock=True)
    if found is None or (actor.account is not None and found.account != actor.account):
        raise UnableToFindCaseError(f"there is no debt opening/{opening}")
    left = found.open
    for case in cases.numbers(ref=f"opening/{found.id}"):
        given = [one for one in openings.items(source=source_of(case)) if one.source_key == source_of(case)]
        left = sum((one.open for one in given), left)  # credits are below zero
    return Bill(
        None,
        found.id,
        found.account,
        found.number,
        found.issued_on,
        max(found.issued_on, found.taken_on),
        found.due_on,
        found.gross,
        Debt(found.number, left),
    )
