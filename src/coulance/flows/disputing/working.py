"""Working a case: asking, answering, adding, mediation, withdrawing; and what closes by itself.

Each act is one transaction: the step, its files, the mails that tell of it, and where it closes the case, the hold.
"""

import logging
from collections.abc import Mapping, Sequence
from datetime import date, datetime

from django.db import transaction

from coulance.catalog import queries as catalogs
from coulance.disputes import operations as disputes
from coulance.disputes import queries as cases
from coulance.disputes.errors import UnableToStepError
from coulance.disputes.files import Checked, Upload, checked
from coulance.disputes.queries import CaseRow
from coulance.flows.arrears.looking import look_soon
from coulance.flows.disputing import acting, telling
from coulance.flows.disputing.acting import Actor
from coulance.flows.disputing.debts import bill_of, item_of
from coulance.flows.payment_order import order_of
from coulance.invoicing import queries as documents
from coulance.payments import operations as paying
from coulance.platform import alarms, webhooks
from coulance_core.disputes import State, StepKind
from coulance_core.kernel import Money

_log = logging.getLogger(__name__)
OVERDUE_ALARM = "disputes.overdue"
FAILED_ALARM = "disputes.lapse"
WORKER = acting.operator("worker")


def case_of(*, case: int, actor: Actor, at: datetime) -> CaseRow:
    """A case that this actor may see. Raises `UnableToFindCaseError`, also for another account's."""
    return cases.case(case, at=at, account=actor.account)


def ask(*, case: int, text: str, actor: Actor, at: datetime) -> CaseRow:
    """Ask the customer something: our clock rests from when it arrived, and theirs runs from when they saw it."""
    return _step(case, StepKind.ASKED, text, actor, at)


def note(*, case: int, text: str, actor: Actor, at: datetime) -> CaseRow:
    """Add something that both sides see."""
    return _step(case, StepKind.NOTED, text, actor, at)


def answer(*, case: int, text: str, actor: Actor, at: datetime, files: Sequence[Upload] = ()) -> CaseRow:
    """What the customer says: the answer to the open question, or something more.

    An operator may write down what a customer said elsewhere; the step says who wrote it.
    """
    kept = [checked(one) for one in files]
    with transaction.atomic():
        now = acting.locked(case, actor, at)
        kind = StepKind.ANSWERED if now.state is State.ASKED else StepKind.SAID
        return _step(case, kind, text, actor, at, files=kept)


def withdraw(*, case: int, reason: str, actor: Actor, at: datetime) -> CaseRow:
    """Take a case back: what was held is to be paid."""
    return _step(case, StepKind.WITHDRAWN, reason, actor, at)


def begin_mediation(
    *, case: int, name: str, reference: str, text: str, actor: Actor, at: datetime, answer_by: date | None = None
) -> CaseRow:
    """Let a third party look at it: who, their reference, and by when they expect to be done. Both clocks rest."""
    if not name.strip() or not reference.strip():
        raise UnableToStepError("say who looks at it, and their reference for it")
    detail = {"name": name.strip()[:200], "reference": reference.strip()[:200]}
    if answer_by is not None:
        detail["answer_by"] = answer_by.isoformat()
    return _step(case, StepKind.MEDIATION, text, actor, at, detail=detail)


def end_mediation(*, case: int, text: str, actor: Actor, at: datetime) -> CaseRow:
    """Write down what the third party said; it is ours to decide again."""
    return _step(case, StepKind.MEDIATED, text, actor, at)


def see(*, case: int, actor: Actor, at: datetime) -> None:
    """A signed-in contact looks at their case: the evidence that what was told of it reached a person."""
    if not actor.is_customer or not actor.contact:
        return
    with transaction.atomic():
        telling.seen(case_of(case=case, actor=actor, at=at), contact=actor.contact, at=at)


def read_file(*, case: int, file: int, actor: Actor, at: datetime) -> Checked:
    """A file of a case, to be handed out as an attachment; that it was read is kept. Raises `UnableToFindCaseError`."""
    with transaction.atomic():
        case_of(case=case, actor=actor, at=at)
        return disputes.content_of(case=case, file=file, by=actor.name, at=at)


def lapse(*, at: datetime) -> list[int]:
    """Close the cases whose question stayed unanswered since it reached the customer; which.

    Each on its own: one that fails stays open, raises an alarm, and keeps none of the others.
    """
    closed: list[int] = []
    failed: dict[int, Exception] = {}
    for found in cases.queue(at=at):
        if found.clock.lapses_at is None or found.clock.lapses_at > at:
            continue
        try:
            if _lapse(found.id, at):
                closed.append(found.id)
        except Exception as fault:  # whatever it is, it is of this case
            _log.exception("case %s could not be closed for want of an answer", found.id)
            failed[found.id] = fault
    _tell_failed(failed, at)
    return closed


