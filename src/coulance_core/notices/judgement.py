"""Whether a message was delivered, reached anybody, or is deemed to have: judged from evidence, at an instant.

- *delivered*: accepted for an address that was verified. It counts from acceptance, or from the verification if that
  came later. A bounce within 72 hours of acceptance voids it from acceptance on; a later one ends it from the bounce.
- *reached*: a human act, a signed-in look or an acknowledgement. Opens are none. Nothing that comes later undoes it.
- *deemed*: the law's own fiction: two channels, one of them postal, and the date that the law pack sets.

A judgement uses all the evidence it is given. To know what was rightly believed at some time, give it only what was
recorded by then.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from coulance_core.kernel import require_aware
from coulance_core.notices.evidence import Channel, Event, EvidenceKind, Rung, rung_of

VOIDS_WITHIN = timedelta(hours=72)
"""A bounce this soon after acceptance says that it never arrived; one at exactly 72 hours still does."""

_ARRIVES = (EvidenceKind.ACCEPTED, EvidenceKind.DELIVERED)
_RETURNS = (EvidenceKind.BOUNCED, EvidenceKind.REFUSED)
_HUMAN = (EvidenceKind.SEEN, EvidenceKind.ACKNOWLEDGED)


@dataclass(frozen=True, slots=True)
class DeemedRule:
    """When the law takes a notice as received: so long after posting, with a second channel beside it.

    `return_voids`: whether a letter that comes back undoes it. (Dutch law, BW 3:37(3), says no where that is the
    addressee's own doing.)
    """

    after_posting: timedelta
    return_voids: bool = True


@dataclass(frozen=True, slots=True)
class Judgement:
    """From when a message counts as delivered, reached and deemed, as it stands at the instant asked about.

    None: it doesn't. `accepted` is as `delivered`, of addresses that nobody verified too. `returned`: when it last came
    back, where no later attempt arrived. `rung` is the highest that stands.
    """

    at: datetime
    accepted: datetime | None
    delivered: datetime | None
    reached: datetime | None
    deemed: datetime | None
    returned: datetime | None
    rung: Rung


def judge(
    events: Iterable[Event],
    *,
    at: datetime,
    verified: Mapping[str, datetime] | None = None,
    deemed: DeemedRule | None = None,
) -> Judgement:
    """Judge a message from the evidence of all its deliveries.

    `verified` gives, by delivery, since when its address is verified. One delivery that arrived is enough.

    >>> from datetime import UTC
    >>> noon = datetime(2026, 11, 2, 12, tzinfo=UTC)
    >>> sent = Event(EvidenceKind.ACCEPTED, noon, "a")
    >>> back = Event(EvidenceKind.BOUNCED, noon + timedelta(hours=30), "a")
    >>> known = {"a": noon - timedelta(days=90)}
    >>> judge([sent], at=noon + timedelta(hours=1), verified=known).delivered == noon
    True
    >>> judge([sent, back], at=noon + timedelta(hours=1), verified=known).delivered is None
    True
    >>> judge([sent], at=noon + timedelta(hours=1)).delivered is None  # nobody verified that address
    True
    """
    require_aware(at)
    own: dict[str, list[Event]] = {}
    for event in events:
        own.setdefault(event.delivery, []).append(event)
    accepted: list[datetime] = []
    delivered: list[datetime] = []
    reached: list[datetime] = []
    returned: list[datetime] = []
    rung = Rung.NOTHING
    for delivery, found in own.items():
        found.sort(key=lambda event: (event.at, event.kind in _RETURNS))
        proof = (verified or {}).get(delivery)
        for start, end in _spells(found):
            if start <= at and (end is None or at < end):
                accepted.append(start)
            since = None if proof is None else max(start, proof)
            if since is not None and since <= at and (end is None or at < end):
                delivered.append(since)
        reached += [event.at for event in found if event.kind in _HUMAN and event.at <= at]
        last = next((e for e in reversed(found) if e.at <= at and e.kind in (*_ARRIVES, *_RETURNS)), None)
        if last is not None and last.kind in _RETURNS:
            returned.append(last.at)
        rung = max(rung, _rung(found, at))
    return Judgement(
        at=at,
        accepted=min(accepted, default=None),
        delivered=min(delivered, default=None),
        reached=min(reached, default=None),
        deemed=_deemed(own, at, deemed),
        returned=max(returned, default=None),
        rung=rung,
    )


def delivered_spells(
    events: Iterable[Event], *, verified: Mapping[str, datetime] | None = None
) -> list[tuple[datetime, datetime | None]]:
    """The times [from, until) at which a message counts as delivered or reached, by delivery; without an end it lasts.

    What `judge` says at every instant: a bounce within 72 hours leaves no spell at all, a human act one without end.

    >>> from datetime import UTC
    >>> noon = datetime(2026, 11, 2, 12, tzinfo=UTC)
    >>> sent = Event(EvidenceKind.ACCEPTED, noon, "a")
    >>> back = Event(EvidenceKind.BOUNCED, noon + timedelta(hours=80), "a")
    >>> delivered_spells([sent, back], verified={"a": noon}) == [(sent.at, back.at)]
    True
    """
    own: dict[str, list[Event]] = {}
    for event in events:
        own.setdefault(event.delivery, []).append(event)
    out: list[tuple[datetime, datetime | None]] = []
    for delivery, found in own.items():
        found.sort(key=lambda event: (event.at, event.kind in _RETURNS))
        proof = (verified or {}).get(delivery)
        if proof is not None:
            spells = [(max(start, proof), end) for start, end in _spells(found)]
            out += [(start, end) for start, end in spells if end is None or start < end]
        out += [(event.at, None) for event in found if event.kind in _HUMAN]
    return sorted(out, key=lambda spell: spell[0])


def _spells(found: Sequence[Event]) -> list[tuple[datetime, datetime | None]]:
    """The times during which a delivery stands as arrived, as [from, until); `found` is in order."""
    out: list[tuple[datetime, datetime | None]] = []
    start: datetime | None = None
    for event in found:
        if event.kind in _ARRIVES and start is None:
            start = event.at
        elif event.kind in _RETURNS and start is not None:
            if event.at - start > VOIDS_WITHIN:
                out.append((start, event.at))
            start = None
    if start is not None:
        out.append((start, None))
    return out


def _rung(found: Sequence[Event], at: datetime) -> Rung:
    """The highest rung that stands at an instant: what a bounce undid counts no more, human acts stay."""
    arrived = any(start <= at and (end is None or at < end) for start, end in _spells(found))
    best = Rung.NOTHING
    for event in found:
        own = rung_of(event.kind)
        if event.at <= at and (own not in (Rung.ACCEPTED, Rung.DELIVERED) or arrived):
            best = max(best, own)
    return best


def _deemed(own: Mapping[str, Sequence[Event]], at: datetime, rule: DeemedRule | None) -> datetime | None:
    if rule is None:
        return None
    posted: list[datetime] = []
    beside: list[datetime] = []
    for found in own.values():
        by_post = [event for event in found if event.channel is Channel.POST]
        other = [event for event in found if event.channel not in (Channel.POST, Channel.WEBHOOK)]
        taken = [event.at for event in by_post if event.kind in _ARRIVES]
        came_back = any(event.kind in _RETURNS for event in by_post)
        if taken and not (came_back and rule.return_voids):
            posted.append(taken[0] + rule.after_posting)
        beside += [start for start, end in _spells(other) if end is None or end > at]
    if not posted or not beside:
        return None
    since = max(min(posted), min(beside))
    return since if since <= at else None
