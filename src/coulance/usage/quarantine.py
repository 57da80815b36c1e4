"""Samples without a place yet, their series or its meter being unknown: kept as sent, shown, replayed, not dropped."""

import io
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
from django.db import transaction
from django.db.models import Count, Max, Min, Sum
from numpy.typing import NDArray

from coulance.usage import ingest, registry, validating
from coulance.usage.columns import Columns, part_of, restored
from coulance.usage.errors import UnableToReplayError
from coulance.usage.models import Horizon, Quarantined
from coulance.usage.registry import SeriesTable

Int64s = NDArray[np.int64]

SOURCE = "quarantine"


@dataclass(frozen=True, slots=True)
class QuarantinedSeries:
    """What waits for one series key."""

    key: str
    reason: str
    rows: int
    batches: int
    first_at: datetime
    last_at: datetime
    since: datetime
    note: str


@dataclass(frozen=True, slots=True)
class ReplayAnswer:
    """What a replay did: series keys replayed, rows by outcome, and what still can't be placed, with the reason."""

    keys: tuple[str, ...]
    rows: int
    accepted: int
    late: int
    corrected: int
    duplicate: int
    stuck: tuple[tuple[str, str], ...]


def _stream(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def entries(columns: Columns, which: Int64s, table: SeriesTable) -> Iterator[tuple[Any, ...]]:
    """The quarantine rows for the rows `which` of a batch: (reason, key, rows, at_min, at_max, data), one a key."""
    if not len(which):
        return
    order = which[np.argsort(columns.series[which], kind="stable")]
    codes = columns.series[order]
    edges = np.flatnonzero(np.concatenate(([True], codes[1:] != codes[:-1])))
    for begin, end in zip(edges.tolist(), [*edges[1:].tolist(), len(order)], strict=True):
        rows = order[begin:end]
        key = columns.keys.names[codes[begin]]
        meter = table.lost.get(key)
        reason = "no series has this key" if meter is None else f"its meter {meter!r} is not in the catalog"
        at = columns.at[rows]
        yield reason, key, len(rows), int(at.min()), int(at.max()), _stream(part_of(columns, rows))


def waiting() -> list[QuarantinedSeries]:
    """What waits, by series key."""
    found = (
        Quarantined.objects.filter(state="waiting")
        .values("series_key")
        .annotate(
            reason=Max("reason"),
            total=Sum("rows"),
            batches=Count("id"),
            first=Min("at_min"),
            last=Max("at_max"),
            since=Min("recorded_at"),
            said=Max("note"),
        )
        .order_by("series_key")
    )
    return [
        QuarantinedSeries(
            key=one["series_key"],
            reason=one["reason"],
            rows=one["total"],
            batches=one["batches"],
            first_at=datetime.fromtimestamp(one["first"], UTC),
            last_at=datetime.fromtimestamp(one["last"], UTC),
            since=one["since"],
            note=one["said"],
        )
        for one in found
    ]


def replay(*, recorded_at: datetime, keys: list[str] | None = None) -> ReplayAnswer:
    """Ingest what waits for series that are known by now, oldest batch first, each entry in a transaction of its own.

    An entry with a row that its meter can't take (finer than its scale, say) stays, with the reason noted. Samples
    keep the instants at which they were used.
    """
    table = registry.current()
    held = Quarantined.objects.filter(state="waiting")
    if keys is not None:
        held = held.filter(series_key__in=keys)
    ready = [pk for pk, key in held.order_by("id").values_list("id", "series_key") if key in table.keys]
    counts = dict.fromkeys(("rows", "accepted", "late", "corrected", "duplicate"), 0)
    done: dict[str, None] = {}
    stuck: dict[str, str] = {}
    for pk in ready:
        with transaction.atomic():
            entry = Quarantined.objects.select_for_update().filter(pk=pk, state="waiting").first()
            if entry is None:  # somebody else replayed it meanwhile
                continue
            columns = restored(entry.series_key, pa.ipc.open_stream(bytes(entry.data)).read_all())
            kept_from = Horizon.objects.values_list("kept_from", flat=True).first()
            # Judged as of when it was received: what was no future sample then is none now, and the reverse.
            valid, faults, rest = validating.validate(
                columns, table, recorded_at=entry.recorded_at, kept_from=kept_from
            )
            if faults or len(rest):
                reason = f"row {faults[0].row}, {faults[0].field}: {faults[0].reason}" if faults else entry.reason
                stuck[entry.series_key] = reason
                Quarantined.objects.filter(pk=pk).update(note=reason)
                continue
            answer = ingest.commit(
                valid=valid,
                table=table,
                source=SOURCE,
                key=str(pk),
                digest=columns.digest(),
                recorded_at=recorded_at,
                faults=[],
                quarantine=(),
                quarantined=0,
                rows=len(columns),
                kept_from=kept_from,
            )
            Quarantined.objects.filter(pk=pk).update(state="replayed", settled_at=recorded_at, note="")
        done[entry.series_key] = None
        for name in counts:
            counts[name] += getattr(answer, name)
    return replace(
        ReplayAnswer(tuple(done), 0, 0, 0, 0, 0, tuple(stuck.items())),
        **counts,  # type: ignore[arg-type]
    )


def discard(*, keys: list[str], reason: str, recorded_at: datetime) -> int:
    """Give up what waits for `keys`, for a stated reason; the rows stay on record as discarded. Returns how many."""
    if not reason.strip():
        raise UnableToReplayError("say why these samples are given up: they will not be billed")
    with transaction.atomic():
        held = Quarantined.objects.select_for_update().filter(state="waiting", series_key__in=keys)
        total = sum(entry.rows for entry in held)
        held.update(state="discarded", settled_at=recorded_at, note=reason)
    return total
