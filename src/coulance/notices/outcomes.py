"""What became of a delivery, written down: its state, the evidence, and who is told. Each in one transaction.

States change only by a guarded statement that names the state they come from; what doesn't stand so any more is left
alone, and says so by its answer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection, transaction

from coulance.notices import evidence
from coulance.notices.addresses import same_address
from coulance.notices.models import Delivery
from coulance.notices.ports import About, handler_of
from coulance.notices.states import State
from coulance.notices.transport import Answer, Outcome
from coulance_core.notices import Channel, EvidenceKind, next_attempt


@dataclass(frozen=True, slots=True)
class Known:
    """A delivery with its message's names: what evidence and handlers need."""

    delivery: int
    message: int
    key: str
    kind: str
    about: str
    account: int | None
    address: str
    header_id: str
    copy: bool
    state: str
    attempts: int
    first_attempt_at: datetime | None
    channel: str = "email"

    def told(self) -> About:
        """As a handler is told."""
        return About(
            message=self.message,
            delivery=self.delivery,
            key=self.key,
            kind=self.kind,
            account=self.account,
            about=self.about,
            address=self.address,
            copy=self.copy,
        )


def known(ids: Sequence[int], *, lock: bool = False) -> list[Known]:
    """These deliveries, in the order of their ids; locked until the transaction ends if asked to."""
    rows = Delivery.objects.select_related("message").filter(id__in=list(ids)).order_by("id")
    if lock:
        rows = rows.select_for_update(of=("self",))
    return [
        Known(
            delivery=row.pk,
            message=row.message_id,
            key=row.message.key,
            kind=row.message.kind,
            about=row.message.about,
            account=row.message.account_id,
            address=row.address,
            header_id=row.header_id,
            copy=row.copy,
            state=row.state,
            attempts=row.attempts,
            first_attempt_at=row.first_attempt_at,
            channel=row.channel,
        )
        for row in rows
    ]


def move(
    of: Known, *, to: State, since: Sequence[State], at: datetime, claim: int | None = None, **values: Any
) -> bool:
    """Change a delivery's state if it still is in one of `since` (and of that claim, if given); whether it was."""
    rows = Delivery.objects.filter(id=of.delivery, state__in=[state.value for state in since])
    if claim is not None:
        rows = rows.filter(claim=claim)
    keep = to in (State.CLAIMED, State.SENDING)
    if not keep:
        values["claim"] = None
    return bool(rows.update(state=to.value, changed_at=at, **values))


def piece(
    of: Known,
    kind: EvidenceKind,
    *,
    at: datetime,
    fact: Mapping[str, Any] | None = None,
    said: str = "",
    lasting: bool = True,
    source: str | None = None,
) -> evidence.New:
    """A piece of evidence about a delivery; what a server said is kept as personal, since it may quote the address."""
    personal = {"to": of.address} | ({"said": said[:2000]} if said else {})
    return evidence.New(
        kind=kind,
        account=of.account,
        message=of.message,
        message_key=of.key,
        delivery=of.delivery,
        header_id=of.header_id,
        at=at,
        fact=fact or {},
        personal=personal,
        channel=Channel(of.channel),
        lasting=lasting,
        source=source,
    )


def begin_sending(of: Known, *, claim: int, at: datetime, fact: Mapping[str, Any]) -> bool:
    """Say that the last bytes go out now. False when the delivery is no longer this sender's: then they must not."""
    with transaction.atomic():
        if not move(of, to=State.SENDING, since=[State.CLAIMED], at=at, claim=claim):
            return False
        evidence.record([piece(of, EvidenceKind.ATTEMPTED, at=at, fact=fact)], at=at)
    return True


