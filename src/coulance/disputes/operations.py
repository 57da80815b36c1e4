"""Writing cases. Every function runs inside the caller's transaction; flows own it, and what goes with it.

A case is locked before it is judged, so that two who act on it at once queue, and the second sees what the first did.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import connection

from coulance.disputes import models, queries
from coulance.disputes.errors import (
    DisputesError,
    UnableToFindCaseError,
    UnableToKeepFileError,
    UnableToOpenError,
    UnableToStepError,
)
from coulance.disputes.files import MOST_FILES, Checked, Upload, checked
from coulance.disputes.queries import CaseRow
from coulance.ledger import operations as ledger
from coulance.platform import audit
from coulance_core.disputes import MAY_FOLLOW, Contest, Contested, Grounds, Outcome, Policy, StepKind
from coulance_core.kernel import require_aware
from coulance_core.kernel.rounding import show
from coulance_core.ledger import HoldKind

__all__ = [
    "Checked",
    "DisputesError",
    "UnableToFindCaseError",
    "UnableToKeepFileError",
    "UnableToOpenError",
    "UnableToStepError",
    "Upload",
    "add_files",
    "add_step",
    "checked",
    "content_of",
    "hold_source",
    "locked",
    "open_case",
    "reserve",
]

LONGEST = 4000
"""Characters of a text in a case."""


def hold_source(case: int) -> str:
    """What the ledger knows a case's hold by.

    >>> hold_source(7)
    'dispute/7'
    """
    return f"dispute/{case}"


def open_case(
    *,
    account: int,
    document: int | None = None,
    opening: int | None = None,
    number: str,
    contested: Contested,
    grounds: Grounds,
    reason: str,
    new_fact: str = "",
    contact: str = "",
    policy: Policy,
    messages: Sequence[str] = (),
    by: str,
    at: datetime,
    case: int | None = None,
) -> int:
    """Open a case on an issued invoice, or on a debt that was taken over, and hold what it contests; gives its id
    (`case`, when it was reserved).

    Whether it may be opened, and what it comes to, is the caller's to judge under the debt's lock; the database
    refuses a second open case on a line, whoever asks. Raises `UnableToOpenError`.
    """
    _transaction()
    at = require_aware(at)
    why = _text(reason, "say what is wrong", UnableToOpenError)
    if contested.gross.minor <= 0:
        raise UnableToOpenError("what is contested comes to nothing: there is nothing to hold")
    row = models.Case(
        pk=case,
        account_id=account,
        document_id=document,
        opening=opening,
        number=number,
        currency=contested.gross.currency,
        net=contested.net.minor,
        tax=contested.tax.minor,
        gross=contested.gross.minor,
        grounds=grounds.value,
        reason=why,
        new_fact=new_fact.strip()[:LONGEST],
        contact=contact,
        policy=queries.policy_json(policy),
        opened_at=at,
        opened_by=by,
    )
    row.save(force_insert=True)
    for line in contested.lines:
        models.Part.objects.create(
            case=row,
            line_no=line.contest.line,
            way=line.contest.way.value,
            named=_named(line.contest),
            net=line.net.minor,
            explanation=line.explanation.to_json(),
        )
    models.Step.objects.create(
        case=row, no=1, kind=StepKind.OPENED.value, at=at, by=by, text=why, messages=list(messages)
    )
    ledger.place_hold(
        account=account,
        kind=HoldKind.DISPUTE,
        amount=contested.gross,
        source=hold_source(row.pk),
        about=queries.case(row.pk, at=at).ref,
        at=at,
    )
    detail = {"number": number, "held": str(contested.gross), "lines": [one.contest.line for one in contested.lines]}
    _audit("dispute.opened", row.pk, by, at, why, detail)
    return row.pk


def reserve() -> int:
    """The id of a case that is about to be opened, so that what tells of it can name it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT nextval('disputes_case_id_seq')")
        number: int = cursor.fetchone()[0]
    return number


def locked(case: int, *, at: datetime, account: int | None = None) -> CaseRow:
    """A case, locked until the transaction ends. Raises `UnableToFindCaseError`, also for another account's."""
    _transaction()
    rows = models.Case.objects.select_for_update(no_key=True).filter(pk=case)
    if account is not None:
        rows = rows.filter(account=account)
    if rows.first() is None:
        raise UnableToFindCaseError(f"there is no case {case}")
    return queries.case(case, at=at, account=account)


