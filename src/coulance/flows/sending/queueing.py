"""Which documents would be sent to whom, and sending them: after a person's look, by the clock, or again.

What can't be sent is said with its reason and stays: no contact to write to, an address that refuses mail, no valid
e-invoice where one must go along.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, time, timedelta

from django.db import transaction

from coulance.catalog import queries as catalog
from coulance.customers import queries as customers
from coulance.flows.disputing import links
from coulance.flows.disputing.acting import policy as contesting_policy
from coulance.flows.letters import base
from coulance.flows.sending.documents import KIND, about, ref_of
from coulance.flows.sending.wording import language_of, write
from coulance.invoicing import operations as invoicing
from coulance.invoicing import queries as documents
from coulance.invoicing.queries import DocumentRow
from coulance.notices import operations as notices
from coulance.notices import queries as sent
from coulance.notices.terms import Attachment, NewMessage, Recipient
from coulance.platform import audit
from coulance.platform.db import advisory_lock
from coulance_core.catalog.terms import SendingMode, SendingTerms
from coulance_core.invoicing.en16931 import invoice_of
from coulance_core.invoicing.en16931_model import EInvoiceInvalidError
from coulance_core.kernel import civil_midnight, require_aware
from coulance_core.notices import Choice, MessageKind, Person, choose

_CHUNK = 100
_EVERYTHING = 1_000_000


class UnableToSendDocumentsError(RuntimeError):
    """Documents that can't be sent as asked; nothing of it was queued. The message says which and why."""


@dataclass(frozen=True, slots=True)
class Ready:
    """A document that would be sent, and to whom."""

    document: DocumentRow
    to: tuple[Person, ...]

    @property
    def shown(self) -> str:
        """Its recipients in words."""
        return ", ".join(f"{person.name} <{person.address}>" for person in self.to)


@dataclass(frozen=True, slots=True)
class Blocked:
    """A document that can't be sent, and why."""

    document: DocumentRow
    why: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What sending would do: documents ready, those that can't go, and how many were queued or sent before."""

    ready: tuple[Ready, ...]
    blocked: tuple[Blocked, ...]
    before: int


@dataclass(slots=True)
class Approved:
    """What was queued: documents and messages; and what wasn't, with its reason."""

    documents: int = 0
    messages: int = 0
    blocked: list[Blocked] = field(default_factory=list)


def plan(*, period: str | None = None, numbers: Sequence[str] = (), issued_from: datetime | None = None) -> Plan:
    """What of a close (`2026-10`), of these documents, or of all, would be sent now. Writes nothing.

    Raises `UnableToSendDocumentsError` for a number that is no issued document.
    """
    found = _documents(period, numbers, issued_from)
    terms = catalog.catalog().sending
    wanted = [row for row in found if numbers or row.kind in terms.documents]
    known = sent.about_known([about(row.id) for row in wanted])
    ready: list[Ready] = []
    blocked: list[Blocked] = []
    before = 0
    fresh = []
    for row in wanted:
        if row.sent_at is None and about(row.id) not in known:
            fresh.append(row)
        elif numbers:
            blocked.append(Blocked(row, "it was sent or queued before: coulance send resend does it again"))
        else:
            before += 1
    for row, choice in _choices(fresh):
        if choice.recipients:
            ready.append(Ready(row, choice.recipients))
        else:
            blocked.append(Blocked(row, choice.problem))
    return Plan(tuple(ready), tuple(blocked), before)


def approve(
    *, period: str | None = None, numbers: Sequence[str] = (), actor: str, at: datetime, reason: str = ""
) -> Approved:
    """Queue what `plan` says is ready, a chunk a transaction. Asked for twice, or by two at once, it queues once."""
    require_aware(at)
    if period is None and not numbers:
        raise UnableToSendDocumentsError("say what to send: a period such as 2026-10, or numbers of documents")
    now = plan(period=period, numbers=numbers)
    if numbers and not now.ready and now.blocked:
        first = now.blocked[0]
        raise UnableToSendDocumentsError(f"{first.document.number} can't be sent: {first.why}")
    what = period or ", ".join(numbers[:5]) + (f" and {len(numbers) - 5} more" if len(numbers) > 5 else "")
    return _queue(now, actor=actor, at=at, reason=reason, what=what)


