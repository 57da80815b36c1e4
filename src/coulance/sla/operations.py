"""Writing the sla room: who looks, at what; what operators and customers say; what was measured, credited and paid.

Acts of people carry who and why, and are in the audit log. What an entry said is taken back by another (`retract`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from fractions import Fraction
from typing import Any

from django.db import connection, transaction
from django.db.models import Sum

from coulance.platform import audit, tokens
from coulance.sla import queries
from coulance.sla.errors import SlaError, UnableToFindCheckError, UnableToSayError
from coulance.sla.models import (
    Agent,
    Agreement,
    Check,
    Claimed,
    Counter,
    Credit,
    Decision,
    Distrust,
    Entry,
    Measure,
    Payout,
    Preference,
    Shown,
)
from coulance.sla.queries import CheckRow, CreditRow, EntryRow, MeasureRow
from coulance_core.kernel import Money, require_aware
from coulance_core.sla.paying import Pays

PROBED = ("http", "tcp", "icmp", "dns", "tls")
WRONGFUL = "wrongful"
"""The kind of an outage that was a restriction of ours, and a wrong one: it counts though the service was paused."""
GRANTED = "granted"
"""The kind of an outage that a customer reported and we granted: it counts whatever we had paused meanwhile."""


def add_agent(*, name: str, actor: str, at: datetime) -> str:
    """Make a probe agent known under a name (its vantage); its token, which can't be had again."""
    name = name.strip()
    if not name:
        raise SlaError("an agent needs a name: say where it looks from, such as ams-1")
    with transaction.atomic():
        if Agent.objects.filter(name=name).exists():
            raise SlaError(f"there is an agent {name!r} already")
        text, token = tokens.make_token(name=f"probe {name}", scopes=["probe"], at=at, actor=actor)
        Agent.objects.create(name=name, source="probe", token_prefix=token.prefix, made_at=at, made_by=actor)
        audit.record(actor=actor, act="sla.agent_added", subject=f"agent:{name}", at=at)
    return text


def retire_agent(*, name: str, actor: str, at: datetime) -> None:
    """Take an agent out: its token is revoked; what it saw stays."""
    with transaction.atomic():
        row = Agent.objects.select_for_update().filter(name=name, retired_at__isnull=True).first()
        if row is None:
            raise UnableToFindCheckError(f"there is no agent {name!r} at work; see: coulance sla agent list")
        if row.token_prefix:
            tokens.revoke_token(prefix=row.token_prefix, at=at, actor=actor, reason="the probe agent is taken out")
        Agent.objects.filter(pk=row.pk).update(retired_at=at)
        audit.record(actor=actor, act="sla.agent_retired", subject=f"agent:{name}", at=at)


def add_check(
    *,
    service: int,
    kind: str,
    target: str,
    actor: str,
    at: datetime,
    every_s: int = 30,
    timeout_s: int = 10,
    expect: Mapping[str, Any] | None = None,
    vantages: Sequence[str] = (),
    holds: bool = False,
    since: datetime | None = None,
) -> CheckRow:
    """Have something of a service looked at: by probe agents, or by a source that sends what it sees (`outside`), or
    counts in slots of `every_s` (`requests`).

    From `since` on (default: now) silence is unknown time. Raises `SlaError`.
    """
    if kind not in (*PROBED, "outside", "requests"):
        raise SlaError(f"{kind!r} is no kind of check: expected {', '.join(PROBED)}, outside or requests")
    if not target.strip():
        raise SlaError("say what is looked at: an address, host:port, or the name a source has for it")
    if not 1 <= every_s <= 86_400 or not 1 <= timeout_s <= every_s:
        raise SlaError("looks are 1 second to a day apart, and time out before the next")
    if kind == "requests" and (86_400 % every_s or every_s < 60):
        raise SlaError(f"slots of {every_s} s don't fill a day: expected a minute or more, such as 300")
    with transaction.atomic():
        other = Check.objects.filter(service_id=service, kind="requests", until__isnull=True).exclude(every_s=every_s)
        if kind == "requests" and other.exists():
            raise SlaError("its other requests are counted in slots of another length: they couldn't be added up")
        missing = set(vantages) - set(Agent.objects.filter(name__in=list(vantages)).values_list("name", flat=True))
        if missing:
            raise UnableToFindCheckError(f"there is no agent {min(missing)!r}; see: coulance sla agent list")
        row = Check.objects.create(
            service_id=service,
            kind=kind,
            target=target.strip(),
            every_s=every_s,
            timeout_s=timeout_s,
            expect=dict(expect or {}),
            vantages=list(vantages),
            holds=holds,
            since=require_aware(since or at),
            made_by=actor,
        )
        audit.record(
            actor=actor,
            act="sla.check_added",
            subject=f"check:{row.pk}",
            at=at,
            detail={"kind": kind, "target": target},
        )
    return queries.check_row(row)


