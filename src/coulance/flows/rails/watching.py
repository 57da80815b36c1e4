"""What of the rails waits too long, said aloud: files that nobody sent, collections without an answer, and the like.

Each look says what is so now: an alarm whose ground is gone is cleared by the next look.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from coulance.catalog import queries as catalog
from coulance.payments import charging, collections, payback_rows
from coulance.payments.collections import CollectionRow, RunRow
from coulance.platform.alarms import Severity, clear_alarm, open_alarms, raise_alarm
from coulance_core.kernel import Money
from coulance_core.payments.direct_debit import CollectionState, target_day
from coulance_core.payments.paybacks import PaybackState

UNSENT = "payments.file_unsent/"
UNANSWERED = "payments.unanswered/"
REFUSED_AFTER = "payments.refused_after_credit/"
PENDING = "payments.pending/"
PAYBACK_UNSENT = "payments.payback_unsent/"
PAYBACK_UNCONFIRMED = "payments.payback_unconfirmed/"
PAYBACK_WAITS = "payments.payback_waits"
_OURS = (UNSENT, UNANSWERED, REFUSED_AFTER, PENDING, PAYBACK_UNSENT, PAYBACK_UNCONFIRMED, PAYBACK_WAITS)
_PENDING_AT_MOST = timedelta(days=14)
_WAITS_AT_MOST = timedelta(days=5)
_LOOK_BACK = timedelta(days=60)


@dataclass(frozen=True, slots=True)
class _Found:
    key: str
    severity: Severity
    what: str


def look(*, on: date, at: datetime) -> list[str]:
    """Raise what waits too long as of a day, and clear what doesn't any more; the keys that are open."""
    found = [*_files(on, at), *_collections(on), *_gateways(on, at), *_paybacks(on, at)]
    for one in found:
        raise_alarm(key=one.key, severity=one.severity, what=one.what, at=at)
    keys = {one.key for one in found}
    for alarm in open_alarms():
        if alarm.key.startswith(_OURS) and alarm.key not in keys:
            clear_alarm(key=alarm.key, at=at)
    return sorted(keys)


def _files(on: date, at: datetime) -> Iterator[_Found]:
    for run in collections.runs():
        if run.handed_at is not None or run.cancelled_at is not None:
            continue
        first = min(row.collect_on for row in collections.collections(run=run.id))
        near = target_day(on, ahead=1) >= first
        if near or at - run.made_at >= timedelta(days=1):
            yield _Found(
                f"{UNSENT}{run.reference}",
                "critical" if near else "warning",
                f"file {run.reference} ({run.count} collections, {run.total}, the first for {first}) was made and never"
                " fetched for the bank: fetch and send it (coulance debit fetch), or call it off",
            )


def _collections(on: date) -> Iterator[_Found]:
    days = catalog.payment_terms().answer_days
    silent: dict[int, list[CollectionRow]] = defaultdict(list)
    for row in collections.collections(states=[CollectionState.HANDED], until=on):
        if row.run is not None and target_day(row.collect_on, ahead=days) < on:
            silent[row.run].append(row)
    for number, rows in silent.items():
        (run,) = collections.runs(run=number)
        yield _unanswered(run, rows, days)
    for row in collections.collections(states=[CollectionState.COLLECTED]):
        if row.bank_says == "RJCT" and row.collect_on >= on - _LOOK_BACK:
            yield _Found(
                f"{REFUSED_AFTER}{row.end_to_end_id}",
                "warning",
                f"the bank refused {row.end_to_end_id} ({row.amount}) and a statement credits it: see that the entry"
                " which takes it back comes",
            )


def _unanswered(run: RunRow, rows: list[CollectionRow], days: int) -> _Found:
    total = sum((row.amount for row in rows), Money(0, "EUR"))
    names = ", ".join(row.end_to_end_id for row in rows[:5]) + (" and more" if len(rows) > 5 else "")
    return _Found(
        f"{UNANSWERED}{run.reference}",
        "critical",
        f"{len(rows)} collections of file {run.reference} ({total}: {names}) are {days} bank days past their day, and"
        " no statement credits or returns them: import what is missing, or ask the bank whether it has the file",
    )


def _gateways(on: date, at: datetime) -> Iterator[_Found]:
    for row in charging.payments(states=["pending"]):
        late = row.final_on is not None and row.final_on + timedelta(days=1) < on
        if late or at - row.made_at > _PENDING_AT_MOST:
            yield _Found(
                f"{PENDING}{row.id}",
                "warning",
                f"payment {row.key} of {row.amount} is pending at {row.gateway} since {row.made_at:%Y-%m-%d}"
                + (f" and was to be final on {row.final_on}" if row.final_on else "")
                + f": ask {row.gateway} what became of it",
            )


def _paybacks(on: date, at: datetime) -> Iterator[_Found]:
    days = catalog.payment_terms().answer_days
    for run in payback_rows.payback_runs():
        if run.cancelled_at is not None:
            continue
        if run.handed_at is None:
            if at - run.made_at >= timedelta(days=1):
                yield _Found(
                    f"{PAYBACK_UNSENT}{run.reference}",
                    "warning",
                    f"file {run.reference} ({run.count} to be paid back, {run.total}) was made and never fetched for"
                    " the bank: fetch and send it (coulance payback fetch), or call it off",
                )
            continue
        if target_day(run.handed_at.date(), ahead=days) < on:
            rows = payback_rows.paybacks(run=run.id, states=[PaybackState.HANDED])
            if rows:
                yield _Found(
                    f"{PAYBACK_UNCONFIRMED}{run.reference}",
                    "warning",
                    f"{len(rows)} of file {run.reference} went to the bank {days} bank days ago, and no statement shows"
                    " them leaving: import what is missing, or ask the bank",
                )
    old = [row for row in payback_rows.paybacks(states=[PaybackState.ASKED]) if at - row.asked_at > _WAITS_AT_MOST]
    if old:
        yield _Found(
            PAYBACK_WAITS,
            "warning",
            f"{len(old)} customers wait for money back since {min(row.asked_at for row in old):%Y-%m-%d}: approve or"
            " decline it (coulance payback list)",
        )