def add_step(
    *,
    case: int,
    kind: StepKind,
    text: str,
    by: str,
    at: datetime,
    outcome: Outcome | None = None,
    detail: Mapping[str, Any] | None = None,
    messages: Sequence[str] = (),
) -> int:
    """Add a step to a case that is locked; one that closes releases what is held, at once. Gives its number.

    Raises `UnableToStepError` for what can't follow where the case stands, or says nothing.
    """
    at = require_aware(at)
    now = locked(case, at=at)
    said = _text(text, "say it in words: the other side reads them", UnableToStepError)
    if kind not in MAY_FOLLOW[now.state]:
        raise UnableToStepError(_cannot(kind, now))
    if (kind is StepKind.DECIDED) != (outcome is not None):
        raise UnableToStepError("a decision has an outcome, and nothing else has")
    number = now.steps[-1].no + 1
    at = max(at, now.steps[-1].at)  # two web servers' clocks may differ by a moment; the order is that of the lock
    models.Step.objects.create(
        case_id=case,
        no=number,
        kind=kind.value,
        at=at,
        by=by,
        text=said,
        outcome=outcome.value if outcome else "",
        detail=dict(detail or {}),
        messages=list(messages),
    )
    if kind.closes:
        models.Case.objects.filter(pk=case, closed_at__isnull=True).update(closed_at=at)
        ledger.release_hold(source=hold_source(case), at=at, why=f"{kind.value}: {said}")
    _audit(f"dispute.{kind.value}", case, by, at, said, {**(detail or {}), "outcome": outcome.value if outcome else ""})
    return number


def add_files(*, case: int, step: int, files: Sequence[Checked], by: str, at: datetime) -> int:
    """Keep files with a step of a case; one that the case has already is left out. Gives how many are new.

    Raises `UnableToKeepFileError` when the case would have too many.
    """
    now = locked(case, at=at)
    there = set(models.File.objects.filter(case=case).values_list("sha256", flat=True))
    fresh = {one.sha256: one for one in files if one.sha256 not in there}
    if len(there) + len(fresh) > MOST_FILES:
        raise UnableToKeepFileError(f"a case holds {MOST_FILES} files, and this has {len(there)} already")
    if fresh and now.closed_at is not None and now.closed_at < at:
        raise UnableToKeepFileError("the case is closed: nothing is added to it any more")
    for one in fresh.values():
        models.File.objects.create(
            case_id=case,
            step_no=step,
            name=one.name,
            media_type=one.media_type,
            size=len(one.content),
            sha256=one.sha256,
            content=one.content,
            added_at=require_aware(at),
            added_by=by,
        )
    return len(fresh)


def content_of(*, case: int, file: int, by: str, at: datetime) -> Checked:
    """A file of a case as it was added; that it was read is written down. Raises `UnableToFindCaseError`."""
    row = models.File.objects.filter(pk=file, case=case).first()
    if row is None:
        raise UnableToFindCaseError(f"case {case} has no file {file}")
    _audit("dispute.file_read", case, by, at, "", {"file": file, "sha256": row.sha256})
    return Checked(row.name, row.media_type, bytes(row.content), row.sha256)


def _transaction() -> None:
    if not connection.in_atomic_block:
        raise DisputesError("a case is written inside a transaction")


def _text(text: str, missing: str, fault: type[DisputesError]) -> str:
    said = text.strip().replace("\x00", "")
    if not said:
        raise fault(missing)
    if len(said) > LONGEST:
        raise fault(f"say it in {LONGEST} characters; this has {len(said)}")
    return said


def _cannot(kind: StepKind, now: CaseRow) -> str:
    if now.state.is_closed:
        return f"case {now.id} is closed ({now.state.value}): nothing is added to it"
    if kind is StepKind.ASKED:
        return f"case {now.id} waits for an answer already: one question at a time"
    if kind is StepKind.ANSWERED:
        return f"case {now.id} has no open question"
    return f"{kind.value} can't follow while case {now.id} is {now.state.value}"


def _named(contest: Contest) -> dict[str, str]:
    named: dict[str, str] = {}
    if contest.amount is not None:
        named["amount"] = str(contest.amount)
    if contest.quantity is not None:
        named["quantity"] = show(contest.quantity)
    if contest.period is not None:
        named["from"], named["until"] = contest.period.start.isoformat(), contest.period.end.isoformat()
    if contest.accepted is not None:
        named["accepted"] = str(contest.accepted)
    return named


def _audit(act: str, case: int, by: str, at: datetime, reason: str, detail: Mapping[str, Any]) -> None:
    audit.record(actor=by, act=act, subject=f"dispute:{case}", at=at, reason=reason, detail=dict(detail))
