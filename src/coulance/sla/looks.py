"""Looks coming in and being read: batches as columns, exact without doubles, gathered by day.

A batch commits as one row. Probe agents number their looks, and the numbers that came in are kept as ranges: whatever
is handed over again is known, exactly, however late. Outside sources have no numbers; the same batch again is known by
its digest, and the same look in two batches says the same twice, which changes nothing.
"""

import hashlib
import struct
import zlib
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any

import numpy as np
from django.db import connection, transaction
from numpy.typing import NDArray

from coulance.platform import alarms
from coulance.sla.errors import UnableToFindCheckError, UnableToTakeLooksError
from coulance.sla.models import Agent, Batch, Check, Distrust
from coulance_core.sla.evidence import Samples, aligned
from coulance_core.sla.intervals import Spans, instant, micros

Int64s = NDArray[np.int64]
Flags = NDArray[np.bool_]
TOLERANCE = 5_000_000
"""How far ahead (microseconds) an agent's clock may run before its looks are put right."""
SKEWED = 30_000_000
"""How far off a clock is worth somebody's attention."""
MOST = 200_000
_OLDEST = micros(datetime(2000, 1, 1, tzinfo=UTC))
_HEADER = struct.Struct("<4sI")
_MAGIC = b"CLK1"


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a batch: looks that were new, that were known, and that are of checks nobody knows."""

    accepted: int
    doubles: int
    unknown: int


@dataclass(frozen=True)
class Look:
    """One look of an outside source: the check's number, when (aware), and whether it was up."""

    check: int
    at: datetime
    up: bool


@dataclass(frozen=True)
class Stream:
    """What one agent saw of one check, in order of time."""

    check: int
    agent: int
    at: Int64s
    up: Flags


def pack(check: Int64s, at: Int64s, up: Flags) -> bytes:
    """Columns as bytes: sorted by check and instant, differences, compressed."""
    order = np.lexsort((at, check))
    check, at, up = check[order], at[order], up[order]
    parts = [np.diff(check, prepend=0), np.diff(at, prepend=0)]
    body = b"".join(part.astype("<i8").view(np.uint8).reshape(-1, 8).T.tobytes() for part in parts)
    return _HEADER.pack(_MAGIC, check.size) + zlib.compress(body + np.packbits(up).tobytes(), 1)


def unpack(body: bytes) -> tuple[Int64s, Int64s, Flags]:
    """What `pack` wrote."""
    magic, rows = _HEADER.unpack_from(body)
    if magic != _MAGIC:
        raise UnableToTakeLooksError("a batch of looks is damaged: it doesn't begin as one")
    raw = np.frombuffer(zlib.decompress(body[_HEADER.size :]), np.uint8)
    columns = []
    for n in range(2):
        planes = raw[n * rows * 8 : (n + 1) * rows * 8].reshape(8, rows).T
        columns.append(np.cumsum(np.ascontiguousarray(planes).view("<i8").ravel().astype(np.int64)))
    up = np.unpackbits(raw[rows * 16 :], count=rows).astype(bool)
    return columns[0], columns[1], up


def take(*, agent: str, looks: Sequence[Sequence[Any]], sent_at: int, lost: int, at: datetime) -> Taken:
    """Take in what a probe agent hands over: rows of number, check, instant (microseconds), up, ... One transaction.

    `agent` is the prefix of its token. Handed over again, nothing changes. An agent whose clock runs ahead is put
    right. Raises `UnableToTakeLooksError` with nothing taken.
    """
    if len(looks) > MOST:
        raise UnableToTakeLooksError(f"{len(looks)} looks at once: at most {MOST}")
    seq, check, seen, up = _columns(looks)
    now = micros(at)
    with transaction.atomic():
        row = Agent.objects.select_for_update().filter(token_prefix=agent, retired_at__isnull=True).first()
        if row is None:
            raise UnableToFindCheckError("this token is no agent's; make one with: coulance sla agent add NAME")
        if looks:
            _skew(row.name, sent_at - now, at)
            if abs(sent_at - now) > SKEWED:
                # Its clock is known to be off by that much, so its looks are too, those that waited as well.
                seen = seen + (now - sent_at)
        before = Spans.of((low, high) for low, high in row.taken)
        fresh = ~before.covers(seq)
        _, first = np.unique(seq, return_index=True)
        once = np.zeros(seq.size, bool)
        once[first] = True
        fresh &= once
        asked = {c.pk: c for c in _known(check[fresh]) if c.kind != "outside" and _is_asked(c, row.name)}
        known = np.isin(check, np.fromiter(asked, np.int64, len(asked)))
        keep = fresh & known
        seen = aligned(seen, np.full(seen.size, now), TOLERANCE)
        if keep.any():
            _too_many(row.name, asked, check[keep], seen[keep], at)
            _store(row, check[keep], seen[keep], up[keep], at, salt=seq[keep].tobytes())
        taken = before | Spans.union_of(seq, seq + 1)
        # Heard is who says something new: an agent whose numbers somebody else used up falls silent, and is told of.
        heard = at if keep.any() else row.last_at
        Agent.objects.filter(pk=row.pk).update(taken=taken.pairs(), last_at=heard, lost=max(lost, row.lost))
    return Taken(int(keep.sum()), int((~fresh).sum()), int((fresh & ~known).sum()))


