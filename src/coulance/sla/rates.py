"""Requests and errors coming in and being read: a row a check, source and day, as columns of slots.

A slot has a beginning, requests and errors. The same slot again changes nothing; with other numbers the fuller count
counts (more requests, then more errors), in whatever order they come: a source that was asked too early didn't yet know
all of it. Two sources that count the same requests aren't added up either: the fuller one counts.
"""

import struct
import zlib
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import numpy as np
from django.db import connection, transaction
from numpy.typing import NDArray

from coulance.sla.errors import UnableToTakeLooksError
from coulance.sla.looks import MOST, Taken, distrusted
from coulance.sla.models import Agent, Check
from coulance_core.sla.intervals import micros

Int64s = NDArray[np.int64]
_HEADER = struct.Struct("<4sI")
_MAGIC = b"CRT1"
_MOST_COUNTED = 2**53


@dataclass(frozen=True, slots=True)
class Slot:
    """What was counted of one check from `at` on, for as long as its slots are: `errors` of `requests` failed."""

    check: int
    at: datetime
    requests: int
    errors: int


@dataclass(frozen=True)
class Rates:
    """What is known of one check: slots by their beginnings (microseconds), in order, the fullest count of each; and
    who counted."""

    check: int
    at: Int64s
    requests: Int64s
    errors: Int64s
    agents: frozenset[int] = frozenset()


def pack(at: Int64s, requests: Int64s, errors: Int64s) -> bytes:
    """Columns as bytes: differences of the beginnings, compressed."""
    parts = [np.diff(at, prepend=0), requests, errors]
    body = b"".join(part.astype("<i8").view(np.uint8).reshape(-1, 8).T.tobytes() for part in parts)
    return _HEADER.pack(_MAGIC, at.size) + zlib.compress(body, 6)


def unpack(body: bytes) -> tuple[Int64s, Int64s, Int64s]:
    """What `pack` wrote."""
    magic, rows = _HEADER.unpack_from(body)
    if magic != _MAGIC:
        raise UnableToTakeLooksError("a day of counted requests is damaged: it doesn't begin as one")
    raw = np.frombuffer(zlib.decompress(body[_HEADER.size :]), np.uint8).reshape(3, 8, rows)
    at, requests, errors = (np.ascontiguousarray(part.T).view("<i8").ravel().astype(np.int64) for part in raw)
    return np.cumsum(at), requests, errors


def fullest(at: Int64s, requests: Int64s, errors: Int64s) -> tuple[Int64s, Int64s, Int64s]:
    """One count a slot, in order: the one with most requests, then most errors.

    >>> a = np.array
    >>> [c.tolist() for c in fullest(a([300, 0, 300]), a([5, 1, 7]), a([5, 0, 2]))]
    [[0, 300], [1, 7], [0, 2]]
    """
    order = np.lexsort((errors, requests, at))
    at, requests, errors = at[order], requests[order], errors[order]
    last = np.ones(at.size, bool)
    last[:-1] = at[1:] != at[:-1]
    return at[last], requests[last], errors[last]


def take(*, source: str, slots: Sequence[Slot], at: datetime, actor: str) -> Taken:
    """Take in what a source counted; it is made known when it is new. One transaction, all of it or nothing.

    Raises `UnableToTakeLooksError`, which says of which slot: of the future, between slots, or no sound count.
    """
    if len(slots) > MOST:
        raise UnableToTakeLooksError(f"{len(slots)} slots at once: at most {MOST}")
    if not slots:
        return Taken(0, 0, 0)
    with transaction.atomic():
        every = dict(
            Check.objects.filter(pk__in={one.check for one in slots}, kind="requests").values_list("pk", "every_s")
        )
        for n, one in enumerate(slots):
            _judge(n, one, every.get(one.check, 0), at)
        row, _ = Agent.objects.get_or_create(
            name=source, defaults={"source": source.partition(":")[0][:20], "made_at": at, "made_by": actor}
        )
        days: dict[tuple[int, date], list[Slot]] = defaultdict(list)
        for one in slots:
            if one.check in every:
                days[one.check, one.at.astimezone(UTC).date()].append(one)
        fresh = sum(_merge(row.pk, check, day, some) for (check, day), some in sorted(days.items()))
        Agent.objects.filter(pk=row.pk).update(last_at=at)
    known = sum(map(len, days.values()))
    return Taken(fresh, known - fresh, len(slots) - known)


def _judge(n: int, one: Slot, every_s: int, at: datetime) -> None:
    if not 0 <= one.errors <= one.requests < _MOST_COUNTED:
        raise UnableToTakeLooksError(f"slot {n + 1}: {one.errors} errors of {one.requests} requests can't be")
    if one.at > at + timedelta(minutes=5) or one.at.year < 2000:
        raise UnableToTakeLooksError(f"slot {n + 1} is of {one.at.isoformat()}: that can't be")
    if every_s and micros(one.at) % (every_s * 1_000_000):
        raise UnableToTakeLooksError(
            f"slot {n + 1} begins at {one.at.isoformat()}: its slots begin every {every_s} s from midnight UTC"
        )


def _merge(agent: int, check: int, day: date, slots: Sequence[Slot]) -> int:
    """Put slots into their day; how many changed it."""
    columns = [
        np.array([micros(one.at) for one in slots], np.int64),
        np.array([one.requests for one in slots], np.int64),
        np.array([one.errors for one in slots], np.int64),
    ]
    with connection.cursor() as cursor:
        # A lock of the day, so that two that come at once don't both find it empty.
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 7))", [f"sla-rate/{check}/{agent}/{day}"])
        cursor.execute(
            "SELECT body FROM sla_rate WHERE check_no_id = %s AND agent_id = %s AND day = %s", [check, agent, day]
        )
        found = cursor.fetchone()
        before = unpack(bytes(found[0])) if found else (np.zeros(0, np.int64),) * 3
        whole = fullest(*(np.concatenate(pair) for pair in zip(before, columns, strict=True)))
        changed = len(
            {*zip(*map(np.ndarray.tolist, whole), strict=True)} - {*zip(*map(np.ndarray.tolist, before), strict=True)}
        )
        if changed:
            cursor.execute(
                "INSERT INTO sla_rate (check_no_id, agent_id, day, rows, body) VALUES (%s, %s, %s, %s, %s)"
                " ON CONFLICT (check_no_id, day, agent_id) DO UPDATE SET rows = excluded.rows, body = excluded.body",
                [check, agent, day, int(whole[0].size), pack(*whole)],
            )
    return changed


def rates(*, checks: Collection[int], start: datetime, end: datetime) -> list[Rates]:
    """What was counted of these checks in slots that begin in [start, end), by check."""
    if not checks:
        return []
    away = distrusted()
    found: dict[int, list[tuple[Int64s, Int64s, Int64s]]] = defaultdict(list)
    agents: dict[int, set[int]] = defaultdict(set)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT check_no_id, agent_id, body FROM sla_rate WHERE check_no_id = ANY(%s) AND day BETWEEN %s AND %s",
            [list(checks), start.astimezone(UTC).date(), end.astimezone(UTC).date()],
        )
        for check, agent, body in cursor.fetchall():
            columns = unpack(bytes(body))
            agents[check].add(agent)
            some = (columns[0] >= micros(start)) & (columns[0] < micros(end))
            if agent in away:
                some &= ~away[agent].covers(columns[0])
            found[check].append(tuple(column[some] for column in columns))  # type: ignore[arg-type]
    return [
        Rates(check, *fullest(*(np.concatenate(c) for c in zip(*parts, strict=True))), frozenset(agents[check]))
        for check, parts in sorted(found.items())
    ]
