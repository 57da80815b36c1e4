"""Documents on their way through Peppol: queued with what is sent, handed over once, followed until an outcome.

States: `queued` (ours to hand over), `submitted` (the access point has it), then `delivered`, `refused` (it will never
be), `stuck` (no answer of use for days; a person looks) or `cancelled`. A request is claimed in a transaction before it
leaves, and comes due again by itself: killed anywhere, it is repeated under the same number, which the access point
knows. Each change is an event of the audit log, so that what was sent when can be shown.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from coulance.customers import queries as customers
from coulance.invoicing.errors import InvoicingError, UnableToSendError
from coulance.invoicing.models import Document, EInvoiceAddress, Transmission
from coulance.invoicing.ports import Answer, Outcome
from coulance.platform import audit
from coulance_core.invoicing.en16931_codes import Identifier
from coulance_core.invoicing.en16931_model import Routing
from coulance_core.kernel import require_aware

WAITS = tuple(timedelta(minutes=m) for m in (1, 5, 15, 60, 180, 360, 720, 720, 720, 720, 720))
"""How long after each request the next one comes, some three days in all; then a document is stuck."""
_CLAIM = timedelta(minutes=2)
_STATE_OF = {Outcome.TAKEN: "submitted", Outcome.DELIVERED: "delivered", Outcome.REFUSED: "refused"}


class UnableToSetAddressError(InvoicingError):
    """An electronic address that can't be one."""


@dataclass(frozen=True, slots=True)
class TransmissionRow:
    """A transmission as it stands."""

    document: int
    number: str
    state: str
    receiver: str
    sha256: str
    submission: str
    attempts: int
    detail: str
    queued_at: datetime
    changed_at: datetime
    next_at: datetime | None


def routing_of(*, account: int) -> Routing:
    """What is known of how an account (row id) wants its e-invoices."""
    row = EInvoiceAddress.objects.filter(account_id=account).first()
    if row is None:
        return Routing()
    where = Identifier(row.identifier, row.scheme) if row.identifier else None
    return Routing(reference=row.reference, endpoint=where, registration=row.registration)


def set_routing(*, account: str, routing: Routing, actor: str, at: datetime) -> None:
    """Keep how an account (external id) wants its e-invoices, in place of what was kept."""
    row = customers.account(account)
    where = routing.endpoint
    if where is not None and not (len(where.scheme) == 4 and where.scheme.isdigit() and 0 < len(where.value) <= 100):
        raise UnableToSetAddressError(
            f"{where} is no electronic address: expected scheme and identifier such as 0106:12345678"
        )
    with transaction.atomic():
        EInvoiceAddress.objects.update_or_create(
            account_id=row.id,
            defaults={
                "scheme": where.scheme if where else "",
                "identifier": where.value if where else "",
                "reference": routing.reference[:100],
                "registration": routing.registration[:60],
            },
        )
        audit.record(
            actor=actor,
            act="einvoice.addressed",
            subject=f"account:{account}",
            at=at,
            detail={"endpoint": str(where or ""), "reference": routing.reference},
        )


def queue(*, document: int, xml: bytes, receiver: Identifier, actor: str, reason: str, at: datetime) -> bool:
    """Queue a document's e-invoice (valid, Peppol's profile); false when it is on its way or delivered already.

    One that was refused, is stuck or was cancelled is queued anew. Raises `UnableToSendError` without a reason, or for
    what was never issued.
    """
    require_aware(at)
    if not reason.strip():
        raise UnableToSendError("sending needs a reason: the audit log keeps it")
    with transaction.atomic():
        row = Document.objects.select_for_update().filter(id=document, state="issued").first()
        if row is None or row.number is None:
            raise UnableToSendError("only an issued document can be sent")
        known = Transmission.objects.filter(document_id=document).first()
        if known is not None and known.state in ("queued", "submitted", "delivered"):
            return False
        Transmission.objects.update_or_create(
            document_id=document,
            defaults={
                "number": row.number,
                "state": "queued",
                "receiver": str(receiver),
                "xml": xml.decode(),
                "sha256": hashlib.sha256(xml).hexdigest(),
                "submission": "",
                "attempts": 0,
                "detail": "",
                "queued_at": at,
                "changed_at": at,
                "next_at": at,
            },
        )
        _note(row.number, "queued", actor, at, reason.strip(), {"receiver": str(receiver)})
    return True