def distrust(*, agent: str, since: datetime, until: datetime | None, reason: str, actor: str, at: datetime) -> None:
    """Let what an agent or source said from `since` up to `until` (None: for good) not count: its token was taken, its
    clock was wrong for a day. What it said stays readable; that time is unknown where nobody else saw it.

    Raises `UnableToSayError`, `UnableToFindCheckError`.
    """
    if not reason.strip():
        raise UnableToSayError("say why it isn't trusted: it changes what is credited, and stays in the record")
    if until is not None and until <= since:
        raise UnableToSayError(f"it ends at {until.isoformat()}, which is not after {since.isoformat()}")
    with transaction.atomic():
        row = Agent.objects.filter(name=agent).first()
        if row is None:
            raise UnableToFindCheckError(f"there is no agent or source {agent!r}; see: coulance sla agent list")
        Distrust.objects.create(agent=row, since=since, until=until, reason=reason.strip(), at=at, by=actor)
        audit.record(
            actor=actor,
            act="sla.distrusted",
            subject=f"agent:{agent}",
            at=at,
            reason=reason.strip(),
            detail={"since": since.isoformat(), "until": until.isoformat() if until else None},
        )


def end_check(*, check: int, actor: str, at: datetime) -> None:
    """Look no more; what was seen stays."""
    with transaction.atomic():
        if not Check.objects.filter(pk=check, until__isnull=True).update(until=at):
            raise UnableToFindCheckError(f"there is no check {check} at work; see: coulance sla check list")
        audit.record(actor=actor, act="sla.check_ended", subject=f"check:{check}", at=at)


def say(
    *,
    service: int,
    says: str,
    since: datetime,
    until: datetime | None,
    reason: str,
    actor: str,
    at: datetime,
    kind: str = "",
    evidence: str = "",
    words: str = "",
    affected: Fraction = Fraction(1),
    announced_at: datetime | None = None,
    reported_at: datetime | None = None,
) -> EntryRow:
    """Enter what is known of a service's time besides samples: an outage, maintenance, an exclusion, that it was up.

    Maintenance counts as announced from `announced_at`, which can't be before this entry: nobody announces in
    hindsight. An outage of the kind `WRONGFUL` is one that we caused by a restriction that was wrong: it counts though
    the service was paused. Raises `UnableToSayError`.
    """
    if says not in ("outage", "maintenance", "exclusion", "up"):
        raise UnableToSayError(f"{says!r}: expected outage, maintenance, exclusion or up")
    if not reason.strip():
        raise UnableToSayError("say why: an entry changes what is credited")
    if until is not None and require_aware(until) <= require_aware(since):
        raise UnableToSayError(f"it ends at {until.isoformat()}, which is not after {since.isoformat()}")
    if says == "exclusion" and (not kind.strip() or not evidence.strip() or until is None):
        raise UnableToSayError("an exclusion has a kind that the terms agree to, an end, and evidence: say where it is")
    if says in ("maintenance", "up") and until is None:
        raise UnableToSayError(f"{says} has an end: say until when")
    if not 0 < affected <= 1:
        raise UnableToSayError(f"it affected {affected}: expected a part above 0, at most 1")
    if announced_at is not None and announced_at < at:
        raise UnableToSayError("maintenance is announced when it is entered, not before: nobody announces in hindsight")
    with transaction.atomic():
        row = Entry.objects.create(
            service_id=service,
            says=says,
            since=since,
            until=until,
            announced_at=(announced_at or at) if says == "maintenance" else None,
            reported_at=reported_at,
            kind=kind.strip(),
            affected=str(affected),
            words=words.strip(),
            evidence=evidence.strip(),
            reason=reason.strip(),
            at=at,
            by=actor,
        )
        audit.record(
            actor=actor,
            act=f"sla.{says}_entered",
            subject=f"sla-entry:{row.pk}",
            at=at,
            reason=reason.strip(),
            detail={"since": since.isoformat(), "until": until.isoformat() if until else None},
        )
    return queries.entry_row(row)


def end_outage(*, entry: int, until: datetime, actor: str, at: datetime) -> EntryRow:
    """Say when an outage that went on ended. Raises `UnableToSayError`, `UnableToFindCheckError`."""
    with transaction.atomic():
        row = _standing(entry)
        if row.says != "outage" or row.until is not None:
            raise UnableToSayError(f"entry {entry} is no outage that goes on")
        if until <= row.since:
            raise UnableToSayError(f"it began at {row.since.isoformat()}: it ends after that")
        made = Entry.objects.create(
            service_id=row.service_id,
            says="outage",
            since=row.since,
            until=until,
            reported_at=row.reported_at,
            affected=row.affected,
            words=row.words,
            evidence=row.evidence,
            ends=row,
            reason=f"entry {entry} ended",
            at=at,
            by=actor,
        )
        audit.record(actor=actor, act="sla.outage_ended", subject=f"sla-entry:{made.pk}", at=at)
    return queries.entry_row(made)


