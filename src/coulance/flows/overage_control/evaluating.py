"""Judging services whose use moved: warnings queued, restrictions placed and lifted, the next position armed.

Everything that follows from one look at an account is one transaction, with the outbox in it: killed anywhere, it
happened or it didn't, and the next look finds what is missing. Each threshold is told once a period: the database
refuses a second. An account is looked at by one at a time, so that nobody acts on what somebody else just changed.
"""

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from math import ceil

from django.db import connection, transaction

from coulance.catalog import queries as catalog_room
from coulance.customers import queries as customers
from coulance.customers.queries import ContactRow
from coulance.enforcement import operations as enforcement
from coulance.enforcement import queries as register
from coulance.flows.overage_control import links
from coulance.flows.overage_control.counted import counted
from coulance.flows.overage_control.judging import Judged, is_warning_that_counts, judge
from coulance.flows.overage_control.outlook import Outlook, outlook, outlooks
from coulance.flows.overage_control.wording import Situation, write
from coulance.notices import operations as notices
from coulance.notices import queries as sent
from coulance.notices.terms import NewMessage, Recipient
from coulance.overage import arming
from coulance.overage import operations as overage
from coulance.overage import queries as records
from coulance.overage.arming import Armed
from coulance.platform import alarms, webhooks
from coulance.platform.db import lock_key
from coulance_core.catalog.terms import Action, Catalog, Control, Direction
from coulance_core.enforcement.restrictions import Action as Restricting
from coulance_core.enforcement.restrictions import Source
from coulance_core.kernel import require_aware, show
from coulance_core.notices import Choice, MessageKind, Person, choose
from coulance_core.overage.standing import Stop
from coulance_core.usage.job import direction_of

CHUNK = 50
"""Accounts a transaction."""
REASONS = {
    Stop.ALLOWANCE: "the allowance is used up and no overage was agreed to",
    Stop.DORMANT: "the allowance is used up and nobody behind the consent is known to be reached",
    Stop.LIMIT: "the customer's limit is reached",
    Stop.EXPOSURE: "overage ran up and nobody has acknowledged it",
}
LIFTED = "use may go on"


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


def is_on() -> bool:
    """Whether anything is watched: the provider file says observe or enforce."""
    try:
        return catalog_room.catalog().overage.control is not Control.CONTRACT
    except catalog_room.UnableToFindCatalogError:
        return False


def evaluate(
    *, owners: Collection[tuple[int, int]], at: datetime, actor: str = "worker", escalate: bool = False
) -> Evaluated:
    """Look at these services, (account id, service id), a chunk of accounts a transaction. Also inside a caller's own.

    With `escalate`, what nobody answered for long is told again. Nothing happens where overage is by contract.
    """
    require_aware(at)
    out = Evaluated()
    if not owners or not is_on():
        return out
    catalog = catalog_room.catalog()
    by_account: dict[int, set[int]] = {}
    for account, service in owners:
        by_account.setdefault(account, set()).add(service)
    accounts = sorted(by_account)
    for start in range(0, len(accounts), CHUNK):
        chunk = accounts[start : start + CHUNK]
        with transaction.atomic():
            _lock(chunk)
            out.add(_look([(a, s) for a in chunk for s in sorted(by_account[a])], catalog, at, actor, escalate))
    return out


def lock_account(account: int) -> None:
    """Let nobody else judge or change this account's overage until the transaction ends."""
    _lock([account])


def _lock(accounts: Sequence[int]) -> None:
    """The same for many, in one order for everybody."""
    keys = sorted(lock_key("overage-control", account) for account in accounts)
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(pg_advisory_xact_lock(k)) FROM unnest(%s::bigint[]) AS k", [keys])


def _look(owners: Sequence[tuple[int, int]], catalog: Catalog, at: datetime, actor: str, escalate: bool) -> Evaluated:
    accounts, services = sorted({account for account, _ in owners}), {service for _, service in owners}
    # An account's own consent binds all its services together: they are judged together too.
    found = judge(counted(accounts=accounts, catalog=catalog, at=at), catalog=catalog, at=at)
    mine = [one for one in found if one.counted.service.id in services]
    look = _Look(catalog, at, actor, contacts_of(accounts), _restricted(services))
    due = [one for one in mine if one.due] if catalog.overage.control is Control.ENFORCE else []
    look.outlooks = {one.ref.key: out for one, out in zip(due, outlooks(due, catalog=catalog, at=at), strict=True)}
    for one in mine:
        look.act(one, escalate=escalate)
    look.lift_rest(mine, services)
    new = [_armed(one, catalog) for one in mine]
    none = set(services) - {one.service for one in new}
    owner = {service: account for account, service in owners}
    # A service without a controlled charge is looked at again in a day, not at every sample.
    new += [Armed(owner[s], s, "", at, at + timedelta(days=1), (), Direction.OUT.value, None) for s in sorted(none)]
    arming.arm(new=new, services=services)
    return look.done


