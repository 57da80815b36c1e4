"""Whose turn it is, until when, and how long we were late: our delay stops interest, and never ends the dispute.

The time we have runs while a case is with us. It rests while a question of ours waits at the customer (from when it
arrived) or a third party looks at it, and goes on after; an answer never leaves us less than `again_within`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from coulance_core.disputes.terms import DisputeError, Policy, State, Step, StepKind
from coulance_core.kernel import Period, require_aware


@dataclass(frozen=True, slots=True)
class Clock:
    """Where a case stands at an instant.

    `due_at` is by when we have to do something, while it is with us. `lapses_at` is when the open question closes the
    case, once it reached the customer. `late` are the times at which we were late, up to that instant.
    """

    state: State
    since: datetime
    due_at: datetime | None
    lapses_at: datetime | None
    late: tuple[Period, ...]


def clock(steps: Sequence[Step], policy: Policy, *, at: datetime) -> Clock:
    """Judge a case's steps, in the order they happened, at an instant; what comes later is left out.

    Raises `DisputeError` for steps that don't begin with the opening.

    >>> from datetime import UTC
    >>> day = datetime(2026, 11, 1, tzinfo=UTC)
    >>> opened = Step(StepKind.OPENED, day)
    >>> found = clock([opened], Policy(), at=day + timedelta(days=16))
    >>> found.state.value, found.due_at == day + timedelta(days=14), found.late[0].seconds // 86400
    ('open', True, 2)
    """
    at = require_aware(at)
    seen = [step for step in steps if require_aware(step.at) <= at]
    if not seen or seen[0].kind is not StepKind.OPENED:
        raise DisputeError("a case begins with its opening")
    state, since, left = State.OPEN, seen[0].at, policy.decide_within
    ours: datetime | None = since
    """Since when it is with us."""
    question: Step | None = None
    late: list[Period] = []

    def rest(until: datetime) -> None:
        nonlocal ours, left
        if ours is not None and until >= ours:
            if until > ours + left:
                late.append(Period(ours + left, until))
            left = max(left - (until - ours), timedelta(0))
            ours = None

    for step, following in zip(seen, [*seen[1:], None], strict=True):
        end = at if following is None else following.at
        if step.kind is StepKind.ASKED:
            question, state, since = step, State.ASKED, step.at
        elif step.kind is StepKind.MEDIATION:
            rest(step.at)
            question, state, since = None, State.MEDIATION, step.at
        elif step.kind in (StepKind.ANSWERED, StepKind.MEDIATED):
            rest(step.at)
            left = max(left, policy.again_within)
            question, state, since, ours = None, State.OPEN, step.at, step.at
        elif step.kind.closes:
            rest(step.at)
            question, state, since = None, State(step.kind.value), step.at
        arrived = None if question is None else _arrived(question)
        if arrived is not None and ours is not None and max(arrived, step.at, ours) <= end:
            rest(max(arrived, step.at, ours))
    due_at = None if ours is None else ours + left
    if ours is not None:
        rest(at)
    reached = (
        None if question is None or question.reached_at is None or question.reached_at > at else question.reached_at
    )
    return Clock(state, since, due_at, None if reached is None else reached + policy.answer_within, tuple(late))


def _arrived(question: Step) -> datetime | None:
    known = [moment for moment in (question.arrived_at, question.reached_at) if moment is not None]
    return max(min(known), question.at) if known else None


def stopped_days(late: Iterable[Period], zone: ZoneInfo) -> tuple[tuple[date, date], ...]:
    """The civil days [first, after) on which no interest runs: those on which we were late, joined, in order.

    A day on which we were late for a part counts whole: it is our delay.

    >>> from datetime import UTC
    >>> late = Period(datetime(2026, 11, 3, 9, tzinfo=UTC), datetime(2026, 11, 5, 9, tzinfo=UTC))
    >>> stopped_days([late], ZoneInfo("UTC"))
    ((datetime.date(2026, 11, 3), datetime.date(2026, 11, 6)),)
    """
    out: list[tuple[date, date]] = []
    for period in sorted(late):
        if period.end == period.start:
            continue
        first = period.start.astimezone(zone).date()
        after = (period.end - timedelta(microseconds=1)).astimezone(zone).date() + timedelta(days=1)
        if out and first <= out[-1][1]:
            out[-1] = (out[-1][0], max(out[-1][1], after))
        else:
            out.append((first, after))
    return tuple(out)
