"""What people do about arrears: promise, plan, agree, approve, let rest, record. Screens, commands and API call these.

`actor` is `contact:boss` (the customer, within the provider's bounds) or `operator:anna` (who may agree to anything,
with a reason). Each act is one transaction, and has the account judged again seconds later.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from fractions import Fraction

from django.db import transaction

from coulance.arrears import operations
from coulance.arrears import queries as records
from coulance.arrears.errors import UnableToActError, UnableToFindError, UnableToPlanError, UnableToPromiseError
from coulance.arrears.queries import CaseRow, PlanRow, PromiseRow
from coulance.flows.arrears import deleting, plan_interest, putting_right
from coulance.flows.arrears.facts import Read, read
from coulance.flows.arrears.looking import look_soon
from coulance.notices import operations as notices
from coulance.payments import queries as payments
from coulance.platform import webhooks
from coulance_core.arrears import (
    Instalment,
    NotPlanned,
    PlanTerms,
    Proposed,
    StayKind,
    in_parts,
    propose,
    rate_of,
)
from coulance_core.arrears import promise as judge_promise
from coulance_core.arrears.horizon import Horizon
from coulance_core.arrears.interest import Interest
from coulance_core.arrears.judging import Judging
from coulance_core.arrears.plans import plan_standing
from coulance_core.kernel import Money, Refusal
from coulance_core.payments.direct_debit import months_later, target_day

__all__ = [
    "PlanBounds",
    "UnableToActError",
    "UnableToFindError",
    "UnableToPlanError",
    "UnableToPromiseError",
    "agree_plan",
    "approve",
    "bounds",
    "broken_plans",
    "end_plan",
    "end_stay",
    "finish_task",
    "interest_of",
    "judge_plan",
    "offer_retrieval",
    "promise",
    "propose_plan",
    "record_backup",
    "record_impossible",
    "refs_of",
    "stay",
    "suggest_plan",
    "take_back_approval",
]


@dataclass(frozen=True, slots=True)
class PlanBounds:
    """What a customer may propose now: for these debts, this undisputed amount, within these terms; and promise.

    `breaks`: how often plans of them were not kept. `promise_by`: the last day that a promise may name; none: none is
    left. `percent` a year on `principal`: what a plan bears, where the policy's plans bear interest and the law gives
    any. Without debts there is nothing to plan.
    """

    debts: tuple[str, ...]
    owed: Money | None
    terms: PlanTerms
    breaks: int
    promise_by: date | None
    today: date
    percent: Fraction | None = None
    principal: Money | None = None


def bounds(*, account: int, at: datetime, debts: Collection[str] | None = None) -> PlanBounds:
    """What can be planned or promised now, of all that is owed or of these debts. One currency: the account's first.

    Raises `UnableToActError` where arrears is off.
    """
    one = _read(account, at)
    return _bounds(one, at, debts)


def suggest_plan(*, bounds: PlanBounds, parts: int, first: Money | None = None) -> tuple[Instalment, ...]:
    """Equal instalments, a month apart, the first within the provider's days; to the cent.

    Each is due on a day on which banks work: the next one, or the one before where the plan's bounds end sooner.
    """
    if bounds.owed is None or parts < 1:
        return ()
    start = bounds.today + timedelta(days=min(bounds.terms.first_days, 7))
    latest = bounds.today + timedelta(days=bounds.terms.days)
    days = [_banking_day(start, bounds.today + timedelta(days=bounds.terms.first_days))]
    days += [_banking_day(months_later(start, n), latest) for n in range(1, parts)]
    return in_parts(bounds.owed, days, first=first if parts > 1 else None)


def _banking_day(day: date, latest: date) -> date:
    after = target_day(day)
    return after if after <= latest or day > latest else target_day(day, ahead=-1)


def judge_plan(*, bounds: PlanBounds, instalments: Sequence[Instalment]) -> Proposed | Refusal:
    """What would become of a proposal: within bounds (perhaps with approval), or why not."""
    if bounds.owed is None:
        return Refusal(NotPlanned.NOTHING_OWED, "nothing is owed that isn't contested")
    return propose(bounds.terms, bounds.owed, instalments, on=bounds.today, breaks=bounds.breaks)


def interest_of(*, bounds: PlanBounds, instalments: Sequence[Instalment]) -> Interest | None:
    """What a plan's interest comes to if each instalment is paid on its day, which is the most; None: it bears none."""
    if bounds.percent is None or bounds.principal is None or bounds.owed is None or not instalments:
        return None
    return plan_interest.shown(
        percent=bounds.percent, total=bounds.owed, principal=bounds.principal, instalments=instalments, on=bounds.today
    )


