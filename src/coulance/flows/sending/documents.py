"""What notices asks of whoever queued a document: its files when it is sent, and to hear what became of it.

Wired in the settings (`MESSAGE_HANDLERS`). A document whose e-invoice is asked for and not valid is not sent at all.
"""

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

from coulance.invoicing import operations as invoicing
from coulance.invoicing import pdf
from coulance.invoicing import queries as documents
from coulance.notices.errors import UnableToAttachError
from coulance.notices.ports import About
from coulance.notices.terms import File
from coulance.platform import webhooks
from coulance.platform.alarms import raise_alarm

KIND = "document"
UNDELIVERED_ALARM = "sending.undelivered"


def about(document: int) -> str:
    """How messages name a document.

    >>> about(17), document_of("document/17"), document_of("alarms")
    ('document/17', 17, None)
    """
    return f"document/{document}"


def document_of(text: str) -> int | None:
    """The document that a message is about, or none."""
    kind, _, number = text.partition("/")
    return int(number) if kind == KIND and number.isdigit() else None


def ref_of(document: int, forms: Sequence[str]) -> str:
    """What an attachment is asked for by: the document, and its electronic forms."""
    return "+".join([str(document), *forms])


def files_of(snapshot: dict[str, Any], forms: Sequence[str]) -> list[File]:
    """A document's PDF and the e-invoices asked for, each valid by the official rules, or `UnableToAttachError`."""
    number = str(snapshot["number"])
    name = "".join(c if c.isalnum() or c in "-_." else "-" for c in number)
    wanted = () if snapshot["kind"] == "usage_statement" else tuple(forms)
    try:
        if not wanted:
            return [File(f"{name}.pdf", "application/pdf", pdf.render(snapshot))]
        # Loaded when asked for: it brings the rules' machinery along.
        from coulance.invoicing import einvoice

        try:
            out = []
            if "factur_x" in wanted or "cii" in wanted:
                cii = einvoice.checked(einvoice.cii(snapshot), number)
                if "cii" in wanted:
                    out.append(File(f"{name}-cii.xml", "application/xml", cii))
            if "ubl" in wanted:
                out.append(File(f"{name}-ubl.xml", "application/xml", einvoice.checked(einvoice.ubl(snapshot), number)))
            whole = einvoice.factur_x(snapshot) if "factur_x" in wanted else pdf.render(snapshot)
        except einvoice.EInvoiceInvalidError as fault:
            raise UnableToAttachError(f"{number} has no valid e-invoice: {fault}") from fault
        return [File(f"{name}.pdf", "application/pdf", whole), *out]
    except pdf.UnableToRenderError as fault:
        raise UnableToAttachError(str(fault)) from fault


class Documents:
    """Serves messages that take a document along."""

    def files(self, *, kind: str, ref: str) -> Sequence[File]:
        """Its PDF, and e-invoices (`17+ubl`). Raises `UnableToAttachError`."""
        document, *forms = ref.split("+")
        if kind != KIND or not document.isdigit():
            raise UnableToAttachError(f"nothing renders an attachment {kind} {ref}")
        try:
            stored = documents.document_by_id(document=int(document))
        except invoicing.UnableToFindDocumentError as fault:
            raise UnableToAttachError(str(fault)) from fault
        if stored.row.state != "issued":
            raise UnableToAttachError(f"document {document} is not issued")
        return files_of(stored.snapshot, forms)

    def accepted(self, *, of: About, at: datetime) -> None:
        """Note on the document that it was sent, at its first acceptance; tell endpoints."""
        document = document_of(of.about)
        if document is None or of.copy:
            return
        row = documents.row_of(document=document)
        if row.sent_at is None and row.number is not None:
            # Another of its recipients may have had it in this very moment.
            with suppress(invoicing.UnableToSendError):
                invoicing.mark_sent(number=row.number, at=at)
        webhooks.emit(event="document.sent", data=_told(row, of), at=at)

    def failed(self, *, of: About, state: str, why: str, at: datetime) -> None:
        """Raise the alarm; tell endpoints of what was refused or came back."""
        document = document_of(of.about)
        if document is None or of.copy:
            return
        row = documents.row_of(document=document)
        raise_alarm(
            key=UNDELIVERED_ALARM,
            severity="warning",
            what=f"Documents did not reach everybody they were sent to; the latest is {row.number} ({state})."
            " See them with: coulance send status",
            at=at,
        )
        if state in ("refused", "bounced"):
            webhooks.emit(event="message.bounced", data={**_told(row, of), "state": state, "why": why[:500]}, at=at)


def _told(row: documents.DocumentRow, of: About) -> dict[str, Any]:
    return {
        "document": row.id,
        "number": row.number,
        "kind": row.kind,
        "account": row.buyer_ref,
        "message": of.message,
        "delivery": of.delivery,
        "address": of.address,
    }
