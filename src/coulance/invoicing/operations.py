"""Writing invoicing: runs and their chunks, drafts, numbers, credit notes. Everything keyword-only."""

from datetime import datetime

from django.db import connection

from coulance.invoicing.crediting import issue_credit_note
from coulance.invoicing.debiting import issue_debit_note
from coulance.invoicing.errors import (
    InvoicingError,
    UnableToBillTwiceError,
    UnableToCreditError,
    UnableToFindDocumentError,
    UnableToFindRunError,
    UnableToNumberError,
    UnableToPlanError,
    UnableToSendError,
    UnableToWriteError,
)
from coulance.invoicing.holding import (
    HeldRow,
    UnableToSettleHeldError,
    end_hold,
    hold_documents,
    issue_held,
    lock_held,
    lower_held,
    mark_told,
    replace_held,
)
from coulance.invoicing.numbering import Numbered, assign_numbers, continue_series, continued_after, issue_documents
from coulance.invoicing.runs import (
    Chunk,
    Run,
    finish_chunk,
    next_chunk,
    open_run,
    park_account,
    plan_chunks,
    retry_parked,
)
from coulance.invoicing.writing import (
    NewCarry,
    NewDocument,
    NewFigure,
    abandon_drafts,
    carry_lines,
    record_figures,
    write_drafts,
)
from coulance_core.kernel import require_aware

__all__ = [
    "Chunk",
    "HeldRow",
    "InvoicingError",
    "NewCarry",
    "NewDocument",
    "NewFigure",
    "Numbered",
    "Run",
    "UnableToBillTwiceError",
    "UnableToCreditError",
    "UnableToFindDocumentError",
    "UnableToFindRunError",
    "UnableToNumberError",
    "UnableToPlanError",
    "UnableToSendError",
    "UnableToSettleHeldError",
    "UnableToWriteError",
    "abandon_drafts",
    "assign_numbers",
    "carry_lines",
    "continue_series",
    "continued_after",
    "end_hold",
    "finish_chunk",
    "hold_documents",
    "issue_credit_note",
    "issue_debit_note",
    "issue_documents",
    "issue_held",
    "lock_held",
    "lower_held",
    "mark_sent",
    "mark_told",
    "next_chunk",
    "open_run",
    "park_account",
    "plan_chunks",
    "record_figures",
    "replace_held",
    "retry_parked",
    "write_drafts",
]


def mark_sent(*, number: str, at: datetime) -> None:
    """Say that an issued document was sent, once. Raises `UnableToSendError` when it was before, or is not there."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE invoicing_document SET sent_at = %s WHERE number = %s AND sent_at IS NULL",
            [require_aware(at), number],
        )
        if not cursor.rowcount:
            raise UnableToSendError(f"{number} was sent before, or is not there")
