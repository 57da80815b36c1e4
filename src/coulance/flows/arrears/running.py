"""Judging accounts and doing what is decided: undo first, then each act in a transaction of its own.

An act is judged twice. Once for a chunk of accounts, to know what there is to do; and again in the transaction that
does it, from facts read there, with the account's arrears locked. Killed anywhere and started again, nothing is done
twice and nothing is lost: what was done is a fact, and the next judgement goes on from it.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db import transaction

from coulance.arrears import nights, operations
from coulance.arrears import queries as records
from coulance.arrears.queries import CaseRow
from coulance.catalog import queries as catalogs
from coulance.enforcement.operations import UnableToRestrictError
from coulance.flows import payments as money
from coulance.flows.arrears import acting, figuring, inviting, picking, plan_interest, risk, undoing
from coulance.flows.arrears.facts import Read, accounts_owing, read, settings
from coulance.notices.errors import NoticesError
from coulance.platform import alarms
from coulance_core.arrears import Decision, Intent, Lift, Mode, decide, lifts, may_execute
from coulance_core.kernel import require_aware

_log = logging.getLogger(__name__)
CHUNK = 200
ROUNDS = 4
"""How often an account is judged again in a run, where acting made a further step possible."""


@dataclass(slots=True)
class Ran:
    """What a run did: accounts judged; acts done or observed, undone; what was refused at the write; what failed."""

    judged: int = 0
    done: int = 0
    observed: int = 0
    undone: int = 0
    held_up: int = 0
    refused: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"{self.judged} accounts judged: {self.done} acts done, {self.observed} observed, {self.undone} undone, "
            f"{self.held_up} held up, {len(self.refused)} refused at the write, {len(self.failed)} failed"
        )


def run_arrears(*, at: datetime, accounts: Iterable[int] | None = None, actor: str = "worker") -> Ran:
    """Judge these accounts, or every one that owes something or has a case, and do what is to be done.

    Raises nothing for one account's trouble: it is in `failed`, an alarm says it, and the others go on.
    """
    require_aware(at)
    out = Ran()
    terms = settings()
    known = records.accounts_in_arrears(accounts)
    if terms is None and not known:
        return out
    wanted = set(known)
    if terms is not None:
        wanted |= set(accounts_owing() if accounts is None else accounts)
    todo = sorted(wanted)
    for start in range(0, len(todo), CHUNK):
        chunk = todo[start : start + CHUNK]
        wakes: dict[int, datetime | None] = dict.fromkeys(chunk)  # no policy covers who isn't read
        reads = read(chunk, at=at, terms=terms)
        figuring.note_bills(reads, at=at)
        for account, one in reads.items():
            out.judged += 1
            before = len(out.failed) + len(out.refused)
            try:
                wakes[account] = _one(account, one, at, actor, out, off=terms is None)
            except Exception as fault:  # one account's trouble must not keep the others from being undone
                _log.exception("arrears of account %s", account)
                out.failed.append(f"{one.account.external_id}: {type(fault).__name__}: {fault}")
            if len(out.failed) + len(out.refused) > before:
                wakes[account] = at  # something is left: again at the next look
        nights.note_looked(wakes, at=at)
    _alarm(out, at)
    return out


def _one(account: int, one: Read, at: datetime, actor: str, out: Ran, *, off: bool) -> datetime | None:
    """Judge an account and do what is to be done; from when time alone may change what came of it."""
    decision = decide(one.policy, one.facts, at, law=one.law)
    if off:
        # A file without [arrears] stops every step. What was done is still undone when its ground is gone.
        for lift in decision.lifts:
            out.undone += _undo(account, lift, at, actor)
        return decision.wake
    if one.case is None and not decision.intents and not decision.held_up:
        return decision.wake  # nothing that is anybody's concern yet
    for _ in range(ROUNDS):
        before = out.done + out.undone + out.observed
        for lift in decision.lifts:
            out.undone += _undo(account, lift, at, actor)
        for intent in decision.intents:
            _do(account, intent, at, actor, out)
        if out.done + out.undone + out.observed == before:
            break
        one = read([account], at=at)[account]
        decision = decide(one.policy, one.facts, at, law=one.law)
        if decision.is_quiet:
            break
    _note(one, decision, at, actor, out)
    return decision.wake


def _undo(account: int, lift: Lift, at: datetime, actor: str) -> bool:
    with transaction.atomic():
        case = operations.lock_case(account)
        one = read([account], at=at).get(account)
        if case is None or one is None:
            return False
        now = {found.done: found for found in lifts(one.policy, one.facts, at, law=one.law)}
        if lift.done not in now:
            return False
        return undoing.undo(one, case, now[lift.done], at=at, actor=actor)


def _do(account: int, intent: Intent, at: datetime, actor: str, out: Ran) -> None:
    try:
        with transaction.atomic():
            operations.lock_account(account)
            one = read([account], at=at)[account]
            refusal = may_execute(one.policy, one.facts, intent, at, law=one.law)
            if refusal is not None:
                out.refused.append(f"{one.account.external_id} {intent.step}: {refusal}")
                return
            case = _case(one, at, actor)
            if one.case is None:
                one = read([account], at=at)[account]  # a case that was opened again brings what was done in it
                if may_execute(one.policy, one.facts, intent, at, law=one.law) is not None:
                    return
            acting.do(one, case, intent, at=at, actor=actor)
    except (NoticesError, UnableToRestrictError, operations.ArrearsError) as fault:
        out.failed.append(f"account {account} {intent.step}: {fault}")
        return
    if intent.observe:
        out.observed += 1
    else:
        out.done += 1


def _case(one: Read, at: datetime, actor: str) -> CaseRow:
    if one.case is not None:
        return one.case
    terms = settings()
    assert terms is not None  # without, there is no policy to open a case by
    return operations.open_case(
        account=one.account.id, version=one.policy.version, terms=terms.tables[one.policy.version],
        debts=list(one.debts), at=at, actor=actor,
    )  # fmt: skip


def _note(one: Read, decision: Decision, at: datetime, actor: str, out: Ran) -> None:
    """Keep what is held up, when to look again, and whether the case is over."""
    account = one.account.id
    with transaction.atomic():
        case = operations.lock_case(account)
        if case is None:
            if not decision.held_up:
                return
            case = _case(one, at, actor)
        operations.note_refusals(case=case.id, held_up=decision.held_up, at=at)
        operations.note_judged(case=case.id, at=at, wake=decision.wake)
        out.held_up += len(decision.held_up)
        if one.debts:
            return
        one = read([account], at=at)[account]  # under the lock: a debt may be open again
        if not one.debts and not any(act.restriction is not None and act.undone_at is None for act in one.acts):
            operations.close_case(case=case.id, at=at, actor=actor)


HOUR = timedelta(hours=1)


def run_due(*, at: datetime, actor: str = "worker") -> Ran:
    """Judge those with an open case whose time has come, within the hour: calendars that open, promises that end; and
    of whose mail, money or disputes something became known in the last three hours."""
    found = picking.pick_of_hour(at=at, since=at - 3 * HOUR)
    return run_arrears(at=at, accounts=found, actor=actor) if found else Ran()


DAILY_HOUR = 6
"""When everybody is judged, in the provider's zone: after credits and what is on hand were applied in the night."""


