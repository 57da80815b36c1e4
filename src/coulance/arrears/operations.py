"""Writing arrears: in the caller's transaction, each with its audit event. Judging is the flow's, by core.

Instants are aware UTC. Who acts is `operator:anna`, `contact:boss` or `worker`; a person gives a reason.
"""

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from django.db import connection, transaction

from coulance.arrears import models, queries
from coulance.arrears.errors import (
    ArrearsError,
    UnableToActError,
    UnableToFindError,
    UnableToPlanError,
    UnableToPromiseError,
)
from coulance.arrears.queries import ActRow, CaseRow
from coulance.platform import audit
from coulance_core.arrears import Act, HeldUp, Instalment, Route, StayKind
from coulance_core.kernel import Explanation, Money, require_aware

__all__ = [
    "ArrearsError",
    "Bears",
    "NewAct",
    "UnableToActError",
    "UnableToFindError",
    "UnableToPlanError",
    "UnableToPromiseError",
    "add_task",
    "agree_plan",
    "approve",
    "close_case",
    "end_plan",
    "end_stay",
    "finish_task",
    "lock_case",
    "lose_backup",
    "note_judged",
    "note_refusals",
    "offer_retrieval",
    "open_case",
    "promise",
    "propose_plan",
    "record_act",
    "record_backup",
    "record_impossible",
    "reserve_act",
    "settle_interest",
    "stay",
    "take_back_approval",
    "undo_act",
    "verify_backup",
]


@dataclass(frozen=True, slots=True)
class NewAct:
    """An act to record. `id` from `reserve_act`; `service` and what it rests on are row ids."""

    id: int
    step: str
    route: Route
    act: Act
    debts: Sequence[str]
    amount: Money
    service: int | None = None
    about: str = ""
    channels: Sequence[str] = ()
    messages: Sequence[str] = ()
    rests_on: Sequence[int] = ()
    backup: int | None = None
    impossible: int | None = None
    no_data: bool = False
    restriction: int | None = None
    document: int | None = None
    observed: bool = False
    explanation: Explanation | None = None
    effect: Mapping[str, Any] | None = None


def lock_account(account: int) -> None:
    """Queue here whoever judges or changes what is recorded of an account, until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('arrears'), %s::int)", [account % 2**31])


def lock_case(account: int) -> CaseRow | None:
    """Lock an account's arrears; its open case."""
    lock_account(account)
    return queries.case(account)


def open_case(
    *, account: int, version: str, terms: Mapping[str, Any], debts: Collection[str], at: datetime, actor: str
) -> CaseRow:
    """The account's open case; opened by these terms, or the last one opened again where it was about debts of these.

    A debt whose payment came back goes on where its case stood, by its own terms.
    """
    require_aware(at)
    found = lock_case(account)
    if found is not None:
        return found
    last = models.Case.objects.filter(account=account).order_by("-id").first()
    if last is not None and any(set(row.debts) & set(debts) for row in models.Act.objects.filter(case=last)):
        models.Case.objects.filter(pk=last.pk).update(closed_at=None)
        audit.record(actor=actor, act="arrears.reopened", subject=f"account:{account}", at=at, detail={"case": last.pk})
    else:
        body = json.dumps(terms, sort_keys=True, ensure_ascii=False, default=str)
        digest = hashlib.sha256(f"{version}\n{body}".encode()).hexdigest()
        kept, _ = models.Terms.objects.get_or_create(
            digest=digest, defaults={"version": version, "data": json.loads(body)}
        )
        row = models.Case.objects.create(account_id=account, terms=kept, opened_at=at)
        detail = {"case": row.pk, "policy": version}
        audit.record(actor=actor, act="arrears.opened", subject=f"account:{account}", at=at, detail=detail)
    opened = queries.case(account)
    assert opened is not None
    return opened


def close_case(*, case: int, at: datetime, actor: str) -> None:
    """Nothing is owed any more, and nothing stands that would have to be undone."""
    done = models.Case.objects.filter(pk=case, closed_at__isnull=True).update(closed_at=at)
    models.Refusal.objects.filter(case=case, until__isnull=True).update(until=at)
    if done:
        audit.record(actor=actor, act="arrears.closed", subject=f"arrears:{case}", at=at)


def note_judged(*, case: int, at: datetime, wake: datetime | None) -> None:
    """When a case was judged, and from when time alone may change it."""
    models.Case.objects.filter(pk=case).update(judged_at=at, wake=wake)