def send_scheduled(*, at: datetime) -> Approved | None:
    """Queue what goes by itself: with mode `scheduled`, what was issued before the last time that hour began.

    None where documents are reviewed, or no provider file was applied.
    """
    try:
        whole = catalog.catalog()
    except catalog.UnableToFindCatalogError:
        return None
    terms = whole.sending
    if terms.mode is not SendingMode.SCHEDULED or terms.scheduled_from is None:
        return None
    zone = whole.provider.zone_info
    local = at.astimezone(zone)
    day = local.date() if local.hour >= terms.hour else local.date() - timedelta(days=1)
    until = datetime.combine(day, time(terms.hour), zone)
    since = civil_midnight(terms.scheduled_from, zone)
    found = plan(issued_from=since)
    issued = documents.issued_at([one.document.id for one in found.ready])
    due = tuple(one for one in found.ready if issued[one.document.id] < until)
    return _queue(Plan(due, (), 0), actor="worker", at=at, reason="by schedule", what="what is due by schedule")


def resend(
    *, number: str, actor: str, reason: str, at: datetime, to: Sequence[Recipient] = (), anew: bool = False
) -> int:
    """Send a document again: to the account's contacts as they are now, or to an address; gives the message's id.

    `reason` is kept. Refused while a delivery is under way, and while one is uncertain unless `anew` says that a second
    copy is meant. Raises `UnableToSendDocumentsError`.
    """
    if not reason.strip():
        raise UnableToSendDocumentsError("say why it is sent again")
    row = _documents(None, [number], None)[0]
    with transaction.atomic():
        advisory_lock("sending")
        before = sent.messages(about=about(row.id), limit=1000)
        if open_ := [one for one in before if one.state in ("waiting", "claimed", "sending")]:
            raise UnableToSendDocumentsError(f"{number} is still on its way to {open_[0].address}; wait for what comes")
        if (unsure := [one for one in before if one.state == "uncertain"]) and not anew:
            raise UnableToSendDocumentsError(
                f"perhaps {unsure[0].address} has {number}: settle that first (coulance send resolve {unsure[0].id})"
            )
        if to:
            choice = Choice(tuple(Person(one.contact_ref, one.name, one.address, "") for one in to))
        else:
            ((_, choice),) = _choices([row])
        if not choice.recipients:
            raise UnableToSendDocumentsError(f"{number} can't be sent: {choice.problem}")
        failed = [one for one in before if one.state in ("refused", "bounced") and not one.resent]
        again = len({one.key for one in before})
        new = _messages(row, choice.recipients, reason=reason, prefix=f"resend/{again}/")
        if failed:
            new[0] = replace(new[0], resend_of=failed[0].id)
        try:
            made = notices.queue_messages(new, at=at, actor=actor)
        except notices.UnableToQueueError as fault:
            raise UnableToSendDocumentsError(f"{number} can't be sent: {fault}") from fault
        audit.record(actor=actor, act="document.resent", subject=f"document:{row.id}", at=at, reason=reason)
    return made[new[0].key]


def _queue(now: Plan, *, actor: str, at: datetime, reason: str, what: str) -> Approved:
    out = Approved(blocked=list(now.blocked))
    for start in range(0, len(now.ready), _CHUNK):
        chunk = sorted(now.ready[start : start + _CHUNK], key=lambda one: one.document.account)
        with transaction.atomic():
            advisory_lock("sending")
            known = sent.about_known([about(one.document.id) for one in chunk])
            new: list[NewMessage] = []
            for one in chunk:
                if about(one.document.id) in known:
                    continue
                try:
                    new += _messages(one.document, one.to, reason=reason)
                except _NotSendableError as fault:
                    out.blocked.append(Blocked(one.document, str(fault)))
                    continue
                out.documents += 1
            try:
                notices.queue_messages(new, at=at, actor=actor)
            except notices.UnableToQueueError as fault:
                raise UnableToSendDocumentsError(str(fault)) from fault
            out.messages += len(new)
            if new:
                count = {"documents": len({message.about for message in new}), "messages": len(new)}
                audit.record(
                    actor=actor, act="documents.queued", subject=f"sending:{what}", at=at, reason=reason, detail=count
                )
    return out


