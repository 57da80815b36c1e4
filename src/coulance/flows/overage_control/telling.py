"""Telling people: by mail, then by text message, then by a call; again until somebody answers; never at night for
nothing.

What overage needs in order to be charged, and what stops a service, is told at once, at any hour. The rest waits for
the customer's morning. A mailbox that the service itself hosts never is the only way: then texts and a call go beside.
"""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from zoneinfo import ZoneInfo

from coulance.customers import queries as customers
from coulance.customers.queries import ContactRow
from coulance.flows.overage_control import links
from coulance.flows.overage_control.judging import Judged, is_warning_that_counts
from coulance.flows.overage_control.outlook import Outlook, outlook, outlooks
from coulance.flows.overage_control.quiet import wakes_at
from coulance.flows.overage_control.wording import Situation, short, write
from coulance.notices import operations as notices
from coulance.notices import queries as sent
from coulance.notices.hooks import HookRow, hooks
from coulance.notices.terms import NewMessage, Recipient
from coulance.overage import operations as overage
from coulance.overage import queries as records
from coulance.platform import address, alarms, webhooks
from coulance_core.catalog.terms import Catalog, Of, Threshold
from coulance_core.kernel import show
from coulance_core.notices import Choice, MessageKind, Person, choose

_TOLD_ROLES = frozenset({"billing", "owner", "technical"})


@dataclass(slots=True)
class Evaluated:
    """What a look came to: charges judged, thresholds told, messages, restrictions placed and lifted."""

    judged: int = 0
    warned: int = 0
    messages: int = 0
    placed: int = 0
    lifted: int = 0
    unreached: int = 0

    def add(self, other: "Evaluated") -> None:
        """Count another's with one's own."""
        for name in ("judged", "warned", "messages", "placed", "lifted", "unreached"):
            setattr(self, name, getattr(self, name) + getattr(other, name))


def contacts_of(accounts: Collection[int]) -> dict[int, list[ContactRow]]:
    """The contacts of accounts."""
    out: dict[int, list[ContactRow]] = {}
    for row in customers.contacts(accounts):
        out.setdefault(row.account_id, []).append(row)
    return out


def people(contacts: Iterable[ContactRow]) -> list[Person]:
    """Contacts as whom notices may be sent to."""
    return [
        Person(
            c.external_id, c.name, c.email, c.language, tuple(c.roles), tuple(c.channels), c.mailbox_service,
            c.may_incur_cost,
        )
        for c in contacts
    ]  # fmt: skip


