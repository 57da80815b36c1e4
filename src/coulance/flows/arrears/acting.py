"""Doing what was decided: each intent becomes what its act is, in the transaction that records it.

Effects leave through the outboxes of notices, enforcement, webhooks and jobs, which stand or fall with the record.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from procrastinate.contrib.django import app

from coulance.arrears import operations
from coulance.arrears import queries as records
from coulance.arrears.operations import NewAct
from coulance.arrears.queries import ActRow, CaseRow
from coulance.customers import queries as customers
from coulance.enforcement import operations as enforcement
from coulance.flows import letters
from coulance.flows.arrears import backing_up, charging, collectors, deleting, links, serving, wording
from coulance.flows.arrears.facts import Read
from coulance.flows.sending.wording import Written, language_of
from coulance.notices import operations as notices
from coulance.notices import queries as sent
from coulance.platform import alarms, webhooks
from coulance_core.arrears import INSTALMENT, Act, Intent, Level, announces
from coulance_core.arrears.costs import collection_costs
from coulance_core.arrears.judging import Judging
from coulance_core.enforcement.restrictions import Action, Source
from coulance_core.kernel import Money
from coulance_core.notices import Channel, MessageKind, Person, choose

_BY_HAND = {
    Act.LIMIT: "Switch off these features of {service}: {features}",
    Act.HAND_OVER: "Send the claim of {amount} to {to}: its package is with the case (coulance arrears package {act})",
    Act.PHONE: "Call: {amount} is owed",
}
"""What a person has to do: what the program can't."""

_SEVERE = frozenset({Act.NOTICE_OF_TERMINATION, Act.NOTICE_OF_DELETION, Act.NOTICE_OF_NON_RENEWAL})


@dataclass(frozen=True, slots=True)
class Doing:
    """An intent at work: of an account as it was read in this transaction, in its case."""

    one: Read
    case: CaseRow
    intent: Intent
    id: int
    at: datetime
    actor: str

    @property
    def ref(self) -> str:
        """How other rooms name the act."""
        return f"arrears/{self.id}"

    @property
    def external_id(self) -> str:
        """The account, as the provider names it."""
        return self.one.account.external_id

    def change(self) -> serving.Change:
        """Its service, to be changed in the books."""
        own = self.one.services[self.intent.service]
        return serving.Change(self.one.account, own, self.ref, self.at, self.actor)


def do(one: Read, case: CaseRow, intent: Intent, *, at: datetime, actor: str) -> ActRow:
    """Do an intent that was judged in this transaction, and record it. Raises what its room raises: nothing is done."""
    doing = Doing(one, case, intent, operations.reserve_act(), at, actor)
    new = NewAct(
        id=doing.id,
        step=intent.step,
        route=intent.route,
        act=intent.act,
        debts=intent.debts,
        amount=intent.amount,
        service=one.service_id(intent.service),
        about=intent.about,
        channels=[channel.value for channel in intent.channels],
        observed=intent.observe,
        explanation=intent.explanation,
    )
    if not intent.observe:
        new = _effect(doing, _stands_on(doing, new))
        webhooks.emit(
            event="arrears.step",
            data={
                "account": doing.external_id,
                "act": doing.id,
                "step": intent.step,
                "what": intent.act.value,
                "service": intent.service,
                "amount": {"amount": intent.amount.decimal(), "currency": intent.amount.currency},
                "debts": list(intent.debts),
            },
            at=at,
        )
    row = operations.record_act(case=case, new=new, at=at, actor=actor)
    if not intent.observe:
        _tasks(doing)
        if intent.act is Act.BACK_UP:
            _back_up(doing)
        if intent.act is Act.DELETE:
            deleting.order(one, act=row.id, service=one.services[intent.service], case=case.id, at=at)
        if intent.act is Act.HAND_OVER:
            collectors.ask(act=row.id)
    return row


