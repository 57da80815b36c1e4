"""Sending what is due: claims, lanes side by side, and what to do about a sender that died.

A sender has a number of its own, holds the advisory lock of that number for as long as it lives, and writes the number
on what it claims. The database drops the lock with the connection, so whoever can take it knows that the sender is
dead: what it had only claimed was never handed over and is due again; what it was sending is *uncertain*.
"""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from queue import Empty, SimpleQueue

from django.db import connection, connections, transaction

from coulance.notices import evidence, outcomes, queries
from coulance.notices.addresses import same_address
from coulance.notices.composing import compose
from coulance.notices.errors import UnableToAttachError, UnableToReachServerError
from coulance.notices.models import Delivery, MessageFile
from coulance.notices.outcomes import Known
from coulance.notices.ports import handler_of
from coulance.notices.states import State
from coulance.notices.terms import File, Mail
from coulance.notices.transport import AnotherSenderError, Answer, Connection, Outcome, Transport
from coulance.platform.db import lock_key
from coulance_core.notices import EvidenceKind

_A_CLAIM = 40
_LOCK = "notices.sender"


@dataclass(slots=True)
class Sent:
    """What a sender did: how many deliveries came to which state, and why it stopped early, if it did."""

    states: dict[State, int] = field(default_factory=dict)
    stopped: str = ""

    def count(self, state: State) -> int:
        """How many came to this state."""
        return self.states.get(state, 0)


def send_due(
    *,
    transport: Transport,
    clock: Callable[[], datetime],
    lasts: timedelta | None = None,
    most: int | None = None,
    only: str = "",
) -> Sent:
    """Send what is due until nothing is left, `lasts` is over or `most` were tried. Safe in several processes at once.

    Sets right first what dead senders left. When the server can't be used, what was claimed goes back untouched and
    `stopped` says why. With `only` (a message's key) nothing else is sent.
    """
    begun = clock()
    job = _Job(transport, clock)
    with alive() as claim:
        job.claim = claim
        clear_up(at=begun)
        tried = 0
        while not job.sent.stopped and (most is None or tried < most):
            room = _A_CLAIM * transport.connections
            share = room if most is None else min(room, most - tried)
            ids = claim_due(claim=claim, most=share, at=clock(), only=only)
            if not ids:
                break
            tried += len(ids)
            job.run(ids)
            if lasts is not None and clock() - begun >= lasts:
                break
    return job.sent


def claim_due(*, claim: int, most: int, at: datetime, only: str = "") -> list[int]:
    """Take deliveries that are due, oldest first; nobody else gets them. `only`: those of one message, by its key."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE notices_delivery SET state = 'claimed', claim = %s, changed_at = %s WHERE id IN ("
            " SELECT id FROM notices_delivery WHERE state = 'waiting' AND channel = 'email' AND next_attempt_at <= %s"
            " AND (%s = '' OR message_id = (SELECT m.id FROM notices_message m WHERE m.key = %s))"
            " ORDER BY next_attempt_at, id LIMIT %s FOR UPDATE SKIP LOCKED) RETURNING id",
            [claim, at, at, only, only, most],
        )
        return sorted(row[0] for row in cursor.fetchall())


def clear_up(*, at: datetime) -> tuple[int, int]:
    """Set right what senders left that are dead: (due again, uncertain)."""
    again = uncertain = 0
    claims = set(Delivery.objects.filter(claim__isnull=False).values_list("claim", flat=True))
    for claim in sorted(one for one in claims if one is not None):
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [lock_key(_LOCK, claim)])
            if not (cursor.fetchone() or (False,))[0]:
                continue  # it lives
            ids = list(Delivery.objects.filter(claim=claim).values_list("id", flat=True))
            for of in outcomes.known(ids, lock=True):
                if outcomes.move(of, to=State.WAITING, since=[State.CLAIMED], at=at, claim=claim):
                    again += 1
                elif of.state == State.SENDING:
                    lost = "the sender died after handing it over and before it heard the answer"
                    outcomes.answered(of, Answer(Outcome.UNCERTAIN, lost), claim=claim, at=at)
                    uncertain += 1
    return again, uncertain


@contextmanager
def alive() -> Iterator[int]:
    """A number for this sender, and its lock until the block ends; by the connection of this thread."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT nextval('notices_claim_seq')")
        claim = int((cursor.fetchone() or (0,))[0])
        cursor.execute("SELECT pg_advisory_lock(%s)", [lock_key(_LOCK, claim)])
    try:
        yield claim
    finally:
        if connection.connection is not None and not connection.connection.closed:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [lock_key(_LOCK, claim)])