def _columns(looks: Sequence[Sequence[Any]]) -> tuple[Int64s, Int64s, Int64s, Flags]:
    for n, one in enumerate(looks):
        sound = len(one) >= 4 and all(type(v) is int for v in one[:3]) and type(one[3]) is bool
        if not sound or not (0 <= one[0] < 2**62 and 0 < one[1] < 2**62 and _OLDEST <= one[2] < 2**52):
            raise UnableToTakeLooksError(
                f"looks[{n}] is {list(one)[:4]}: expected [number, check, microseconds since 1970, up, ms, why]"
            )
    flat = np.array([one[:3] for one in looks], np.int64).reshape(-1, 3)
    return flat[:, 0], flat[:, 1], flat[:, 2], np.array([one[3] for one in looks], bool)


def _skew(name: str, ahead: int, at: datetime) -> None:
    key = f"probe-clock/{name}"
    if abs(ahead) > SKEWED:
        way = "ahead" if ahead > 0 else "behind (or the way here is slow)"
        alarms.raise_alarm(
            key=key,
            severity="warning",
            what=f"the clock of probe {name} is {abs(ahead) // 1_000_000} s {way}: set it by NTP",
            at=at,
        )
    else:
        alarms.clear_alarm(key=key, at=at)


def _known(checks: Int64s) -> list[Check]:
    return list(Check.objects.filter(pk__in=np.unique(checks).tolist()))


def _is_asked(check: Check, agent: str) -> bool:
    """Whether an agent was to look: what others are asked it has no say in, whoever holds its token."""
    return check.kind != "requests" and (not check.vantages or agent in check.vantages)