@dataclass(slots=True)
class Teller:
    """Tells of what was judged of some accounts at one instant."""

    catalog: Catalog
    at: datetime
    actor: str
    contacts: Mapping[int, Sequence[ContactRow]]
    restricted: Mapping[int, Mapping[str, bool]]
    hooks: Mapping[int, Sequence[HookRow]] = field(default_factory=dict)
    """Contacts' own webhooks that are verified, by account."""
    outlooks: dict[str, Outlook] = field(default_factory=dict)
    machines: list[str] = field(default_factory=list)
    """Keys of what the last message told to webhooks."""
    done: Evaluated = field(default_factory=Evaluated)

    def look_ahead(self, found: Sequence[Judged]) -> None:
        """Read at once what the warnings of these will say of their pace."""
        asked = [one for one in found if one.ref.key not in self.outlooks]
        read = outlooks(asked, catalog=self.catalog, at=self.at)
        self.outlooks.update({one.ref.key: out for one, out in zip(asked, read, strict=True)})

    def taken(self) -> Evaluated:
        """What was done since this was last asked."""
        done, self.done = self.done, Evaluated()
        return done

    def warn(self, one: Judged) -> None:
        """Tell of every threshold that was crossed, in one message to each who is told of such things."""
        highest = one.due[-1][0]
        counting = [threshold for threshold, _ in one.due if self._counts(one, threshold)]
        urgent = bool(counting) or self.stopped(one)
        keys = self.tell(one, highest.key, again=False, threshold=highest, urgent=urgent)
        for threshold, _where in one.due:
            counts = threshold in counting
            # A warning that counts must have been told at or before the whole allowance, or tell that it was passed.
            if self.record(one, threshold.key, counts=counts, message=keys[0] if keys else ""):
                emit("overage.warned", one, {"threshold": threshold.key, "told": bool(keys)}, self.at)
            for number, key in enumerate(keys[1:], 2):
                self.record(one, f"{threshold.key} #{number}", counts=counts, message=key)
            self._record_machines(one, threshold.key, counts=counts)
        self._unreached(one, told=bool(keys) and not self.choice(one).inside_only)

    def _counts(self, one: Judged, threshold: Threshold) -> bool:
        if threshold.of is Of.FORECAST:  # told while the allowance lasts, it says what passing it will come to
            return one.counted.used < one.counted.included
        return is_warning_that_counts(threshold, one.counted.included, one.counted.unit)

    def record(self, one: Judged, threshold: str, *, counts: bool, message: str) -> bool:
        """Keep that a threshold was told of; whether it is new."""
        new = overage.record_warning(
            meter=one.ref, period_name=one.counted.period_name, threshold=threshold[:60], counts=counts,
            used=one.counted.used, at=self.at, message=message,
        )  # fmt: skip
        self.done.warned += new
        return new

    def _record_machines(self, one: Judged, threshold: str, *, counts: bool) -> None:
        """What webhooks were told: a machine that took it reached nobody, and counts only where the terms say so."""
        counts = counts and self.catalog.overage.webhook_counts
        for number, key in enumerate(self.machines, 1):
            self.record(one, f"{threshold[:40]} webhook {number}", counts=counts, message=key)

    def _unreached(self, one: Judged, *, told: bool) -> None:
        key = f"overage-unreached:{one.ref.key}"
        if told:
            alarms.clear_alarm(key=key, at=self.at)
            return
        self.done.unreached += 1
        c = one.counted
        alarms.raise_alarm(
            key=key,
            severity="warning",
            what=f"{c.service.external_id} of {c.account.external_id} crossed a threshold and nobody can be told by "
            f"mail: call them, and record it (console, account {c.account.external_id})",
            at=self.at,
        )
        self._have_called(one, "unreached")

    def _have_called(self, one: Judged, why: str) -> None:
        overage.open_phone_task(
            meter=one.ref, period_name=one.counted.period_name, why=why, due_at=self._morning(one), at=self.at
        )

    def _morning(self, one: Judged, contact: str = "") -> datetime:
        """When a contact may be disturbed: by the clock where they are, or by that of their account."""
        own = next((c.zone for c in self.contacts.get(one.counted.account.id, ()) if c.external_id == contact), "")
        return wakes_at(self.at, ZoneInfo(own) if own else one.counted.zone, self.catalog.overage)

    def stopped(self, one: Judged) -> bool:
        """Whether it is paused or throttled, and not only observed."""
        return any(not seen for service in one.services for seen in self.restricted.get(service, {}).values())

    def tell(
        self,
        one: Judged,
        what: str,
        *,
        again: bool,
        to: Sequence[Person] | None = None,
        threshold: Threshold | None = None,
        resumed: bool = False,
        urgent: bool = True,
        text: bool | None = None,
    ) -> list[str]:
        """Queue a message to each reader, with their own link; their keys.

        Those who want text messages get one too with `text`: by default when it stops, or when mail goes to nobody but
        mailboxes on the service itself. What is not `urgent` waits for the morning. Verified webhooks are told at any
        hour, and besides: their keys are kept apart.
        """
        self.machines = []
        c = one.counted
        choice = self.choice(one)
        readers = choice.recipients if to is None else to
        by_text = self.stopped(one) or not readers or choice.inside_only if text is None else text
        phones = self.phones(one) if by_text else []
        hooks = self.hooks.get(c.account.id, ())
        if not readers and not phones and not hooks:
            return []
        situation = self._situation(one, again=again, threshold=threshold, resumed=resumed)
        until = c.period.end  # afterwards there is nothing left to decide
        new: list[NewMessage] = []
        for person in readers:
            key, link = self._key_and_link(one, what, person.ref)
            words = write(situation, language=person.language, name=person.name, link=link, until=until)
            new.append(
                NewMessage(
                    key=key,
                    account=c.account.id,
                    kind=MessageKind.WARNING.value,
                    to=[Recipient(person.address, person.name, person.ref)],
                    language=words.language,
                    subject=words.subject,
                    text=words.text,
                    html=words.html,
                    about=f"service/{c.service.external_id}",
                    not_before=None if urgent else self._morning(one, person.ref),
                )
            )
        for contact in phones:
            key, link = self._key_and_link(one, f"text {what}", contact.external_id)
            new.append(
                NewMessage(
                    key=key,
                    account=c.account.id,
                    kind=MessageKind.WARNING.value,
                    to=[Recipient(contact.phone, contact.name, contact.external_id)],
                    language=contact.language,
                    subject="",
                    text=short(situation, language=contact.language, link=link),
                    about=f"service/{c.service.external_id}",
                    channel="sms",
                    not_before=None if urgent else self._morning(one, contact.external_id),
                )
            )
        self.machines = self._queued(one, [self._to_machine(one, what, hook, situation) for hook in hooks])
        return self._queued(one, new)

    def _to_machine(self, one: Judged, what: str, hook: HookRow, situation: Situation) -> NewMessage:
        """The same for a webhook: figures, and the words for whoever its owner shows them to."""
        c = one.counted
        contact = next((row for row in self.contacts.get(c.account.id, ()) if row.external_id == hook.contact), None)
        key, link = self._key_and_link(one, f"webhook {what}", hook.contact)
        language = contact.language if contact is not None else c.account.language
        data = {
            "account": c.account.external_id,
            "service": c.service.external_id,
            "charge": c.charge.key,
            "period": c.period_name,
            "used": show(c.used),
            "included": show(c.included),
            "unit": c.unit,
            "cost": {"amount": one.cost_now.decimal(), "currency": one.cost_now.currency},
            "stopped": situation.stopped,
            "about": what,
            "text": short(situation, language=language, link=link),
            "link": link,
        }
        body = {"type": "overage.warning", "timestamp": self.at.isoformat(), "data": data}
        return NewMessage(
            key=key,
            account=c.account.id,
            kind=MessageKind.WARNING.value,
            to=[Recipient(hook.address, contact.name if contact is not None else hook.contact, hook.contact)],
            language=language,
            subject="",
            text=json.dumps(body, ensure_ascii=False),
            about=f"service/{c.service.external_id}",
            channel="webhook",
        )

    def _queued(self, one: Judged, new: Sequence[NewMessage]) -> list[str]:
        out: list[str] = []
        for channel in ("email", "sms", "webhook"):
            lot = [m for m in new if m.channel == channel]
            if not lot:
                continue
            try:
                notices.queue_messages(lot, at=self.at, actor=self.actor)
            except notices.UnableToQueueError as fault:
                alarms.raise_alarm(key=f"overage-unsent:{one.ref.key}", severity="warning", what=str(fault), at=self.at)
                continue
            self.done.messages += len(lot)
            out += [message.key for message in lot]
        return out

    def _key_and_link(self, one: Judged, what: str, contact: str) -> tuple[str, str]:
        c = one.counted
        key = f"overage/{c.account.id}/{c.period_name}/{c.service.id}/{c.charge.key}/{what}/{contact}"
        key = key if len(key) <= 160 else key[:120] + short_hash(key)
        answerer = links.Answerer(c.account.id, contact, c.service.id, c.charge.key, c.period_name, key)
        return key, address_of(links.make(answerer, until=c.period.end))

    def _situation(
        self, one: Judged, *, again: bool, threshold: Threshold | None = None, resumed: bool = False
    ) -> Situation:
        provider = self.catalog.provider
        return Situation(
            judged=one,
            outlook=self.outlooks.get(one.ref.key) or outlook(one, catalog=self.catalog, at=self.at),
            seller=provider.name,
            contact=tuple(part for part in (provider.email, provider.phone) if part),
            action=self.catalog.overage.action,
            stopped=self.stopped(one),
            at=self.at,
            again=again,
            resumed=resumed,
            of=None if threshold is None else threshold.of,
        )

    def choice(self, one: Judged) -> Choice:
        """Who is told: never only a mailbox that the service itself hosts, where there is another."""
        own = people(self.contacts.get(one.counted.account.id, ()))
        dead = sent.dead_among([person.address for person in own if person.address])
        about = {drawing.service.external_id for drawing in one.counted.drawings} | {one.counted.service.external_id}
        return choose(own, MessageKind.WARNING, about=sorted(about), dead=list(dead))

    def phones(self, one: Judged) -> list[ContactRow]:
        """Who wants text messages about use, and can get one."""
        own = [c for c in self.contacts.get(one.counted.account.id, ()) if "sms" in c.channels and c.phone]
        told = [c for c in own if not c.roles or _TOLD_ROLES.intersection(c.roles)]
        dead = sent.dead_among([c.phone for c in told]) if told else {}
        return [c for c in told if sent.compared(c.phone) not in dead]

    def resumed(self, one: Judged) -> None:
        """Say that it runs again."""
        self.tell(one, f"resumed at {self.at.isoformat()}", again=False, resumed=True, text=False)

    def escalate(self, one: Judged) -> None:
        """Nobody answered for long what tells of the whole allowance: others are told, by text too; then a call."""
        standing = one.standing
        over = one.counted.used >= one.counted.included or self.stopped(one)
        if standing.acknowledged or not over or one.due:
            return
        told = [
            row
            for row in records.warnings(account=one.counted.account.id, period_name=one.counted.period_name)
            if row.meter == one.ref.key
        ]
        counting = [row for row in told if row.counts]
        pause = timedelta(hours=self.catalog.overage.remind_hours)
        if not counting or max(row.at for row in told) > self.at - pause:
            return
        times = sum(row.threshold.startswith("again ") and not _beside(row.threshold) for row in told)
        own = people(self.contacts.get(one.counted.account.id, ()))
        before = {row.message.rpartition("/")[2] for row in told if row.message}
        dead = sent.dead_among([person.address for person in own if person.address])
        usable = [p for p in own if p.address and "email" in p.channels and p.address.casefold() not in dead]
        to = [p for p in usable if p.ref not in before] or usable
        # Where a consent waits for its warning, each hour that it isn't told costs: then nobody's night counts.
        urgent = standing.consent is not None and not standing.warned
        keys = self.tell(one, f"again {times + 1}", again=True, to=to, urgent=urgent, text=True)
        self.record(one, f"again {times + 1}", counts=True, message=keys[0] if keys else "")
        self._record_machines(one, f"again {times + 1}", counts=True)
        for number, key in enumerate(keys[1:], 2):
            self.record(one, f"again {times + 1} #{number}", counts=True, message=key)
        if times >= 1 or not keys:
            c = one.counted
            alarms.raise_alarm(
                key=f"overage-unanswered:{one.ref.key}",
                severity="warning",
                what=f"{c.service.external_id} of {c.account.external_id}: nobody has answered since the allowance was "
                f"used up; call them, and record it (console, account {c.account.external_id})",
                at=self.at,
            )
            self._have_called(one, "unanswered")