def note_refusals(*, case: int, held_up: Sequence[HeldUp], at: datetime) -> int:
    """What is held up now: what is new begins, what is gone ends, the rest goes on. How many are new."""
    standing = {
        (row.step, row.service, row.code, tuple(row.debts)): row
        for row in models.Refusal.objects.filter(case=case, until__isnull=True)
    }
    new = []
    for one in held_up:
        code = str(getattr(one.refusal.code, "value", one.refusal.code))
        found = standing.pop((one.step, one.service, code, one.debts), None)
        if found is None:
            new.append(
                models.Refusal(
                    case_id=case, step=one.step, act=one.act.value, debts=list(one.debts), service=one.service,
                    code=code, message=one.refusal.message, since=at,
                    explanation=None if one.refusal.explanation is None else one.refusal.explanation.to_json(),
                )
            )  # fmt: skip
        elif found.message != one.refusal.message:
            models.Refusal.objects.filter(pk=found.pk).update(message=one.refusal.message)
    models.Refusal.objects.bulk_create(new)
    if standing:
        models.Refusal.objects.filter(pk__in=[row.pk for row in standing.values()]).update(until=at)
    return len(new)


def reserve_act() -> int:
    """An id for an act, so that what it causes can name it before it is recorded."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT nextval(pg_get_serial_sequence('arrears_act', 'id'))")
        return int(cursor.fetchone()[0])


def record_act(*, case: CaseRow, new: NewAct, at: datetime, actor: str) -> ActRow:
    """Record what was done, in the transaction that does it. Raises `UnableToActError` where a guard refuses."""
    require_aware(at)
    models.Act.objects.bulk_create(
        [
            models.Act(
                id=new.id, case_id=case.id, step=new.step, route=new.route.value, act=new.act.value,
                debts=sorted(new.debts), service_id=new.service, at=at, by=actor, amount=new.amount.minor,
                currency=new.amount.currency, about=new.about, channels=list(new.channels),
                messages=list(new.messages), rests_on=list(new.rests_on), backup_id=new.backup,
                impossible_id=new.impossible, no_data=new.no_data, restriction=new.restriction,
                document_id=new.document, observed=new.observed, effect=new.effect and dict(new.effect),
                explanation=None if new.explanation is None else new.explanation.to_json(),
            )
        ]
    )  # fmt: skip
    audit.record(
        actor=actor,
        act="arrears.observed" if new.observed else "arrears.done",
        subject=f"account:{case.account}",
        at=at,
        detail={"case": case.id, "act": new.id, "step": new.step, "what": new.act.value, "debts": sorted(new.debts)},
    )
    return queries.act(new.id)


def undo_act(*, act: int, ground: str, wrongful_since: datetime | None, at: datetime, actor: str) -> bool:
    """Write down that an act was undone and why; whether it was now."""
    done = models.Act.objects.filter(pk=act, undone_at__isnull=True).update(
        undone_at=at, undone_by=actor, ground=ground, wrongful_since=wrongful_since
    )
    if done:
        detail = {"ground": ground, "wrongful_since": wrongful_since.isoformat() if wrongful_since else ""}
        audit.record(actor=actor, act="arrears.undone", subject=f"arrears-act:{act}", at=at, detail=detail)
    return bool(done)


def promise(*, account: int, debts: Sequence[str], pay_by: date, by: str, at: datetime) -> int:
    """Record a promise that core took; its id."""
    row = models.Promise.objects.create(
        account_id=account, debts=sorted(debts), pay_by=pay_by, made_at=require_aware(at), by=by
    )
    detail = {"debts": sorted(debts), "pay_by": pay_by.isoformat()}
    audit.record(actor=by, act="arrears.promised", subject=f"account:{account}", at=at, detail=detail)
    return row.pk


@dataclass(frozen=True, slots=True)
class Bears:
    """What a plan bears: percent a year (a fraction as text), on which principal, and the most: as it was shown."""

    percent: str
    principal: Money
    most: Money


def propose_plan(
    *, account: int, debts: Sequence[str], instalments: Sequence[Instalment], reason: str, by: str, at: datetime,
    bears: Bears | None = None,
) -> int:  # fmt: skip
    """Record a proposed plan; its id. In force once it is agreed."""
    code = instalments[0].amount.currency
    total = sum(one.amount.minor for one in instalments)
    row = models.Plan.objects.create(
        account_id=account, debts=sorted(debts), currency=code, total=total, reason=reason.strip(),
        proposed_at=require_aware(at), proposed_by=by,
        interest_percent=bears.percent if bears else "",
        interest_principal=bears.principal.minor if bears else None,
        interest_most=bears.most.minor if bears else None,
    )  # fmt: skip
    models.Instalment.objects.bulk_create(
        models.Instalment(plan=row, no=no, due_on=one.due_on, amount=one.amount.minor)
        for no, one in enumerate(instalments, 1)
    )
    detail = {"plan": row.pk, "debts": sorted(debts), "total": str(Money(total, code)), "parts": len(instalments)}
    audit.record(actor=by, act="arrears.plan_proposed", subject=f"account:{account}", at=at, detail=detail)
    return row.pk


def agree_plan(*, plan: int, by: str, at: datetime, reason: str = "") -> None:
    """Put a proposed plan in force. Raises `UnableToPlanError` for one that isn't waiting."""
    found = queries.plan(plan)
    done = models.Plan.objects.filter(pk=plan, agreed_at__isnull=True, ended_at__isnull=True).update(
        agreed_at=at, agreed_by=by
    )
    if not done:
        raise UnableToPlanError(f"plan {plan} is {found.state}: only one that is proposed can be agreed")
    audit.record(
        actor=by, act="arrears.plan_agreed", subject=f"account:{found.account}", at=at, reason=reason,
        detail={"plan": plan},
    )  # fmt: skip