def _too_many(name: str, asked: Mapping[int, Check], check: Int64s, seen: Int64s, at: datetime) -> None:
    """An agent looks as often as it is asked; one that saw much more was perhaps not alone in using its token."""
    for number in np.unique(check).tolist():
        own = np.sort(seen[check == number])
        every = asked[number].every_s * 1_000_000
        if own.size > 10 and own.size > 3 * ((int(own[-1]) - int(own[0])) // every + 1):
            alarms.raise_alarm(
                key=f"probe-many/{name}",
                severity="critical",
                what=f"probe {name} handed over {own.size} looks of check {number}, three times what it "
                f"is asked. Was its token taken? coulance sla agent remove {name}, and: coulance sla agent distrust",
                at=at,
            )


def take_outside(*, source: str, looks: Sequence[Look], at: datetime, actor: str) -> Taken:
    """Take in what an outside source says of checks; the source is made known when it is new. One transaction.

    Raises `UnableToTakeLooksError` for looks of the future or of another century.
    """
    latest = at + timedelta(minutes=5)
    for n, one in enumerate(looks):
        if one.at > latest or micros(one.at) < _OLDEST:
            raise UnableToTakeLooksError(f"look {n + 1} is of {one.at.isoformat()}: that can't be")
    if not looks:
        return Taken(0, 0, 0)
    check = np.array([one.check for one in looks], np.int64)
    seen = np.minimum(np.array([micros(one.at) for one in looks], np.int64), micros(at))
    up = np.array([one.up for one in looks], bool)
    with transaction.atomic():
        row, _ = Agent.objects.get_or_create(
            name=source, defaults={"source": source.partition(":")[0][:20], "made_at": at, "made_by": actor}
        )
        known = np.isin(check, np.fromiter((c.pk for c in _known(check) if c.kind == "outside"), np.int64))
        stored = bool(known.any()) and _store(row, check[known], seen[known], up[known], at, salt=b"")
        Agent.objects.filter(pk=row.pk).update(last_at=at)
    count = int(known.sum())
    return Taken(count if stored else 0, 0 if stored else count, len(looks) - count)


def _store(agent: Agent, check: Int64s, at: Int64s, up: Flags, received: datetime, *, salt: bytes) -> bool:
    body = pack(check, at, up)
    _, made = Batch.objects.get_or_create(
        agent=agent,
        digest=hashlib.sha256(salt + body).digest(),
        defaults={
            "received_at": received,
            "first_at": int(at.min()),
            "last_at": int(at.max()),
            "rows": int(check.size),
            "body": body,
        },
    )
    return made


def gather(*, before: datetime, most: int = 2_000) -> int:
    """Gather batches that came in before an instant into one row a check, agent and day; how many batches it was.

    One transaction of at most `most` batches, which are locked: killed, nothing happened; two at once share the work.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT id, agent_id, body FROM sla_batch WHERE received_at < %s ORDER BY id LIMIT %s"
            " FOR UPDATE SKIP LOCKED",
            [before, most],
        )
        rows = cursor.fetchall()
        found: dict[tuple[int, int, date], list[tuple[Int64s, Flags]]] = defaultdict(list)
        for _, agent, body in rows:
            for check, day, at, up in _by_day(*unpack(bytes(body))):
                found[check, agent, day].append((at, up))
        for (check, agent, day), parts in sorted(found.items()):
            _merge(cursor, check, agent, day, parts)
        cursor.execute("DELETE FROM sla_batch WHERE id = ANY(%s)", [[row[0] for row in rows]])
    return len(rows)


def _by_day(check: Int64s, at: Int64s, up: Flags) -> list[tuple[int, date, Int64s, Flags]]:
    day = at // 86_400_000_000
    order = np.lexsort((at, day, check))
    check, at, up, day = check[order], at[order], up[order], day[order]
    edges = np.flatnonzero((np.diff(check) != 0) | (np.diff(day) != 0)) + 1
    bounds = [0, *edges.tolist(), check.size]
    return [
        (int(check[low]), instant(int(at[low])).date(), at[low:high], up[low:high]) for low, high in pairwise(bounds)
    ]


def _merge(cursor: Any, check: int, agent: int, day: date, parts: list[tuple[Int64s, Flags]]) -> None:
    # A lock of the day, so that two that gather don't both find it empty.
    cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 6))", [f"sla/{check}/{agent}/{day}"])
    cursor.execute(
        "SELECT body FROM sla_track WHERE check_no_id = %s AND agent_id = %s AND day = %s", [check, agent, day]
    )
    for (body,) in cursor.fetchall():
        _, at, up = unpack(bytes(body))
        parts.append((at, up))
    whole = Samples.of(np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts]))
    packed = pack(np.full(whole.at.size, check), whole.at, whole.up)
    cursor.execute(
        "INSERT INTO sla_track (check_no_id, agent_id, day, rows, body) VALUES (%s, %s, %s, %s, %s)"
        " ON CONFLICT (check_no_id, day, agent_id) DO UPDATE SET rows = excluded.rows, body = excluded.body",
        [check, agent, day, int(whole.at.size), packed],
    )


def streams(*, checks: Collection[int], start: datetime, end: datetime, holding: Collection[int] = ()) -> list[Stream]:
    """What was seen of these checks from shortly before `start` to shortly after `end`, by check and agent.

    Of those that are `holding` (their sources tell of changes only) all from the beginning on.
    """
    if not checks:
        return []
    away = distrusted()
    low, high = start - timedelta(hours=1), end + timedelta(hours=1)
    found: dict[tuple[int, int], list[tuple[Int64s, Flags]]] = defaultdict(list)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT check_no_id, agent_id, body FROM sla_track WHERE check_no_id = ANY(%s) AND day <= %s"
            " AND (day >= %s OR check_no_id = ANY(%s))",
            [list(checks), high.astimezone(UTC).date(), low.astimezone(UTC).date(), list(holding)],
        )
        for check, agent, body in cursor.fetchall():
            _, at, up = unpack(bytes(body))
            found[check, agent].append((at, up))
        wanted = np.fromiter(checks, np.int64)
        cursor.execute(
            "SELECT agent_id, body FROM sla_batch WHERE first_at <= %s AND (last_at >= %s OR %s)",
            [micros(high), micros(low), bool(holding)],
        )
        for agent, body in cursor.fetchall():
            columns = unpack(bytes(body))
            some = np.isin(columns[0], wanted)
            for check, _, at, up in _by_day(*(column[some] for column in columns)) if some.any() else ():  # type: ignore[arg-type]
                found[check, agent].append((at, up))
    out = []
    for (check, agent), parts in sorted(found.items()):
        one = Samples.of(np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts]))
        some = one.at < micros(high) if check in holding else (one.at >= micros(low)) & (one.at < micros(high))
        if agent in away:
            some = some & ~away[agent].covers(one.at)
        out.append(Stream(check, agent, one.at[some], one.up[some]))
    return out


def distrusted() -> dict[int, Spans]:
    """When what agents said doesn't count."""
    found: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for agent, since, until in Distrust.objects.values_list("agent_id", "since", "until"):
        found[agent].append((micros(since), micros(until) if until else 2**62))
    return {agent: Spans.of(pairs) for agent, pairs in found.items()}
