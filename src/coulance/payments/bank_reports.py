"""What banks answered to files of ours, as rows: each report read once, and what it said of each collection."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from coulance.payments.booking import require_transaction
from coulance.payments.collections import CollectionRow, RunRow, collections, fetch
from coulance.payments.debit_file import batch_id
from coulance_core.kernel import require_aware
from coulance_core.payments import MandateSequence
from coulance_core.payments.bank_answers import BankAnswer


@dataclass(frozen=True, slots=True)
class ReportRow:
    """A report that was read, and what came of it."""

    id: int
    message: str
    of: str
    form: str
    status: str
    created_at: datetime | None
    file_name: str
    read_at: datetime
    read_by: str
    outcome: dict[str, Any]


def keep_report(
    *,
    report: BankAnswer,
    file_name: str,
    fingerprint: bytes,
    outcome: Mapping[str, Any],
    actor: str,
    at: datetime,
) -> bool:
    """Keep a report as read; whether it was not before."""
    require_transaction("keep_report")
    return bool(
        fetch(
            "INSERT INTO payments_bank_report (message, of, form, status, created_at, file_name, fingerprint, read_at,"
            " read_by, outcome) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING RETURNING id",
            [
                report.message[:140],
                report.of[:140],
                report.form,
                report.status[:10],
                report.created_at,
                file_name[:200],
                fingerprint,
                require_aware(at),
                actor,
                json.dumps(dict(outcome)),
            ],
        )
    )


def was_read(fingerprint: bytes) -> bool:
    """Whether a report of exactly these bytes was read."""
    return bool(fetch("SELECT 1 FROM payments_bank_report WHERE fingerprint = %s", [fingerprint]))


def reports(*, limit: int = 50) -> list[ReportRow]:
    """Reports, the last read first."""
    rows = fetch(
        "SELECT id, message, of, form, status, created_at, file_name, read_at, read_by, outcome::text"
        " FROM payments_bank_report ORDER BY id DESC LIMIT %s",
        [limit],
    )
    found = [[*row[:9], json.loads(row[9])] for row in rows]
    return [ReportRow(*values) for values in found]


def in_batches(run: RunRow) -> dict[str, str]:
    """The collections of a file by end-to-end id, with the batch that each stands in."""
    return {
        row.end_to_end_id: batch_id(run.reference, MandateSequence(row.sequence), row.collect_on)
        for row in of_run(run.id)
    }


def of_run(run: int) -> Sequence[CollectionRow]:
    """The collections of a file."""
    return collections(run=run)


def note_answer(*, row: CollectionRow, status: str, said_at: datetime) -> bool:
    """Keep what the bank answered of a collection, unless something later is known; whether it was kept."""
    return bool(
        fetch(
            "UPDATE payments_collection SET bank_says = %s, bank_said_at = %s WHERE id = %s"
            " AND (bank_said_at IS NULL OR bank_said_at <= %s) AND bank_says <> %s RETURNING id",
            [status[:10], require_aware(said_at), row.id, said_at, status[:10]],
        )
    )