def settle_interest(*, plan: int, document: int | None, detail: Mapping[str, str], by: str, at: datetime) -> bool:
    """Write down that a plan's interest was billed, or came to nothing; once. Whether it was now."""
    found = queries.plan(plan)
    done = models.Plan.objects.filter(pk=plan, interest_settled_at__isnull=True).exclude(interest_percent="").update(
        interest_settled_at=at, interest_document=document
    )  # fmt: skip
    if done:
        audit.record(
            actor=by, act="arrears.plan_interest", subject=f"account:{found.account}", at=at,
            detail={"plan": plan, "document": document, **detail},
        )  # fmt: skip
    return bool(done)


def end_plan(*, plan: int, by: str, reason: str, at: datetime) -> None:
    """End a plan, or decline one that is proposed. Raises `UnableToPlanError`."""
    found = queries.plan(plan)
    if not reason.strip():
        raise UnableToPlanError("ending a plan needs a reason that the customer could be told")
    done = models.Plan.objects.filter(pk=plan, ended_at__isnull=True).update(
        ended_at=at, ended_by=by, ended_why=reason.strip()
    )
    if not done:
        raise UnableToPlanError(f"plan {plan} is {found.state} already")
    audit.record(
        actor=by, act="arrears.plan_ended", subject=f"account:{found.account}", at=at, reason=reason,
        detail={"plan": plan},
    )  # fmt: skip


def approve(*, case: CaseRow, step: str, service: int | None, by: str, reason: str, at: datetime) -> int:
    """A person's yes to a step; once each. Its id. Raises `UnableToActError`."""
    if not reason.strip():
        raise UnableToActError("an approval needs a reason: what was looked at")
    standing = models.Approval.objects.filter(
        case=case.id, step=step, service=service, by=by, taken_back_at__isnull=True
    ).first()
    if standing is not None:
        raise UnableToActError(f"{by} approved {step} already: another person has to")
    row = models.Approval.objects.create(
        case_id=case.id, step=step, service_id=service, by=by, reason=reason.strip(), at=require_aware(at)
    )
    detail = {"case": case.id, "step": step, "service": service, "approval": row.pk}
    audit.record(
        actor=by, act="arrears.approved", subject=f"account:{case.account}", at=at, reason=reason, detail=detail
    )
    return row.pk


def take_back_approval(*, approval: int, by: str, reason: str, at: datetime) -> None:
    """Take a yes back. Raises `UnableToActError`."""
    if not reason.strip():
        raise UnableToActError("taking an approval back needs a reason")
    done = models.Approval.objects.filter(pk=approval, taken_back_at__isnull=True).update(
        taken_back_at=at, taken_back_by=by
    )
    if not done:
        raise UnableToFindError(f"there is no approval {approval} that stands")
    audit.record(actor=by, act="arrears.approval_taken_back", subject=f"approval:{approval}", at=at, reason=reason)


