"""Taking a batch in: the hot path.

A batch becomes one blob row, a few updated counter pages and a batch row, in one transaction; nothing is acknowledged
before that commits. Pages are locked by advisory locks, `STRIPES` of them for all pages, taken in ascending order: two
writers of the same series wait for each other, never in a ring, and a lock costs no write.

The batch's number (its samples' revision) is drawn while the locks are held: for any series, revisions ascend in the
order of commits. It is drawn under a shared advisory lock, so that `fence()` can say of a number that no batch up
to it is still under way.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import psycopg
from django.db import connection, transaction
from numpy.typing import NDArray
from psycopg.types.json import Jsonb

from coulance.platform.db import lock_key
from coulance.usage import blobs, counting, late, pages
from coulance.usage.blobs import Rows
from coulance.usage.columns import Columns, Rejection
from coulance.usage.counting import NO_STARTS, Starts, Tally
from coulance.usage.errors import UnableToIngestError
from coulance.usage.models import Batch
from coulance.usage.pages import DAY, NEVER, PAGE, STATE
from coulance.usage.registry import COUNTER, SeriesTable
from coulance.usage.validating import Valid, validate

Int64s = NDArray[np.int64]
Bools = NDArray[np.bool_]

SHOWN_REJECTIONS = 1000
"""Rejected rows that an answer lists; it always says how many there were."""

PREPARE_AFTER = 3
"""Batches after which the server keeps our statements' plans."""

REVISIONS_LOCK = lock_key("usage", "revisions")
STRIPES = 512
"""Locks that all pages share: page number modulo this. A server has room for thousands of locks, not for millions."""
STRIPE_LOCK = lock_key("usage", "page") % 2**31
"""The first half of a stripe's two-part advisory lock; the stripe is the second."""
CHANNEL = "coulance_usage"
"""NOTIFY on it says that samples were committed; who listens asks `queries.touched_since` which."""


def lock_pages(raw: "psycopg.Connection[Any]", numbers: Int64s) -> None:
    """Wait for, and hold until the transaction ends, the locks of these pages."""
    psycopg.Cursor(raw).execute(
        "SELECT pg_advisory_xact_lock(%s, s) FROM unnest(%b::int[]) AS s",
        (STRIPE_LOCK, np.unique(numbers % STRIPES).tolist()),
    )


@dataclass(frozen=True, slots=True)
class BatchAnswer:
    """What became of a batch's rows; the counts add up to `rows`.

    `accepted` rows were newer than all their series had; `late` ones were not, and were missing; `corrected` ones
    replace another value; `duplicate` ones were there already. `quarantined` rows wait for their series to be assigned.
    `resent` says that the whole batch had come before, and this is the answer it got then.
    """

    revision: int
    rows: int
    accepted: int
    duplicate: int
    late: int
    corrected: int
    quarantined: int
    rejected_rows: int
    rejected: tuple[Rejection, ...]
    resent: bool = False

    def as_json(self) -> dict[str, Any]:
        """Plain values, as the API answers and as the batch row keeps."""
        return {
            "batch": self.revision,
            "rows": self.rows,
            "accepted": self.accepted,
            "duplicate": self.duplicate,
            "late": self.late,
            "corrected": self.corrected,
            "quarantined": self.quarantined,
            "rejected_rows": self.rejected_rows,
            "rejected": [{"row": r.row, "field": r.field, "reason": r.reason} for r in self.rejected],
            "resent": self.resent,
        }


def answer_from(kept: dict[str, Any], *, resent: bool) -> BatchAnswer:
    """The answer that a batch row keeps."""
    return BatchAnswer(
        revision=kept["batch"],
        rejected=tuple(Rejection(**r) for r in kept["rejected"]),
        resent=resent,
        **{name: kept[name] for name in ("rows", "accepted", "duplicate", "late", "corrected", "quarantined")},
        rejected_rows=kept["rejected_rows"],
    )


def _answer_again(key: str, digest: bytes, kept_digest: bytes, answer: "dict[str, Any] | str") -> BatchAnswer:
    """The answer of a batch that came before. Raises when its key was used for another batch."""
    if kept_digest != digest:
        raise UnableToIngestError(
            f"the key {key.removeprefix('key:')!r} was used before, for another batch; use a new key"
        )
    return answer_from(json.loads(answer) if isinstance(answer, str) else answer, resent=True)


