"""Telling the customer of each step of a case, by mail with a link to it; and what webhooks tell.

A message's key is made of case, step and contact, so that telling twice sends once, and the step knows which messages
are its evidence before they are queued.
"""

import logging
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any

from django.db import transaction

from coulance.customers import queries as customers
from coulance.disputes.queries import CaseRow, StepRow
from coulance.flows import letters
from coulance.flows.disputing import links, wording
from coulance.flows.sending.wording import language_of
from coulance.notices import operations as notices
from coulance.notices import queries as sent
from coulance.platform import alarms
from coulance_core.kernel import Money
from coulance_core.notices import EvidenceKind, MessageKind, Person

_log = logging.getLogger(__name__)
LINK_LASTS = timedelta(days=365)


def about(case: int) -> str:
    """How messages name a case.

    >>> about(7)
    'dispute/7'
    """
    return f"dispute/{case}"


def keys(case: int, step: int, account: int, contact: str = "") -> list[str]:
    """The keys of the messages that tell of a step."""
    return [_key(case, step, person.ref) for person in _people(account, contact)]


def tell(
    case: CaseRow,
    step: StepRow,
    *,
    at: datetime,
    stays: Money | None = None,
    due_on: date | None = None,
) -> int:
    """Queue the mails that tell of a step; how many. Nobody to write to raises an alarm, and stops nothing.

    `stays` is what is to be paid of the invoice beside what is held, by `due_on`.
    """
    told = 0
    for person in _people(case.account, case.contact):
        language = language_of(person.language)
        holder = links.Holder(case.account, person.ref, case.document, case.id, case.opening)
        token = links.make(holder, until=at + LINK_LASTS)
        mail = wording.of_step(
            case, step, name=person.name, link=f"{letters.base()}/contest/{token}", language=language,
            stays=stays, due_on=due_on,
        )  # fmt: skip
        try:
            with transaction.atomic():
                notices.queue_message(
                    key=_key(case.id, step.no, person.ref), account=case.account, kind=MessageKind.REMINDER.value,
                    to=[notices.Recipient(person.address, person.name, person.ref)], language=mail.language,
                    subject=mail.subject, text=mail.text, html=mail.html, at=at, about=about(case.id), actor=step.by,
                )  # fmt: skip
            told += 1
        except notices.UnableToQueueError as fault:
            _log.warning("case %s: %s can't be told of step %s: %s", case.id, person.ref, step.no, fault)
    if not told:
        alarms.raise_alarm(
            key=f"dispute-untold:{case.id}",
            severity="warning",
            what=f"Nobody of the customer could be told by mail of a step in case {case.id} ({case.number}): call them",
            at=at,
        )
    return told


def seen(case: CaseRow, *, contact: str, at: datetime) -> int:
    """Write down that a person saw what was told of a case: signed in, they looked at it. How many steps were new.

    It is the evidence that a question of ours reached somebody.
    """
    new = 0
    for step in case.steps:
        if not step.ours or not step.messages or step.reached_at is not None:
            continue
        numbers = {number for key in step.messages for number in sent.deliveries_of(key=key)}
        own = {row.id for number in numbers if (row := sent.delivery(number)) and row.contact_ref == contact}
        for number in sorted(own or numbers):
            # Once by its source: looking a second time adds nothing.
            new += notices.record_human_act(
                delivery=number,
                kind=EvidenceKind.SEEN,
                by=f"contact:{contact}",
                at=at,
                source=f"{about(case.id)}/{step.no}/seen/{number}",
            )
    return new


def told(case: CaseRow) -> dict[str, Any]:
    """What webhooks tell of a case: no words of anybody's, which are in the case."""
    (account,) = customers.accounts([case.account])
    last = case.steps[-1]
    return {
        "dispute": case.id,
        "account": account.external_id,
        "number": case.number,
        "held": {"amount": case.gross.decimal(), "currency": case.gross.currency},
        "state": case.state.value,
        "step": last.kind.value,
        "outcome": last.outcome.value if last.outcome else None,
        "credit_notes": list(last.detail.get("credit_notes", ())),
    }


def proof(step: StepRow, *, at: datetime) -> Sequence[tuple[str, str]]:
    """Of each message of a step, whom it went to and how far it came."""
    out = []
    for key in step.messages:
        for number in sent.deliveries_of(key=key):
            row = sent.delivery(number)
            if row is not None:
                judged = sent.judgement(key, at=at)
                out.append((row.address, judged.rung.name.lower().replace("_", " ")))
    return out


def _key(case: int, step: int, person: str) -> str:
    return f"dispute/{case}/{step}/{person}"


def _people(account: int, contact: str) -> list[Person]:
    """Who is written to: those who get reminders, and who opened the case."""
    chosen = list(letters.recipients(account, MessageKind.REMINDER).recipients)
    if contact and contact not in {person.ref for person in chosen}:
        dead = sent.dead_among([person.address for person in letters.people_of(account) if person.address])
        chosen += [
            person
            for person in letters.people_of(account)
            if person.ref == contact and person.address and person.address.casefold() not in dead
        ]
    return chosen