def stay(
    *, account: int, kind: StayKind, why: str, by: str, at: datetime, until: datetime | None = None,
    debts: Sequence[str] = (),
) -> int:  # fmt: skip
    """Let everything rest; its id. Raises `UnableToActError` for an operator's pause without an end."""
    if not why.strip():
        raise UnableToActError("a rest needs a reason")
    if kind is StayKind.OPERATOR and until is None:
        raise UnableToActError("a pause by an operator has an end: say until when")
    if until is not None and until <= at:
        raise UnableToActError("a rest ends after it begins")
    row = models.Stay.objects.create(
        account_id=account, kind=kind.value, debts=sorted(debts), why=why.strip(), since=require_aware(at),
        until=until, by=by,
    )  # fmt: skip
    detail = {"stay": row.pk, "kind": kind.value, "until": until.isoformat() if until else "", "debts": sorted(debts)}
    audit.record(actor=by, act="arrears.stayed", subject=f"account:{account}", at=at, reason=why, detail=detail)
    return row.pk


def end_stay(*, stay: int, by: str, reason: str, at: datetime) -> int:
    """End a rest; the account's id. Raises `UnableToFindError`."""
    if not reason.strip():
        raise UnableToActError("ending a rest needs a reason")
    row = models.Stay.objects.filter(pk=stay, ended_at__isnull=True).first()
    if row is None:
        raise UnableToFindError(f"there is no rest {stay} that lasts")
    models.Stay.objects.filter(pk=stay).update(ended_at=at, ended_by=by)
    audit.record(
        actor=by, act="arrears.stay_ended", subject=f"account:{row.account_id}", at=at, reason=reason,
        detail={"stay": stay},
    )  # fmt: skip
    return row.account_id


def record_backup(
    *,
    service: int,
    made_at: datetime,
    how: str,
    receipt: Mapping[str, Any],
    by: str,
    at: datetime,
    verified_at: datetime | None = None,
    verified_how: str = "",
) -> int:
    """A backup was made (and verified: test-restored, or its checksum read again); its id."""
    row = models.Backup.objects.create(
        service_id=service, made_at=require_aware(made_at), how=how, receipt=dict(receipt), by=by,
        verified_at=verified_at, verified_how=verified_how,
    )  # fmt: skip
    detail = {"backup": row.pk, "how": how, "verified": verified_how}
    audit.record(actor=by, act="arrears.backed_up", subject=f"service:{service}", at=at, detail=detail)
    return row.pk


def verify_backup(*, backup: int, how: str, by: str, at: datetime) -> None:
    """A backup was found whole. Raises `UnableToFindError` for one that was verified or lost before."""
    done = models.Backup.objects.filter(pk=backup, verified_at__isnull=True, lost_at__isnull=True).update(
        verified_at=at, verified_how=how
    )
    if not done:
        raise UnableToFindError(f"there is no backup {backup} to verify")
    audit.record(actor=by, act="arrears.backup_verified", subject=f"backup:{backup}", at=at, reason=how)


def lose_backup(*, backup: int, why: str, by: str, at: datetime) -> None:
    """A backup isn't there any more."""
    if models.Backup.objects.filter(pk=backup, lost_at__isnull=True).update(lost_at=at, lost_why=why):
        audit.record(actor=by, act="arrears.backup_lost", subject=f"backup:{backup}", at=at, reason=why)


def record_impossible(*, service: int, why: str, by: str, at: datetime) -> int:
    """No backup of a service can be made; its disks are frozen instead. Its id."""
    if not why.strip():
        raise UnableToActError("say why no backup can be made")
    row = models.Impossible.objects.create(service_id=service, recorded_at=require_aware(at), by=by, why=why.strip())
    audit.record(actor=by, act="arrears.backup_impossible", subject=f"service:{service}", at=at, reason=why)
    return row.pk


def offer_retrieval(*, service: int, until: datetime | None, how: str, by: str, at: datetime) -> int:
    """The customer can fetch a service's data from now on; its id."""
    row = models.Retrieval.objects.create(service_id=service, offered_at=require_aware(at), until=until, how=how, by=by)
    detail = {"until": until.isoformat() if until else ""}
    audit.record(actor=by, act="arrears.retrieval_offered", subject=f"service:{service}", at=at, detail=detail)
    return row.pk


def add_task(*, case: int, kind: str, what: str, at: datetime, act: int | None = None, ref: str = "") -> int:
    """Something that a person has to do; its id."""
    return models.Task.objects.create(case_id=case, act_id=act, kind=kind, what=what, ref=ref, since=at).pk


def finish_task(*, task: int, by: str, note: str, at: datetime) -> None:
    """A person did it. Raises `UnableToFindError` for one that was done."""
    with transaction.atomic():
        done = models.Task.objects.filter(pk=task, done_at__isnull=True).update(done_at=at, done_by=by, note=note)
        if not done:
            raise UnableToFindError(f"there is no task {task} that waits")
        audit.record(actor=by, act="arrears.task_done", subject=f"arrears-task:{task}", at=at, reason=note)
