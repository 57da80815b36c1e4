"""Judging services whose use moved: warnings queued, restrictions placed and lifted, the next position armed.

Everything that follows from one look at an account is one transaction, with the outbox in it: killed anywhere, it
happened or it didn't, and the next look finds what is missing. Each threshold is told once a period: the database
refuses a second. An account is looked at by one at a time, so that nobody acts on what somebody else just changed.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fractions import Fraction
from math import ceil

from django.db import connection, transaction

from coulance.catalog import queries as catalog_room
from coulance.enforcement import operations as enforcement
from coulance.enforcement import queries as register
from coulance.flows.overage_control.everything import controlled
from coulance.flows.overage_control.foreseen import foreseen
from coulance.flows.overage_control.judging import Judged, judge
from coulance.flows.overage_control.telling import Evaluated, Teller, answered, contacts_of, emit, hooks_of
from coulance.overage import arming
from coulance.overage import operations as overage
from coulance.overage import queries as records
from coulance.overage.arming import Armed, ArmedPool
from coulance.overage.queries import StandingRow
from coulance.platform import alarms
from coulance.platform.db import lock_key
from coulance_core.catalog.terms import Action, Catalog, Control, Direction
from coulance_core.enforcement.restrictions import Action as Restricting
from coulance_core.enforcement.restrictions import Source
from coulance_core.kernel import require_aware
from coulance_core.overage.standing import Stop

__all__ = ["CHUNK", "Evaluated", "answered", "evaluate", "is_on", "lock_account"]

CHUNK = 50
"""Accounts a transaction."""
REASONS = {
    Stop.ALLOWANCE: "the allowance is used up and no overage was agreed to",
    Stop.DORMANT: "the allowance is used up and nobody behind the consent is known to be reached",
    Stop.LIMIT: "the customer's limit is reached",
    Stop.EXPOSURE: "overage ran up and nobody has acknowledged it",
}
LIFTED = "use may go on"
EARLIER = "; earlier by what a line carries until it is paused, since what was absorbed in 12 months is past the budget"
OWN = "/own limit"
"""The end of a cause: a pool's member that has drawn what its own limit allows."""


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
    levels_of = None if escalate else records.accounts_that_share(accounts=accounts, at=at)
    found = judge(controlled(accounts=accounts, catalog=catalog, at=at, levels_of=levels_of), catalog=catalog, at=at)
    owner = _with_those_who_share(found, {service: account for account, service in owners})
    services = set(owner)
    mine = [one for one in found if services.intersection(one.services)]
    # A pool stops for all its members, whichever of them was looked at.
    restricted, rates = _restricted(services.union(*(one.services for one in mine)))
    teller = Teller(catalog, at, actor, contacts_of(accounts), restricted, hooks_of(accounts))
    look = _Look(catalog, at, actor, restricted, rates, teller)
    enforcing = catalog.overage.control is Control.ENFORCE
    due = [one for one in mine if one.due] if enforcing else []
    if escalate and enforcing:
        foretold = foreseen(mine, catalog=catalog, at=at)
        teller.outlooks.update(foretold.outlooks)
        mine = [foretold.added(one) for one in mine]
    teller.look_ahead(due)
    for one in mine:
        look.act(one, escalate=escalate)
    look.lift_rest(mine, services)
    _arm(mine, owner, at)
    overage.keep_standings(rows=[_standing(one, look) for one in mine], services=services, levels=escalate)
    if escalate:
        _close_calls(mine, at)
    return look.done


def _with_those_who_share(found: Sequence[Judged], owner: Mapping[int, int]) -> dict[int, int]:
    """Services with their accounts, and all whose limit these share: what one of them used is gone for the others."""
    out = dict(owner)
    groups: dict[tuple[int, str], list[Judged]] = {}
    for one in found:
        if one.sharers > 1 and one.standing.consent is not None:
            groups.setdefault((one.ref.account, one.group), []).append(one)
    for (account, _), members in groups.items():
        drawing = {service for one in members for service in one.services}
        if not drawing.isdisjoint(owner):
            out.update(dict.fromkeys(sorted(drawing), account))
    return out


