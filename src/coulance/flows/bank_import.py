"""Bank statements in: stored once, matched, booked, and what is not sure queued with suggestions.

Two steps, each safe to be killed in and done again. First all statements given are stored in one transaction, entries
that another statement had left out. Then entries that nothing was decided on are judged, a chunk a transaction: a sure
match is booked, a returned payment undone, what is no customer's set aside, and the rest waits for a person with
ranked suggestions (`bank_queue`). An entry's receipt carries the entry's id as its source, so it can't be booked twice.

A dry run does all of it and takes it back.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from django.db import transaction

from coulance.catalog import queries as catalog
from coulance.customers import queries as customers
from coulance.flows import payments as money
from coulance.flows.rails import paying_back, settling
from coulance.payments import bank
from coulance.payments import queries as payments
from coulance.payments.bank import AccountStatus, EntryRow, NewDecision, Stored
from coulance.payments.operations import NewReceipt, PaymentsError
from coulance.platform import audit
from coulance.platform.db import advisory_lock
from coulance_core.catalog.paying import TopUpCounts
from coulance_core.kernel import Money
from coulance_core.payments import Method, ReversalKind
from coulance_core.payments.bank import BankStatement, StatementKind
from coulance_core.payments.candidates import CandidateIndex
from coulance_core.payments.decisions import Decision, Flag, Outcome, Rule
from coulance_core.payments.matching import match
from coulance_core.payments.payers import pays_for_many

CHUNK = 500
"""Entries judged in one transaction."""
_TEACHES = frozenset({Rule.REFERENCE, Rule.END_TO_END, Rule.NUMBER})
"""Rules so sure that the IBAN is remembered as the account's."""


class UnableToImportStatementsError(Exception):
    """Statements that can't be stored; nothing of any file given was."""


@dataclass(frozen=True, slots=True)
class GivenFile:
    """A file as a reader read it."""

    name: str
    statements: Sequence[BankStatement]


@dataclass(frozen=True, slots=True)
class Judged:
    """What became of one entry: `outcome` is booked, reversed, ignored or queued."""

    entry: int
    outcome: str
    rule: str
    amount: Money
    booked_on: date
    who: str
    what: str
    flags: tuple[str, ...] = ()


@dataclass(slots=True)
class ImportReport:
    """What an import came to. `notes` are gaps and oddities that a person should know."""

    stored: list[Stored] = field(default_factory=list)
    judged: list[Judged] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    batches: int = 0
    waiting: int = 0
    """Entries in the queue afterwards, of this import and earlier ones."""
    accounts: list[AccountStatus] = field(default_factory=list)

    def count(self, outcome: str) -> int:
        """How many entries came to that."""
        return sum(1 for one in self.judged if one.outcome == outcome)

    def rules(self) -> Counter[str]:
        """How often each rule decided."""
        return Counter(one.rule for one in self.judged if one.rule)


class _TakenBackError(Exception):
    """Ends a dry run's transaction."""


def import_statements(*, files: Sequence[GivenFile], apply: bool, actor: str, at: datetime) -> ImportReport:
    """Store statements, and judge every entry that waits to be (those that a killed import left too).

    Without `apply` nothing stays. Raises `UnableToImportStatementsError`; nothing is stored then.
    """
    report = ImportReport()
    if apply:
        with transaction.atomic():
            _alone()
            _store(files, report, actor, at)
        _judge_all(report, actor, at)
        _conclude(report)
        return report
    try:
        with transaction.atomic():
            _alone()
            _store(files, report, actor, at)
            _judge_all(report, actor, at)
            _conclude(report)
            raise _TakenBackError
    except _TakenBackError:
        return report


def _alone() -> None:
    """One import at a time: a chunk books accounts in the order of its entries, and two would wait for each other."""
    advisory_lock("payments", "bank import")