def ingest(
    *,
    columns: Columns,
    table: SeriesTable,
    source: str,
    key: str,
    digest: bytes,
    recorded_at: datetime,
    quarantine: Callable[[Int64s], Iterable[tuple[Any, ...]]],
) -> BatchAnswer:
    """Judge and write a batch. `quarantine` makes the quarantine rows of the row numbers it is given."""
    kept_from: int | None = None
    while True:
        valid, faults, unknown = validate(columns, table, recorded_at=recorded_at, kept_from=kept_from)
        try:
            return commit(
                valid=valid,
                table=table,
                source=source,
                key=key,
                digest=digest,
                recorded_at=recorded_at,
                faults=faults,
                quarantine=quarantine(unknown),
                quarantined=len(unknown),
                rows=len(columns),
                kept_from=kept_from,
            )
        except BehindHorizonError as behind:
            kept_from = behind.kept_from


class _ResentError(Exception):
    """This very batch came before: roll back and give the answer it got; `None` while another writer is at it."""

    def __init__(self, answer: BatchAnswer | None) -> None:
        self.answer = answer


class BehindHorizonError(Exception):
    """Some rows are older than what is kept: they must be refused first."""

    def __init__(self, kept_from: int) -> None:
        self.kept_from = kept_from


def commit(
    *,
    valid: Valid,
    table: SeriesTable,
    source: str,
    key: str,
    digest: bytes,
    recorded_at: datetime,
    faults: list[Rejection],
    quarantine: Iterable[tuple[Any, ...]],
    quarantined: int,
    rows: int,
    kept_from: int | None = None,
) -> BatchAnswer:
    """Write a judged batch in one transaction and say what became of it."""
    faults = sorted(faults, key=lambda fault: fault.row)
    rejected = len({fault.row for fault in faults})
    try:
        with transaction.atomic():
            connection.ensure_connection()
            raw = connection.connection
            # Django turns prepared statements off, for poolers that lose them. Ours are few and the same every time,
            # and planning them anew costs a third of a batch. (Jobs and locks want a direct connection anyway.)
            raw.prepare_threshold = PREPARE_AFTER
            writer = _Writer(raw, table, valid, source, key, digest)
            revision = writer.lock(kept_from)
            fresh, duplicate, late_rows, corrected = writer.place()
            answer = BatchAnswer(
                revision=revision,
                rows=rows,
                accepted=fresh,
                duplicate=duplicate + valid.same_twins,
                late=late_rows,
                corrected=corrected + valid.other_twins,
                quarantined=quarantined,
                rejected_rows=rejected,
                rejected=tuple(faults[:SHOWN_REJECTIONS]),
            )
            writer.write(answer, recorded_at, quarantine)
    except _ResentError as resent:
        if resent.answer is not None:
            return resent.answer
        kept = Batch.objects.values_list("digest", "answer").get(source=source, key=key)
        return _answer_again(key, digest, bytes(kept[0]), kept[1])
    if fresh or late_rows or corrected:
        transaction.on_commit(_announce, robust=True)
    return answer


