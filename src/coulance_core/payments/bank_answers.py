"""What a bank answers to a file of ours (pain.002): of the whole, of a batch in it, of one payment; which one counts.

A bank says what it thinks of a file at three levels (ISO 20022, Customer Payment Status Report): the group, each
payment information block (a batch), each transaction. What is said nearest to a payment counts. A group or batch that
is `PART` says nothing of those that it does not list: of them the bank says something another time.

Nothing here moves money: only statements do. A rejection means that no money will come (or go) by that payment.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Answer(StrEnum):
    """What a status means for a payment."""

    ACCEPTED = "accepted"
    """The bank took it, and goes on with it; it may still come back."""
    PENDING = "pending"
    """The bank has it, and has not decided."""
    REJECTED = "rejected"
    """Nothing comes of it."""
    PARTLY = "partly"
    """Some of a group or batch were rejected: those are listed."""
    UNKNOWN = "unknown"
    """A status that we don't know: a person reads the report."""


_MEANS: Mapping[str, Answer] = {
    **dict.fromkeys(("ACCP", "ACSP", "ACTC", "ACSC", "ACCC", "ACWC", "ACWP", "ACCR", "ACFC", "ACIS"), Answer.ACCEPTED),
    **dict.fromkeys(("PDNG", "RCVD", "PATC", "PRES"), Answer.PENDING),
    **dict.fromkeys(("RJCT", "CANC", "BLCK"), Answer.REJECTED),
    "PART": Answer.PARTLY,
}
NO_REASON = "NARR"
"""The code of a rejection that gives none."""


def means(status: str) -> Answer:
    """What a status code says.

    >>> [means(code).value for code in ("ACSC", "RJCT", "PART", "PDNG", "XXXX")]
    ['accepted', 'rejected', 'partly', 'pending', 'unknown']
    """
    return _MEANS.get(status.strip().upper(), Answer.UNKNOWN)


@dataclass(frozen=True, slots=True)
class Reason:
    """Why: a code of ISO's list or the bank's own, and what it adds in words."""

    code: str = ""
    says: str = ""


@dataclass(frozen=True, slots=True)
class OfPayment:
    """What a bank says of one payment, by the end-to-end id that we gave it. `place` is where in the file."""

    end_to_end_id: str
    status: str
    reasons: tuple[Reason, ...] = ()
    place: str = ""


@dataclass(frozen=True, slots=True)
class OfBatch:
    """What a bank says of a batch; `status` is empty where it says something of its payments alone."""

    batch: str
    status: str = ""
    reasons: tuple[Reason, ...] = ()
    payments: tuple[OfPayment, ...] = ()
    place: str = ""


@dataclass(frozen=True, slots=True)
class BankAnswer:
    """One report: to which file of ours (`of`, its message id) it answers what."""

    message: str
    created_at: datetime | None
    of: str
    of_form: str
    status: str = ""
    reasons: tuple[Reason, ...] = ()
    batches: tuple[OfBatch, ...] = ()
    form: str = ""
    place: str = ""


class Level(StrEnum):
    """Of what a bank said it."""

    FILE = "file"
    BATCH = "batch"
    PAYMENT = "payment"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a report means for one payment of the file that it answers to."""

    end_to_end_id: str
    status: str
    answer: Answer
    reason: Reason
    level: Level


@dataclass(frozen=True, slots=True)
class Judged:
    """What a report means: a verdict for each payment that it says something of, and ids that are not in that file."""

    verdicts: tuple[Verdict, ...]
    strange: tuple[OfPayment, ...] = ()


def judge(report: BankAnswer, payments: Mapping[str, str]) -> Judged:
    """What a report means for the payments of its file: end-to-end ids, with the batch that each stands in.

    What is said of a payment itself goes before its batch, and that before the whole. Said twice at one level, a
    rejection counts. A rejection takes its reason from where it is given nearest.

    >>> report = BankAnswer("R1", None, "DD1", "pain.008.001.08", "PART", batches=(
    ...     OfBatch("B1", "", payments=(OfPayment("A", "RJCT", (Reason("AC04"),)),)),
    ...     OfBatch("B2", "RJCT", (Reason("DT01", "too late"),)),))
    >>> [(v.end_to_end_id, v.answer.value, v.reason.code, v.level.value)
    ...  for v in judge(report, {"A": "B1", "B": "B1", "C": "B2"}).verdicts]
    [('A', 'rejected', 'AC04', 'payment'), ('C', 'rejected', 'DT01', 'batch')]
    """
    own = [one for batch in report.batches for one in batch.payments]
    said: dict[str, OfPayment] = {}
    for one in own:
        before = said.get(one.end_to_end_id)
        if before is None or means(before.status) is not Answer.REJECTED:
            said[one.end_to_end_id] = one
    batches: dict[str, OfBatch] = {}
    for batch in report.batches:
        if batch.status and (batch.batch not in batches or means(batch.status) is Answer.REJECTED):
            batches[batch.batch] = batch
    out: list[Verdict] = []
    for name, in_batch in payments.items():
        of_batch = batches.get(in_batch)
        levels: list[tuple[Level, str, Sequence[Reason]]] = []
        if (one_said := said.get(name)) is not None and one_said.status:
            levels.append((Level.PAYMENT, one_said.status, one_said.reasons))
        if of_batch is not None and means(of_batch.status) is not Answer.PARTLY:
            levels.append((Level.BATCH, of_batch.status, of_batch.reasons))
        # A batch that says "partly" says that what the group says is not true of all of it.
        elif of_batch is None and report.status and means(report.status) is not Answer.PARTLY:
            levels.append((Level.FILE, report.status, report.reasons))
        if not levels:
            continue
        level, status, reasons = levels[0]
        why = _reason(reasons, *(() if of_batch is None else (of_batch.reasons,)), report.reasons)
        out.append(Verdict(name, status, means(status), why if means(status) is Answer.REJECTED else Reason(), level))
    return Judged(tuple(out), tuple(one for one in said.values() if one.end_to_end_id not in payments))


def _reason(*levels: Iterable[Reason]) -> Reason:
    for reasons in levels:
        found = [one for one in reasons if one.code or one.says]
        if found:
            code = next((one.code for one in found if one.code), NO_REASON)
            return Reason(code, " ".join(one.says for one in found if one.says)[:300])
    return Reason(NO_REASON)