def _store(files: Sequence[GivenFile], report: ImportReport, actor: str, at: datetime) -> None:
    wanted: list[tuple[BankStatement, str]] = []
    for file in files:
        for statement in file.statements:
            report.notes += [f"{file.name}: {note}" for note in statement.notes]
            if statement.kind is StatementKind.INTERIM:
                report.notes.append(
                    f"{statement.place}: an interim report ({statement.form}) is not imported: its entries come again "
                    "in the statement"
                )
                continue
            wanted.append((statement, file.name))
    # In order of their accounts, so that two imports at once wait for each other instead of blocking both.
    wanted.sort(key=lambda one: (one[0].account, one[0].currency, one[0].opened_on or date.max, one[0].number))
    for statement, name in wanted:
        try:
            stored = bank.store_statement(statement=statement, file_name=name, actor=actor, at=at)
        except PaymentsError as error:
            raise UnableToImportStatementsError(f"{statement.place}: {error}") from error
        report.stored.append(stored)
        report.notes += stored.notes
    if report.stored:
        report.batches = bank.explain_batches(at=at, actor=actor)
    fresh = sum(stored.fresh for stored in report.stored)
    if fresh:
        audit.record(
            actor=actor,
            act="bank.imported",
            subject="bank",
            at=at,
            detail={
                "files": sorted({name for _, name in wanted}),
                "statements": sum(1 for stored in report.stored if not stored.again),
                "entries": fresh,
            },
        )


def _conclude(report: ImportReport) -> None:
    report.waiting = bank.count(states=("suggested",))
    report.accounts = bank.status()
    for account in report.accounts:
        if account.missing is not None and account.missing.minor:
            report.notes.append(
                f"{account.iban}: by its statements' balances {account.missing} more came in than the entries known "
                "explain: a statement is missing, or two payments were taken for one"
            )


def _judge_all(report: ImportReport, actor: str, at: datetime) -> None:
    index: CandidateIndex | None = None
    while True:
        with transaction.atomic():
            _alone()
            rows = bank.to_judge(limit=CHUNK)
            if not rows:
                return
            if index is None:
                index = candidates(since=rows[0].entry.booked_on - bank.LOOK_BACK)
            # What came in first: a payment and its return may stand on one statement.
            for group in (
                [row for row in rows if row.entry.amount.minor > 0],
                [row for row in rows if row.entry.amount.minor <= 0],
            ):
                if group:
                    report.judged += _judge(group, index, actor, at)


def _judge(rows: Sequence[EntryRow], index: CandidateIndex, actor: str, at: datetime) -> list[Judged]:
    done: list[Judged] = []
    decided: list[tuple[EntryRow, Decision]] = []
    # Who paid beyond what they named: the rest goes to other debts of theirs, which only booking it tells.
    beyond: set[int] = set()
    for row in rows:
        decision = match(row.entry, index)
        if beyond and not beyond.isdisjoint(_concerned(decision)):
            done += _settle(decided, index, actor, at)
            decided, beyond = [], set()
            decision = match(row.entry, index)
        index.consume(decision, row.entry.amount)
        if Flag.OVERPAID in decision.flags and decision.account is not None:
            beyond.add(decision.account)
        decided.append((row, decision))
    return done + _settle(decided, index, actor, at)


def _concerned(decision: Decision) -> Iterator[int]:
    """The accounts that a decision is about, or may be."""
    if decision.account is not None:
        yield decision.account
    for suggestion in decision.suggestions:
        yield suggestion.account


def _settle(
    decided: Sequence[tuple[EntryRow, Decision]], index: CandidateIndex, actor: str, at: datetime
) -> list[Judged]:
    """Carry out, and know what is open afterwards."""
    done = _carry_out(decided, actor, at)
    touched = sorted({decision.account for _, decision in decided if decision.account is not None})
    for account, items in _open_now(touched).items():
        index.refresh(account, items)
    for one in bank.earlier_receipts(entries=[row.id for row, _ in decided if row.entry.amount.minor > 0]):
        index.remember(one)
    return done


def _open_now(accounts: Sequence[int]) -> dict[int, Sequence[Any]]:
    found = payments.open_items(accounts=accounts)
    return {account: found.get(account, ()) for account in accounts}


def candidates(*, since: date) -> CandidateIndex:
    """Everything that entries from that day on could be about, as the books stand now."""
    known: dict[str, set[int]] = {}
    for iban in payments.known_ibans():
        known.setdefault(iban.iban, set()).add(iban.account)
    index = CandidateIndex(
        bank.settled_items(since=since),
        ibans=known,
        own=bank.own_ibans(),
        earlier=bank.earlier_receipts(since=since),
        refunds=bank.refunds_expected(since=since),
        gone=bank.refunds_gone(since=since),
        names={row.id: row.name for row in customers.accounts()},
        collections=bank.collections_expected(
            balance_at_once=catalog.payment_terms().top_up_counts is TopUpCounts.COLLECTED
        ),
        payouts=bank.payouts_expected(since=since),
        top_ups=bank.top_up_payloads(customers.account_ids()),
    )
    for items in payments.open_items().values():
        for item in items:
            index.put(item)
    return index