def hooks_of(accounts: Collection[int]) -> dict[int, list[HookRow]]:
    """The verified webhooks of accounts' contacts."""
    out: dict[int, list[HookRow]] = {}
    for row in hooks(accounts=accounts, verified_only=True):
        out.setdefault(row.account, []).append(row)
    return out


def _beside(threshold: str) -> bool:
    """Whether a record is of a further message about a threshold that another record is of."""
    return "#" in threshold or " webhook " in threshold


def emit(event: str, one: Judged, more: Mapping[str, object], at: datetime) -> None:
    """Tell the provider's own systems."""
    c = one.counted
    data = {
        "account": c.account.external_id, "service": c.service.external_id, "charge": c.charge.key,
        "period": c.period_name, "used": show(c.used), "included": show(c.included), "unit": c.unit,
    }  # fmt: skip
    webhooks.emit(event=event, data=data | dict(more), at=at)


def answered(meter: records.MeterRef, *, at: datetime) -> None:
    """Somebody acted: nobody needs to be called."""
    for name in ("overage-unreached", "overage-unanswered"):
        alarms.clear_alarm(key=f"{name}:{meter.key}", at=at)
    overage.settle_phone_tasks(meter=meter, at=at)


def short_hash(text: str) -> str:
    """40 letters that stand for a text."""
    return sha256(text.encode()).hexdigest()[:40]


def address_of(token: str) -> str:
    """Where an answer is given."""
    return f"{address.public()}/answer/{token}"