def retract(*, entry: int, reason: str, actor: str, at: datetime) -> None:
    """Take an entry back: it counts as never said. What it said stays readable. Raises as `end_outage`."""
    if not reason.strip():
        raise UnableToSayError("say why it is taken back")
    with transaction.atomic():
        row = _standing(entry)
        Entry.objects.create(
            service_id=row.service_id,
            says="retracted",
            since=row.since,
            until=row.until,
            retracts=row,
            reason=reason.strip(),
            at=at,
            by=actor,
        )
        audit.record(actor=actor, act="sla.entry_retracted", subject=f"sla-entry:{entry}", at=at, reason=reason)


def _standing(entry: int) -> Entry:
    row = Entry.objects.select_for_update().filter(pk=entry).exclude(says="retracted").first()
    if row is None or Entry.objects.filter(retracts=row).exists() or Entry.objects.filter(ends=row).exists():
        raise UnableToFindCheckError(f"there is no entry {entry} that stands; see: coulance sla outage list")
    return row


def contest(*, service: int, account: int, since: datetime, until: datetime, words: str, by: str, at: datetime) -> int:
    """A customer puts counter-evidence beside ours: it was down then. The case's number. Raises `UnableToSayError`."""
    if not words.strip() or until <= since or since > at:
        raise UnableToSayError("say from when to when it was down, and what you saw")
    waiting = Counter.objects.filter(account_id=account).exclude(pk__in=Decision.objects.values("counter_id"))
    if waiting.count() >= 20:
        raise UnableToSayError("twenty reports of yours wait for an answer already")
    row = Counter.objects.create(
        service_id=service, account_id=account, since=since, until=until, words=words.strip()[:4000], by=by, at=at
    )
    audit.record(actor=by, act="sla.contested", subject=f"sla-case:{row.pk}", at=at)
    return int(row.pk)


def decide(*, counter: int, accepted: bool, reason: str, actor: str, at: datetime) -> None:
    """Decide on counter-evidence, once, with a reason the customer reads. Accepted, that time is an outage."""
    if not reason.strip():
        raise UnableToSayError("say why: the customer reads it")
    with transaction.atomic():
        row = Counter.objects.select_for_update().filter(pk=counter).first()
        if row is None or Decision.objects.filter(counter=row).exists():
            raise UnableToFindCheckError(f"there is no case {counter} that waits")
        entry = None
        if accepted:
            entry = say(
                service=row.service_id,
                says="outage",
                since=row.since,
                until=row.until,
                reason=f"case {counter}: {reason.strip()}",
                reported_at=row.at,
                evidence=f"case {counter}, by {row.by}",
                kind=GRANTED,
                actor=actor,
                at=at,
            )
        Decision.objects.create(
            counter=row,
            entry_id=entry.id if entry else None,
            accepted=accepted,
            reason=reason.strip(),
            at=at,
            by=actor,
        )
        audit.record(actor=actor, act="sla.decided", subject=f"sla-case:{counter}", at=at, reason=reason.strip())


def agree(
    *, service: int, terms: str, valid_from: date, reason: str, actor: str, at: datetime, made_of: str = ""
) -> None:
    """Give a service terms of its own from a day on, in place of its plan's; empty: no promise of uptime.

    `made_of`: they are for an application of several services, as core writes a composite, which the flow has judged.
    """
    if not reason.strip():
        raise UnableToSayError("say why these terms are agreed")
    with transaction.atomic():
        Agreement.objects.create(
            service_id=service,
            terms=terms,
            made_of=made_of,
            valid_from=valid_from,
            reason=reason.strip(),
            at=at,
            by=actor,
        )
        audit.record(
            actor=actor,
            act="sla.agreed",
            subject=f"service:{service}",
            at=at,
            reason=reason,
            detail={"terms": terms, "from": valid_from.isoformat()} | ({"made_of": made_of} if made_of else {}),
        )


def show_publicly(*, service: int, group: str, label: str, actor: str, at: datetime) -> None:
    """Put a service on the public status page under a name of its own; an empty group takes it off."""
    with transaction.atomic():
        if not group.strip():
            Shown.objects.filter(service_id=service).delete()
        elif not label.strip():
            raise UnableToSayError("a public name is needed: customers' own names of services don't belong there")
        else:
            Shown.objects.update_or_create(
                service_id=service, defaults={"group": group.strip()[:100], "label": label.strip()[:100]}
            )
        audit.record(
            actor=actor, act="sla.shown", subject=f"service:{service}", at=at, detail={"group": group, "label": label}
        )


