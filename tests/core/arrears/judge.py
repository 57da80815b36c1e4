"""The second law read aloud, by plain comparisons: it shares no code with what it judges, but the values.

It knows the short ladder of `worlds` by its own table. It looks at one act at one instant, and at one restriction that
stands; day by day, without intervals, trees or horizons.
"""

from collections.abc import Callable
from datetime import date, datetime, timedelta

from coulance_core.arrears import Debt, DebtKind, Done, Evidence, Facts, Plan
from coulance_core.notices import EvidenceKind

NOTICES = {
    "charge": {"reminder": 2},
    "collector": {"reminder": 3},
    "ends": {"reminder": 0, "no_more": 2},
    "throttle": {"reminder": 1},
    "suspend": {"reminder": 1},
    "terminate": {"reminder": 1, "last": 2},
    "delete": {"reminder": 1, "last": 2, "goodbye": 2},
}
"""What each step that hurts rests on, and how many whole days must lie between."""
RESTRICTS = ("throttle", "suspend", "terminate", "delete")
WITHHOLDS = ("suspend", "terminate", "delete")
TWO_PEOPLE = ("terminate", "delete")
DAY = timedelta(days=1)


def local(facts: Facts, when: datetime) -> date:
    return when.astimezone(facts.zone).date()


def arrived(evidence: Evidence | None, now: datetime) -> datetime | None:
    """When a message came, as far as anybody knows now: a delivery that was taken and hasn't come back; or a person
    who looked."""
    if evidence is None:
        return None
    found = []
    for delivery in {event.delivery for event in evidence.events}:
        taken, back = None, False
        for event in evidence.events:
            if event.delivery != delivery or event.at > now:
                continue
            if event.kind is EvidenceKind.SEEN:
                found.append(event.at)
            if event.kind is EvidenceKind.ACCEPTED and delivery in evidence.verified:
                taken = event.at
            if event.kind is EvidenceKind.BOUNCED:
                back = True
        if taken is not None and not back:
            found.append(taken)
    return min(found, default=None)


def told(facts: Facts, step: str, debt: str, now: datetime) -> datetime | None:
    """When the notice of a step came for a debt: by any attempt that wasn't withdrawn."""
    came = [
        arrived(done.evidence, now)
        for done in facts.done
        if done.step == step
        and debt in done.debts
        and done.at <= now
        and not (done.undone_at is not None and done.undone_at <= now)
    ]
    return min((when for when in came if when is not None), default=None)


def billed(debt: Debt, now: datetime) -> bool:
    if isinstance(debt.bill, Evidence):
        return arrived(debt.bill, now) is not None
    return debt.bill is not None


def due_on(facts: Facts, debt: Debt, now: datetime) -> date | None:
    if debt.bill is None:
        return None
    if isinstance(debt.bill, date):
        came = debt.bill
    else:
        when = arrived(debt.bill, now)
        if when is None:
            return None
        came = local(facts, when)
    if (came - debt.issued_on).days <= 3:
        return debt.due_on
    return debt.due_on + (came - debt.issued_on)


def contested(facts: Facts, debt: Debt, now: datetime) -> int:
    mine = sorted((h for h in facts.held if h.debt == debt.ref and h.since <= now), key=lambda h: (h.since, h.ref))
    total = 0
    for held in mine:
        if held.ref != mine[0].ref and not held.new_fact:
            continue
        if held.until is not None and held.until <= now:
            continue
        if held.asked_on is not None and (local(facts, now) - held.asked_on).days > 14:
            continue
        total += held.amount.minor
    return min(total, debt.open.minor)


def promised(facts: Facts, debt: Debt, now: datetime) -> bool:
    mine = sorted(
        (p for p in facts.promises if debt.ref in p.debts and p.made_at <= now), key=lambda p: (p.made_at, p.ref)
    )
    return any(
        local(facts, now) <= p.pay_by and (local(facts, now) - local(facts, p.made_at)).days <= 14 for p in mine[:2]
    )


