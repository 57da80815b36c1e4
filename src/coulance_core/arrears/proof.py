"""What is proven of the notices of a debt, step by step, and from when their days run."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from coulance_core.arrears.facts import Done, Evidence
from coulance_core.arrears.horizon import DAY, Horizon
from coulance_core.arrears.packs import ClockStart, LetterRule
from coulance_core.arrears.terms import Level
from coulance_core.notices import Channel, DeemedRule, EvidenceKind, Judgement, judge


@dataclass(frozen=True, slots=True)
class Proof:
    """What is proven of a notice now. Instants; None: it isn't. `returned`: when it last came back for good."""

    delivered: datetime | None = None
    reached: datetime | None = None
    deemed: datetime | None = None
    returned: datetime | None = None

    def since(self, level: Level) -> datetime | None:
        """From when the evidence of that level stands. A higher kind stands for a lower one; what is deemed stands for
        what is reached, by law; and the formal way has no substitute."""
        if level is Level.DEEMED:
            return self.deemed
        known = [self.reached, self.deemed, *([self.delivered] if level is Level.DELIVERED else [])]
        return min((instant for instant in known if instant is not None), default=None)


UNPROVEN = Proof()


def proof_of(evidence: Evidence, h: Horizon, deemed: DeemedRule | None) -> Proof:
    """What is proven of a message, as `notices` judges it, from what is known now."""
    judged = judge(evidence.events, at=h.at, verified=evidence.verified, deemed=deemed)
    if deemed is not None and judged.deemed is None:
        _await_deemed(evidence, h, deemed)
    return _proof(judged)


def _proof(judged: Judgement) -> Proof:
    return Proof(judged.delivered, judged.reached, judged.deemed, judged.returned)


def _await_deemed(evidence: Evidence, h: Horizon, deemed: DeemedRule) -> None:
    """Time alone makes a posted letter a received one: remember when."""
    for event in evidence.events:
        if event.channel is Channel.POST and event.kind in (EvidenceKind.ACCEPTED, EvidenceKind.DELIVERED):
            h.passed(event.at + deemed.after_posting)


def together(done: Sequence[Done]) -> Evidence:
    """The evidence of all attempts at one notice, as of one message."""
    if len(done) == 1:
        return done[0].evidence or Evidence()
    events = []
    verified: dict[str, datetime] = {}
    for one in done:
        if one.evidence is None:
            continue
        events += [replace(event, delivery=f"{one.ref}/{event.delivery}") for event in one.evidence.events]
        verified |= {f"{one.ref}/{delivery}": since for delivery, since in one.evidence.verified.items()}
    return Evidence(tuple(events), verified)


def days_run_from(
    proven: date, sent: Mapping[str, date], letter: LetterRule | None, closed: Iterable[date] = ()
) -> date:
    """The day that isn't counted yet: of receipt; or, where the law starts its clock at dispatch, the later of both.

    `sent` by channel, the day of the last attempt that made it.

    >>> letter = LetterRule("reminder", frozenset(), date(2024, 1, 1), 14, ClockStart.DISPATCH, 1, 3)
    >>> str(days_run_from(date(2026, 11, 6), {"post": date(2026, 11, 5)}, letter))
    '2026-11-09'
    """
    if letter is None or letter.start is ClockStart.RECEIPT:
        return proven
    closed = frozenset(closed)
    starts = [proven]
    for channel, day in sent.items():
        first = day + timedelta(days=letter.email_days)
        if channel == Channel.POST.value:
            first = _working_day(day, letter.post_working_days, closed)
        starts.append(first - DAY)
    return max(starts)


def _working_day(day: date, number: int, closed: frozenset[date]) -> date:
    """The n-th working day after a day."""
    while number > 0:
        day += DAY
        if day.weekday() < 5 and day not in closed:
            number -= 1
    return day
