"""E-invoices on their way out: made, checked by the official rules, queued for the network, and followed."""

import contextlib
from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.db import transaction
from lxml import etree
from procrastinate.contrib.django import app
from procrastinate.exceptions import AlreadyEnqueued

from coulance.invoicing import einvoice, queries, transmissions
from coulance.invoicing.einvoice import EInvoiceInvalidError
from coulance.invoicing.ports import AccessPoint, AccessPointError, Parcel
from coulance.platform import alarms, webhooks
from coulance_core.invoicing.en16931 import invoice_of
from coulance_core.invoicing.en16931_codes import Identifier
from coulance_core.invoicing.en16931_model import Lack

FORMATS = ("ubl", "peppol", "cii", "factur-x")
TASK = "einvoicing.carry_on"
"""The job that hands over what is queued; it lives above, where the access point is known."""


class UnableToMakeEInvoiceError(RuntimeError):
    """A document has no valid e-invoice; the message says which field lacks or which rule failed."""


def einvoice_of(*, number: str, form: str = "ubl") -> bytes:
    """An issued document in a form of FORMATS, checked by the official rules: the one way for it to leave the house.

    Raises `UnableToFindDocumentError` (invoicing) and `UnableToMakeEInvoiceError`.
    """
    stored = queries.document(number=number)
    routing = transmissions.routing_of(account=stored.row.account)
    snapshot = stored.snapshot
    try:
        match form:
            case "ubl" | "peppol":
                made = einvoice.ubl(snapshot, routing=routing, peppol=form == "peppol")
                return einvoice.checked(made, number)
            case "cii":
                return einvoice.checked(einvoice.cii(snapshot, routing=routing), number)
            case "factur-x":
                einvoice.checked(einvoice.cii(snapshot, routing=routing), number)
                return einvoice.factur_x(snapshot, routing=routing)
    except EInvoiceInvalidError as error:
        raise UnableToMakeEInvoiceError(str(error)) from error
    raise UnableToMakeEInvoiceError(f"unknown form {form!r}: expected one of {', '.join(FORMATS)}")


def send_einvoice(*, number: str, actor: str, reason: str, at: datetime) -> bool:
    """Queue a document for the Peppol network; false when it is on its way or there already. One transaction.

    Raises `UnableToFindDocumentError`, `UnableToMakeEInvoiceError`, `UnableToSendError`.
    """
    stored = queries.document(number=number)
    routing = transmissions.routing_of(account=stored.row.account)
    try:
        invoice = invoice_of(stored.snapshot, routing=routing)
        lacks = [
            Lack(field, "no electronic address is known", remedy)
            for field, party, remedy in (
                ("seller.endpoint", invoice.seller, "state vat_id or registration in [provider] of the provider file"),
                (
                    "buyer.endpoint",
                    invoice.buyer,
                    "set it: coulance einvoice address ACCOUNT --peppol 0106:12345678; or send the PDF by mail",
                ),
            )
            if party.endpoint is None
        ]
        if lacks:
            raise EInvoiceInvalidError(number, lacks)
    except EInvoiceInvalidError as error:
        raise UnableToMakeEInvoiceError(str(error)) from error
    xml = einvoice_of(number=number, form="peppol")
    assert invoice.buyer.endpoint is not None
    with transaction.atomic():
        queued = transmissions.queue(
            document=stored.row.id, xml=xml, receiver=invoice.buyer.endpoint, actor=actor, reason=reason, at=at
        )
        if queued:
            # One job that waits takes all that is due; that there is one already undoes no more than this.
            with contextlib.suppress(AlreadyEnqueued), transaction.atomic():
                app.configure_task(TASK, allow_unknown=True, queueing_lock=TASK).defer(timestamp=int(at.timestamp()))
    return queued


def carry_on_due(*, access_point: AccessPoint | None, now: Callable[[], datetime], most: int = 50) -> dict[str, int]:
    """Hand over or ask after what is due; how many ended in which state. Without an access point nothing is claimed."""
    states: dict[str, int] = {}
    if access_point is None:
        return states
    for _ in range(most):
        claimed = transmissions.claim_due(at=now())
        if claimed is None:
            break
        state = _carry_on(*claimed, access_point, now)
        states[state] = states.get(state, 0) + 1
    return states


def _carry_on(
    row: transmissions.TransmissionRow, xml: bytes, access_point: AccessPoint, now: Callable[[], datetime]
) -> str:
    try:
        if row.state == "submitted":
            answer = access_point.status(row.submission)
        else:
            answer = access_point.submit(_parcel(row.number, row.receiver, xml))
    except AccessPointError as error:
        at = now()
        with transaction.atomic():
            state = transmissions.record_failure(number=row.number, problem=str(error), at=at)
            if state == "stuck":
                _raise_alarm(row.number, f"cannot be sent: {error}", at)
        return state
    at = now()
    with transaction.atomic():
        state = transmissions.record_answer(number=row.number, answer=answer, at=at)
        about: dict[str, Any] = {"number": row.number, "channel": "peppol", "receiver": row.receiver}
        if state != row.state:
            if row.state == "queued" and state in ("submitted", "delivered"):
                webhooks.emit(event="document.sent", data=about, at=at)
            if state == "delivered":
                webhooks.emit(event="document.delivered", data=about, at=at)
                alarms.clear_alarm(key=_alarm(row.number), at=at)
            if state in ("refused", "stuck"):
                _raise_alarm(row.number, f"was not delivered: {answer.detail or state}", at)
    return state


def _alarm(number: str) -> str:
    return f"einvoice:{number}"


def _raise_alarm(number: str, what: str, at: datetime) -> None:
    alarms.raise_alarm(key=_alarm(number), severity="warning", what=f"E-invoice {number} {what}"[:500], at=at)


def _parcel(number: str, receiver: str, xml: bytes) -> Parcel:
    root = etree.fromstring(xml, etree.XMLParser(resolve_entities=False, no_network=True))
    found = root.find(".//{*}AccountingSupplierParty/{*}Party/{*}EndpointID")
    scheme, _, value = receiver.partition(":")
    return Parcel(
        number=number,
        sender=Identifier((found.text or "").strip(), found.get("schemeID") or ""),
        receiver=Identifier(value, scheme),
        credit_note=root.tag.endswith("}CreditNote"),
        xml=xml,
    )
