"""Writing work: entries once by their source key, corrections as revisions, and timers."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import IntegrityError, transaction

from coulance.contracts import models, queries
from coulance.contracts.errors import UnableToRecordError
from coulance.contracts.queries import TimerRow
from coulance.platform import audit
from coulance_core.contracts.terms import Work
from coulance_core.kernel import require_aware

LONGEST = 31 * 86_400


@dataclass(frozen=True, slots=True)
class NewWork:
    """Work to write down. `contract` is its id; `key` names it once, whoever sends it again."""

    contract: int
    key: str
    began_at: datetime
    seconds: int
    who: str
    work: Work = Work.CORRECTIVE
    free: bool = False
    text: str = ""
    ticket: str = ""


@dataclass(frozen=True, slots=True)
class Recorded:
    """How many entries are new, corrected, and there already as they are."""

    new: int = 0
    corrected: int = 0
    known: int = 0


def record_work(*, work: Sequence[NewWork], actor: str, at: datetime, reason: str = "") -> Recorded:
    """Write work down. What is there as it is stays; what differs is a correction and wants a reason.

    Nothing from after `at`. Raises `UnableToRecordError` naming the entry, with nothing written.
    """
    new = corrected = known = 0
    with transaction.atomic():
        _keep_waiting({one.contract for one in work})
        for one in work:
            last = models.Entry.objects.filter(source_key=one.key).order_by("-revision").first()
            _judge(one, last, at, reason)
            if last is not None and not last.removed and _same(one, last):
                known += 1
                continue
            _insert(one, (last.revision if last else 0) + 1, False, actor, at, reason if last else "")
            new, corrected = new + (last is None), corrected + (last is not None)
        if corrected:
            audit.record(
                actor=actor, act="contract.work_corrected", subject="contract:work", at=at, reason=reason.strip(),
                detail={"corrected": corrected, "keys": [one.key for one in work][:20]},
            )  # fmt: skip
    return Recorded(new, corrected, known)


def remove_work(*, key: str, actor: str, reason: str, at: datetime) -> None:
    """Take an entry out of what counts; its history stays. Raises `UnableToRecordError`."""
    with transaction.atomic():
        _keep_waiting(set(models.Entry.objects.filter(source_key=key).values_list("contract_id", flat=True)[:1]))
        last = models.Entry.objects.filter(source_key=key).order_by("-revision").first()
        if last is None or last.removed:
            raise UnableToRecordError(f"no entry {key!r} counts")
        if not reason.strip():
            raise UnableToRecordError("taking an entry out needs a reason: the customer reads it")
        one = NewWork(
            last.contract_id, key, last.began_at, last.seconds, last.who, Work(last.work), last.free, last.text,
            last.ticket,
        )  # fmt: skip
        _insert(one, last.revision + 1, True, actor, at, reason)
        audit.record(
            actor=actor, act="contract.work_removed", subject="contract:work", at=at, reason=reason.strip(),
            detail={"key": key},
        )  # fmt: skip


def _keep_waiting(contracts: Collection[int]) -> None:
    """Keep others who would write work of these contracts waiting until the transaction ends."""
    list(models.Contract.objects.select_for_update(no_key=True).filter(id__in=contracts).order_by("id"))


def start_timer(*, contract: int, who: str, work: Work, text: str, ticket: str = "", at: datetime) -> None:
    """Start somebody's timer. Raises `UnableToRecordError` where one runs."""
    try:
        with transaction.atomic():
            models.Timer.objects.create(
                contract_id=contract, who=who, began_at=require_aware(at), work=work.value, text=text, ticket=ticket
            )
    except IntegrityError as error:
        raise UnableToRecordError("your timer runs already: stop it first") from error


def stop_timer(*, who: str, actor: str, at: datetime) -> NewWork:
    """Stop somebody's timer and write the work down.

    Raises `UnableToRecordError` where none runs, or it ran for longer than an entry can be: see `drop_timer`.
    """
    with transaction.atomic():
        row = models.Timer.objects.select_for_update().filter(who=who).first()
        if row is None:
            raise UnableToRecordError("no timer of yours runs")
        seconds = max(int((at - row.began_at).total_seconds()), 1)
        key = f"timer/{who}/{row.began_at.isoformat()}"
        one = NewWork(row.contract_id, key, row.began_at, seconds, who, Work(row.work), False, row.text, row.ticket)
        record_work(work=[one], actor=actor, at=at)
        row.delete()
    return one


def drop_timer(*, who: str, at: datetime) -> None:
    """Throw somebody's timer away, with nothing written down: one that was forgotten. Raises `UnableToRecordError`."""
    with transaction.atomic():
        row = models.Timer.objects.select_for_update().filter(who=who).select_related("contract").first()
        if row is None:
            raise UnableToRecordError("no timer of yours runs")
        audit.record(
            actor=who, act="contract.timer_dropped", subject=f"contract:{row.contract.key}", at=at,
            detail={"began": row.began_at.isoformat(), "text": row.text},
        )  # fmt: skip
        row.delete()


def timer_of(who: str) -> TimerRow | None:
    """Somebody's timer, if it runs."""
    return next((one for one in queries.timers() if one.who == who), None)


def _judge(one: NewWork, last: models.Entry | None, at: datetime, reason: str) -> None:
    if not one.key.strip() or len(one.key) > 200:
        raise UnableToRecordError("an entry needs a key that names it once, of at most 200 characters")
    if require_aware(one.began_at) > at:
        raise UnableToRecordError(f"entry {one.key}: it began at {one.began_at.isoformat()}, which is yet to come")
    if not 0 <= one.seconds <= LONGEST:
        raise UnableToRecordError(
            f"entry {one.key}: {one.seconds} s: expected 0 to 31 days; a timer can be thrown away"
        )
    if not one.who.strip():
        raise UnableToRecordError(f"entry {one.key}: who did it?")
    if last is not None and last.contract_id != one.contract:
        raise UnableToRecordError(f"entry {one.key} is of another contract already")
    if last is not None and (last.removed or not _same(one, last)) and not reason.strip():
        raise UnableToRecordError(f"entry {one.key} is there already and differs: a correction needs a reason")


def _same(one: NewWork, row: models.Entry) -> bool:
    mine = (one.began_at, one.seconds, one.work.value, one.free, one.who, one.text, one.ticket)
    return mine == (row.began_at, row.seconds, row.work, row.free, row.who, row.text, row.ticket)


def _insert(one: NewWork, revision: int, removed: bool, actor: str, at: datetime, reason: str) -> None:
    models.Entry.objects.create(
        contract_id=one.contract, source_key=one.key, revision=revision, began_at=one.began_at, seconds=one.seconds,
        work=one.work.value, free=one.free, removed=removed, who=one.who, text=one.text, ticket=one.ticket,
        recorded_at=require_aware(at), by=actor, reason=reason.strip(),
    )  # fmt: skip