def promise(
    *, account: int, pay_by: date, actor: str, at: datetime, debts: Collection[str] | None = None
) -> PromiseRow:
    """Take the customer's word that debts (none: all that are owed) are paid by a day. "I paid" is one of today.

    Raises `UnableToPromiseError`, with core's refusal where a rule refused.
    """
    with transaction.atomic():
        operations.lock_account(account)
        one = _read(account, at)
        limits = _bounds(one, at, debts)
        if not limits.debts:
            raise UnableToPromiseError("nothing is owed that could be promised")
        used = max(_promised(one, ref) for ref in limits.debts)
        refusal = judge_promise(pay_by, on=limits.today, used=used)
        if refusal is not None:
            raise UnableToPromiseError(refusal.message, refusal)
        made = operations.promise(account=account, debts=limits.debts, pay_by=pay_by, by=actor, at=at)
        _emit("arrears.promised", one, {"pay_by": pay_by.isoformat(), "debts": list(limits.debts)}, at)
        look_soon([account])
    return next(row for row in records.promises(accounts=[account]) if row.id == made)


def propose_plan(
    *,
    account: int,
    instalments: Sequence[Instalment],
    actor: str,
    at: datetime,
    debts: Collection[str] | None = None,
    reason: str = "",
    interest: bool = True,
) -> PlanRow:
    """Propose to pay debts (none: all that are owed) in instalments. Within bounds it is agreed at once, or waits for
    an operator; what an operator enters is agreed, and wants a reason. It bears what `interest_of` shows, where the
    policy's plans do; not `interest`: it bears none. Raises `UnableToPlanError`."""
    by_hand = not actor.startswith(("contact:", "link:"))
    with transaction.atomic():
        operations.lock_account(account)
        one = _read(account, at)
        limits = _bounds(one, at, debts)
        judged = judge_plan(bounds=limits, instalments=instalments)
        if isinstance(judged, Refusal):
            never = (NotPlanned.NOTHING_OWED, NotPlanned.WRONG_SUM, NotPlanned.NOT_IN_ORDER)
            if not by_hand or judged.code in never:
                raise UnableToPlanError(judged.message, judged)
        if by_hand and not reason.strip():
            raise UnableToPlanError("a plan that an operator enters needs a reason")
        standing = [
            row for row in records.plans(accounts=[account])
            if row.state in ("proposed", "agreed") and set(row.debts) & set(limits.debts)
        ]  # fmt: skip
        missed = broken_plans(one, at)
        for row in standing:
            if row.id not in missed:
                raise UnableToPlanError(f"plan {row.id} is {row.state} for these debts: end it first")
            # What takes its place is the restart that a plan has; which it is, is judged above.
            operations.end_plan(plan=row.id, by=actor, reason="a payment of it was missed: another plan", at=at)
        found = interest_of(bounds=limits, instalments=instalments) if interest else None
        bears = None
        if found is not None and found.amount.minor and limits.percent is not None and limits.principal is not None:
            bears = operations.Bears(str(limits.percent), limits.principal, found.amount)
        made = operations.propose_plan(
            account=account, debts=limits.debts, instalments=instalments, reason=reason, by=actor, at=at, bears=bears
        )
        if by_hand or (isinstance(judged, Proposed) and not judged.needs_approval):
            operations.agree_plan(plan=made, by=actor if by_hand else "worker", at=at, reason=reason)
        kept = records.plan(made)
        _emit("arrears.plan", one, {"plan": made, "state": kept.state, "total": _money(kept.total)}, at)
        look_soon([account])
    return kept


def broken_plans(one: Read, at: datetime) -> frozenset[int]:
    """The plans that were agreed and aren't kept: a payment was missed, and its grace is over."""
    h, grace = Horizon(at, one.facts.zone), one.policy.plans.grace_days
    return frozenset(
        int(plan.ref)
        for plan in one.facts.plans
        if plan.ended_at is None and plan.agreed_at <= at and plan_standing([plan], h, grace).kept is None
    )


def agree_plan(*, plan: int, actor: str, reason: str, at: datetime) -> PlanRow:
    """Agree to a plan that a customer proposed. Raises `UnableToPlanError`, `UnableToFindError`."""
    with transaction.atomic():
        found = records.plan(plan)
        operations.lock_account(found.account)
        operations.agree_plan(plan=plan, by=actor, reason=reason, at=at)
        _emit("arrears.plan", _read(found.account, at), {"plan": plan, "state": "agreed"}, at)
        look_soon([found.account])
    return records.plan(plan)