def breaks_of(plan: Plan, today: date) -> tuple[list[date], bool]:
    """The days on which a plan fell behind, and whether it is behind today, walking day by day."""
    behind = False
    times: list[date] = []
    day = min(i.due_on for i in plan.instalments)
    while day <= today:
        wanted = sum(i.amount.minor for i in plan.instalments if i.due_on + timedelta(days=3) < day)
        before = sum(p.amount.minor for p in plan.paid if p.on < day)
        by_tonight = sum(p.amount.minor for p in plan.paid if p.on <= day)
        if not behind and before < wanted:
            behind = True
            times.append(day)
        if behind and by_tonight >= wanted:
            behind = False
        day += DAY
    return times, behind


def planned(facts: Facts, debt: Debt, now: datetime) -> bool:
    mine = sorted(
        (p for p in facts.plans if debt.ref in p.debts and p.agreed_at <= now), key=lambda p: (p.agreed_at, p.ref)
    )
    if not mine:
        return False
    today = local(facts, now)
    broken = 0
    behind = ended = False
    for n, plan in enumerate(mine):
        times, behind = breaks_of(plan, over_on(facts, mine, n, now))
        ended = plan.ended_at is not None and plan.ended_at <= now
        # A plan that was ended, or left for the next, while it was behind is one that broke, and no second one.
        left = ended or n + 1 < len(mine)
        broken += len(times) + (1 if left and not behind else 0)
    last = max(i.due_on for i in mine[-1].instalments) + timedelta(days=3)
    return not behind and not ended and today <= last and broken <= 1


def over_on(facts: Facts, plans: list[Plan], n: int, now: datetime) -> date:
    """Until which day the n-th of a debt's plans is one: it was ended, or the next was agreed."""
    ends = [now, *([plans[n].ended_at] if plans[n].ended_at else []), *(p.agreed_at for p in plans[n + 1 : n + 2])]
    return min(local(facts, end) for end in ends if end is not None)


def flying(facts: Facts, debt: Debt, now: datetime) -> int:
    return sum(
        f.amount.minor
        for f in facts.in_flight
        if f.debt == debt.ref and f.since <= now and not (f.failed_at and f.failed_at <= now)
        if local(facts, now) <= f.final_on
    )


def stayed(facts: Facts, debt: Debt, now: datetime, kinds: tuple[str, ...] = ()) -> bool:
    return any(
        (not kinds or s.kind.value in kinds)
        and s.since <= now
        and (s.until is None or now < s.until)
        and (not s.debts or debt.ref in s.debts)
        for s in facts.stays
    )


def rest_ends(facts: Facts, debt: Debt, now: datetime) -> list[datetime]:
    """When something that held steps back was over, as far as time has come."""

    def midnight(day: date) -> datetime:
        return datetime(day.year, day.month, day.day, tzinfo=facts.zone)

    ends = [when for when in debt.came_back if when <= now]
    promises = sorted((p for p in facts.promises if debt.ref in p.debts), key=lambda p: (p.made_at, p.ref))
    ends += [midnight(min(p.pay_by, local(facts, p.made_at) + 14 * DAY) + DAY) for p in promises[:2]]
    mine = sorted((h for h in facts.held if h.debt == debt.ref and h.since <= now), key=lambda h: (h.since, h.ref))
    for held in mine:
        if held.ref != mine[0].ref and not held.new_fact:
            continue
        if held.until is not None and held.until <= now:
            ends.append(held.until)
        elif held.asked_on is not None:
            ends.append(midnight(held.asked_on + 15 * DAY))
    for flight in facts.in_flight:
        if flight.debt == debt.ref:
            ends.append(flight.failed_at or midnight(flight.final_on + DAY))
    plans = sorted(
        (p for p in facts.plans if debt.ref in p.debts and p.agreed_at <= now), key=lambda p: (p.agreed_at, p.ref)
    )
    for n, plan in enumerate(plans):
        ends += [midnight(day) for day in breaks_of(plan, over_on(facts, plans, n, now))[0]]
    if plans:
        ends.append(midnight(max(i.due_on for i in plans[-1].instalments) + 4 * DAY))
    ends += [s.until for s in facts.stays if s.until is not None and (not s.debts or debt.ref in s.debts)]
    return [when for when in ends if when <= now]