def _lapse(case: int, at: datetime) -> bool:
    with transaction.atomic():
        now = disputes.locked(case, at=at)
        if now.state is not State.ASKED or now.clock.lapses_at is None or now.clock.lapses_at > at:
            return False  # answered in this very moment
        asked = now.question
        assert asked is not None
        assert asked.reached_at is not None
        _step(
            case,
            StepKind.LAPSED,
            f"no answer within {now.policy.answer_within.days} days of {asked.reached_at.date().isoformat()}, "
            "when our question was seen",
            WORKER,
            at,
            detail={"question": asked.no, "reached_at": asked.reached_at.isoformat()},
        )
    return True


def _tell_failed(failed: Mapping[int, Exception], at: datetime) -> None:
    if not failed:
        alarms.clear_alarm(key=FAILED_ALARM, at=at)
        return
    case, fault = next(iter(failed.items()))
    named = ", ".join(map(str, list(failed)[:5]))
    alarms.raise_alarm(
        key=FAILED_ALARM,
        severity="warning",
        what=f"{len(failed)} contested bills could not be closed though our question stayed unanswered (case {named}):"
        f" {type(fault).__name__} in case {case}. They stay held, and are tried again each hour; the log has the rest",
        at=at,
    )


def watch(*, at: datetime) -> int:
    """Raise the alarm while we are late with a case, and clear it when we are not; how many are late."""
    late = [one for one in cases.queue(at=at) if one.clock.due_at is not None and one.clock.due_at <= at]
    if late:
        named = ", ".join(str(one.id) for one in late[:5])
        alarms.raise_alarm(
            key=OVERDUE_ALARM,
            severity="warning",
            what=f"{len(late)} contested bills wait for us beyond their deadline (case {named}): no interest runs on"
            " them meanwhile. See them with: coulance dispute list",
            at=at,
        )
    else:
        alarms.clear_alarm(key=OVERDUE_ALARM, at=at)
    return len(late)


def to_pay(case: CaseRow) -> tuple[Money, date]:
    """What is to be paid of a case's debt now, beside what is held, and by when it was due."""
    item, zero = item_of(case.account, case.ref), Money(0, case.gross.currency)
    if item is not None:
        return max(item.payable, zero), item.due_on
    # Taken over, and that was undone since: nothing is to be paid of it.
    due_on = case.opened_at.date() if case.document is None else documents.row_of(document=case.document).due_on
    return zero, due_on


def settle_after(case: CaseRow, *, actor: Actor, at: datetime) -> None:
    """Money of the customer on hand pays what is no longer held, so that nobody is reminded of it."""
    today = at.astimezone(catalogs.catalog().provider.zone_info).date()
    paying.settle(
        account=case.account,
        on=max(today, bill_of(case).since),
        actor=actor.name,
        reason=f"case {case.id} on {case.number} is closed",
        at=at,
        policy=order_of(case.account, at=at),
    )


def _step(
    case: int,
    kind: StepKind,
    text: str,
    actor: Actor,
    at: datetime,
    *,
    detail: Mapping[str, str | int] | None = None,
    files: Sequence[Checked] = (),
) -> CaseRow:
    with transaction.atomic():
        before = acting.locked(case, actor, at)
        number = before.steps[-1].no + 1
        mailed = kind not in _NOT_MAILED
        disputes.add_step(
            case=case,
            kind=kind,
            text=text,
            by=actor.name,
            at=at,
            detail=detail,
            messages=telling.keys(case, number, before.account, before.contact) if mailed else (),
        )
        if files:
            disputes.add_files(case=case, step=number, files=files, by=actor.name, at=at)
        if kind.closes:
            settle_after(before, actor=actor, at=at)
        now = cases.case(case, at=at)
        if mailed:
            stays, due_on = to_pay(now)
            telling.tell(now, now.steps[-1], at=at, stays=stays, due_on=due_on)
        webhooks.emit(event=_EVENT.get(kind, "dispute.changed"), data=telling.told(now), at=at)
        look_soon([now.account])
    return now


_NOT_MAILED = frozenset({StepKind.SAID, StepKind.ANSWERED})
"""What a customer said themselves isn't mailed to them."""
_EVENT = {
    StepKind.WITHDRAWN: "dispute.closed",
    StepKind.LAPSED: "dispute.closed",
    StepKind.DECIDED: "dispute.closed",
}