def _restricted(services: Collection[int]) -> dict[int, dict[str, bool]]:
    """What overage imposes on services now: causes, and whether they are only observed."""
    out: dict[int, dict[str, bool]] = {}
    for row in register.restrictions(services=services, limit=100_000):
        if row.restriction.source is Source.OVERAGE:
            out.setdefault(row.service, {})[row.restriction.ref] = row.restriction.observe
    return out


def _armed(one: Judged, catalog: Catalog) -> Armed:
    counted_ = one.counted
    meter = catalog.meter(counted_.charge.measure.meter)
    return Armed(
        account=counted_.account.id,
        service=counted_.service.id,
        charge=counted_.charge.key,
        start=counted_.part.active.start,
        until=counted_.part.active.end,
        series=counted_.series,
        direction=direction_of(counted_.charge.measure, meter).value,
        next_at=None if one.next_at is None else ceil(one.next_at / counted_.factor),
    )


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
class _Look:
    """Acting on what was judged of some accounts at one instant."""

    catalog: Catalog
    at: datetime
    actor: str
    contacts: Mapping[int, Sequence[ContactRow]]
    restricted: dict[int, dict[str, bool]]
    done: Evaluated = field(default_factory=Evaluated)
    outlooks: Mapping[str, Outlook] = field(default_factory=dict)

    @property
    def observing(self) -> bool:
        return self.catalog.overage.control is Control.OBSERVE

    def act(self, one: Judged, *, escalate: bool) -> None:
        """What follows for one charge."""
        self.done.judged += 1
        key = f"overage-unjudged:{one.ref.key}"
        if one.problem:
            alarms.raise_alarm(key=key, severity="warning", what=f"{one.ref.key}: {one.problem}", at=self.at)
        newly = self._decide(one)
        if self.observing:
            for threshold, _where in one.due:
                self._record(one, threshold.key, counts=False, message="")
            return
        if one.due:
            self._warn(one)
        elif newly:
            self._tell(one, f"paused at {self.at.isoformat()}", again=False)
        if escalate:
            self._escalate(one)

    def _decide(self, one: Judged) -> bool:
        """Place or lift; whether something was placed now."""
        open_ = self.restricted.get(one.counted.service.id, {})
        decision = one.decision
        wanted = decision is not None and decision.act in (Action.PAUSE, Action.THROTTLE)
        if not wanted or decision is None or decision.point is None:
            if one.cause in open_:
                self._lift(one.counted.service.id, one.cause)
            return False
        if open_.get(one.cause) == self.observing:
            return False
        if one.cause in open_:  # it was observed, and is enforced now, or the other way round
            self._lift(one.counted.service.id, one.cause)
        throttle = decision.act is Action.THROTTLE
        rate = self.catalog.overage.throttle_to
        placed = enforcement.place(
            service=one.counted.service.id,
            source=Source.OVERAGE,
            ref=one.cause,
            reason=f"{one.counted.charge.name}: {REASONS[decision.point.why]}",
            action=Restricting.THROTTLE if throttle else Restricting.PAUSE,
            rate_bps=int(rate) if throttle and rate is not None else None,
            actor=self.actor,
            at=self.at,
            observe=self.observing,
        )
        self.restricted.setdefault(one.counted.service.id, {})[one.cause] = self.observing
        if placed.new:
            self.done.placed += 1
            self._emit("overage.stopped", one, {"why": decision.point.why.value, "observed": self.observing})
        return placed.new and not self.observing

    def lift_rest(self, found: Sequence[Judged], services: Collection[int]) -> None:
        """What an earlier period, or a charge that is no more, still imposes."""
        causes = {(one.counted.service.id, one.cause) for one in found}
        for service in services:
            for ref in list(self.restricted.get(service, {})):
                if (service, ref) not in causes:
                    self._lift(service, ref)

    def _lift(self, service: int, ref: str) -> None:
        self.restricted.get(service, {}).pop(ref, None)
        self.done.lifted += enforcement.lift(
            service=service, source=Source.OVERAGE, ref=ref, actor=self.actor, reason=LIFTED, at=self.at
        )

    def _emit(self, event: str, one: Judged, more: Mapping[str, object]) -> None:
        c = one.counted
        data = {
            "account": c.account.external_id, "service": c.service.external_id, "charge": c.charge.key,
            "period": c.period_name, "used": show(c.used), "included": show(c.included), "unit": c.unit,
        }  # fmt: skip
        webhooks.emit(event=event, data=data | dict(more), at=self.at)

    def _warn(self, one: Judged) -> None:
        """Tell of every threshold that was crossed, in one message to each who is told of such things."""
        highest = one.due[-1][0]
        keys = self._tell(one, highest.key, again=False)
        for threshold, _where in one.due:
            counts = is_warning_that_counts(threshold, one.counted.included)
            # A warning that counts must have been told at or before the whole allowance, or tell that it was passed.
            if self._record(one, threshold.key, counts=counts, message=keys[0] if keys else ""):
                self._emit("overage.warned", one, {"threshold": threshold.key, "told": bool(keys)})
            for number, key in enumerate(keys[1:], 2):
                self._record(one, f"{threshold.key} #{number}", counts=counts, message=key)
        self._unreached(one, told=bool(keys))

    def _record(self, one: Judged, threshold: str, *, counts: bool, message: str) -> bool:
        new = overage.record_warning(
            meter=one.ref, period_name=one.counted.period_name, threshold=threshold[:60], counts=counts,
            used=one.counted.used, at=self.at, message=message,
        )  # fmt: skip
        self.done.warned += new
        return new

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

    def _tell(self, one: Judged, what: str, *, again: bool, to: Sequence[Person] | None = None) -> list[str]:
        """Queue a message to each reader, with their own link; their keys."""
        c = one.counted
        readers = self.choice(one).recipients if to is None else to
        if not readers:
            return []
        provider = self.catalog.provider
        stopped = any(not observed for observed in self.restricted.get(c.service.id, {}).values())
        situation = Situation(
            judged=one,
            outlook=self.outlooks.get(one.ref.key) or outlook(one, catalog=self.catalog, at=self.at),
            seller=provider.name,
            contact=tuple(part for part in (provider.email, provider.phone) if part),
            action=self.catalog.overage.action,
            stopped=stopped,
            at=self.at,
            again=again,
        )
        until = c.period.end  # afterwards there is nothing left to decide
        new: list[NewMessage] = []
        for person in readers:
            key = f"overage/{c.account.id}/{c.period_name}/{c.service.id}/{c.charge.key}/{what}/{person.ref}"
            key = key if len(key) <= 160 else key[:120] + short_hash(key)
            answerer = links.Answerer(c.account.id, person.ref, c.service.id, c.charge.key, c.period_name, key)
            words = write(
                situation,
                language=person.language,
                name=person.name,
                link=address_of(links.make(answerer, until=until)),
                until=until,
            )
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
                )
            )
        try:
            notices.queue_messages(new, at=self.at, actor=self.actor)
        except notices.UnableToQueueError as fault:
            alarms.raise_alarm(key=f"overage-unsent:{one.ref.key}", severity="warning", what=str(fault), at=self.at)
            return []
        self.done.messages += len(new)
        return [message.key for message in new]

    def choice(self, one: Judged) -> Choice:
        """Who is told: never only a mailbox that the service itself hosts, where there is another."""
        own = people(self.contacts.get(one.counted.account.id, ()))
        dead = sent.dead_among([person.address for person in own if person.address])
        return choose(own, MessageKind.WARNING, about=[one.counted.service.external_id], dead=list(dead))

    def _escalate(self, one: Judged) -> None:
        """Nobody answered for a day what tells of the whole allowance: others are told, then an operator calls."""
        standing = one.standing
        if standing.acknowledged or one.counted.used < one.counted.included or one.due:
            return
        told = [
            row
            for row in records.warnings(account=one.counted.account.id, period_name=one.counted.period_name)
            if row.meter == one.ref.key
        ]
        counting = [row for row in told if row.counts]
        if not counting or max(row.at for row in told) > self.at - timedelta(hours=24):
            return
        times = sum(row.threshold.startswith("again ") for row in told)
        own = people(self.contacts.get(one.counted.account.id, ()))
        before = {row.message.rpartition("/")[2] for row in told if row.message}
        dead = sent.dead_among([person.address for person in own if person.address])
        usable = [p for p in own if p.address and "email" in p.channels and p.address.casefold() not in dead]
        to = [p for p in usable if p.ref not in before] or usable
        keys = self._tell(one, f"again {times + 1}", again=True, to=to)
        self._record(one, f"again {times + 1}", counts=True, message=keys[0] if keys else "")
        for number, key in enumerate(keys[1:], 2):
            self._record(one, f"again {times + 1} #{number}", counts=True, message=key)
        if times >= 1 or not keys:
            c = one.counted
            alarms.raise_alarm(
                key=f"overage-unanswered:{one.ref.key}",
                severity="warning",
                what=f"{c.service.external_id} of {c.account.external_id}: nobody has answered since the allowance was "
                f"used up; call them, and record it (console, account {c.account.external_id})",
                at=self.at,
            )


def answered(meter: records.MeterRef, *, at: datetime) -> None:
    """Somebody acted: nobody needs to be called."""
    for name in ("overage-unreached", "overage-unanswered"):
        alarms.clear_alarm(key=f"{name}:{meter.key}", at=at)


def short_hash(text: str) -> str:
    """40 letters that stand for a text."""
    return sha256(text.encode()).hexdigest()[:40]


def address_of(token: str) -> str:
    """Where an answer is given."""
    base = os.environ.get("COULANCE_URL", "").rstrip("/") or "http://127.0.0.1:8000"
    return f"{base}/answer/{token}"
