"""Asking customers what becomes of an invoice that waits: once each, by mail, when the close is finished.

The wait begins when they are asked, so a close that was interrupted takes nothing from anybody's time. Killed anywhere,
whoever runs next asks those who were not asked: the mails and the note that they were queued are one transaction.
"""

import logging
from datetime import datetime, timedelta

from django.db import transaction
from django.utils import translation

from coulance.catalog import queries as catalogs
from coulance.flows import letters
from coulance.flows.sending.wording import language_of
from coulance.flows.settling_first import links, waiting, wording
from coulance.flows.settling_first.ways import ways
from coulance.invoicing import holding
from coulance.invoicing import operations as invoicing
from coulance.notices import operations as notices
from coulance.platform import alarms, audit, webhooks
from coulance_core.kernel import require_aware
from coulance_core.notices import MessageKind

_log = logging.getLogger(__name__)


def ask_all(*, at: datetime) -> int:
    """Ask everybody who was not asked; how many invoices that was. One transaction each.

    One that fails raises an alarm, stops no other, and is tried again by whoever runs next.
    """
    require_aware(at)
    asked = 0
    tried: set[int] = set()
    while rows := [row for row in holding.untold() if row.document not in tried]:
        for row in rows:
            tried.add(row.document)
            try:
                with transaction.atomic():
                    asked += _ask(row.document, at)
            except Exception as error:
                _log.exception("the customer of document %s can't be asked", row.document)
                alarms.raise_alarm(
                    key=f"settle-first-stuck:{row.document}",
                    severity="critical",
                    what=f"The overage invoice {row.document} waits, and its customer can't be asked: {error}",
                    at=at,
                )
    return asked


def _ask(document: int, at: datetime) -> int:
    try:
        row = invoicing.lock_held(document=document)
    except invoicing.UnableToSettleHeldError:
        return 0
    of = waiting.one(document=document)
    if row.told_at is not None or of is None or of.snapshot is None:
        return 0
    until = at + timedelta(hours=catalogs.catalog().overage.hold_hours)
    choice = letters.recipients(row.account, MessageKind.DOCUMENT)
    told = 0
    for person in choice.recipients:
        language = language_of(person.language or of.snapshot["language"])
        key = f"settle-first/{document}/{person.ref}"
        token = links.make(links.Chooser(row.account, person.ref, document, key), until=until)
        with translation.override(language):
            offered = ways(of, at=at)
        mail = wording.preview(
            of.snapshot, gross=row.gross, until=until, ways=offered, name=person.name,
            link=f"{letters.base()}/settle/{token}", language=language,
        )  # fmt: skip
        try:
            with transaction.atomic():
                notices.queue_message(
                    key=key, account=row.account, kind=MessageKind.CONSENT.value,
                    to=[notices.Recipient(person.address, person.name, person.ref)], language=mail.language,
                    subject=mail.subject, text=mail.text, html=mail.html, at=at, about=f"held/{document}",
                )  # fmt: skip
            told += 1
        except notices.UnableToQueueError as fault:
            _log.warning("invoice %s waits, and %s can't be asked: %s", document, person.ref, fault)
    invoicing.mark_told(document=document, told=told, until=until, at=at)
    if not told:
        alarms.raise_alarm(
            key=f"settle-first-unasked:{document}",
            severity="warning",
            what=f"The overage invoice of {of.snapshot['buyer']['name']} for {row.period_name} waits for their choice, "
            f"and nobody of them could be asked by mail: {choice.problem or 'see the log'}. Call them, or release it.",
            at=at,
        )
    audit.record(
        actor="worker",
        act="overage_invoice.held",
        subject=f"document:{document}",
        at=at,
        reason=row.why,
        detail={"until": until.isoformat(), "asked": told, "gross": str(row.gross)},
    )
    webhooks.emit(
        event="overage.waiting",
        data={
            "document": document,
            "account": of.snapshot["buyer"]["external_id"],
            "period": row.period_name,
            "gross": {"amount": row.gross.decimal(), "currency": row.gross.currency},
            "until": until.isoformat(),
        },
        at=at,
    )
    return 1
