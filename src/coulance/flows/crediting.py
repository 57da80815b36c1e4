"""Credit notes that a person gives on an issued invoice, and takes back: the reason, the series, the day they bear."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import NamedTuple

from django.db import transaction

from coulance.catalog import queries as catalog
from coulance.flows import payments
from coulance.flows.arrears.looking import look_soon
from coulance.invoicing import crediting, debiting, queries
from coulance.invoicing import operations as invoicing
from coulance.overage import ways_out
from coulance_core.invoicing import CreditRequest, CreditType
from coulance_core.kernel import Money


class CreditPreview(NamedTuple):
    """What a credit note would give back: its sums as they lower the invoice, above zero, and each line's part."""

    net: Money
    tax: Money
    gross: Money
    issued_on: date
    lines: tuple[tuple[str, Money], ...]


def preview_credit_note(
    *, number: str, lines: Sequence[CreditRequest] | None, credit_type: CreditType, reason: str, at: datetime
) -> CreditPreview:
    """What `give_credit_note` would give back, to the cent, with nothing written. Raises what that raises."""
    draft = crediting.draft_credit_note(
        number=number,
        lines=lines,
        credit_type=credit_type,
        reason=reason.strip(),
        issued_on=_today(at),
    )
    parts = tuple((line.description, -line.net) for line in draft.lines)
    return CreditPreview(-draft.totals.net, -draft.totals.tax, -draft.totals.gross, draft.issued_on, parts)


def give_credit_note(
    *,
    number: str,
    lines: Sequence[CreditRequest] | None,
    credit_type: CreditType,
    reason: str,
    actor: str,
    at: datetime,
) -> str:
    """Credit lines of an invoice (none: all that is left of it); gives the credit note's number. One transaction.

    Where the invoice was paid, what is credited pays other debts of the account, if the provider's file lets it.

    Raises `UnableToCreditError` (invoicing), also without a reason, and `UnableToFindDocumentError`.
    """
    if not reason.strip():
        raise invoicing.UnableToCreditError("a credit note needs a reason: the customer reads it")
    with transaction.atomic():
        given = invoicing.issue_credit_note(
            number=number,
            lines=lines,
            credit_type=credit_type,
            reason=reason.strip(),
            at=at,
            issued_on=_today(at),
            actor=actor,
            series=catalog.catalog().series["credit"],
        )
        _use_what_is_there(given, actor, at)
    return given


def preview_debit_note(*, number: str, reason: str, at: datetime) -> CreditPreview:
    """What taking the credit note `number` back would claim again, to the cent, with nothing written."""
    _may_be_taken_back(number)
    draft = debiting.draft_debit_note(number=number, reason=reason.strip(), issued_on=_today(at))
    parts = tuple((line.description, line.net) for line in draft.lines)
    return CreditPreview(draft.totals.net, draft.totals.tax, draft.totals.gross, draft.issued_on, parts)


def reverse_credit_note(*, number: str, reason: str, actor: str, at: datetime) -> str:
    """Take the credit note `number` back by a debit note; gives that one's number. One transaction.

    Raises `UnableToCreditError` (invoicing), also without a reason, and `UnableToFindDocumentError`.
    """
    if not reason.strip():
        raise invoicing.UnableToCreditError("taking a credit note back needs a reason: the customer reads it")
    with transaction.atomic():
        _may_be_taken_back(number)
        given = invoicing.issue_debit_note(
            number=number,
            reason=reason.strip(),
            at=at,
            issued_on=_today(at),
            actor=actor,
            series=catalog.catalog().series["credit"],
        )
        _use_what_is_there(given, actor, at)
    return given


def _may_be_taken_back(number: str) -> None:
    """Refuse where a larger plan was billed instead of what the note gave back: the use would be paid for twice."""
    instead = ways_out.difference_billed(credit_note=number)
    if instead and any(line.left.minor > 0 for line in crediting.creditable_lines(instead)):
        raise invoicing.UnableToCreditError(
            f"{number} gave overage back that a larger plan took the place of, billed as {instead}: credit that first"
        )


def _use_what_is_there(number: str, actor: str, at: datetime) -> None:
    """Credit that a document leaves over pays other debts; what is on hand pays the debt that it makes."""
    account = queries.document(number=number).row.account
    look_soon([account])
    payments.apply_on_hand(accounts=[account], actor=actor, reason=f"{number} was issued", at=at)


def _today(at: datetime) -> date:
    return at.astimezone(catalog.catalog().provider.zone_info).date()
