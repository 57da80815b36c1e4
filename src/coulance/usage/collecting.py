"""Collectors' side of the sample store: readings and the cursor of their source commit together, or neither does.

A target (a device, a server) is asked without a transaction; then its readings, how far it got and what is remembered
of it (when it started) are written in one. Killed before that, the next go asks for the same again; killed after it,
nothing is asked twice. Two that ask the same target at once do no harm: the second finds that the row moved on.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from django.db import connection, transaction
from numpy.typing import NDArray

from coulance.platform.db import advisory_lock
from coulance.usage import pairing, registry
from coulance.usage.batches import ingest_batch
from coulance.usage.columns import Columns, Keys, Rejection
from coulance.usage.errors import UsageError
from coulance.usage.ingest import BatchAnswer
from coulance.usage.models import CollectorTarget, HalfReadings
from coulance.usage.pairing import Halves
from coulance.usage.registry import SeriesTable
from coulance_core.usage.polling import pause_s

SENT = "(sent to us)"
"""The target of a collector that is sent to rather than asked."""
MOST_WAITING = 2_000_000
"""Halves of readings that may wait, by collector; past it a sender is told to come again later."""
_LONGEST_ERROR = 500
_MOST_NOTES = 20
_NOTED = 3


class UnableToTakeMoreError(UsageError):
    """Too many halves of readings wait for their other half; send again later."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a target stands: `cursor` (epoch seconds: fetched and committed up to there) and what is remembered."""

    collector: str
    target: str
    version: int = 0
    cursor: int | None = None
    state: Mapping[str, Any] = field(default_factory=dict)
    failures: int = 0
    next_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class CollectorHealth:
    """How a target does. `state` is `new` (never asked), `ok`, `failing`, or `behind` (it still catches up).

    `lag_s` is how far what is committed lies behind the present; `notes` are things an operator should know.
    """

    collector: str
    target: str
    kind: str
    state: str
    last_success: datetime | None
    last_attempt: datetime | None
    last_error: str
    failures: int
    next_try: datetime | None
    lag_s: int | None
    taken: int
    refused: int
    unpaired: int
    notes: tuple[str, ...]


class Expected:
    """Which meter the rules mean for each key of a batch; the answer for one series table is kept."""

    def __init__(self, meters: Sequence[str]) -> None:
        self.meters = list(meters)
        self._kept: tuple[object, object, NDArray[np.bool_]] | None = None

    def wrong(self, keys: Keys, table: SeriesTable) -> NDArray[np.bool_]:
        """Which keys are assigned to another meter than their rule means."""
        if self._kept is None or self._kept[0] is not keys or self._kept[1] is not table:
            number = {meter.key: i for i, meter in enumerate(table.meters)}
            meant = np.array([number.get(name, -1) for name in self.meters], np.int32)
            places = table.positions(keys)
            have = table.meter[places] if len(table.meter) else np.full(len(places), -1, np.int32)
            self._kept = (keys, table, (places >= 0) & (have != meant))
        return self._kept[2]

    def judge(self, columns: Columns) -> None:
        """Mark the rows whose series counts for another meter as at fault."""
        table = registry.current()
        wrong = self.wrong(columns.keys, table)
        if not wrong.any():
            return
        for row in np.flatnonzero(wrong[columns.series]).tolist():
            code = int(columns.series[row])
            name = columns.keys.names[code]
            have = table.meters[table.meter[table.keys[name]]].key
            reason = f"{name} counts for meter {have!r}, and the collector's rule says {self.meters[code]!r}"
            columns.faults.append(Rejection(row, "series", reason))


def progress(targets: Collection[tuple[str, str]]) -> dict[tuple[str, str], Progress]:
    """Where these (collector, target) stand; one that was never asked stands at the beginning."""
    rows = CollectorTarget.objects.filter(collector__in={collector for collector, _ in targets})
    found = {
        (row.collector, row.target): Progress(
            row.collector, row.target, row.version, row.cursor, row.state, row.failures, row.next_at
        )
        for row in rows
    }
    return {pair: found.get(pair) or Progress(*pair) for pair in targets}


def take_collected(
    *,
    before: Progress,
    kind: str,
    columns: Columns | None,
    expected: Expected,
    cursor: int | None,
    state: Mapping[str, Any],
    notes: Sequence[str],
    next_at: datetime,
    at: datetime,
) -> BatchAnswer | None:
    """Commit what a target answered, with how far it got. `None` when somebody else was faster, or nothing came.

    `before` is what `progress` said when the target was asked.
    """
    with transaction.atomic():
        row = _locked(before.collector, before.target, kind)
        if row.version != before.version:
            return None
        answer = None
        if columns is not None and len(columns):
            expected.judge(columns)
            answer = ingest_batch(columns=columns, source=f"collector:{before.collector}", recorded_at=at)
        said = [*notes, *_notes_of(answer)]
        row.version += 1
        row.cursor, row.state, row.notes = cursor, dict(state), said[:_MOST_NOTES]
        row.attempted_at = row.succeeded_at = at
        row.failures, row.next_at = 0, next_at
        if answer is not None and not answer.resent:
            row.taken += answer.accepted + answer.late + answer.corrected + answer.quarantined
            row.refused += answer.rejected_rows
        row.save()
    return answer


