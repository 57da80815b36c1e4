"""Looking at what samples touched, once they are committed; at periods that turned; and at everything, by the hour.

A round asks the sample store what changed since the last one, adds up the running counters of those services, and
compares with the armed positions: only what passed one is judged. How far rounds have come is kept; a process that
dies begins where the last one ended, and looking twice changes nothing.
"""

import logging
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime
from typing import TypeVar

from django.db import InterfaceError, OperationalError, connection, transaction

from coulance.catalog import queries as catalog_room
from coulance.customers import queries as customers
from coulance.flows.overage_control.budgets import tell_of_budgets
from coulance.flows.overage_control.counted import used_by
from coulance.flows.overage_control.evaluating import Evaluated, evaluate, is_on
from coulance.overage import arming
from coulance.overage import operations as overage
from coulance.overage.arming import Armed, ArmedPool
from coulance.platform import alarms
from coulance.services import queries as services
from coulance.usage import operations as usage
from coulance.usage import queries as samples
from coulance_core.kernel import Period, require_aware

_log = logging.getLogger(__name__)
UNJUDGED = "overage.unjudged/"
"""Alarms of accounts that can't be judged begin so."""
_AT_ONCE = 2000
"""Services whose counters are added up together."""
_TURNED = 1000
_T = TypeVar("_T")
Watched = Armed | ArmedPool


def round_of(*, at: datetime) -> Evaluated:
    """Judge what samples have touched since the last round, and the periods that have turned since."""
    require_aware(at)
    out = Evaluated()
    if not is_on():
        return out
    since = arming.watched()
    fence = usage.fence()
    if since is None:
        return sweep(at=at)
    if fence > since:
        touched = samples.touched_since(revision=since)
        owners = services.owners_of({int(series) for series in touched.series})
        for lot in _lots(owners, _AT_ONCE):
            out.add(_each(passed(lot, at=at), at=at))
    out.add(_each(arming.ended(at=at, most=_TURNED), at=at))
    if fence > since:
        with transaction.atomic():
            arming.set_watched(revision=fence, at=at)
    return out


def sweep(*, at: datetime, escalate: bool = True) -> Evaluated:
    """Look at every service, so that nothing stays missed: after a crash, a new plan, another consent."""
    require_aware(at)
    out = Evaluated()
    if not is_on():
        return out
    fence = usage.fence()
    overage.lapse_provisional(at=at)
    for accounts in _lots(customers.account_ids(), 200):
        rows = services.accounts_for_close(accounts)
        owners = [(row.account.id, service.id) for row in rows for service in row.services]
        out.add(_each(owners, at=at, escalate=escalate))
        if escalate:
            out.messages += _tell_of_budgets(accounts, at)
    with transaction.atomic():
        arming.set_watched(revision=fence, at=at)
    return out


def look_at(*, accounts: Collection[int], at: datetime) -> Evaluated:
    """Judge everything of these accounts: something changed that no sample announces."""
    require_aware(at)
    if not is_on():
        return Evaluated()
    rows = services.accounts_for_close(accounts)
    return _each([(row.account.id, service.id) for row in rows for service in row.services], at=at)


def _tell_of_budgets(accounts: Sequence[int], at: datetime) -> int:
    """Letters are no reason to stop looking at everybody."""
    try:
        with transaction.atomic():
            return tell_of_budgets(accounts=accounts, catalog=catalog_room.catalog(), at=at, actor="worker")
    except (InterfaceError, OperationalError):
        raise
    except Exception as error:
        _log.exception("budgets can't be told of")
        alarms.raise_alarm(
            key="overage.budgets", severity="warning", what=f"Customers can't be told of their budgets: {error}", at=at
        )
        return 0


def _each(owners: Collection[tuple[int, int]], *, at: datetime, escalate: bool = False) -> Evaluated:
    """Judge them, and narrow what fails down to the account at fault: it raises an alarm and stops no other's pause."""
    try:
        done = evaluate(owners=owners, at=at, escalate=escalate)
    except Exception as error:
        if isinstance(error, MemoryError | InterfaceError | OperationalError) or not connection.is_usable():
            raise  # no account's fault
        accounts = sorted({account for account, _ in owners})
        if len(accounts) == 1:
            _log.exception("account %s can't be judged", accounts[0])
            alarms.raise_alarm(
                key=f"{UNJUDGED}{accounts[0]}",
                severity="critical",
                what=f"The overage of account {accounts[0]} can't be judged: nobody is warned and nothing paused there"
                f" until that is mended: {error}",
                at=at,
            )
            return Evaluated()
        half = set(accounts[: len(accounts) // 2])
        done = _each([one for one in owners if one[0] in half], at=at, escalate=escalate)
        done.add(_each([one for one in owners if one[0] not in half], at=at, escalate=escalate))
        return done
    if escalate:  # each is looked at by the hour: what was mended is over then
        judged = {account for account, _ in owners}
        for alarm in alarms.open_alarms():
            number = alarm.key.removeprefix(UNJUDGED)
            if number != alarm.key and int(number) in judged:
                alarms.clear_alarm(key=alarm.key, at=at)
    return done


def passed(owners: Sequence[tuple[int, int]], *, at: datetime) -> list[tuple[int, int]]:
    """Those of these services of which a charge, or whose pool, passed its armed position, whose period is over, or
    with none armed."""
    found = arming.armed(services=[service for _, service in owners])
    known = {one.service for one in found}
    due = {owner for owner in owners if owner[1] not in known}
    current: dict[Period, list[tuple[Watched, tuple[tuple[int, int], ...]]]] = {}
    members: dict[tuple[int, str], list[tuple[int, int]]] = {}
    for one in found:
        owner = (one.account, one.service)
        if one.until <= at or at < one.start:
            due.add(owner)
        elif one.pool:
            members.setdefault((one.account, one.pool), []).append(owner)
        elif one.next_at is not None and one.series:
            current.setdefault(Period(one.start, one.until), []).append((one, (owner,)))
    pools = {(one.account, one.pool): one for one in arming.armed_pools(pools=members)} if members else {}
    for key, drawing in members.items():
        pool = pools.get(key)
        if pool is None or pool.until <= at or at < pool.start:
            due.update(drawing)
        elif pool.next_at is not None and pool.series:
            current.setdefault(Period(pool.start, pool.until), []).append((pool, tuple(drawing)))
    for period, watched in current.items():
        totals = used_by([(one.series, one.direction) for one, _ in watched], period)
        for (position, of), used in zip(watched, totals, strict=True):
            if position.next_at is not None and used >= position.next_at:
                due.update(of)
    return sorted(due)


def _lots(items: Iterable[_T], size: int) -> Iterator[list[_T]]:
    held = list(items)
    for start in range(0, len(held), size):
        yield held[start : start + size]