def _carry_out(decided: Sequence[tuple[EntryRow, Decision]], actor: str, at: datetime) -> list[Judged]:
    """Do what was decided: what is booked, all at once."""
    booked: dict[str, int] = {}
    refused: dict[str, str] = {}
    wanted = [_receipt(row, decision) for row, decision in decided if decision.outcome is Outcome.MATCH]
    _book(wanted, booked, refused, actor, at)
    names = {row.id: row for row in customers.accounts(_accounts_of(decided))}
    learnt: list[tuple[int, str, str]] = []
    decisions: list[NewDecision] = []
    out: list[Judged] = []
    for row, decision in decided:
        told = _told(decision)
        who = names[decision.account].external_id if decision.account in names else ""
        key = source_key(row.id)
        if decision.outcome is Outcome.COLLECTED:
            try:
                with transaction.atomic():
                    what = settling.batch_credited(row=row, collections=decision.collections, actor=actor, at=at)
            except PaymentsError as error:  # a person looks at it; the other entries go on
                decisions.append(NewDecision(row.id, "suggested", str(error), told))
                out.append(_judged(row, decision, "queued", "", str(error)))
                continue
            reason = f"matched by {decision.rule}: {what}"
            decisions.append(NewDecision(row.id, "booked", reason, told))
            out.append(_judged(row, decision, "booked", "", what))
            continue
        if decision.outcome is Outcome.MATCH and key in booked:
            for collection in decision.collections:
                settling.credited(collection=collection, receipt=booked[key], on=row.entry.booked_on, at=at)
            what = ", ".join(decision.numbers) or "unallocated"
            why = f"matched by {decision.rule}"
            decisions.append(NewDecision(row.id, "booked", why, told, decision.account, booked[key]))
            # Also where it is known as another's: an IBAN of several accounts proves nothing any more.
            teaches = decision.rule in _TEACHES and not pays_for_many(row.entry.counterparty_name)
            if teaches and decision.account:
                learnt.append((decision.account, row.entry.counterparty_iban, f"bank_entry/{row.id}"))
            out.append(_judged(row, decision, "booked", who, what))
            continue
        if decision.outcome is Outcome.REVERSE and (fault := _reverse(row, decision, actor, at)) is None:
            out.append(_judged(row, decision, "reversed", who, f"receipt {decision.receipt}"))
            continue
        if decision.outcome is Outcome.SENT_BACK and (fault := _sent_back(row, decision, actor, at)) is None:
            out.append(_judged(row, decision, "reversed", who, f"refund {decision.refund}"))
            continue
        if decision.outcome is Outcome.SET_ASIDE:
            if decision.refund is not None:
                paying_back.confirmed(refund=decision.refund, on=row.entry.booked_on, at=at)
            reason = decision.explanation.notes[0] if decision.explanation.notes else f"refund {decision.refund}"
            decisions.append(NewDecision(row.id, "ignored", reason, told, decision.account))
            out.append(_judged(row, decision, "ignored", who, reason))
            continue
        why = refused.get(key, "")
        if decision.outcome in (Outcome.REVERSE, Outcome.SENT_BACK):
            why = fault or ""
        decisions.append(NewDecision(row.id, "suggested", why, told, decision.account))
        what = why or "; ".join(decision.explanation.notes[:1])
        out.append(_judged(row, decision, "queued", who, what))
    bank.decide_many(decisions=decisions, actor=actor, at=at)
    bank.learn_ibans(learnt=learnt, at=at)
    return out


def _book(
    wanted: Sequence[NewReceipt], booked: dict[str, int], refused: dict[str, str], actor: str, at: datetime
) -> None:
    """Book all at once; where that is refused, each half by itself, down to the one at fault: it holds up no other."""
    if not wanted:
        return
    try:
        with transaction.atomic():
            done = money.book_payments(receipts=wanted, actor=actor, at=at)
    except PaymentsError as error:
        if len(wanted) == 1:
            refused[wanted[0].source_key] = str(error)
            return
        middle = len(wanted) // 2
        _book(wanted[:middle], booked, refused, actor, at)
        _book(wanted[middle:], booked, refused, actor, at)
    else:
        booked |= {asked.source_key: one.receipt for asked, one in zip(wanted, done, strict=True)}