def is_night_due(*, at: datetime) -> bool:
    """Whether everybody is to be judged: the hour has come, and nobody did today (or was killed while they did)."""
    try:
        zone = catalogs.catalog().provider.zone_info
    except catalogs.UnableToFindCatalogError:
        return False
    here, last = at.astimezone(zone), nights.last_night()
    if here.hour < DAILY_HOUR:
        return False
    if settings() is None:
        return here.hour == DAILY_HOUR  # off: nobody keeps nights
    return last is None or last.started_at.astimezone(zone).date() < here.date()


def run_day(*, at: datetime, actor: str = "worker") -> Ran:
    """The day's run: what accounts have on hand pays what they owe first, so that no step runs for it; then all whose
    time has come or of whom a fact changed. What plans bear is billed, and the figures and habits are worked out."""
    terms = settings()
    if terms is not None or records.accounts_in_arrears():
        money.apply_on_hand(actor=actor, reason="before arrears are judged", at=at)
    if terms is None:
        return run_arrears(at=at, actor=actor)  # what stands is still undone when its ground is gone
    picked = picking.pick(terms, at=at)
    night = nights.begin_night(whole=picked.whole, digest=picking.digest_of_table(), at=at)
    everybody = risk.everybody(at=at)
    figuring.work_out_habits(picked.accounts, everybody=everybody, at=at)
    out = run_arrears(at=at, accounts=picked.accounts, actor=actor)
    plan_interest.settle_due(at=at)
    figuring.work_out_figures(everybody=everybody, at=at)
    figuring.reach(after_days=terms.prevention.reach_unreceived_days, at=at)
    if terms.prevention.invite_auto_pay:
        inviting.invite(at=at)
    nights.end_night(night=night, owing=picked.owing, judged=out.judged, at=at)
    return out


def _alarm(out: Ran, at: datetime) -> None:
    key = "arrears-failed"
    if out.failed:
        what = f"Arrears failed for {len(out.failed)} account(s), first {out.failed[0]}"
        alarms.raise_alarm(key=key, severity="warning", what=what[:500], at=at)
    else:
        alarms.clear_alarm(key=key, at=at)


def is_observing() -> bool:
    """Whether every policy only observes."""
    terms = settings()
    return terms is not None and all(policy.mode is Mode.OBSERVE for policy in terms.policies)
