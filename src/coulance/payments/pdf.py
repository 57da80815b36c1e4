"""A statement of account as PDF/A-3b: laid out from values, the same as data attached."""

from datetime import UTC, datetime
from pathlib import Path

from coulance.customers.queries import AccountRow
from coulance.payments.documents.view import data_of, view
from coulance.platform.typesetting import UnableToTypesetError, json_beside, typeset
from coulance_core.catalog.provider import ProviderTerms
from coulance_core.payments import AccountStatement

_TEMPLATE = Path(__file__).parent / "documents" / "statement.typ"


class UnableToPrintError(ValueError):
    """A statement that can't be set, even with unusual characters replaced."""


def render_statement(
    statement: AccountStatement, *, seller: ProviderTerms, buyer: AccountRow, language: str = ""
) -> bytes:
    """The PDF/A-3b of a statement, in the account's language unless another is asked for.

    What holds for threads and processes is said at `typeset`. Raises `UnableToPrintError`.
    """
    shown = view(statement, seller=seller, buyer=buyer, language=language)
    made = datetime.fromisoformat(shown["date"]).replace(tzinfo=UTC)
    try:
        return typeset(_TEMPLATE, shown, made=made, beside={"attached": json_beside(data_of(statement, buyer))})
    except UnableToTypesetError as fault:
        raise UnableToPrintError(f"statement of {buyer.external_id}: {fault}") from fault
