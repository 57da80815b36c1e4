"""What banks answer to our files (pain.002): what they refuse is owed as before, and its customers hear why.

A report is read whole or not at all, and only once; read again, in any order with others and with statements, nothing
happens twice. Only statements move money: a refusal of what a statement credited already is left to the entry that
takes it back, and says so.
"""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

from django.db import transaction

from coulance.catalog import queries as catalog
from coulance.customers import queries as customers
from coulance.flows.rails import paying_back, returning
from coulance.payments import bank_reports, collections, payback_rows
from coulance.payments import paying_back as paybacks
from coulance.payments.collections import CollectionRow
from coulance.payments.payback_rows import PaybackRow
from coulance.platform import audit
from coulance.platform.alarms import raise_alarm
from coulance.platform.db import advisory_lock
from coulance_core.payments import ReversalKind
from coulance_core.payments.bank_answers import Answer, BankAnswer, Level, Verdict, judge
from coulance_core.payments.direct_debit import CollectionState, return_reason
from coulance_core.payments.paybacks import PaybackState

ALARM = "payments.file_refused"
REFUSED = "refused"
NOTED = "noted"
KNOWN = "known"
LEFT = "left"


@dataclass(frozen=True, slots=True)
class GivenReport:
    """A report as it was read from a file of this name and content."""

    name: str
    content: bytes
    report: BankAnswer


@dataclass(frozen=True, slots=True)
class Told:
    """What a report said of one payment, and what came of it: refused, noted, known (before), left (to a person)."""

    end_to_end_id: str
    who: str
    amount: str
    status: str
    outcome: str
    why: str


@dataclass(slots=True)
class ReportDone:
    """One report and what it came to. `again`: it was read before. `notes` are for a person."""

    name: str
    message: str
    of: str
    again: bool = False
    told: list[Told] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def count(self, outcome: str) -> int:
        """How many payments came to that."""
        return sum(1 for one in self.told if one.outcome == outcome)


class _TakenBackError(Exception):
    """Ends a dry run's transaction."""


def read_reports(*, files: Sequence[GivenReport], apply: bool, actor: str, at: datetime) -> list[ReportDone]:
    """Carry out what reports say, each in a transaction of its own; without `apply` nothing stays."""
    done: list[ReportDone] = []
    try:
        with transaction.atomic():
            for file in files:
                with transaction.atomic():
                    done.append(_read(file, actor, at))
            if not apply:
                raise _TakenBackError
    except _TakenBackError:
        pass
    return done


def _read(file: GivenReport, actor: str, at: datetime) -> ReportDone:
    advisory_lock("payments", "bank import")  # statements and reports one at a time: they move the same rows
    report = file.report
    done = ReportDone(file.name, report.message, report.of)
    digest = hashlib.sha256(file.content).digest()
    if bank_reports.was_read(digest):
        done.again = True
        return done
    if runs := collections.runs(reference=report.of):
        _of_collections(runs[0].id, report, done, actor, at)
    elif transfers := payback_rows.payback_runs(reference=report.of):
        _of_paybacks(transfers[0].id, report, done, actor, at)
    else:
        done.notes.append(f"{report.place}: it answers to {report.of}, which is no file of ours")
    counted = Counter(one.outcome for one in done.told)
    bank_reports.keep_report(
        report=report,
        file_name=file.name,
        fingerprint=digest,
        outcome={**counted, "notes": done.notes},
        actor=actor,
        at=at,
    )
    audit.record(
        actor=actor,
        act="bank.answer_read",
        subject=f"bank_report:{report.message}"[:200],
        at=at,
        detail={"of": report.of, "file": file.name, **counted},
    )
    return done


def _said_at(report: BankAnswer, zone: ZoneInfo, at: datetime) -> datetime:
    """When the bank said it, by its own clock where that gives no zone; not after we read it."""
    said = report.created_at
    if said is None:
        return at
    return min(at, said if said.tzinfo is not None else said.replace(tzinfo=zone).astimezone(UTC))


def _of_collections(run: int, report: BankAnswer, done: ReportDone, actor: str, at: datetime) -> None:
    zone = catalog.catalog().provider.zone_info
    on, said_at = at.astimezone(zone).date(), _said_at(report, zone, at)
    (of,) = collections.runs(run=run)
    rows = {row.end_to_end_id: row for row in bank_reports.of_run(run)}
    judged = judge(report, bank_reports.in_batches(of))
    done.notes += [f"{one.place}: {one.end_to_end_id} is not in {report.of}" for one in judged.strange]
    names = {one.id: one.external_id for one in customers.accounts({row.account for row in rows.values()})}
    for verdict in judged.verdicts:
        row = rows[verdict.end_to_end_id]
        outcome, why = _collection(row, verdict, report, on, said_at, actor, at)
        done.told.append(Told(row.end_to_end_id, names[row.account], str(row.amount), verdict.status, outcome, why))
    _whole_file(report, judged.verdicts, done, at)


