"""Deleting what arrears decided to delete: judged once more before it begins, and done only to who is read back.

The act orders it, in its transaction, with two people's yes and the proof of a backup. A job carries it out. Paid,
contested, planned or put right meanwhile, the order is withdrawn and the act undone. Where no program of the
provider's reaches the service, a person deletes by hand, and writes down who they read back.
"""

import logging
from collections.abc import Callable, Iterable
from datetime import datetime

from django.conf import settings
from django.db import DatabaseError, transaction
from django.utils.module_loading import import_string
from procrastinate.contrib.django import app

from coulance.arrears import effects, operations
from coulance.arrears import queries as records
from coulance.arrears.deletion_terms import DeletionTerms, deletion_for, read_deletion
from coulance.arrears.effects import DeletionRow
from coulance.arrears.errors import UnableToActError
from coulance.arrears.ports import BackupTarget, DeletionError, DeletionPort
from coulance.catalog import queries as catalogs
from coulance.enforcement import queries as enforcement
from coulance.flows.arrears.facts import Read, read
from coulance.platform import alarms, webhooks
from coulance.services.queries import ServiceForClose
from coulance_core.arrears.guards import Proposal, act_refusal, debt_refusal
from coulance_core.arrears.judging import Judging
from coulance_core.arrears.lifting import ground_gone

_log = logging.getLogger(__name__)
Ways = Callable[[DeletionTerms], DeletionPort]


class UnableToDeleteError(RuntimeError):
    """It could not be deleted now; tried again later. Nothing was concluded."""


def order(one: Read, *, act: int, service: ServiceForClose, case: int, at: datetime) -> None:
    """Order the deletion of an act, in its transaction: a job where a program reaches the service, else a task."""
    target = _target(service.id)
    terms = terms_for(service)
    identity = target.identity if target else service.external_id
    effects.order_deletion(act=act, service=service.id, identity=identity, at=at)
    if terms is not None and target is not None:
        app.configure_task("coulance.flows.tasks.arrears.delete", lock=f"arrears-deletion:{service.id}").defer(act=act)
        return
    operations.add_task(
        case=case, act=act, kind="delete", ref=service.external_id, at=at,
        what=f"Delete the data of {service.external_id}, which can't be undone. Read back who is there first: it must"
        f" be {identity}. Write down here who you read back ({one.account.external_id})",
    )  # fmt: skip


def carry_on(*, now: Callable[[], datetime], ways: Ways | None = None) -> list[str]:
    """Orders that wait, or were begun and not ended, once more; what can't be done now, in words."""
    out = []
    for row in effects.deletions(states=("waiting", "begun")):
        try:
            one = read([row.account], at=now()).get(row.account)
            if one is not None and terms_for(one.services[row.service]) is not None:
                run(act=row.act, now=now, ways=ways)
            else:
                withdraw_gone([row.account], at=now())
        except (UnableToActError, UnableToDeleteError) as fault:
            out.append(f"{row.service}: {fault}")
    return out


def withdraw_gone(accounts: Iterable[int], *, at: datetime, actor: str = "worker") -> int:
    """Withdraw orders of these accounts that have lost their ground before they began, and the tasks that ask a person
    for them: nobody deletes what was paid meanwhile. How many."""
    gone = 0
    for row in effects.deletions(accounts=list(accounts), states=("waiting", "refused")):
        with transaction.atomic():
            case = operations.lock_case(row.account)
            one = read([row.account], at=at).get(row.account)
            why = "its case is closed" if case is None or one is None else _gone(one, row, at)
            if why and effects.withdraw_deletion(act=row.act, why=why, by=actor, at=at):
                operations.undo_act(act=row.act, ground=why[:20], wrongful_since=None, at=at, actor=actor)
                for task in records.tasks(accounts=[row.account], kind="delete", ref=row.service):
                    if task.act == row.act:
                        operations.finish_task(task=task.id, by=actor, note=f"withdrawn: {why}", at=at)
                gone += 1
    return gone


def terms_for(service: ServiceForClose) -> DeletionTerms | None:
    """How the provider's file says that a service's data is deleted; none: a person does it."""
    found, _faults = read_deletion((catalogs.table("arrears") or {}).get("deletion", {}))
    return deletion_for({sub.plan for sub in service.subscriptions}, found)


def run(*, act: int, now: Callable[[], datetime], ways: Ways | None = None, actor: str = "worker") -> str:
    """Carry an order out; its state afterwards. Raises `UnableToDeleteError` for trouble that may pass.

    Asked again after a crash: what is gone already is done, and is not deleted twice.
    """
    row = _order(act)
    if row.state in ("done", "withdrawn"):
        return row.state
    one = read([row.account], at=now()).get(row.account)
    terms = None if one is None else terms_for(one.services[row.service])
    target = _target(row.service_id)
    if one is None or terms is None or target is None:
        raise UnableToDeleteError(f"{row.service}: nothing in [arrears.deletion] reaches it any more")
    if row.state != "begun" and not begin(act=act, actor=actor, at=now()):
        return _order(act).state
    try:
        port = ways(terms) if ways else import_string(settings.ARREARS_DELETION)(terms, now=now)
        found = port.identify(row.service, target)
        if found not in ("", target.identity) or target.identity != row.identity:
            return _refused(row, found, target, now())
        if found == "" and row.state != "begun":
            return _refused(row, "nobody", target, now())
        answer = "" if found == "" else port.delete(row.service, target, key=f"arrears/{act}")
        left = port.identify(row.service, target)
    except DeletionError as fault:
        _alarm(row, f"{row.service} could not be deleted: {fault}", now())
        raise UnableToDeleteError(str(fault)) from fault
    if left:
        raise UnableToDeleteError(f"{row.service}: {left} is still there after the order")
    finish(act=act, read_back=target.identity, proof=answer or "it was gone when it was looked at again", at=now())
    return "done"