def _accounts_of(decided: Sequence[tuple[EntryRow, Decision]]) -> set[int]:
    return {decision.account for _, decision in decided if decision.account is not None}


def source_key(entry: int, attempt: int = 1) -> str:
    return f"bank_entry/{entry}" if attempt == 1 else f"bank_entry/{entry}/{attempt}"


def _receipt(row: EntryRow, decision: Decision) -> NewReceipt:
    assert decision.account is not None
    assert decision.rule is not None
    return NewReceipt(
        account=decision.account,
        amount=row.entry.amount,
        received_on=row.entry.booked_on,
        method=Method.BANK,
        source_key=source_key(row.id),
        reason=f"on bank statement {row.statement} of {row.bank_account}, matched by {decision.rule}",
        payer_ref=row.entry.remittance,
        payer_name=row.entry.counterparty_name,
        payer_iban=bank.iban_or_none(row.entry.counterparty_iban),
        choice=decision.refs,
        # Money for what is paid already waits for a person: other debts were not what was meant.
        beyond_choice=bool(decision.refs) and not decision.prepaid,
        prepaid=decision.prepaid,
    )


def _told(decision: Decision) -> dict[str, Any]:
    """A decision as it is kept with its entry."""
    out: dict[str, Any] = {"outcome": decision.outcome.value, "explanation": decision.explanation.to_json()}
    if decision.rule is not None:
        out["rule"] = decision.rule.value
    if decision.flags:
        out["flags"] = [flag.value for flag in decision.flags]
    if decision.numbers:
        out["numbers"] = list(decision.numbers)
    if decision.collections:
        out["collections"] = list(decision.collections)
    if decision.receipt is not None:
        out["undoes"] = decision.receipt
    if decision.refund is not None:
        out["refund"] = decision.refund
    if decision.suggestions:
        out["suggestions"] = [
            {
                "account": one.account,
                "refs": list(one.refs),
                "numbers": list(one.numbers),
                "score": one.score,
                "reasons": list(one.reasons),
            }
            for one in decision.suggestions
        ]
    return out


def _judged(row: EntryRow, decision: Decision, outcome: str, who: str, what: str) -> Judged:
    rule = decision.rule.value if decision.rule is not None and outcome != "queued" else ""
    flags = tuple(flag.value for flag in decision.flags)
    return Judged(row.id, outcome, rule, row.entry.amount, row.entry.booked_on, who, what, flags)


def _reverse(row: EntryRow, decision: Decision, actor: str, at: datetime) -> str | None:
    """Undo the receipt that came back; the reason when that is refused."""
    assert decision.receipt is not None
    said = row.entry.return_reason
    try:
        with transaction.atomic():
            money.reverse_payment(
                receipt=decision.receipt,
                kind=ReversalKind.RETURNED if said.startswith("AC") else ReversalKind.BOUNCED,
                on=row.entry.booked_on,
                actor=actor,
                reclaim=True,  # what the bank took is gone, whatever we refunded of it
                by_hand=False,
                reason=f"came back on bank statement {row.statement}" + (f": {said}" if said else ""),
                at=at,
            )
            settling.returned(receipt=decision.receipt, code=said, on=row.entry.booked_on, actor=actor, at=at)
            bank.decide(
                entry=row.id,
                state="booked",
                actor=actor,
                at=at,
                reason=f"undid receipt {decision.receipt}",
                match=_told(decision),
                account=decision.account,
            )
    except PaymentsError as error:
        return str(error)
    return None


def _sent_back(row: EntryRow, decision: Decision, actor: str, at: datetime) -> str | None:
    """Undo the refund whose money is here again; the reason when that is refused."""
    assert decision.refund is not None
    said = row.entry.return_reason
    try:
        with transaction.atomic():
            paying_back.came_back(
                refund=decision.refund,
                why=f"sent back, on bank statement {row.statement}" + (f": {said}" if said else ""),
                on=row.entry.booked_on,
                actor=actor,
                at=at,
            )
            told = {**_told(decision), "brings_back": decision.refund}
            told.pop("refund", None)  # the entry that showed it leaving stays the one that did
            bank.decide(
                entry=row.id,
                state="booked",
                actor=actor,
                at=at,
                reason=f"undid refund {decision.refund}",
                match=told,
                account=decision.account,
            )
    except PaymentsError as error:
        return str(error)
    return None