def _stands_on(doing: Doing, new: NewAct) -> NewAct:
    """The notices that an act that hurts rests on, and by what the data of its service is safe."""
    intent, one = doing.intent, doing.one
    step = one.policy.step(intent.step)
    if step is None or not step.nature.hurts:
        return new
    earlier = {s.key for s in one.policy.earlier[step.key] if s.evidence is not Level.NONE}
    rests = [
        act.id for act in one.acts
        if act.step in earlier and act.messages and not act.observed and set(act.debts) & set(intent.debts)
    ]  # fmt: skip
    new = replace(new, rests_on=rests)
    if not step.nature.withholds:
        return new
    if not next((s.holds_data for s in one.facts.services if s.ref == intent.service), True):
        return replace(new, no_data=True)
    kept = [b for b in records.backups([intent.service], lost=False) if b.verified_at is not None]
    if kept:
        return replace(new, backup=kept[-1].id)
    return replace(new, impossible=next((row.id for row in records.impossible([intent.service])), None))


def _effect(doing: Doing, new: NewAct) -> NewAct:
    """What an act does in other rooms; the record with what came of it."""
    intent = doing.intent
    step = doing.one.policy.step(intent.step)
    match intent.act:
        case act if intent.channels:
            del act
            # A letter that costs something is charged when it is sent, on a document of its own.
            fee = charging.charge_fee(doing.one, intent, ref=doing.ref, at=doing.at)
            return replace(new, messages=_tell(doing), document=fee)
        case Act.CHARGE_COSTS | Act.CHARGE_INTEREST:
            return replace(new, document=charging.charge(doing.one, intent, ref=doing.ref, at=doing.at))
        case Act.THROTTLE:
            assert step is not None
            return replace(new, restriction=_restrict(doing, Action.THROTTLE, step.rate_bps))
        case Act.LIMIT | Act.DOWNGRADE if step is not None and step.plan:
            return replace(new, effect=serving.put_on_plan(doing.change(), step.plan))
        case Act.NOT_RENEW:
            return replace(new, effect=serving.end_with_term(doing.change()))
        case Act.TERMINATE:
            return replace(new, restriction=_restrict(doing, Action.PAUSE, None), effect=serving.end(doing.change()))
        case Act.SUSPEND | Act.DELETE:
            return replace(new, restriction=_restrict(doing, Action.PAUSE, None))
        case Act.HAND_OVER:
            return replace(new, effect={"to": step.to if step else ""})
        case Act.OFFER_RETRIEVAL:
            return replace(new, messages=_offer(doing))
    return new


def _restrict(doing: Doing, action: Action, rate_bps: int | None) -> int:
    service = doing.one.service_id(doing.intent.service)
    assert service is not None
    numbers = ", ".join(doing.one.debts[ref].number for ref in doing.intent.debts if ref in doing.one.debts)
    placed = enforcement.place(
        service=service,
        source=Source.ARREARS,
        ref=doing.ref,
        reason=f"{doing.intent.amount} of {numbers} is not paid",
        action=action,
        rate_bps=rate_bps,
        actor=doing.actor,
        at=doing.at,
    )
    data = {"service": doing.intent.service, "source": "arrears", "action": action, "address": "", "ref": doing.ref}
    webhooks.emit(event="restriction.placed", data=data, at=doing.at)
    return placed.id


# Telling


def page() -> str:
    """The same page for who signs in: its address can be typed."""
    return f"{letters.base()}/my/arrears"


def link(account: int, refs: Sequence[str], at: datetime) -> str:
    """Where a customer sees what is owed and every way to stop what comes, without signing in: for the contact who is
    written to, or for several of them."""
    return links.url(links.Owing(account, refs[0] if len(refs) == 1 else ""), at=at)


def _tell(doing: Doing) -> list[str]:
    """Queue the letter by each of its channels; the keys of the messages. Nobody to write to raises an alarm."""
    keys = []
    for channel in doing.intent.channels:
        key = f"arrears/{doing.case.id}/{doing.id}/{channel.value}"
        if channel is Channel.EMAIL:
            told = _by_mail(doing, key)
        elif channel is Channel.POST:
            told = _by_post(doing, key)
        else:
            told = _by_text(doing, key)
        if told:
            keys.append(key)
        else:
            alarms.raise_alarm(
                key=f"arrears-untold:{doing.one.account.id}",
                severity="warning",
                what=f"{doing.external_id} can't be told by {channel.value} that {doing.intent.step} is due:"
                " mend its contacts, or call",
                at=doing.at,
            )
    return keys


