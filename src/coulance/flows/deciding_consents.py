"""Telling a customer what became of a limit that waited for the provider's approval."""

import logging
from datetime import datetime

from django.db import transaction
from django.utils import translation
from django.utils.translation import gettext as _

from coulance.flows import letters
from coulance.flows.letters import Letter
from coulance.flows.sending.wording import language_of
from coulance.notices import operations as notices
from coulance.overage.reading import ConsentRow
from coulance_core.notices import MessageKind

_log = logging.getLogger(__name__)


def tell(*, row: ConsentRow, approved: bool, reason: str, at: datetime) -> bool:
    """Mail whoever set the limit; in the caller's transaction, once a decision. Whether there was anybody to tell."""
    person = next((one for one in letters.people_of(row.account) if one.ref == row.contact and one.address), None)
    if person is None:
        return False
    language = language_of(person.language)
    with translation.override(language):
        said = {"text": row.text_shown, "reason": reason}
        letter = Letter(
            subject=_("Your limit is approved") if approved else _("Your limit is not approved"),
            name=person.name,
            paragraphs=[
                _("You asked for this limit: %(text)s") % said,
                _("We approved it: it counts from now on.")
                if approved
                else _("We can't agree to it: what held before goes on. You can set a lower limit at any time."),
                _("Our reason: %(reason)s") % said,
            ],
            button=_("See your services"),
            link=f"{letters.base()}/my/",
        )
    mail = letters.written(letter, language=language)
    try:
        with transaction.atomic():
            notices.queue_message(
                key=f"consent-decided/{row.id}", account=row.account, kind=MessageKind.CONSENT.value,
                to=[notices.Recipient(person.address, person.name, person.ref)], language=mail.language,
                subject=mail.subject, text=mail.text, html=mail.html, at=at, about=f"consent/{row.id}",
            )  # fmt: skip
    except notices.UnableToQueueError as fault:
        _log.warning("consent %s was decided, and %s can't be told: %s", row.id, person.ref, fault)
        return False
    return True