def end_plan(*, plan: int, actor: str, reason: str, at: datetime, account: int | None = None) -> PlanRow:
    """End a plan, or decline or take back one that is proposed. `account`: whose it must be, for a customer."""
    with transaction.atomic():
        found = records.plan(plan, account=account)
        operations.lock_account(found.account)
        operations.end_plan(plan=plan, by=actor, reason=reason, at=at)
        _emit("arrears.plan", _read(found.account, at), {"plan": plan, "state": records.plan(plan).state}, at)
        look_soon([found.account])
    return records.plan(plan)


def approve(*, account: int, step: str, actor: str, reason: str, at: datetime, service: str = "") -> int:
    """A person's yes to a step, for a service (external id; empty: the account). Two different people for an end or a
    deletion, each signed in to the console: who can type commands could else be both. Raises `UnableToActError`."""
    with transaction.atomic():
        case = _case(account)
        one = _read(account, at)
        found = one.policy.step(step)
        if found is None:
            known = ", ".join(s.key for s in one.policy.steps if s.people)
            raise UnableToActError(f"there is no step {step!r} in {one.policy.version}; these want approval: {known}")
        if not found.people:
            raise UnableToActError(f"{step} wants nobody's approval")
        if found.people > 1 and not actor.startswith("operator:"):
            raise UnableToActError(
                f"{step} wants {found.people} people, each signed in to the console: {actor} may be one of them already"
            )
        if found.nature.each_service != bool(service) or (service and service not in one.services):
            own = ", ".join(one.services) or "none"
            raise UnableToActError(
                f"{step} is done to {'a service: ' + own if found.nature.each_service else 'the account'}"
            )
        made = operations.approve(case=case, step=step, service=one.service_id(service), by=actor, reason=reason, at=at)
        look_soon([account])
    return made


def take_back_approval(*, account: int, approval: int, actor: str, reason: str, at: datetime) -> None:
    """Take a yes back. Raises `UnableToFindError` for one that doesn't stand."""
    with transaction.atomic():
        case = _case(account)
        if approval not in {row.id for row in records.approvals(case=case.id)}:
            raise UnableToFindError(f"there is no approval {approval} of this account")
        operations.take_back_approval(approval=approval, by=actor, reason=reason, at=at)


def stay(
    *,
    account: int,
    kind: StayKind,
    why: str,
    actor: str,
    at: datetime,
    until: datetime | None = None,
    debts: Collection[str] = (),
) -> int:
    """Let everything rest, for these debts or (none named) all: insolvency, an order, our own error, or a pause of an
    operator's, which has an end. An order and our own error lift what was restricted; what our error cost the customer
    is credited at once, with an apology. Its id."""
    with transaction.atomic():
        operations.lock_account(account)
        made = operations.stay(account=account, kind=kind, why=why, by=actor, at=at, until=until, debts=sorted(debts))
        if kind is StayKind.OWN_ERROR:
            putting_right.put_right(account=account, stay=made, debts=debts, actor=actor, at=at)
        look_soon([account])
    return made


def refs_of(*, account: int, numbers: Collection[str]) -> list[str]:
    """The debts of these numbers that an account has, paid ones too. Raises `UnableToFindError` for any other."""
    known = {item.number: item.ref for item in payments.items(account=account)} if numbers else {}
    unknown = sorted(set(numbers) - set(known))
    if unknown:
        raise UnableToFindError(f"this account has no bill {', '.join(unknown)}")
    return sorted(known[number] for number in numbers)


def end_stay(*, stay: int, actor: str, reason: str, at: datetime) -> None:
    """End a rest. Raises `UnableToFindError`."""
    with transaction.atomic():
        look_soon([operations.end_stay(stay=stay, by=actor, reason=reason, at=at)])


def record_backup(
    *,
    account: int,
    service: str,
    made_at: datetime,
    how: str,
    verified_how: str,
    actor: str,
    at: datetime,
    ref: str = "",
) -> int:
    """A person made a backup of a service, and found it whole by `verified_how` (test-restored, checksum read)."""
    with transaction.atomic():
        operations.lock_account(account)
        if not verified_how.strip():
            raise UnableToActError("a backup counts once it was verified: say how it was test-restored or checked")
        if made_at > at:
            raise UnableToActError("a backup was made before it is recorded")
        made = operations.record_backup(
            service=_service(account, service, at), made_at=made_at, how=how, receipt={"ref": ref}, by=actor, at=at,
            verified_at=at, verified_how=verified_how,
        )  # fmt: skip
        look_soon([account])
    return made