def _announce() -> None:
    """Wake whoever judges new use. After the commit, not in it: commits that notify wait for each other, disk and all.

    What dies in between is found by the listener's own look every so often.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_notify(%s, '')", [CHANNEL])


class _Writer:
    """One batch on its way into the database."""

    def __init__(
        self,
        raw: "psycopg.Connection[Any]",
        table: SeriesTable,
        valid: Valid,
        source: str,
        key: str,
        digest: bytes,
    ) -> None:
        self.raw = raw
        self.source, self.key, self.digest = source, key, digest
        self.table = table
        self.rows = valid.rows
        self.positions = valid.positions
        self.starts = valid.starts
        page = self.rows.series // PAGE
        self.pages = page[counting.first_rows(page)] if len(page) else page
        self.slot = np.searchsorted(self.pages, page) * PAGE + self.rows.series % PAGE
        self.days = counting.civil_days(table, self.positions, self.rows.at)
        self.revision = 0
        self.state = pages.join([], STATE)
        self.held_days: dict[tuple[int, int], tuple[int, bytes]] = {}
        self.kept = self.rows
        self.tally: Tally | None = None
        self.new_starts = NO_STARTS

    def lock(self, kept_from: int | None) -> int:
        """Lock the pages, read them, and draw the revision; all in one round trip.

        Raises `_ResentError` for a batch that came before, `BehindHorizonError` when more has expired than `kept_from`.
        """
        pairs = self._day_pairs(self.rows.series, self.days)
        state, scalars, days = (psycopg.Cursor(self.raw) for _ in range(3))
        with self.raw.pipeline():
            # The same connection runs these one after another, each with a view of its own: after the locks, the pages
            # are read as the last writer left them.
            lock_pages(self.raw, self.pages)
            scalars.execute(
                "SELECT pg_advisory_xact_lock_shared(%s), nextval('usage_revision'),"
                " (SELECT kept_from FROM usage_horizon), b.digest, b.answer"
                " FROM (VALUES (1)) one LEFT JOIN usage_batch b ON b.source = %s AND b.key = %s",
                (REVISIONS_LOCK, self.source, self.key),
            )
            state.execute(
                "SELECT page, data FROM usage_state_page WHERE page = ANY(%b::int[]) ORDER BY page",
                (self.pages.tolist(),),
                binary=True,
            )
            self._select_days(days, pairs)
        row = scalars.fetchone()
        assert row is not None
        _, self.revision, expired, digest, answer = row
        if digest is not None:
            raise _ResentError(_answer_again(self.key, self.digest, bytes(digest), answer))
        if expired is not None and expired != kept_from and len(self.rows) and self.rows.at.min() < expired:
            raise BehindHorizonError(expired)
        held = dict(state.fetchall())
        self.state = pages.join([held.get(page, pages.EMPTY_STATE) for page in self.pages.tolist()], STATE)
        self._keep_days(days)
        return self.revision

    def place(self) -> tuple[int, int, int, int]:
        """Decide what is new, duplicate, late and corrected: (accepted, duplicate, late, corrected)."""
        rows, n = self.rows, len(self.rows)
        if not n:
            return 0, 0, 0, 0
        last = self.state[self.slot]
        prior = Rows(rows.series, pages.marks(last), last["last_in"], last["last_out"])
        behind = rows.at <= prior.at
        counters = bool((self.table.kind[self.positions] == COUNTER).any())
        known = self._known_starts(prior) if counters else NO_STARTS
        every, past = self._merge_starts(known, prior)
        if not behind.any() and not len(past[0]):
            first = counting.first_rows(rows.series)
            self.tally = counting.grouped(
                counting.tally_of(self.table, self.positions, rows, first, prior, every, self.days)
            )
            self._advance(rows, self.slot)
            return n, 0, 0, 0
        return self._place_late(prior, behind, known, every, past)

    def _place_late(
        self, prior: Rows, behind: Bools, known: Starts, every: Starts, past: tuple[Int64s, Int64s]
    ) -> tuple[int, int, int, int]:
        rows = self.rows
        old = np.flatnonzero(behind)
        judged = late.judge(rows.take(old), prior.take(old))
        changed = np.zeros(len(rows), np.bool_)
        changed[old[judged.late | judged.corrected]] = True
        tallies = [late.linear_tally(self.table, self.positions[old], rows.take(old), judged, self.days[old])]
        counter = self.table.kind[self.positions] == COUNTER
        touched = np.unique(np.concatenate((rows.series[counter & changed], past[0])))
        window = counter & np.isin(rows.series, touched)
        straight = ~behind & ~window
        if straight.any():
            ahead = rows.take(straight)
            tallies.append(
                counting.tally_of(
                    self.table,
                    self.positions[straight],
                    ahead,
                    counting.first_rows(ahead.series),
                    prior.take(straight),
                    every,
                    self.days[straight],
                )
            )
        if len(touched):
            marks = dict(zip(prior.series.tolist(), prior.at.tolist(), strict=True))
            tallies.append(
                late.counter_tally(self.table, rows.take(window & (changed | ~behind)), past, marks, known, every)
            )
        # Every changed sample marks its day, also when the sums stay as they were: closing compares revisions.
        nothing = np.zeros(int(changed.sum()), np.int64)
        tallies.append(Tally(rows.series[changed], self.days[changed], nothing, nothing, nothing))
        self.tally = counting.grouped(*tallies)
        kept = changed | ~behind
        self.kept = rows.take(kept)
        at_mark = kept & (rows.at >= prior.at)
        self._advance(rows.take(at_mark), self.slot[at_mark])
        return (
            int((~behind).sum()),
            int(judged.duplicate.sum()),
            int(judged.late.sum()),
            int(judged.corrected.sum()),
        )

    def _advance(self, rows: Rows, slot: Int64s) -> None:
        """Set each series' newest sample; `rows` are at or after its mark."""
        if not len(rows):
            return
        ends = np.append(np.flatnonzero(rows.series[1:] != rows.series[:-1]), len(rows) - 1)
        where = slot[ends]
        pages.set_marks(self.state, where, rows.at[ends])
        self.state["last_in"][where] = rows.v_in[ends]
        self.state["last_out"][where] = rows.v_out[ends]

    def _known_starts(self, prior: Rows) -> Starts:
        """Recorded counter starts that can matter to these rows."""
        moments = np.concatenate((self.rows.at, prior.at[prior.at > NEVER]))
        low = int(moments.min())
        if len(self.starts.at) or (self.rows.at <= prior.at).any():
            low = -(2**60)  # the slow path looks around further: all evidence of these series
        cursor = psycopg.Cursor(self.raw)
        cursor.execute(
            "SELECT series_id, at FROM usage_counter_start WHERE at >= %s AND series_id = ANY(%b::bigint[])"
            " ORDER BY series_id, at",
            (low, np.unique(self.rows.series).tolist()),
            binary=True,
        )
        found = cursor.fetchall()
        if not found:
            return NO_STARTS
        return Starts(np.array([r[0] for r in found], np.int64), np.array([r[1] for r in found], np.int64))

    def _merge_starts(self, known: Starts, prior: Rows) -> tuple[Starts, tuple[Int64s, Int64s]]:
        """(all evidence, the new evidence that lies in the past of its series). A clock is allowed a minute's play."""
        empty = np.empty(0, np.int64)
        if not len(self.starts.series):
            return known, (empty, empty)
        have: dict[int, list[int]] = {}
        for series, at in zip(known.series.tolist(), known.at.tolist(), strict=True):
            have.setdefault(series, []).append(at)
        new: list[tuple[int, int]] = []
        for series, at in zip(self.starts.series.tolist(), self.starts.at.tolist(), strict=True):
            if all(abs(at - other) > 60 for other in have.get(series, ())):
                have.setdefault(series, []).append(at)
                new.append((series, at))
        if not new:
            return known, (empty, empty)
        self.new_starts = Starts(np.array([s for s, _ in new], np.int64), np.array([a for _, a in new], np.int64))
        both = Starts(
            np.concatenate((known.series, self.new_starts.series)), np.concatenate((known.at, self.new_starts.at))
        )
        order = np.lexsort((both.at, both.series))
        mark = dict(zip(prior.series.tolist(), prior.at.tolist(), strict=True))
        past = np.array([at <= mark[series] for series, at in new], np.bool_)
        return Starts(both.series[order], both.at[order]), (self.new_starts.series[past], self.new_starts.at[past])

    def _day_pairs(self, series: Int64s, days: Int64s) -> NDArray[np.int64]:
        """The distinct (page, day) of samples, as rows of two; sorted."""
        if not len(series):
            return np.empty((0, 2), np.int64)
        key = ((series // PAGE) << 20) | days
        edges = counting.first_rows(key)
        distinct = np.unique(key[edges])
        return np.column_stack((distinct >> 20, distinct & ((1 << 20) - 1)))

    def _select_days(self, cursor: "psycopg.Cursor[Any]", pairs: NDArray[np.int64]) -> None:
        cursor.execute(
            "SELECT d.page, d.day, d.revision, d.data FROM unnest(%b::int[], %b::int[]) AS w(page, day)"
            " JOIN usage_day_page d ON d.page = w.page AND d.day = w.day",
            (pairs[:, 0].tolist(), pairs[:, 1].tolist()),
            binary=True,
        )

    def _keep_days(self, cursor: "psycopg.Cursor[Any]") -> None:
        for page, day, revision, data in cursor.fetchall():
            self.held_days[page, day] = revision, data

    def _updated_days(self) -> tuple[list[int], list[int], bytes]:
        """The day pages after this batch: pages, days, data."""
        tally = self.tally
        if tally is None or not len(tally):
            return [], [], b""
        pairs = self._day_pairs(tally.series, tally.day)
        names = [(int(p), int(d)) for p, d in pairs.tolist()]
        missing = [i for i, name in enumerate(names) if name not in self.held_days]
        if missing and self.kept is not self.rows:  # the slow path may reach days that the batch itself has not
            cursor = psycopg.Cursor(self.raw)
            self._select_days(cursor, pairs[missing])
            self._keep_days(cursor)
        held = [self.held_days.get(name, (self.revision, pages.EMPTY_DAY)) for name in names]
        records = pages.join([data for _, data in held], DAY)
        key = (pairs[:, 0] << 20) | pairs[:, 1]
        slot = np.searchsorted(key, ((tally.series // PAGE) << 20) | tally.day) * PAGE + tally.series % PAGE
        records["n"][slot] += tally.n.astype(np.int32)
        records["v_in"][slot] += tally.v_in
        records["v_out"][slot] += tally.v_out
        pages.touch(records, np.array([revision for revision, _ in held], np.int64), slot, self.revision)
        return [p for p, _ in names], [d for _, d in names], records.tobytes()

    def write(
        self,
        answer: BatchAnswer,
        recorded_at: datetime,
        quarantine: Iterable[tuple[Any, ...]],
    ) -> None:
        """Send all writes in one round trip."""
        day_pages, days, day_data = self._updated_days()
        batch = psycopg.Cursor(self.raw)
        with self.raw.pipeline():
            batch.execute(
                "INSERT INTO usage_batch (id, source, key, digest, recorded_at, rows, answer)"
                " VALUES (%s, %s, %s, %b, %s, %s, %s) ON CONFLICT (source, key) DO NOTHING RETURNING id",
                (
                    self.revision,
                    self.source,
                    self.key,
                    self.digest,
                    recorded_at,
                    answer.rows,
                    Jsonb(answer.as_json()),
                ),
            )
            if len(self.kept):
                psycopg.Cursor(self.raw).execute(
                    "INSERT INTO usage_blob (id, rows, series_min, series_max, at_min, at_max, data)"
                    " VALUES (%s, %s, %s, %s, %s, %s, %b)",
                    (
                        self.revision,
                        len(self.kept),
                        int(self.kept.series[0]),
                        int(self.kept.series[-1]),
                        int(self.kept.at.min()),
                        int(self.kept.at.max()),
                        blobs.encode(self.kept),
                    ),
                )
                # All pages go as one value, cut on the server: cheaper than an array of values.
                psycopg.Cursor(self.raw).execute(
                    "INSERT INTO usage_state_page (page, data)"
                    " SELECT page, substring(%b FROM ((i - 1) * %s + 1)::int FOR %s)"
                    " FROM unnest(%b::int[]) WITH ORDINALITY AS w(page, i)"
                    " ON CONFLICT (page) DO UPDATE SET data = excluded.data",
                    (self.state.tobytes(), pages.STATE_BYTES, pages.STATE_BYTES, self.pages.tolist()),
                )
            if days:
                psycopg.Cursor(self.raw).execute(
                    "INSERT INTO usage_day_page (page, day, revision, data)"
                    " SELECT page, day, %s, substring(%b FROM ((i - 1) * %s + 1)::int FOR %s)"
                    " FROM unnest(%b::int[], %b::int[]) WITH ORDINALITY AS w(page, day, i)"
                    " ON CONFLICT (page, day) DO UPDATE SET data = excluded.data, revision = excluded.revision",
                    (self.revision, day_data, pages.DAY_BYTES, pages.DAY_BYTES, day_pages, days),
                )
            if len(self.new_starts.series):
                psycopg.Cursor(self.raw).execute(
                    "INSERT INTO usage_counter_start (series_id, at, batch)"
                    " SELECT s, a, %s FROM unnest(%b::bigint[], %b::bigint[]) AS w(s, a) ON CONFLICT DO NOTHING",
                    (self.revision, self.new_starts.series.tolist(), self.new_starts.at.tolist()),
                )
            for entry in quarantine:
                psycopg.Cursor(self.raw).execute(
                    "INSERT INTO usage_quarantine (batch, source, recorded_at, reason, series_key, rows, at_min,"
                    " at_max, data, state, note) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %b, 'waiting', '')",
                    (self.revision, self.source, recorded_at, *entry),
                )
        if batch.fetchone() is None:
            raise _ResentError(None)