def _notes_of(answer: BatchAnswer | None) -> list[str]:
    if answer is None:
        return []
    notes = [f"{fault.field}: {fault.reason}" for fault in answer.rejected[:_NOTED]]
    if answer.rejected_rows > _NOTED:
        notes.append(f"{answer.rejected_rows} readings were refused in all")
    if answer.quarantined:
        notes.append(f"{answer.quarantined} readings have series that nobody assigned: coulance usage quarantine list")
    return notes


def note_failure(
    *, before: Progress, kind: str, error: str, at: datetime, secrets: Collection[str] = (), asked_s: int = 0
) -> datetime:
    """Remember that a target couldn't be asked; gives when it is asked again. Secrets are struck out of `error`."""
    with transaction.atomic():
        row = _locked(before.collector, before.target, kind)
        row.version += 1
        row.failures += 1
        row.error = redacted(error, secrets)
        row.attempted_at = row.failed_at = at
        row.next_at = at + timedelta(seconds=pause_s(row.failures, f"{row.collector}/{row.target}", asked_s=asked_s))
        row.save()
    return row.next_at


def redacted(text: str, secrets: Collection[str]) -> str:
    """A message without any secret in it, cut to what a screen shows.

    >>> redacted("401 for https://x/?token=abc123", ["abc123"])
    '401 for https://x/?token=***'
    """
    for secret in sorted((one for whole in secrets for one in {whole, *whole.split(":"), whole.partition("=")[2]}),
                         key=len, reverse=True):  # fmt: skip
        if len(secret) >= 4:
            text = text.replace(secret, "***")
    return " ".join(text.split())[:_LONGEST_ERROR]


def _locked(collector: str, target: str, kind: str) -> CollectorTarget:
    CollectorTarget.objects.bulk_create(
        [CollectorTarget(collector=collector, target=target, kind=kind)], ignore_conflicts=True
    )
    row = CollectorTarget.objects.select_for_update().get(collector=collector, target=target)
    row.kind = kind
    return row


# What is sent to us


@dataclass(frozen=True, slots=True)
class Written:
    """What became of readings that were sent: the batch's answer, and halves that wait or gave up waiting."""

    answer: BatchAnswer
    waiting: int = 0
    unpaired: int = 0


def take_written(
    *,
    collector: str,
    columns: Columns,
    halves: Halves | None,
    expected: Expected,
    meters: Mapping[str, str],
    digest: bytes,
    max_wait_s: int,
    at: datetime,
) -> Written:
    """Commit what a sender wrote, exactly once: `digest` is of the request's body, which a sender repeats as it was.

    Whole readings are ingested, with those that `halves` and earlier halves make together; what is alone waits.
    `meters` says by key which meter the rules mean. Raises `UnableToTakeMoreError` when too many wait.
    """
    waiting = unpaired = 0
    with transaction.atomic():
        batch, meant = columns, expected
        if halves is not None and len(halves):
            advisory_lock("usage", "halves", collector)
            unpaired = _give_up(collector, at - timedelta(seconds=max_wait_s))
            lots, all_halves = _waiting(collector, halves)
            pairs, alone = pairing.paired(all_halves)
            if len(pairs):
                batch = _with_pairs(columns, all_halves.names, pairs)
                meant = Expected([meters.get(name, "") for name in batch.keys.names])
        meant.judge(batch)
        answer = ingest_batch(
            columns=batch, source=f"collector:{collector}", recorded_at=at, key=f"body:{digest.hex()}", digest=digest
        )
        if halves is not None and len(halves) and not answer.resent:
            _keep(collector, lots, all_halves, alone, at)
            waiting = sum(HalfReadings.objects.filter(collector=collector).values_list("rows", flat=True))
            if waiting > MOST_WAITING:
                raise UnableToTakeMoreError(f"{waiting} readings wait for their other direction; send again later")
    return Written(answer, waiting, unpaired)


def _give_up(collector: str, before: datetime) -> int:
    old = HalfReadings.objects.filter(collector=collector, recorded_at__lt=before)
    rows = sum(old.values_list("rows", flat=True))
    if rows:
        old.delete()
    return rows


@dataclass(frozen=True, slots=True)
class _Lot:
    """A row of halves that wait, and how many there are."""

    pk: int
    recorded_at: datetime
    rows: int