@dataclass(slots=True)
class _Job:
    """One sender at work; its lanes share the deliveries and the counts."""

    transport: Transport
    clock: Callable[[], datetime]
    claim: int = 0
    sent: Sent = field(default_factory=Sent)
    parts: "_Parts | None" = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self, ids: list[int]) -> None:
        """Send these, in as many lanes as there are connections; what a stop leaves over goes back."""
        todo: SimpleQueue[Known] = SimpleQueue()
        self.parts = _Parts.read(ids)
        for of in outcomes.known(ids):
            todo.put(of)
        lanes = min(self.transport.connections, len(ids))
        if lanes == 1:
            self._lane(todo, own_connection=False)
        else:
            with ThreadPoolExecutor(lanes, thread_name_prefix="mail") as pool:
                for lane in [pool.submit(self._lane, todo, own_connection=True) for _ in range(lanes)]:
                    lane.result()
        while True:
            try:
                self._give_back(todo.get_nowait())
            except Empty:
                return

    def _lane(self, todo: "SimpleQueue[Known]", *, own_connection: bool) -> None:
        out: Connection | None = None
        try:
            while not self.sent.stopped:
                try:
                    of = todo.get_nowait()
                except Empty:
                    return
                try:
                    out = self._one(of, out)
                except UnableToReachServerError as fault:
                    # Certainly not taken: it goes back as it was, and so does all the rest.
                    self._give_back(of)
                    with self._lock:
                        self.sent.stopped = str(fault)
                    out = None
        finally:
            if out is not None:
                out.close()
            if own_connection:
                connections.close_all()

    def _one(self, of: Known, out: Connection | None) -> Connection | None:
        assert self.parts is not None
        if why := self.parts.dead.get(same_address(of.address)):
            why = f"{of.address} refuses mail: {why}"
            self._count(State.HELD if outcomes.hold(of, why=why, at=self.clock(), claim=self.claim) else None)
            return out
        at = self.clock().replace(microsecond=0)
        try:
            mail = self.parts.mail(of.delivery)
            data = compose(mail, at=at)
        except Exception as fault:
            # Whatever is wrong with one mail must not keep the others: it is held, and shown with the reason.
            why = str(fault) if isinstance(fault, UnableToAttachError) else f"{type(fault).__name__}: {fault}"
            self._count(State.HELD if outcomes.hold(of, why=why, at=self.clock(), claim=self.claim) else None)
            return out
        out = out or self.transport.connect()
        fact = {
            "sha256": sha256(data).hexdigest(),
            "size": len(data),
            "files": [{"name": f.name, "sha256": sha256(f.content).hexdigest()} for f in mail.files],
            "by": self.transport.host or self.transport.provider,
        }

        def before_last() -> None:
            if not outcomes.begin_sending(of, claim=self.claim, at=at, fact=fact):
                raise AnotherSenderError

        try:
            answer = out.hand_over(mail, data, before_last=before_last)
        except AnotherSenderError:
            return out
        self._count(outcomes.answered(of, answer, claim=self.claim, at=self.clock()))
        return out

    def _give_back(self, of: Known) -> None:
        with transaction.atomic():
            at = self.clock()
            if outcomes.move(of, to=State.WAITING, since=[State.CLAIMED], at=at, claim=self.claim):
                return
            if outcomes.move(of, to=State.WAITING, since=[State.SENDING], at=at, claim=self.claim):
                not_taken = outcomes.piece(of, EvidenceKind.DEFERRED, at=at, said="the server took nothing")
                evidence.record([not_taken], at=at)

    def _count(self, state: State | None) -> None:
        if state is not None:
            with self._lock:
                self.sent.states[state] = self.sent.states.get(state, 0) + 1


@dataclass(frozen=True, slots=True)
class _Parts:
    """What a claim needs of the database, read at once: deliveries with their messages, files, who is shown, dead."""

    rows: dict[int, Delivery]
    files: dict[int, list[MessageFile]]
    shown: dict[int, tuple[tuple[str, str], ...]]
    dead: dict[str, str]

    @classmethod
    def read(cls, ids: list[int]) -> "_Parts":
        rows = {row.pk: row for row in Delivery.objects.select_related("message").filter(id__in=ids)}
        messages = {row.message_id for row in rows.values()}
        files: dict[int, list[MessageFile]] = {}
        for file in MessageFile.objects.filter(message__in=messages).order_by("no"):
            files.setdefault(file.message_id, []).append(file)
        copied = {row.message_id for row in rows.values() if row.copy}
        shown: dict[int, tuple[tuple[str, str], ...]] = {}
        others = Delivery.objects.filter(message__in=copied, copy=False).order_by("id") if copied else ()
        for other in others:
            shown[other.message_id] = (*shown.get(other.message_id, ()), (other.name, other.address))
        return cls(rows, files, shown, queries.dead_among([row.address for row in rows.values()]))

    def mail(self, delivery: int) -> Mail:
        """A delivery's mail, its attachments rendered. Raises `UnableToAttachError`."""
        row = self.rows[delivery]
        message = row.message
        files: list[File] = []
        for file in self.files.get(message.pk, ()):
            if file.kind == "bytes":
                files.append(File(file.name, file.media_type, bytes(file.content or b"")))
            else:
                files += handler_of(message.kind).files(kind=file.kind, ref=file.ref)
        return Mail(
            delivery=row.pk,
            header_id=row.header_id,
            envelope_sender=message.bounces_to or message.sender,
            envelope_recipient=row.address,
            sender=message.sender,
            sender_name=message.sender_name,
            recipient_name=row.name,
            reply_to=message.reply_to,
            subject=message.subject,
            text=message.text,
            html=message.html,
            language=message.language,
            files=tuple(files),
            shown_to=self.shown.get(message.pk, ()) if row.copy else ((row.name, row.address),),
        )
