"""Mails about contracts. Each has a key made of what it is about and to whom: told again, nothing is sent again."""

import logging
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

from django.db import transaction
from django.utils import translation

from coulance.contracts import queries
from coulance.contracts.hours import hours, warnings
from coulance.contracts.queries import ContractRow, CreditRow, LeaveRow
from coulance.contracts.tickets import TicketRow
from coulance.flows import letters
from coulance.flows.contracts import links, tags, wording
from coulance.flows.letters import Letter
from coulance.flows.sending.wording import language_of
from coulance.invoicing.documents.words import Words
from coulance.notices import operations as notices
from coulance_core.contracts.hours import CardWarning
from coulance_core.notices import MessageKind, Person

_log = logging.getLogger(__name__)
ASKS_FOR = timedelta(days=14)
"""How long after it was solved a case may still be asked about."""
REVIEW_AHEAD = timedelta(days=45)
"""How long before the last day for notice a review is offered."""


def warn(contract: ContractRow, *, at: datetime) -> int:
    """Tell a card's holder what is due now: few hours, none, or hours that end; how many mails."""
    found = hours(contract, queries.facts([contract.id])[contract.id], at)
    told = 0
    for one in warnings(contract, found, at):

        def letter(person: Person, words: Words, one: CardWarning = one) -> Letter:  # noqa: ARG001 - as the others
            return wording.of_warning(contract, one, name=person.name, link=_portal(contract))

        told += _tell(
            contract.account, f"contract/{contract.id}/{one.key}", MessageKind.WARNING, letter, at=at,
            about=f"contract/{contract.key}",
        )  # fmt: skip
    return told


def ask_leave(contract: ContractRow, leave: LeaveRow, *, at: datetime) -> int:
    """Ask those who may incur cost for leave; how many mails. Nobody may: 0, and the caller says so."""

    def letter(person: Person, words: Words) -> Letter:
        token = links.make(links.Holder(contract.account, person.ref, "leave", leave.key), until=leave.until)
        return wording.of_leave(contract, leave, name=person.name, link=f"{letters.base()}/leave/{token}", words=words)

    may = [p for p in letters.people_of(contract.account) if p.may_incur_cost and p.address]
    return _tell(
        contract.account, f"leave/{leave.key}", MessageKind.CONSENT, letter, at=at, about=f"leave/{leave.key}", to=may
    )


def credited(contract: ContractRow, credit: CreditRow, *, at: datetime) -> int:
    """Tell of a credit for missed responses, before anybody asks."""
    return _tell(
        contract.account, f"response-credit/{credit.id}", MessageKind.DOCUMENT,
        lambda person, words: wording.of_credit(
            credit, name=person.name, link=f"{letters.base()}/my/tickets", words=words
        ),
        at=at, about=f"contract/{contract.key}",
    )  # fmt: skip


def invite_review(contract: ContractRow, *, at: datetime) -> int:
    """Offer to look at a contract together, once a term, before its last day for notice."""
    today = contract.day_of(at)
    term = contract.term_on(today)
    if term is None or contract.ends_on is not None or term.end - term.start < timedelta(days=180):
        return 0
    if not term.notice_by - REVIEW_AHEAD <= today <= term.notice_by:
        return 0
    return _tell(
        contract.account, f"review/{contract.id}/{term.end.isoformat()}", MessageKind.REMINDER,
        lambda person, words: wording.of_review(
            contract, term.end, term.notice_by, name=person.name, link=_portal(contract), words=words
        ),
        at=at, about=f"contract/{contract.key}",
    )  # fmt: skip


def received(ticket: TicketRow, *, desk: str, at: datetime) -> int:
    """Tell who opened a ticket by mail that we have it, once, with the mark that their answers find it by."""

    def letter(person: Person, words: Words) -> Letter:  # noqa: ARG001 - as the others
        return wording.of_received(
            ticket, tag=tags.tag(ticket.id), answers=tags.address(desk, ticket.id), name=person.name,
            link=f"{letters.base()}/my/tickets",
        )  # fmt: skip

    return _tell(
        ticket.account, f"ticket/{ticket.id}/received", MessageKind.OPERATIONS, letter, at=at,
        about=f"ticket/{ticket.id}", to=_own(ticket)[:1],
    )  # fmt: skip


def _own(ticket: TicketRow) -> list[Person]:
    """Who wrote it, of the customer's people."""
    named = ticket.contact.casefold()
    people = [p for p in letters.people_of(ticket.account) if p.address]
    return [p for p in people if named and named in (p.ref.casefold(), p.address.casefold())]


def ask_opinion(ticket: TicketRow, *, at: datetime) -> int:
    """Ask how a solved case went, once, by one link."""
    solved = ticket.solved_at
    if solved is None or not solved <= at <= solved + ASKS_FOR:
        return 0
    own = _own(ticket)
    if not own:
        return 0

    def letter(person: Person, words: Words) -> Letter:  # noqa: ARG001 - as the others
        holder = links.Holder(ticket.account, person.ref, "opinion", str(ticket.id))
        token = links.make(holder, until=at + timedelta(days=60))
        return wording.of_opinion(ticket.subject, name=person.name, link=f"{letters.base()}/opinion/{token}")

    return _tell(
        ticket.account, f"opinion/{ticket.id}", MessageKind.OPERATIONS, letter, at=at, about=f"ticket/{ticket.id}",
        to=own[:1],
    )  # fmt: skip


def _portal(contract: ContractRow) -> str:
    return f"{letters.base()}/my/contracts/{contract.key}"


def _tell(
    account: int, key: str, kind: MessageKind, letter: Callable[[Person, Words], Letter], *, at: datetime, about: str,
    to: Iterable[Person] | None = None,
) -> int:  # fmt: skip
    told = 0
    for person in letters.recipients(account, kind).recipients if to is None else to:
        language = language_of(person.language)
        with translation.override(language):
            mail = letters.written(letter(person, Words.of(language)), language=language)
        try:
            with transaction.atomic():
                notices.queue_message(
                    key=f"{key}/{person.ref}", account=account, kind=kind.value,
                    to=[notices.Recipient(person.address, person.name, person.ref)], language=mail.language,
                    subject=mail.subject, text=mail.text, html=mail.html, at=at, about=about,
                )  # fmt: skip
            told += 1
        except notices.UnableToQueueError as fault:
            _log.warning("%s: %s can't be told: %s", key, person.ref, fault)
    return told