def cancel(*, number: str, actor: str, reason: str, at: datetime) -> None:
    """Take back what is queued and was not handed over. Raises `UnableToSendError`."""
    if not reason.strip():
        raise UnableToSendError("cancelling needs a reason: the audit log keeps it")
    with transaction.atomic():
        changed = Transmission.objects.filter(number=number, state="queued", attempts=0).update(
            state="cancelled", changed_at=at, next_at=None
        )
        if not changed:
            raise UnableToSendError(f"{number} is not waiting to be handed over, so it can't be taken back")
        _note(number, "cancelled", actor, at, reason.strip(), {})


def claim_due(*, at: datetime) -> tuple[TransmissionRow, bytes] | None:
    """The next one that is due, and its bytes; it comes due again in two minutes unless its answer is recorded."""
    with transaction.atomic():
        row = (
            Transmission.objects.select_for_update(skip_locked=True).filter(next_at__lte=at).order_by("next_at").first()
        )
        if row is None:
            return None
        row.attempts += 1
        row.next_at = at + _CLAIM
        row.save(update_fields=["attempts", "next_at"])
        return _row(row), row.xml.encode()


def record_answer(*, number: str, answer: Answer, at: datetime) -> str:
    """What the access point said: the state that makes it, and when to ask again. Later contrary answers count."""
    state = _STATE_OF[answer.outcome]
    with transaction.atomic():
        row = Transmission.objects.select_for_update().get(number=number)
        if row.state not in ("queued", "submitted"):
            return row.state
        changed = row.state != state
        row.submission = answer.submission or row.submission
        row.detail = answer.detail[:2000]
        row.attempts = 0 if changed else row.attempts
        row.next_at = None if state != "submitted" else at + WAITS[min(row.attempts, len(WAITS) - 1)]
        row.state = state
        if state == "submitted" and row.attempts >= len(WAITS):
            row.state, row.next_at, changed = "stuck", None, True
            row.detail = row.detail or "the access point has it, and says nothing of its delivery"
        row.changed_at = at if changed else row.changed_at
        row.save()
        if changed:
            _note(number, row.state, "worker", at, "", {"submission": row.submission, "detail": row.detail})
        return row.state


def record_failure(*, number: str, problem: str, at: datetime) -> str:
    """No answer of use: try again later, or call it stuck after three days. The state it then has."""
    with transaction.atomic():
        row = Transmission.objects.select_for_update().get(number=number)
        if row.state not in ("queued", "submitted"):
            return row.state
        row.detail = problem[:2000]
        if row.attempts > len(WAITS):
            row.state, row.next_at, row.changed_at = "stuck", None, at
            _note(number, "stuck", "worker", at, "", {"detail": row.detail, "attempts": row.attempts})
        else:
            row.next_at = at + WAITS[row.attempts - 1 if row.attempts else 0]
        row.save()
        return row.state


def transmission(*, number: str) -> TransmissionRow | None:
    """How a document's transmission stands; none when it was never queued."""
    row = Transmission.objects.filter(number=number).first()
    return _row(row) if row else None


def transmissions(*, state: str = "", limit: int = 200) -> list[TransmissionRow]:
    """Transmissions, the last changed first; of one state, or all."""
    rows = Transmission.objects.order_by("-changed_at", "number")
    return [_row(row) for row in (rows.filter(state=state) if state else rows)[:limit]]


def _row(row: Transmission) -> TransmissionRow:
    return TransmissionRow(
        document=row.document_id,
        number=row.number,
        state=row.state,
        receiver=row.receiver,
        sha256=row.sha256,
        submission=row.submission,
        attempts=row.attempts,
        detail=row.detail,
        queued_at=row.queued_at,
        changed_at=row.changed_at,
        next_at=row.next_at,
    )


def _note(number: str, state: str, actor: str, at: datetime, reason: str, detail: Mapping[str, Any]) -> None:
    row = Transmission.objects.filter(number=number).values_list("sha256", flat=True).first()
    audit.record(
        actor=actor,
        act=f"einvoice.{state}",
        subject=f"document:{number}",
        at=at,
        reason=reason,
        detail={"sha256": row, **detail},
    )