def _waiting(collector: str, halves: Halves) -> tuple[list[_Lot], Halves]:
    """(lots that can hold other halves of these, all their halves with these last)."""
    found = list(
        HalfReadings.objects.filter(
            collector=collector, at_min__lte=int(halves.at.max()), at_max__gte=int(halves.at.min())
        ).order_by("id")
    )
    parts = [pairing.decoded(bytes(row.data)) for row in found]
    lots = [_Lot(row.pk, row.recorded_at, len(part)) for row, part in zip(found, parts, strict=True)]
    return lots, pairing.joined([*parts, halves]) if parts else halves


def _keep(collector: str, lots: Sequence[_Lot], halves: Halves, alone: NDArray[np.intp], at: datetime) -> None:
    """What is left of each lot goes on waiting from when it came; what came now begins to."""
    begin = 0
    for lot in lots:
        rest = alone[(alone >= begin) & (alone < begin + lot.rows)]
        begin += lot.rows
        if len(rest) < lot.rows:
            HalfReadings.objects.filter(pk=lot.pk).delete()
            _store_halves(collector, halves.take(rest), lot.recorded_at)
    _store_halves(collector, halves.take(alone[alone >= begin]), at)


def _store_halves(collector: str, alone: Halves, recorded_at: datetime) -> None:
    if not len(alone):
        return
    names, series = np.unique(alone.series, return_inverse=True)
    kept = replace(alone, names=[alone.names[i] for i in names.tolist()], series=series.astype(np.int32))
    HalfReadings.objects.create(
        collector=collector,
        recorded_at=recorded_at,
        rows=len(kept),
        at_min=int(kept.at.min()),
        at_max=int(kept.at.max()),
        data=kept.encoded(),
    )


def _with_pairs(columns: Columns, names: list[str], pairs: pairing.Pairs) -> Columns:
    number = {name: i for i, name in enumerate(columns.keys.names)}
    codes = np.array([number.setdefault(name, len(number)) for name in names], np.int32)
    return Columns(
        Keys(list(number)),
        np.concatenate((columns.series, codes[pairs.series])).astype(np.int32),
        np.concatenate((columns.at, pairs.at)),
        np.concatenate((columns.v_in, pairs.v_in)),
        np.concatenate((columns.v_out, pairs.v_out)),
        columns.faults,
    )


def note_written(
    *,
    collector: str,
    kind: str,
    answers: Sequence[Written],
    newest: int | None,
    notes: Sequence[str],
    at: datetime,
    error: str = "",
) -> None:
    """Remember how a sender does; several requests at once, for this is one row that all of them would wait for."""
    with transaction.atomic():
        row = _locked(collector, SENT, kind)
        row.version += 1
        row.attempted_at = at
        if error:
            row.failures += 1
            row.failed_at, row.error = at, redacted(error, ())
        else:
            row.succeeded_at, row.failures = at, 0
            row.notes = [*notes, *(note for one in answers[-1:] for note in _notes_of(one.answer))][:_MOST_NOTES]
        if newest is not None:
            row.cursor = max(newest, row.cursor or 0)
        for one in answers:
            row.unpaired += one.unpaired
            if not one.answer.resent:
                row.taken += one.answer.accepted + one.answer.late + one.answer.corrected + one.answer.quarantined
                row.refused += one.answer.rejected_rows
        row.save()


# Health


def health(*, at: datetime, behind_s: int = 900) -> list[CollectorHealth]:
    """How every target does that was ever asked, by collector and target; those that fail first."""
    now = int(at.timestamp())
    out = []
    for row in CollectorTarget.objects.order_by("collector", "target"):
        lag = None if row.cursor is None else max(now - row.cursor, 0)
        if row.failures:
            state = "failing"
        elif row.succeeded_at is None:
            state = "new"
        else:
            state = "behind" if lag is not None and lag > behind_s else "ok"
        out.append(
            CollectorHealth(
                collector=row.collector,
                target=row.target,
                kind=row.kind,
                state=state,
                last_success=row.succeeded_at,
                last_attempt=row.attempted_at,
                last_error=row.error if row.failures else "",
                failures=row.failures,
                next_try=row.next_at,
                lag_s=lag,
                taken=row.taken,
                refused=row.refused,
                unpaired=row.unpaired,
                notes=tuple(row.notes),
            )
        )
    return sorted(out, key=lambda one: one.state != "failing")


def forget(*, collectors: Collection[str]) -> int:
    """Forget the targets of collectors that are not in the provider file any more; returns how many."""
    return CollectorTarget.objects.exclude(collector__in=list(collectors)).delete()[0]


def instant(epoch: int) -> datetime:
    """An instant from epoch seconds."""
    return datetime.fromtimestamp(epoch, UTC)


def close_connection() -> None:
    """Give this thread's database connection back; a runner's threads call it when their work is done."""
    connection.close()
