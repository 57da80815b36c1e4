"""Mail to the desk becomes tickets: who wrote it, to which ticket; what can't be judged is held for a person.

A mail is a stranger's word. It counts for a customer only where its sender is one of their contacts, answers for us
only where our own server found it genuine, and what a machine wrote changes no clock.
"""

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction

from coulance.catalog import queries as catalogs
from coulance.contracts import mails, ticketing, tickets
from coulance.contracts.errors import ContractsError, UnableToRecordError
from coulance.contracts.mail_reading import ReadMail, read_mail
from coulance.contracts.mails import ANSWERED, HELD, NOTED, OPENED, REFUSED, WROTE, MailRow
from coulance.contracts.ticketing import NewEvent
from coulance.contracts.tickets import TicketRow
from coulance.customers import queries as customers
from coulance.customers.queries import UnableToFindAccountError
from coulance.flows.contracts import tags, telling
from coulance.flows.contracts.ticketing import Incoming, receive
from coulance.notices import queries as sent
from coulance.platform import alarms, audit, webhooks
from coulance_core.contracts.mail_terms import MailTerms, parse_mail_terms
from coulance_core.kernel import require_aware
from coulance_core.sla.clocks import EventKind

SOURCE = "mail"
ALARM = "tickets.held"
_log = logging.getLogger(__name__)
_ANSWERS = ("Auto-Submitted: auto-replied", "X-Auto", "it has no return path", "it is a report", "it is from")


class UnableToTakeError(ContractsError):
    """Mail can't be taken: there are no terms for it."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A mail and what became of it; whether it is new here."""

    mail: MailRow
    new: bool


@dataclass(frozen=True, slots=True)
class _Fate:
    """What becomes of a mail: its state, why, the ticket that it is of, and the ticket that it opens."""

    state: str
    why: str = ""
    ticket: TicketRow | None = None
    opens: Incoming | None = None


def terms() -> MailTerms:
    """The terms of mail in force. Raises `UnableToTakeError`."""
    found = parse_mail_terms(catalogs.table("contracts"))
    if found is None:
        raise UnableToTakeError("no mail is taken: the provider's file has no [contracts.mail]")
    return found


def take(*, raw: bytes, source: str, at: datetime, handed_at: datetime | None = None) -> Taken:
    """Take a mail that `source` (`pipe`, `maildir`, a provider) brought; brought again, nothing happens.

    `handed_at` is when it was handed over, where that was before now. Whatever the bytes are, they end up as a row: a
    ticket, a word on one, or held. Raises `UnableToTakeError` where no mail is taken at all.
    """
    rules = terms()
    read = read_mail(raw, rules, at=min(handed_at or at, require_aware(at)))
    with transaction.atomic():
        known = mails.locked(read.key)
        if known is not None:
            return Taken(known, False)
        number = mails.next_id()
        try:
            with transaction.atomic():
                fate = _fate(read, rules, number, at)
                ticket = _apply(fate, read, at)
        except (ContractsError, UnableToFindAccountError) as error:
            fate, ticket = _Fate(HELD, str(error)), None
        row = mails.record(
            number=number, read=read, source=source, state=fate.state, why=fate.why[:500], ticket=ticket, at=at
        )
        if fate.state == HELD:
            _alarm(at)
        if fate.state == OPENED and ticket is not None and rules.acknowledge:
            telling.received(tickets.ticket(ticket), desk=rules.address, at=at)
    return Taken(row, True)


def _fate(read: ReadMail, rules: MailTerms, number: int, at: datetime) -> _Fate:
    """What becomes of a mail by what it says."""
    if read.fault:
        return _Fate(HELD, read.fault)
    if read.sender.casefold() == rules.address.casefold():
        return _Fate(NOTED, "it is from the desk itself")
    ticket = _thread(read)
    if read.machine:
        if ticket is not None or read.machine.startswith(_ANSWERS):
            return _Fate(NOTED, f"a machine wrote it ({read.machine})", ticket)
        return _Fate(HELD, f"a machine wrote it ({read.machine}), and it answers nothing")
    if rules.authenticated and not read.genuine:
        return _Fate(HELD, "our server didn't find that it is from its sender")
    if rules.is_agent(read.sender):
        return _of_ours(read, ticket)
    theirs = {c.account_id for c in customers.contacts_by_email(read.sender)}
    if ticket is not None:
        if ticket.account not in theirs:
            return _Fate(HELD, f"its sender is no contact of the customer of ticket {ticket.number}")
        if ticket.is_open or _lately(ticket, rules, read):
            return _Fate(WROTE, ticket=ticket)
    if not theirs:
        return _Fate(HELD, "its sender is nobody's contact")
    if mails.opened_since(read.sender, at - timedelta(hours=1)) >= rules.most_new:
        return _Fate(HELD, f"its sender opened {rules.most_new} tickets within an hour")
    return _Fate(OPENED, opens=_opening(read, rules, number))