def begin(*, act: int, actor: str, at: datetime) -> bool:
    """Judge an order at the moment it is carried out, and begin; False: its ground is gone, and it is withdrawn.

    Raises `UnableToActError` where it must wait (two people, the backup, the calendar).
    """
    with transaction.atomic():
        row = _order(act)
        case = operations.lock_case(row.account)
        one = read([row.account], at=at).get(row.account)
        done = records.act(act)
        gone = "its case is closed" if case is None or one is None else _gone(one, row, at)
        if done.undone_at is not None:
            gone = f"the act was undone: {done.ground}"
        if gone:
            effects.withdraw_deletion(act=act, why=gone, by=actor, at=at)
            operations.undo_act(act=act, ground=gone[:20], wrongful_since=None, at=at, actor=actor)
            _log.info("deletion of %s withdrawn: %s", row.service, gone)
            return False
        assert one is not None
        refusal = _waits(one, row, at)
        if refusal:
            raise UnableToActError(f"{row.service} isn't deleted now: {refusal}")
        try:
            with transaction.atomic():
                effects.begin_deletion(act=act, by=actor, at=at)
        except DatabaseError as fault:
            raise UnableToActError(f"{row.service} isn't deleted now: {fault}") from fault
    return True


def finish(*, act: int, read_back: str, proof: str, at: datetime) -> None:
    """It is gone, and who was read back there was who was meant."""
    row = _order(act)
    with transaction.atomic():
        effects.end_deletion(act=act, state="done", read=read_back, proof=proof, at=at)
        alarms.clear_alarm(key=f"arrears-deletion:{act}", at=at)
        webhooks.emit(event="service.deleted", data={"service": row.service, "act": act, "identity": read_back}, at=at)


def by_hand(*, act: int, read_back: str, note: str, actor: str, at: datetime) -> None:
    """A person deleted it, and read `read_back` there. Raises `UnableToActError` for another one, or where it may not
    be done any more."""
    row = _order(act)
    if row.identity not in read_back.split():
        raise UnableToActError(f"say who you read back there: {row.identity} was meant, and your note doesn't name it")
    with transaction.atomic():
        if row.state != "begun" and not begin(act=act, actor=actor, at=at):
            raise UnableToActError(f"{row.service} may not be deleted any more: {_order(act).proof}")
        finish(act=act, read_back=row.identity, proof=note, at=at)


def _gone(one: Read, row: DeletionRow, at: datetime) -> str:
    """Why nothing grounds the deletion any more, in a word; empty while something does."""
    j = Judging(one.policy, one.facts, at, one.law)
    done = next((act for act in one.acts if act.id == row.act), None)
    step = one.policy.step(done.step) if done is not None else None
    if done is None or step is None:
        return "no_ground"
    grounds = [ground_gone(j, step, ref) for ref in done.debts]
    if any(ground is None for ground in grounds):
        return ""
    return next((ground.value for ground in grounds if ground is not None), "no_ground")


def _waits(one: Read, row: DeletionRow, at: datetime) -> str:
    """What keeps it back now, of all that keeps such a step back; empty: nothing."""
    j = Judging(one.policy, one.facts, at, one.law)
    done = next(act for act in one.acts if act.id == row.act)
    step = one.policy.step(done.step)
    assert step is not None
    standing = [j.standing[ref] for ref in done.debts if ref in j.standing]
    left = [s for s in standing if debt_refusal(j, step, s) is None]
    if not left:
        return str(debt_refusal(j, step, standing[0])) if standing else "nothing of it is owed"
    refusal = act_refusal(j, Proposal(step, row.service, left, left[0].debt.open.currency))
    return str(refusal) if refusal is not None else ""


def _order(act: int) -> DeletionRow:
    found = next(iter(effects.deletions(act=act)), None)
    if found is None:
        raise UnableToActError(f"no deletion was ordered by act {act}")
    return found


def _target(service: int) -> BackupTarget | None:
    found = enforcement.targets(service)
    return BackupTarget(found[0].identity, found[0].parameters) if found else None


def _refused(row: DeletionRow, found: str, target: BackupTarget, at: datetime) -> str:
    said = f"{found or 'nobody'} was read back where {row.identity} was meant"
    if target.identity != row.identity:
        said = f"its target is {target.identity} now, and {row.identity} was meant when people approved"
    with transaction.atomic():
        effects.end_deletion(act=row.act, state="refused", read=found, proof=said, at=at)
        _alarm(row, f"{row.service} was not deleted: {said}", at, severity="critical")
    return "refused"


def _alarm(row: DeletionRow, what: str, at: datetime, *, severity: str = "warning") -> None:
    alarms.raise_alarm(
        key=f"arrears-deletion:{row.act}", severity="critical" if severity == "critical" else "warning",
        what=what[:500], at=at,
    )  # fmt: skip