def answered(of: Known, answer: Answer, *, claim: int, at: datetime) -> State | None:
    """Record what a server said. Gives the new state, or None when somebody else settled it meanwhile."""
    with transaction.atomic():
        match answer.outcome:
            case Outcome.ACCEPTED:
                since, to = [State.SENDING, State.UNCERTAIN], State.ACCEPTED
            case Outcome.UNCERTAIN:
                since, to = [State.SENDING], State.UNCERTAIN
            case Outcome.REFUSED:
                since, to = [State.CLAIMED, State.SENDING], State.REFUSED
            case Outcome.DEFERRED:
                since, to = [State.CLAIMED, State.SENDING], State.WAITING
        values: dict[str, Any] = {"answer": answer.text[:2000], "attempts": of.attempts + 1}
        values["first_attempt_at"] = of.first_attempt_at or at
        text, lasting = answer.text, True
        if to is State.ACCEPTED:
            values |= {"accepted_at": at, "provider_ref": answer.ref[:250]}
        if to is State.WAITING:
            again = next_attempt(attempts=of.attempts + 1, first=values["first_attempt_at"], at=at)
            if again is None:
                # A delivery goes from sending to refused as from claimed; five days of "not now" are a no.
                to, lasting = State.REFUSED, False
                text = f"not taken in five days; last: {answer.text}"
                values["answer"] = text[:2000]
            else:
                values["next_attempt_at"] = again
        own = None if to is State.ACCEPTED else claim
        if not move(of, to=to, since=since, at=at, claim=own, **values):
            return None
        kinds = {
            State.ACCEPTED: EvidenceKind.ACCEPTED,
            State.UNCERTAIN: EvidenceKind.UNCERTAIN,
            State.REFUSED: EvidenceKind.REFUSED,
            State.WAITING: EvidenceKind.DEFERRED,
        }
        fact = {"by": answer.host}
        evidence.record([piece(of, kinds[to], at=at, fact=fact, said=text, lasting=lasting)], at=at)
        if to is State.REFUSED and answer.dead_address:
            bury(of, why=text, at=at)
        _tell(of, to, text, at)
    return to


def hold(of: Known, *, why: str, at: datetime, claim: int | None = None) -> bool:
    """Keep a delivery back until somebody mends what is wrong."""
    with transaction.atomic():
        if not move(of, to=State.HELD, since=[State.CLAIMED, State.WAITING], at=at, claim=claim, answer=why[:2000]):
            return False
        evidence.record([piece(of, EvidenceKind.HELD, at=at, said=why)], at=at)
        _tell(of, State.HELD, why, at)
    return True


def came_back(
    of: Known, *, why: str, at: datetime, now: datetime, lasting: bool, dead: bool, source: str, fact: Mapping[str, Any]
) -> bool:
    """Record a bounce, once by its source; in the caller's transaction, with `of` locked. Whether it was new."""
    new = evidence.record(
        [piece(of, EvidenceKind.BOUNCED, at=at, fact=fact, said=why, lasting=lasting, source=source)], at=now
    )
    if not new:
        return False
    if dead:
        bury(of, why=why, at=now)
    # One that is being sent or waits to be tried again, and one settled before, keep their state: the evidence tells.
    if move(of, to=State.BOUNCED, since=[State.ACCEPTED, State.UNCERTAIN], at=now, answer=why[:2000]):
        _tell(of, State.BOUNCED, why, now)
    return True


def arrived_after_all(of: Known, *, how: str, at: datetime, now: datetime) -> bool:
    """An uncertain delivery that evidence shows to have been taken."""
    if not move(of, to=State.ACCEPTED, since=[State.UNCERTAIN], at=now, accepted_at=at, answer=how[:2000]):
        return False
    evidence.record([piece(of, EvidenceKind.ACCEPTED, at=at, fact={"how": how})], at=now)
    _tell(of, State.ACCEPTED, how, now)
    return True


def bury(of: Known, *, why: str, at: datetime) -> None:
    """Write to an address no more."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO notices_dead_address (address, since, why, delivery_id) VALUES (%s, %s, %s, %s)"
            " ON CONFLICT (address) WHERE released_at IS NULL DO NOTHING",
            [same_address(of.address), at, why[:2000], of.delivery],
        )


def _tell(of: Known, state: State, why: str, at: datetime) -> None:
    handler = handler_of(of.kind)
    if state is State.ACCEPTED:
        handler.accepted(of=of.told(), at=at)
    elif state in (State.REFUSED, State.BOUNCED, State.HELD, State.UNCERTAIN):
        handler.failed(of=of.told(), state=state.value, why=why, at=at)