def record_impossible(*, account: int, service: str, why: str, actor: str, at: datetime) -> int:
    """No backup of a service can be made; why. Its disks are to be frozen: a task says so. Its id."""
    with transaction.atomic():
        case = _case(account)
        made = operations.record_impossible(service=_service(account, service, at), why=why, by=actor, at=at)
        operations.add_task(
            case=case.id, kind="freeze_disks", what=f"Freeze the disks of {service}: {why}", at=at, ref=service
        )
        _emit("arrears.freeze", _read(account, at), {"service": service, "why": why}, at)
        look_soon([account])
    return made


def offer_retrieval(
    *, account: int, service: str, how: str, actor: str, at: datetime, until: datetime | None = None
) -> int:
    """The customer can fetch a service's data from now on, `how`; thirty days at least. Its id."""
    if until is not None and until < at + timedelta(days=30):
        raise UnableToActError("data can be fetched for thirty days at least")
    if not how.strip():
        raise UnableToActError("say how the data can be fetched")
    with transaction.atomic():
        operations.lock_account(account)
        made = operations.offer_retrieval(service=_service(account, service, at), until=until, how=how, by=actor, at=at)
        look_soon([account])
    return made


def finish_task(*, task: int, actor: str, note: str, at: datetime, posted_on: datetime | None = None) -> None:
    """A person did what a task asked. Of a letter to print: it was posted (at `posted_on`), which is its evidence."""
    with transaction.atomic():
        found = records.task(task)
        if found.kind == "delete" and found.act is not None:
            deleting.by_hand(act=found.act, read_back=note, note=note, actor=actor, at=at)
        operations.finish_task(task=task, by=actor, note=note, at=at)
        if found.kind == "post":
            notices.record_posted(
                delivery=int(found.ref.removeprefix("delivery/")), how=note or "posted", actor=actor,
                posted_at=posted_on or at, at=at,
            )  # fmt: skip
        look_soon([found.account])


def _read(account: int, at: datetime) -> Read:
    found = read([account], at=at).get(account)
    if found is None:
        raise UnableToActError("arrears is off: no policy covers this account, and it has no case")
    return found


def _case(account: int) -> CaseRow:
    case = operations.lock_case(account)
    if case is None:
        raise UnableToFindError("this account has no open case of arrears")
    return case


def _service(account: int, external_id: str, at: datetime) -> int:
    found = _read(account, at).services.get(external_id)
    if found is None:
        raise UnableToFindError(f"this account has no service {external_id!r}")
    return found.id


def _promised(one: Read, ref: str) -> int:
    return sum(ref in row.debts for row in one.facts.promises)


def _bounds(one: Read, at: datetime, debts: Collection[str] | None) -> PlanBounds:
    j = Judging(one.policy, one.facts, at, one.law)
    unknown = set(debts or ()) - set(one.debts)
    if unknown:
        raise UnableToFindError(f"nothing is open under {', '.join(sorted(unknown))}")
    standing = [s for s in j.standing.values() if s.undisputed and (debts is None or s.debt.ref in debts)]
    code = one.account.currency
    if standing and all(s.debt.open.currency != code for s in standing):
        code = standing[0].debt.open.currency
    standing = [s for s in standing if s.debt.open.currency == code]
    owed = sum(s.undisputed for s in standing)
    left: list[int] = [s.promise.left for s in standing]
    principal, rates = 0, []
    if one.policy.plans.interest:
        for s in standing:
            rate = rate_of(one.law, j.interest_rule(s.debt), j.h.on) if s.debt.kind.is_principal else None
            if rate:
                principal += s.undisputed
                rates.append(rate)
    return PlanBounds(
        tuple(sorted(s.debt.ref for s in standing)),
        Money(owed, code) if owed else None,
        one.policy.plans,
        max((s.plan.breaks for s in standing), default=0),
        j.h.on + timedelta(days=14) if left and min(left) > 0 else None,
        j.h.on,
        min(rates, default=None),
        Money(principal, code) if rates else None,
    )


def _emit(event: str, one: Read, data: dict[str, object], at: datetime) -> None:
    webhooks.emit(event=event, data={"account": one.account.external_id, **data}, at=at)


def _money(amount: Money) -> dict[str, str]:
    return {"amount": amount.decimal(), "currency": amount.currency}