def _arm(mine: Sequence[Judged], owner: Mapping[int, int], at: datetime) -> None:
    """Arm what was looked at. A pool is armed once, and its members lead to it."""
    new: list[Armed] = []
    pools: list[ArmedPool] = []
    for one in mine:
        if one.counted.kind == "level" and one.ahead is None:
            continue  # looked at by the hour
        c, next_at = one.counted, None if one.ahead is None else one.counted.raw + one.ahead
        if c.pool is None:
            new.append(
                Armed(
                    c.account.id, c.service.id, c.charge.key, c.part.active.start, c.part.active.end, c.series,
                    c.direction, next_at,
                )
            )  # fmt: skip
            continue
        capped = [ceil(member.left / c.factor) for member in one.capped if member.left > 0]
        if capped and c.used >= c.included:  # no member reaches its own limit before the pool has gone on as far
            least = c.raw + max(min(capped), 1)
            next_at = least if next_at is None else min(next_at, least)
        pools.append(ArmedPool(c.account.id, one.ref.key, c.period.start, c.period.end, c.series, c.direction, next_at))
        new += [
            Armed(
                c.account.id, drawing.service.id, one.ref.key, drawing.part.active.start, drawing.part.active.end, (),
                c.direction, None, one.ref.key,
            )
            for drawing in c.drawings
            if drawing.now and drawing.service.id in owner
        ]  # fmt: skip
    # A service without a controlled charge is looked at again in a day, not at every sample.
    none = sorted(set(owner) - {one.service for one in new})
    new += [Armed(owner[s], s, "", at, at + timedelta(days=1), (), Direction.OUT.value, None) for s in none]
    arming.arm(new=new, services=set(owner), pools=pools)


def _standing(one: Judged, look: "_Look") -> StandingRow:
    """How boards and lists see it."""
    c, s = one.counted, one.standing
    point = one.decision.point if one.decision is not None else None
    ahead = look.teller.outlooks.get(one.ref.key)
    if one.port is not None:
        burst = one.port.burst
        share = Fraction(burst.above, burst.free) if burst.free else Fraction(min(burst.above, 1))
    else:
        whole = c.included if point is None else point.at
        share = c.used / whole if whole else Fraction(1 if c.used else 0)
    told = bool(one.told) or bool(one.due)
    return StandingRow(
        account=c.account.id,
        meter=one.ref.key,
        kind=c.kind,
        services=one.services,
        period_name=c.period_name,
        until=c.part.active.end,
        unit=c.unit,
        used=c.used,
        included=c.included,
        stop_at=None if point is None else point.at,
        stop_why="" if point is None else point.why.value,
        share=min(share, Fraction(10**6)),
        minutes_left=None if one.port is None else int(one.port.burst.minutes_left),
        cost=one.cost_now,
        passes_at=None if ahead is None else ahead.passes_at,
        stopped=any(one.cause in refs for refs in (look.restricted.get(n, {}) for n in one.services)),
        told=told,
        delivered=s.warned,
        acknowledged=s.acknowledged,
        judged_at=look.at,
    )


Rates = dict[tuple[int, str], int | None]


def _restricted(services: Collection[int]) -> tuple[dict[int, dict[str, bool]], Rates]:
    """What overage imposes on services now: causes, and whether they are only observed; and to which rates."""
    out: dict[int, dict[str, bool]] = {}
    rates: Rates = {}
    for row in register.restrictions(services=services, limit=100_000):
        one = row.restriction
        if one.source is Source.OVERAGE:
            out.setdefault(row.service, {})[one.ref] = one.observe
            rates[row.service, one.ref] = one.rate_bps
    return out, rates


def _close_calls(mine: Sequence[Judged], at: datetime) -> None:
    """Whom nobody needs to call any more: their period is over."""
    running = {(one.ref.account, one.ref.key): one for one in mine}
    accounts = {account for account, _ in running}
    open_ = [task for account in sorted(accounts) for task in records.phone_tasks(account=account)]
    for task in open_:
        one = running.get((task.account, task.meter))
        if one is not None and task.period_name != one.counted.period_name:
            overage.settle_phone_tasks(meter=one.ref, period_name=one.counted.period_name, outcome="over", at=at)


