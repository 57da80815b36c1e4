"""What became of documents that were sent: for lists, for the doctor, and to clear the alarm when all is well."""

from dataclasses import dataclass
from datetime import datetime

from coulance.flows.sending.documents import KIND, UNDELIVERED_ALARM, about, document_of
from coulance.invoicing import queries as documents
from coulance.invoicing.queries import DocumentRow
from coulance.notices import queries as notices
from coulance.notices.queries import DeliveryRow
from coulance.notices.states import FAILED, OPEN, State
from coulance.platform.alarms import clear_alarm


@dataclass(frozen=True, slots=True)
class Undelivered:
    """A document with deliveries that failed and were not made good. `reached_nobody`: no other one arrived."""

    document: DocumentRow
    failed: tuple[DeliveryRow, ...]
    reached_nobody: bool


def undelivered_documents(*, account: int | None = None, limit: int = 1000) -> list[Undelivered]:
    """Documents that were refused, came back, are held or uncertain, newest trouble first.

    Of a document that was sent again only the last time counts.
    """
    failed = notices.messages(account=account, kind=KIND, state=[state.value for state in FAILED], limit=limit)
    subjects = list(dict.fromkeys(row.about for row in failed))
    last: dict[str, str] = {}
    own: dict[str, list[DeliveryRow]] = {}
    for row in notices.messages(about=subjects, kind=KIND, limit=100_000) if subjects else ():  # newest first
        if last.setdefault(row.about, _time(row)) == _time(row):
            own.setdefault(row.about, []).append(row)
    out = []
    for subject in subjects:
        document = document_of(subject)
        trouble = tuple(row for row in own[subject] if row.state in FAILED)
        if document is not None and trouble:
            well = any(row.state in (State.ACCEPTED, *OPEN) for row in own[subject])
            out.append(Undelivered(documents.row_of(document=document), trouble, not well))
    return out


def _time(row: DeliveryRow) -> str:
    """Which time of sending a delivery belongs to: the key without the number of its language."""
    return row.key.rpartition("/")[0]


def deliveries_of(*, document: int) -> list[DeliveryRow]:
    """Every delivery of a document, newest first, the provider's own copies left out."""
    return notices.messages(about=about(document), kind=KIND, limit=1000)


def clear_when_well(*, at: datetime) -> bool:
    """Clear the alarm once no document is undelivered; whether that was so."""
    if undelivered_documents(limit=1):
        return False
    return clear_alarm(key=UNDELIVERED_ALARM, at=at)