def complaints(facts: Facts, step: str, service: str, debts: frozenset[str], now: datetime, least: int) -> list[str]:
    """What the law has against an act at an instant. Empty: nothing."""
    if step not in NOTICES:
        return []
    wrong: list[str] = []
    known = {debt.ref: debt for debt in facts.debts}
    total = 0
    for ref in sorted(debts):
        debt = known[ref]
        wrong += [f"{ref}: {what}" for what in against(facts, step, debt, now)]
        total += debt.open.minor - contested(facts, debt, now) - flying(facts, debt, now)
    if total < least:
        wrong.append(f"only {total} is owed")
    everything = sum(d.open.minor for d in facts.debts)
    if sum(money.minor for money in facts.credit) >= everything:
        wrong.append("we hold all of it")
    if step in RESTRICTS:
        wrong += closed(facts, now)
    kept = not holds_data(facts, service) or backed_up(facts, service, now)
    if step in WITHHOLDS and not kept and not (step == "delete" and beyond_backup(facts, service, now)):
        wrong.append("no verified backup")
    if step in TWO_PEOPLE:
        people = {
            a.by
            for a in facts.approvals
            if a.step == step and a.service == service and a.at <= now < a.at + 14 * DAY and not a.taken_back_at
        }
        if len(people) < 2:
            wrong.append(f"approved by {sorted(people)}")
    return wrong


def against(facts: Facts, step: str, debt: Debt, now: datetime) -> list[str]:
    """What the law has against doing a step for a debt."""
    wrong: list[str] = []
    today = local(facts, now)
    due = due_on(facts, debt, now)
    if due is None:
        wrong.append("nobody received the bill")
    elif due > today:
        wrong.append("it isn't due")
    if step in (*RESTRICTS, "ends", "charge") and debt.kind in (DebtKind.COSTS, DebtKind.INTEREST):
        wrong.append("costs and interest never restrict")
    if step in RESTRICTS and debt.kind is DebtKind.OVERAGE and not debt.expressly:
        wrong.append("overage alone")
    for notice, days in NOTICES[step].items():
        came = told(facts, notice, debt.ref, now)
        if came is None:
            wrong.append(f"{notice} wasn't received")
        elif (today - local(facts, came)).days <= days:
            wrong.append(f"{notice} came on {local(facts, came)}")
    if debt.open.minor <= contested(facts, debt, now):
        wrong.append("contested")
    if promised(facts, debt, now):
        wrong.append("promised")
    if planned(facts, debt, now):
        wrong.append("planned")
    if debt.open.minor - contested(facts, debt, now) <= flying(facts, debt, now):
        wrong.append("on its way")
    if stayed(facts, debt, now):
        wrong.append("stayed")
    ends = rest_ends(facts, debt, now)
    if ends:
        last = max(ends)
        again = [
            arrived(done.evidence, now)
            for done in facts.done
            if debt.ref in done.debts and done.step in ("resume", *NOTICES[step]) and last <= done.at <= now
        ]
        if not any(again):
            wrong.append(f"rested until {last}, and nobody said that it goes on")
    return wrong


def closed(facts: Facts, now: datetime) -> list[str]:
    when = now.astimezone(facts.zone)
    today = when.date()
    wrong = []
    if when.strftime("%A") in ("Friday", "Saturday", "Sunday"):
        wrong.append(f"on a {when:%A}")
    if today in facts.holidays or today + DAY in facts.holidays:
        wrong.append("a holiday or its eve")
    if when.hour < 9 or when.hour > 15:
        wrong.append(f"at {when:%H:%M}")
    return wrong


def holds_data(facts: Facts, service: str) -> bool:
    return all(s.holds_data for s in facts.services if s.ref == service)