def people(account: int, kind: MessageKind, services: Sequence[str]) -> list[Person]:
    """Who of an account is written to, never only at a mailbox on a service that the letter is about."""
    known = letters.people_of(account)
    dead = sent.dead_among([person.address for person in known if person.address])
    return list(choose(known, kind, about=services, dead=dead).recipients)


def _by_mail(doing: Doing, key: str) -> bool:
    severe = doing.intent.act in _SEVERE or any(_told(doing).announced)
    kind = MessageKind.RESTRICTION if severe else MessageKind.REMINDER
    to = people(doing.one.account.id, kind, _services(doing))
    if not to:
        return False
    name = to[0].name if len(to) == 1 else ""
    to_page = link(doing.one.account.id, [person.ref for person in to], doing.at)
    language = language_of(to[0].language)
    mail = _of_instalment(doing, name, to_page, language) or wording.notice(
        _told(doing), name=name, link=to_page, language=language
    )
    notices.queue_message(
        key=key,
        account=doing.one.account.id,
        kind=kind.value,
        to=[notices.Recipient(person.address, person.name, person.ref) for person in to],
        language=mail.language,
        subject=mail.subject,
        text=mail.text,
        html=mail.html,
        at=doing.at,
        about=doing.ref,
        actor=doing.actor,
    )
    return True


def _of_instalment(doing: Doing, name: str, link: str, language: str) -> Written | None:
    """The letter about a payment of a plan; none where the step is about something else."""
    if doing.intent.step != INSTALMENT:
        return None
    plan, number, _days = doing.intent.about.split("/")
    parts = sorted(records.plan(int(plan)).instalments, key=lambda one: one.due_on)
    due_on = parts[int(number) - 1].due_on
    return wording.instalment(
        amount=doing.intent.amount,
        due_on=due_on,
        today=doing.at.astimezone(ZoneInfo(doing.one.account.zone)).date(),
        until=due_on + timedelta(days=doing.one.policy.plans.grace_days),
        number=int(number),
        of=len(parts),
        name=name,
        link=link,
        language=language,
    )


def _by_post(doing: Doing, key: str) -> bool:
    """A letter that a person prints and posts: a task for them; its posting is its evidence."""
    account = doing.one.account
    lines = [account.name, *account.address, account.country]
    if not account.address:
        return False
    mail = wording.notice(_told(doing), name=account.name, link=page(), language=language_of(account.language))
    notices.queue_messages(
        [
            notices.NewMessage(
                key=key, account=account.id, kind=MessageKind.RESTRICTION.value,
                to=[notices.Recipient(", ".join(lines), account.name)], language=mail.language, subject=mail.subject,
                text=mail.text, about=doing.ref, channel=Channel.POST.value,
            )
        ],
        at=doing.at,
        actor=doing.actor,
    )  # fmt: skip
    (delivery,) = sent.deliveries_of(key=key)
    operations.add_task(
        case=doing.case.id, kind="post", what=f"Print and post the letter {mail.subject!r} to {', '.join(lines)}",
        at=doing.at, ref=f"delivery/{delivery}",
    )  # fmt: skip
    return True


def _by_text(doing: Doing, key: str) -> bool:
    phones = [one for one in customers.contacts([doing.one.account.id]) if one.phone and "sms" in one.channels]
    if not phones:
        return False
    mail = wording.notice(_told(doing), name="", link=page(), language=language_of(phones[0].language))
    notices.queue_messages(
        [
            notices.NewMessage(
                key=key, account=doing.one.account.id, kind=MessageKind.REMINDER.value,
                to=[notices.Recipient(one.phone, one.name, one.external_id) for one in phones], language=mail.language,
                subject="", text=f"{mail.subject}. {page()}", about=doing.ref, channel=Channel.SMS.value,
            )
        ],
        at=doing.at,
        actor=doing.actor,
    )  # fmt: skip
    return True