class _NotSendableError(ValueError):
    """A document that no mail can be made of."""


def _messages(row: DocumentRow, to: Iterable[Person], *, reason: str, prefix: str = "") -> list[NewMessage]:
    """One message for each language among its recipients, the PDF and e-invoices attached when it is sent."""
    whole = catalog.catalog()
    terms: SendingTerms = whole.sending
    stored = documents.document_by_id(document=row.id)
    forms = () if row.kind == "usage_statement" else tuple(form.value for form in terms.attach)
    if forms:
        _require_einvoice(stored.snapshot)
    by_language: dict[str, list[Person]] = {}
    for person in to:
        by_language.setdefault(language_of(person.language or stored.snapshot["language"]), []).append(person)
    out = []
    for no, (language, people) in enumerate(by_language.items(), 1):
        name = people[0].name if len(people) == 1 else ""
        words = write(
            stored.snapshot,
            language=language,
            name=name,
            forms=forms,
            contest=_contest(row, people[0].ref if len(people) == 1 else ""),
        )
        out.append(
            NewMessage(
                key=f"{about(row.id)}/{prefix}{no}",
                account=row.account,
                kind=KIND,
                to=[Recipient(person.address, person.name, person.ref) for person in people],
                language=words.language,
                subject=words.subject,
                text=words.text,
                html=words.html,
                attachments=[Attachment(kind=KIND, ref=ref_of(row.id, forms))],
                about=about(row.id),
                copies=terms.bcc if no == 1 else (),
                reason=reason,
            )
        )
    return out


def _contest(row: DocumentRow, contact: str) -> str:
    """The link to contest an invoice, or a part of it, without signing in; for what is no invoice none."""
    if row.kind not in ("base_invoice", "overage_invoice"):
        return ""
    until = datetime.combine(row.issued_on, time(), UTC) + contesting_policy().open_within
    return f"{base()}/contest/{links.make(links.Holder(row.account, contact, row.id), until=until)}"


def _require_einvoice(snapshot: dict[str, object]) -> None:
    """What is plainly missing for an e-invoice is told before anything is queued; the rules are run at sending."""
    try:
        invoice_of(snapshot)
    except EInvoiceInvalidError as fault:
        raise _NotSendableError(f"it can have no valid e-invoice: {fault}") from fault


def _documents(period: str | None, numbers: Sequence[str], issued_from: datetime | None) -> list[DocumentRow]:
    if numbers:
        out = []
        for number in dict.fromkeys(numbers):
            try:
                out.append(documents.document(number=number).row)
            except invoicing.UnableToFindDocumentError as fault:
                raise UnableToSendDocumentsError(f"there is no document {number!r}") from fault
        return out
    if period is None:
        rows = documents.documents(state="issued", limit=_EVERYTHING)
    else:
        # What the close of that month made, base invoices for the next one included; and what was made apart for it.
        run = documents.run(period=period)
        rows = documents.documents(run=run.id, state="issued", limit=_EVERYTHING) if run else []
        own = documents.documents(period_name=period, state="issued", limit=_EVERYTHING)
        rows += [row for row in own if row.run is None]
    if issued_from is not None:
        rows = [row for row in rows if row.sent_at is None]
        issued = documents.issued_at([row.id for row in rows])
        rows = [row for row in rows if issued[row.id] >= issued_from]
    return sorted(rows, key=lambda row: (row.issued_on, row.number or ""))


def _choices(rows: Sequence[DocumentRow]) -> list[tuple[DocumentRow, Choice]]:
    """Who of each document's account gets it."""
    people: dict[int, list[Person]] = {}
    for contact in customers.contacts({row.account for row in rows}) if rows else ():
        people.setdefault(contact.account_id, []).append(
            Person(
                ref=contact.external_id,
                name=contact.name,
                address=contact.email,
                language=contact.language,
                roles=tuple(contact.roles),
                channels=tuple(contact.channels),
                mailbox_service=contact.mailbox_service,
                may_incur_cost=contact.may_incur_cost,
            )
        )
    dead = sent.dead_among([person.address for own in people.values() for person in own])
    return [(row, choose(people.get(row.account, ()), MessageKind.DOCUMENT, dead=dead)) for row in rows]