def _collection(
    row: CollectionRow, verdict: Verdict, report: BankAnswer, on: date, said_at: datetime, actor: str, at: datetime
) -> tuple[str, str]:
    if verdict.answer is Answer.UNKNOWN:
        return LEFT, f"{verdict.status} is a status that we don't know: read the report"
    if verdict.answer is not Answer.REJECTED:
        if row.state is not CollectionState.HANDED:
            return KNOWN, f"it is {row.state.value} already"
        kept = bank_reports.note_answer(row=row, status=verdict.status, said_at=said_at)
        return (NOTED if kept else KNOWN), verdict.answer.value
    why = _why(verdict)
    if row.state is CollectionState.FILED:
        return LEFT, f"{why}; its file was never fetched here, and yet the bank has it: find out how"
    if row.state is CollectionState.COLLECTED:
        bank_reports.note_answer(row=row, status=verdict.status, said_at=said_at)
        return LEFT, f"{why}; a statement credited it: the entry that takes it back undoes it"
    if row.state is not CollectionState.HANDED:
        return KNOWN, f"it is {row.state.value} already"
    bank_reports.note_answer(row=row, status=verdict.status, said_at=said_at)
    returning.refuse(
        end_to_end_id=row.end_to_end_id,
        code=verdict.reason.code,
        on=on,
        actor=actor,
        reason=f"the bank's report {report.message}: {why}",
        at=at,
        whole_file=verdict.level is not Level.PAYMENT,
    )
    return REFUSED, why


def _why(verdict: Verdict) -> str:
    meant = return_reason(verdict.reason.code)
    said = f" ({verdict.reason.says})" if verdict.reason.says else ""
    return f"{verdict.reason.code}: {meant.means}{said}"


def _of_paybacks(run: int, report: BankAnswer, done: ReportDone, actor: str, at: datetime) -> None:
    on = at.astimezone(catalog.catalog().provider.zone_info).date()
    rows = {row.end_to_end_id: row for row in payback_rows.paybacks(run=run, limit=100_000)}
    (of,) = payback_rows.payback_runs(run=run)
    # A file of paybacks has one batch, whatever its name.
    batches = {one.batch for one in report.batches}
    batch = next(iter(batches)) if len(batches) == 1 else of.reference
    judged = judge(report, dict.fromkeys(rows, batch))
    done.notes += [f"{one.place}: {one.end_to_end_id} is not in {report.of}" for one in judged.strange]
    names = {one.id: one.external_id for one in customers.accounts({row.account for row in rows.values()})}
    for verdict in judged.verdicts:
        row = rows[verdict.end_to_end_id]
        outcome, why = _payback(row, verdict, report, on, actor, at)
        done.told.append(Told(row.end_to_end_id, names[row.account], str(row.amount), verdict.status, outcome, why))
    _whole_file(report, judged.verdicts, done, at)


def _payback(
    row: PaybackRow, verdict: Verdict, report: BankAnswer, on: date, actor: str, at: datetime
) -> tuple[str, str]:
    if verdict.answer is Answer.UNKNOWN:
        return LEFT, f"{verdict.status} is a status that we don't know: read the report"
    if row.state is PaybackState.FILED:
        return LEFT, "its file was never fetched here, and yet the bank has it: find out how"
    if row.state is not PaybackState.HANDED:
        if row.state is PaybackState.PAID and verdict.answer is Answer.REJECTED:
            return LEFT, f"{_why(verdict)}; a statement shows it leaving: the entry that brings it back undoes it"
        return KNOWN, f"it is {row.state.value} already"
    if verdict.answer is not Answer.REJECTED:
        if row.bank_says == verdict.status:
            return KNOWN, verdict.answer.value
        paybacks.note_answer(row=row, status=verdict.status, at=at)
        return NOTED, verdict.answer.value
    why = _why(verdict)
    paying_back.failed(
        row=row,
        why=f"the bank's report {report.message}: {why}",
        kind=ReversalKind.RETURNED,
        on=on,
        actor=actor,
        at=at,
    )
    return REFUSED, why


def _whole_file(report: BankAnswer, verdicts: Sequence[Verdict], done: ReportDone, at: datetime) -> None:
    """A refused file or batch is ours to mend: somebody is told."""
    refused = [one for one in verdicts if one.answer is Answer.REJECTED and one.level is not Level.PAYMENT]
    if not refused or not done.count(REFUSED):
        return
    raise_alarm(
        key=f"{ALARM}/{report.of}",
        severity="critical",
        what=f"the bank refused {len(refused)} payments of {report.of} together: {_why(refused[0])}. Mend what is"
        " wrong; collect again what should be (coulance debit again), then clear this alarm",
        at=at,
    )