def _opening(
    read: ReadMail | MailRow, rules: MailTerms, number: int, account: str = "", contract: str = ""
) -> Incoming:
    subject = tags.untagged(read.subject) or "-"
    return Incoming(SOURCE, str(number), subject, read.arrived_at, rules.priority, account, contract, read.sender)


def _lately(ticket: TicketRow, rules: MailTerms, read: ReadMail) -> bool:
    """Whether it was solved so shortly ago that an answer opens it again."""
    solved = ticket.solved_at
    return solved is not None and read.arrived_at <= solved + timedelta(days=rules.reopen_days)


def _of_ours(read: ReadMail, ticket: TicketRow | None) -> _Fate:
    """What one of us wrote is our answer where it goes to the customer, and is found genuine."""
    if not read.genuine:
        return _Fate(HELD, "it says that it is from one of us, and our server didn't find so")
    if ticket is None:
        return _Fate(HELD, "one of us wrote it, and it answers no ticket")
    reached = {c.account_id for to in read.to for c in customers.contacts_by_email(to)}
    if ticket.account not in reached:
        return _Fate(NOTED, "one of us wrote it, and not to the customer", ticket)
    return _Fate(ANSWERED, ticket=ticket)


def _thread(read: ReadMail) -> TicketRow | None:
    """The ticket that a mail is of: by our tag in an address or the subject, else by the mail that it answers."""
    number = tags.find(read.subject, read.to) or mails.ticket_answered(read.references)
    if number is None:
        number = next((n for one in read.references if (n := _told(one)) is not None), None)
    return next(iter(tickets.tickets(ids=[number])), None) if number is not None else None


def _told(message_id: str) -> int | None:
    """The ticket that a mail of ours with this Message-ID was about."""
    about = sent.about_of(header_id=message_id)
    kind, _, number = about.partition("/")
    return int(number) if kind == "ticket" and number.isdigit() else None


def _apply(fate: _Fate, read: ReadMail | MailRow, at: datetime, actor: str = "mail") -> int | None:
    """Write the ticket and events that follow; the ticket's id."""
    if fate.opens is not None:
        return receive(fate.opens, actor=actor, at=at).ticket
    if fate.ticket is None:
        return None
    kinds = {ANSWERED: EventKind.ANSWERED, WROTE: EventKind.CUSTOMER_WROTE}
    if fate.state in kinds:
        when, key = min(read.arrived_at, at), read.key[:32]
        events = [NewEvent(f"mail/{key}", when, kinds[fate.state])]
        if fate.state == WROTE and not fate.ticket.is_open:
            events.insert(0, NewEvent(f"mail/{key}/reopens", when, EventKind.REOPENED))
        ticketing.add_events(ticket=fate.ticket.id, events=events, actor=actor, at=at)
        webhooks.emit(
            event="ticket.changed", at=at,
            data={"source": fate.ticket.source, "number": fate.ticket.number, "events": len(events)},
        )  # fmt: skip
    return fate.ticket.id


def settle(
    *, mail: int, as_: str, reason: str, account: str = "", contract: str = "", ticket: int | None = None, actor: str,
    at: datetime,
) -> MailRow:  # fmt: skip
    """Say what becomes of a mail that is held: it opens a ticket of an account or contract, is the customer's word or
    our answer on a ticket, or is refused. The clock begins when it came, not now.

    A ticket opened so by mistake is made void by its event. Raises `UnableToRecordError`, `UnableToFindTicketError`.
    """
    with transaction.atomic():
        row = mails.mail(mail)
        rules = terms()
        match as_:
            case "opened":
                if not account and not contract:
                    raise UnableToRecordError("say whose ticket it opens: an account or a contract")
                fate = _Fate(OPENED, opens=_opening(row, rules, row.id, account, contract))
            case "wrote" | "answered":
                if ticket is None:
                    raise UnableToRecordError("say which ticket it is of")
                fate = _Fate(as_, ticket=tickets.ticket(ticket))
            case "refused":
                fate = _Fate(REFUSED)
            case _:
                raise UnableToRecordError(f"{as_!r}: expected opened, wrote, answered or refused")
        of = _apply(fate, row, at, actor)
        mails.settle(mail=mail, state=fate.state, ticket=of, by=actor, why=reason, at=at)
        audit.record(
            actor=actor, act="ticket.mail_settled", subject=f"mail:{mail}", at=at, reason=reason.strip(),
            detail={"as": as_, "ticket": of},
        )  # fmt: skip
        _alarm(at)
    return mails.mail(mail)


def _alarm(at: datetime) -> None:
    """One alarm as long as anything is held; it ends with the last."""
    waiting = mails.held_count()
    if waiting:
        alarms.raise_alarm(
            key=ALARM, severity="warning", at=at,
            what="Mail to the desk waits for a person: nobody's clock runs on it yet (coulance ticket held)",
        )  # fmt: skip
    else:
        alarms.clear_alarm(key=ALARM, at=at)


def forget(*, at: datetime) -> int:
    """Let go of the words of mail that is old by the terms; how many mails."""
    rules = parse_mail_terms(catalogs.table("contracts"))
    return mails.forget_words(before=at - timedelta(days=rules.keep_days)) if rules is not None else 0