@dataclass(slots=True)
class _Look:
    """Acting on what was judged of some accounts at one instant."""

    catalog: Catalog
    at: datetime
    actor: str
    restricted: dict[int, dict[str, bool]]
    rates: Rates
    teller: Teller
    done: Evaluated = field(default_factory=Evaluated)

    @property
    def observing(self) -> bool:
        return self.catalog.overage.control is Control.OBSERVE

    def act(self, one: Judged, *, escalate: bool) -> None:
        """What follows for one allowance."""
        self.done.judged += 1
        key = f"overage-unjudged:{one.ref.key}"
        if one.problem:
            alarms.raise_alarm(key=key, severity="warning", what=f"{one.ref.key}: {one.problem}", at=self.at)
        was = self._stopped(one)
        newly = self._decide(one)
        capped = self._cap_members(one)
        teller = self.teller
        if self.observing:
            for threshold, _where in one.due:
                self.done.warned += teller.record(one, threshold.key, counts=False, message="")
            return
        if one.due:
            teller.warn(one)
        elif newly:
            teller.tell(one, f"paused at {self.at.isoformat()}", again=False)
        for service in capped:
            teller.tell(one, f"{service} at its own limit {self.at.isoformat()}", again=False)
        if was and not self._stopped(one):
            teller.resumed(one)
        if escalate:
            teller.escalate(one)
        self.done.add(teller.taken())

    def _stopped(self, one: Judged) -> bool:
        """Whether it is paused or throttled by this, and not only observed."""
        return any(self.restricted.get(service, {}).get(one.cause) is False for service in one.services)

    def _decide(self, one: Judged) -> bool:
        """Place or lift, of a pool for every member; whether something was placed now."""
        decision = one.decision
        wanted = decision is not None and decision.act in (Action.PAUSE, Action.THROTTLE)
        if not wanted or decision is None or decision.point is None:
            for service in one.services:
                if one.cause in self.restricted.get(service, {}):
                    self._lift(service, one.cause)
            return False
        throttle = decision.act is Action.THROTTLE
        to = self.catalog.overage.throttle_to
        rate = one.rate_bps if one.port is not None else None if to is None else int(to)
        reason = f"{one.counted.charge.name}: {REASONS[decision.point.why]}"
        if one.budget_spent and one.standing.used < decision.point.at:
            reason += EARLIER
        placed = [self._place(service, one.cause, reason, rate if throttle else None) for service in one.services]
        if any(placed):
            emit("overage.stopped", one, {"why": decision.point.why.value, "observed": self.observing}, self.at)
        return any(placed) and not self.observing

    def _cap_members(self, one: Judged) -> list[str]:
        """Members of a pool that have drawn what their own limit allows are paused by themselves; those paused now."""
        cause = one.cause + OWN
        past = one.counted.used > one.standing.included + one.standing.tolerance
        absorbs = self.catalog.overage.action in (Action.ABSORB, Action.WARN)
        out = []
        held = {member.service for member in one.capped if past and not member.left and not absorbs}
        for service in one.services:
            if service in held:
                name = next(member.external_id for member in one.capped if member.service == service)
                to = self.catalog.overage.throttle_to
                reason = f"{one.counted.charge.name}: its own limit within the pool is reached"
                if self._place(service, cause, reason, None if to is None else int(to)) and not self.observing:
                    out.append(name)
            elif cause in self.restricted.get(service, {}):
                self._lift(service, cause)
        return out

    def _place(self, service: int, cause: str, reason: str, rate: int | None) -> bool:
        """Pause, or throttle to a rate; whether it was placed now."""
        open_ = self.restricted.get(service, {})
        if cause in open_ and (open_[cause] != self.observing or self._changed(service, cause, rate)):
            # It was observed and is enforced now, or the other way round; or the rate that a limit reaches is another.
            self._lift(service, cause)
        elif cause in open_:
            return False
        placed = enforcement.place(
            service=service,
            source=Source.OVERAGE,
            ref=cause,
            reason=reason,
            action=Restricting.PAUSE if rate is None else Restricting.THROTTLE,
            rate_bps=rate,
            actor=self.actor,
            at=self.at,
            observe=self.observing,
        )
        self.restricted.setdefault(service, {})[cause] = self.observing
        self.rates[service, cause] = rate
        self.done.placed += placed.new
        return placed.new

    def _changed(self, service: int, cause: str, rate: int | None) -> bool:
        return self.rates.get((service, cause), rate) != rate

    def lift_rest(self, found: Sequence[Judged], services: Collection[int]) -> None:
        """What an earlier period, or a charge that is no more, still imposes."""
        causes = {(service, one.cause) for one in found for service in one.services}
        for service in services:
            for ref in list(self.restricted.get(service, {})):
                if (service, ref.removesuffix(OWN)) not in causes:
                    self._lift(service, ref)

    def _lift(self, service: int, ref: str) -> None:
        self.restricted.get(service, {}).pop(ref, None)
        self.done.lifted += enforcement.lift(
            service=service, source=Source.OVERAGE, ref=ref, actor=self.actor, reason=LIFTED, at=self.at
        )