def backed_up(facts: Facts, service: str, now: datetime) -> bool:
    return any(
        b.service == service
        and b.verified_at is not None
        and b.verified_at <= now < b.made_at + 3 * DAY
        and not (b.lost_at and b.lost_at <= now)
        for b in facts.backups
    )


def beyond_backup(facts: Facts, service: str, now: datetime) -> bool:
    return any(i.service == service and i.recorded_at <= now for i in facts.impossible) and any(
        r.service == service
        and r.offered_at + 30 * DAY <= now
        and (r.until is None or r.until >= r.offered_at + 30 * DAY)
        for r in facts.retrievals
    )


def stands(facts: Facts, done: Done, now: datetime, least: int) -> bool:
    """Whether what was done still has a ground: one debt is enough."""
    known = {debt.ref: debt for debt in facts.debts}
    credit = sum(money.minor for money in facts.credit)
    total = 0
    for debt in sorted(facts.debts, key=order(facts, now)):
        if debt.open.minor <= 0:
            continue
        free = debt.open.minor - contested(facts, debt, now)
        used = min(credit, free)
        credit -= used
        if debt.ref not in done.debts or debt.ref not in known:
            continue
        if free - used <= 0 or not billed(debt, now) or planned(facts, debt, now):
            continue
        if stayed(facts, debt, now, ("own_error", "order")):
            continue
        if any(told(facts, notice, debt.ref, now) is None for notice in NOTICES[done.step]):
            continue
        if debt.kind in (DebtKind.COSTS, DebtKind.INTEREST) and done.step in (*RESTRICTS, "ends"):
            continue
        if debt.kind is DebtKind.OVERAGE and not debt.expressly and done.step in RESTRICTS:
            continue
        total += free - used
    return total >= least


def order(facts: Facts, now: datetime) -> Callable[[Debt], tuple[object, ...]]:
    ranks = ("base", "other", "overage", "costs", "interest")

    def key(debt: Debt) -> tuple[object, ...]:
        due = due_on(facts, debt, now)
        late = due is not None and due <= local(facts, now)
        return (not late, ranks.index(debt.kind.value), due or date.max, debt.ref)

    return key


AT_ONCE = {"throttle": ("reminder", 1), "ends": ("no_more", 2), "collector": ("reminder", 3)}
"""Steps that come as soon as a notice of theirs is old enough, where nothing is charged before."""


def must_come(facts: Facts, step: str, debt: Debt, service: str, now: datetime, least: int) -> bool:
    """Whether a step has to come now: the law has nothing against it, and it wasn't done yet."""
    stands_already = any(
        done.step == step and done.service == service and debt.ref in done.debts and done.undone_at is None
        for done in facts.done
    )
    if stands_already or debt.open.minor <= 0 or any(money.minor for money in facts.credit):
        return False
    if complaints(facts, step, service, frozenset({debt.ref}), now, least):
        return False
    ends = rest_ends(facts, debt, now)
    if not ends:
        return True
    came = [
        arrived(done.evidence, now)
        for done in facts.done
        if debt.ref in done.debts and done.step == "resume" and done.at >= max(ends)
    ]
    return any(when is not None and (local(facts, now) - local(facts, when)).days > 2 for when in came)


def must_say_so(facts: Facts, debt: Debt, now: datetime, least: int) -> bool:
    """Whether the customer has to be told now that steps go on: a rest is over, it alone is in the way of a step, and
    nobody said so since."""
    if debt.open.minor <= 0 or any(money.minor for money in facts.credit):
        return False
    if any(done.step == "collector" and debt.ref in done.debts and done.undone_at is None for done in facts.done):
        return False
    wrong = complaints(facts, "collector", "", frozenset({debt.ref}), now, least)
    last = max(rest_ends(facts, debt, now), default=None)
    if last is None or len(wrong) != 1 or "rested until" not in wrong[0]:
        return False
    return not any(done.step == "resume" and debt.ref in done.debts and done.at >= last for done in facts.done)
