"""Telling those who pay overage again and again of a cheaper plan, unasked, by mail; not every month.

The mail and the note that they were told are one transaction: nobody is told twice, or noted as told in vain.
"""

import logging
from datetime import datetime
from typing import NamedTuple

from django.db import InterfaceError, OperationalError, transaction
from django.utils import translation
from django.utils.translation import gettext as _

from coulance.catalog import queries as catalogs
from coulance.flows import advice, letters
from coulance.flows.advice import ServiceAdvice
from coulance.flows.fair_wording import advice_text
from coulance.flows.letters import Letter
from coulance.flows.sending.wording import Written, language_of
from coulance.invoicing.documents.words import Words
from coulance.notices import operations as notices
from coulance.platform import alarms, audit
from coulance_core.notices import MessageKind
from coulance_core.overage.advice import Verdict

_log = logging.getLogger(__name__)
FAILED = "advice-failed:"
"""Alarms of services whose advice fails begin so."""


class Advised(NamedTuple):
    """What was done: services whose customers were told, and those nobody could be told of, with why."""

    told: tuple[str, ...]
    left_out: tuple[tuple[str, str], ...]


def tell_repeat_payers(*, at: datetime, actor: str, even_if_off: bool = False) -> Advised:
    """Mail everybody whom a change of plan is advised to, and note it: they come up again by the terms' `every`.

    Nothing without `mail` in `[advice]`, unless `even_if_off`: when a person asks for it now.
    """
    try:
        terms = catalogs.catalog().advice
    except catalogs.UnableToFindCatalogError:
        return Advised((), ())
    if not terms.mail and not even_if_off:
        return Advised((), ())
    told: list[str] = []
    left_out: list[tuple[str, str]] = []
    failed: set[str] = set()

    def fails(service: str, error: Exception) -> None:
        """One customer's failure is no other's: it is shown, and tried again with the next run."""
        _log.error("%s: a cheaper plan can't be told of", service, exc_info=error)
        failed.add(service)
        left_out.append((service, f"{type(error).__name__}: {error}"))
        alarms.raise_alarm(
            key=f"{FAILED}{service}",
            severity="warning",
            what=f"Whether a cheaper plan is to be advised for {service} can't be worked out or told: {error}",
            at=at,
        )

    for found in advice.repeat_payers(at=at, failed=fails):
        if found.advice.verdict is not Verdict.CHANGE:
            continue
        name = found.service.external_id
        try:
            with transaction.atomic():
                fault = _tell(found, at, actor)
        except (InterfaceError, OperationalError):
            raise  # the database's trouble, and everybody's
        except Exception as error:
            fails(name, error)
            continue
        if fault:
            left_out.append((name, fault))
        else:
            told.append(name)
    for alarm in alarms.open_alarms():
        if alarm.key.startswith(FAILED) and alarm.key.removeprefix(FAILED) not in failed:
            alarms.clear_alarm(key=alarm.key, at=at)
    return Advised(tuple(told), tuple(left_out))


def _tell(found: ServiceAdvice, at: datetime, actor: str) -> str:
    choice = letters.recipients(found.account, MessageKind.DOCUMENT)
    if not choice.recipients:
        return choice.problem or "nobody to write to"
    try:
        with transaction.atomic():
            if not advice.note_told(found, actor=actor, at=at):
                return "told before"
            for person in choice.recipients:
                mail = written(found, name=person.name, language=language_of(person.language))
                notices.queue_message(
                    key=f"advice/{found.service.id}/{found.through}/{person.ref}",
                    account=found.account,
                    kind=MessageKind.CONSENT.value,
                    to=[notices.Recipient(person.address, person.name, person.ref)],
                    language=mail.language,
                    subject=mail.subject,
                    text=mail.text,
                    html=mail.html,
                    at=at,
                    about=f"advice/{found.service.id}",
                )
    except notices.UnableToQueueError as fault:
        _log.warning("%s: a cheaper plan can't be told of: %s", found.service.external_id, fault)
        return str(fault)
    audit.record(
        actor=actor, act="advice.mailed", subject=f"service:{found.service.external_id}", at=at, reason="",
        detail={"to": [person.ref for person in choice.recipients]},
    )  # fmt: skip
    return ""


def written(found: ServiceAdvice, *, name: str, language: str) -> Written:
    """The mail: what each plan would have cost over the same periods, exactly, and that nothing happens by itself."""
    words = Words.of(language)
    present = found.comparison.present
    with translation.override(language):
        said = {"service": found.service.name, "periods": len(present.measured)}
        rows = [
            (
                _("%(plan)s (now)") % {"plan": record.version.name} if record is present else record.version.name,
                words.money(record.total.decimal(), record.total.currency),
            )
            for record in found.comparison.ranked[:5]
        ]
        letter = Letter(
            subject=_("A cheaper plan for %(service)s") % said,
            name=name,
            paragraphs=[
                advice_text(found.advice, present=present.version.name, language=language),
                _("What you used in the last %(periods)s periods would have cost, before tax:") % said,
            ],
            rows=rows,
            after=[
                _("Nothing changes by itself: answer this mail if you want to change. We tell you this now and then.")
            ],
            button=_("See your use"),
            link=f"{letters.base()}/my/",
        )
    return letters.written(letter, language=language)