def prefer(*, account: int, way: Pays, by: str, at: datetime) -> None:
    """How an account wants its credits paid from now on."""
    with transaction.atomic():
        Preference.objects.create(account_id=account, way=way.value, by=by, at=at)
        audit.record(actor=by, act="sla.preferred", subject=f"account:{account}", at=at, detail={"way": way.value})


@dataclass(frozen=True)
class NewMeasure:
    """What a service's period came to; `amount` is all that is owed for it, credited before or not."""

    service: int
    account: int
    period_name: str
    start: datetime
    end: datetime
    terms_version: str
    terms: Mapping[str, Any]
    downtime: int
    unknown: int
    availability: str
    outages: Sequence[Mapping[str, Any]]
    fee: Money
    amount: Money
    explanation: Mapping[str, Any]
    so_far: bool = False


def lock_service(*, service: int) -> None:
    """Queue those who measure and credit one service; in a transaction."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM services_service WHERE id = %s FOR NO KEY UPDATE", [service])


def record_measure(*, new: NewMeasure, at: datetime, actor: str) -> tuple[MeasureRow, CreditRow | None]:
    """Write a measure down, and credit what it owes above what was credited before. Inside the caller's transaction.

    The same again changes nothing. What was credited in good faith isn't taken back when later evidence shows less.
    """
    before = Measure.objects.filter(service_id=new.service, period_name=new.period_name).order_by("-no").first()
    if before is not None and _same(before, new):
        return queries.measure_row(before), None
    given = (
        Credit.objects.filter(measure__service_id=new.service, measure__period_name=new.period_name).aggregate(
            sum=Sum("amount")
        )["sum"]
        or 0
    )
    row = Measure.objects.create(
        service_id=new.service,
        account_id=new.account,
        period_name=new.period_name,
        start=new.start,
        end=new.end,
        no=(before.no if before else 0) + 1,
        terms_version=new.terms_version,
        terms=dict(new.terms),
        downtime=new.downtime,
        unknown=new.unknown,
        availability=new.availability,
        outages=[dict(one) for one in new.outages],
        fee=new.fee.minor,
        amount=new.amount.minor,
        currency=new.amount.currency,
        explanation=dict(new.explanation),
        so_far=new.so_far,
        at=at,
    )
    credit = None
    if new.amount.minor > given:
        credit = Credit.objects.create(measure=row, amount=new.amount.minor - given, at=at, by=actor)
        audit.record(
            actor=actor,
            act="sla.credited",
            subject=f"service:{new.service}",
            at=at,
            reason=f"{new.terms_version}, {new.period_name}",
            detail={"amount": str(Money(credit.amount, new.amount.currency)), "measure": row.pk},
        )
    return queries.measure_row(row), queries.credit_row(credit) if credit else None


def _same(before: Measure, new: NewMeasure) -> bool:
    return (before.so_far, before.amount, before.downtime, before.unknown, before.outages) == (
        new.so_far,
        new.amount.minor,
        new.downtime,
        new.unknown,
        [dict(one) for one in new.outages],
    )


def record_payout(*, credit: int, number: str, amount: Money, way: Pays, at: datetime, actor: str) -> None:
    """Note that so much of a credit was paid by a credit note. Inside the transaction that gave it."""
    Payout.objects.create(credit_id=credit, number=number, amount=amount.minor, way=way.value, at=at, by=actor)


def lock_unpaid(*, account: int) -> list[CreditRow]:
    """An account's credits that aren't wholly paid, locked against others who would pay them; in a transaction."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.id FROM sla_credit c JOIN sla_measure m ON m.id = c.measure_id WHERE m.account_id = %s"
            " ORDER BY c.id FOR NO KEY UPDATE OF c",
            [account],
        )
    return queries.given(account=account, unpaid=True)


def note_claim(
    *, supplier: str, terms: str, period_name: str, amount: Money, reference: str, actor: str, at: datetime
) -> None:
    """Note that a credit was claimed of a supplier for a month (of nothing: that it won't be), and where that is shown.

    Raises `UnableToSayError`: without a reference, or when it was noted already.
    """
    if not reference.strip():
        raise UnableToSayError("say where the claim is: their ticket's number, or why none is made")
    with transaction.atomic():
        row, made = Claimed.objects.get_or_create(
            supplier=supplier,
            terms=terms,
            period_name=period_name,
            defaults={
                "amount": amount.minor,
                "currency": amount.currency,
                "reference": reference.strip()[:500],
                "at": at,
                "by": actor,
            },
        )
        if not made:
            raise UnableToSayError(f"it is noted already: {row.reference}, by {row.by}")
        audit.record(
            actor=actor,
            act="sla.claimed",
            subject=f"supplier:{supplier}",
            at=at,
            reason=reference.strip(),
            detail={"period": period_name, "amount": str(amount)},
        )