def _services(doing: Doing) -> list[str]:
    if doing.intent.service:
        return [doing.intent.service]
    return sorted({name for debt in doing.one.facts.debts if debt.ref in doing.intent.debts for name in debt.services})


def _told(doing: Doing) -> wording.Told:
    """What the letter of an intent tells: of each debt what is to be paid now, what follows, and the law's days."""
    one, intent = doing.one, doing.intent
    j = Judging(one.policy, one.facts, doing.at, one.law)
    code = intent.amount.currency
    standing = [j.standing[ref] for ref in intent.debts if ref in j.standing]
    lines = [
        wording.Line(s.debt.number, s.due_on or s.debt.due_on, Money(s.net, code)) for s in standing if s.net > 0
    ] or [wording.Line(s.debt.number, s.due_on or s.debt.due_on, s.debt.open) for s in standing]
    step = one.policy.step(intent.step)
    letter = j.letter(step, standing[0].debt) if step is not None and standing else None
    rule = j.cost_rule(standing[0].debt) if letter is not None else None
    costs = None
    if rule is not None and j.law is not None and letter is not None and rule.letter == letter.key:
        claim = [(s.debt.number, Money(s.net, code)) for s in standing if s.net > 0]
        costs = collection_costs(j.law, rule, claim).amount if claim else None
    law_days = letter.days if letter is not None else 0
    return wording.Told(
        intent.step,
        intent.act,
        lines,
        intent.amount,
        j.h.on,
        announces(one.policy, intent.step, law_days=law_days) if step is not None else (),
        law_days,
        costs,
        intent.fee,
        _services(doing),
        one.policy.resume_days,
    )


def _offer(doing: Doing) -> list[str]:
    """The customer may fetch their data, from now on; they are told."""
    service = doing.one.service_id(doing.intent.service)
    assert service is not None
    how = f"By the portal, or ask: {page()}"
    operations.offer_retrieval(service=service, until=None, how=how, by=doing.actor, at=doing.at)
    to = people(doing.one.account.id, MessageKind.RESTRICTION, [doing.intent.service])
    if not to:
        return []
    told = replace(_told(doing), retrieval="")
    to_page = link(doing.one.account.id, [person.ref for person in to], doing.at)
    mail = wording.notice(told, name="", link=to_page, language=language_of(to[0].language))
    key = f"arrears/{doing.case.id}/{doing.id}/email"
    notices.queue_message(
        key=key, account=doing.one.account.id, kind=MessageKind.RESTRICTION.value,
        to=[notices.Recipient(person.address, person.name, person.ref) for person in to], language=mail.language,
        subject=mail.subject, text=mail.text, html=mail.html, at=doing.at, about=doing.ref, actor=doing.actor,
    )  # fmt: skip
    return [key]


# People and jobs


def _tasks(doing: Doing) -> None:
    intent = doing.intent
    said = _BY_HAND.get(intent.act)
    step = doing.one.policy.step(intent.step)
    if said is None or (intent.act is Act.LIMIT and step is not None and step.plan):
        return
    operations.add_task(
        case=doing.case.id,
        act=doing.id,
        kind=intent.act.value,
        what=said.format(
            service=intent.service,
            amount=intent.amount,
            features=", ".join(step.features) if step else "",
            plan=step.plan if step else "",
            to=step.to if step else "",
            act=doing.id,
        )
        + f" ({doing.external_id})",
        at=doing.at,
        ref=intent.service,
    )


def _back_up(doing: Doing) -> None:
    """Have the service backed up by a job; where no adapter reaches its kind, by a person."""
    if backing_up.terms_for(doing.one.services[doing.intent.service]) is None:
        operations.add_task(
            case=doing.case.id, act=doing.id, kind="back_up", ref=doing.intent.service, at=doing.at,
            what=f"Back {doing.intent.service} up, verify it, and record it: coulance arrears backup",
        )  # fmt: skip
        return
    app.configure_task("coulance.flows.tasks.arrears.back_up", lock=f"arrears-backup:{doing.intent.service}").defer(
        account=doing.one.account.id, service=doing.intent.service
    )
