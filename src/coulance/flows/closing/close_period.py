"""Close a month: every account that is due, a chunk a transaction, then all numbers in one step at the end.

Whatever happens in between, the same command goes on where it stopped: chunks that were committed stay, the others are
computed. A chunk that fails is split until the account at fault is alone; that account is parked with its reason, and
the rest are billed. Nothing has a number until everything is there.
"""

import gc
import logging
import multiprocessing
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction
from zoneinfo import ZoneInfo

from django.db import InterfaceError, connection, transaction

from coulance.catalog import queries as catalog
from coulance.customers import queries as customers
from coulance.flows import payments
from coulance.flows.closing.chunk import AccountDrafts, Parked, draft_chunk
from coulance.flows.closing.terms import Closing
from coulance.flows.closing.worker import work
from coulance.flows.promises.crediting import credit_period
from coulance.flows.settling_first.asking import ask_all
from coulance.flows.settling_first.waiting import those_that_wait, waits, why
from coulance.invoicing import history
from coulance.invoicing import operations as invoicing
from coulance.invoicing import queries as documents
from coulance.overage import operations as overage
from coulance.usage import operations as usage
from coulance_core.invoicing import NationalRate

log = logging.getLogger(__name__)

CHUNK = 200
"""Accounts a transaction: large enough that a month of a hundred thousand is quick, small enough to lose little."""

Progress = Callable[[int, int], None]
"""Told (accounts done, accounts in all) now and then."""

Watch = Callable[[Sequence[AccountDrafts]], None]
"""Shown the drafts of some accounts; it must not keep them: they are large."""


class UnableToCloseError(RuntimeError):
    """The month cannot be closed now; the message says why, and from when on."""


@dataclass
class Totals:
    """Sums of a run, by currency in major units, and counts."""

    services: int = 0
    samples: int = 0
    seen: int = 0
    expected: int = 0
    documents: dict[str, int] = field(default_factory=dict)
    held: int = 0
    """Overage invoices that wait for their customers' choice; they count among documents too."""
    net: dict[str, dict[str, Fraction]] = field(default_factory=dict)
    carried: dict[str, Fraction] = field(default_factory=dict)

    def add(self, drafts: Sequence[AccountDrafts]) -> None:
        """Count these in."""
        for account in drafts:
            self.services += account.services
            self.samples += account.samples
            self.seen += account.seen
            self.expected += account.expected
            for new in account.documents:
                kind, net = new.draft.kind.value, new.draft.totals.net
                self.documents[kind] = self.documents.get(kind, 0) + 1
                by_currency = self.net.setdefault(kind, {})
                by_currency[net.currency] = by_currency.get(net.currency, Fraction(0)) + net.amount
            for carry in account.carried:
                amount = carry.line.amount
                self.carried[amount.currency] = self.carried.get(amount.currency, Fraction(0)) + amount.amount

    def merge(self, other: "Totals") -> None:
        """Add another's sums."""
        self.services += other.services
        self.samples += other.samples
        self.seen += other.seen
        self.expected += other.expected
        self.held += other.held
        for kind, count in other.documents.items():
            self.documents[kind] = self.documents.get(kind, 0) + count
        for kind, sums in other.net.items():
            mine = self.net.setdefault(kind, {})
            for code, amount in sums.items():
                mine[code] = mine.get(code, Fraction(0)) + amount
        for code, amount in other.carried.items():
            self.carried[code] = self.carried.get(code, Fraction(0)) + amount

    @property
    def coverage(self) -> Fraction:
        """Seen of expected slots."""
        return Fraction(self.seen, self.expected) if self.expected else Fraction(1)


@dataclass(frozen=True, slots=True)
class CloseReport:
    """What a close did, or a dry run would do. `not_yet` accounts have a period of that name that has not ended."""

    period: str
    accounts: int
    not_yet: int
    totals: Totals
    parked: tuple[Parked, ...]
    seconds: float
    dry_run: bool
    numbers: Mapping[str, tuple[str, str]] = field(default_factory=dict)


def close_period(
    *,
    year: int,
    month: int,
    at: datetime,
    actor: str,
    dry_run: bool = False,
    workers: int = 1,
    national: Mapping[str, NationalRate] | None = None,
    retry_parked: bool = True,
    progress: Progress | None = None,
    watch: Watch | None = None,
) -> CloseReport:
    """Settle a month for every account whose period has ended, and bill it. Call it outside a transaction.

    Run again it does what is left: accounts that were parked, or whose billing day had not come; nothing twice.
    `watch` is shown what a dry run drafts for each chunk of accounts.
    `workers` above 1 computes in that many processes. Raises `UnableToCloseError` when no account is due yet.
    """
    started = time.monotonic()
    run = Closing(year, month, at, catalog.catalog(), usage.fence(), national or {})
    due, not_yet = _due(run)
    if not due:
        raise UnableToCloseError(_when(run, not_yet))
    if unfinished := history.unfinished_runs(but=run.name):
        raise UnableToCloseError(
            f"closing {unfinished[0]} was begun and is not finished, and what it billed counts for {run.name}: "
            f"run coulance close {unfinished[0]} first"
        )
    newest = history.newest_issue()
    if newest is not None and run.issued_on < newest:
        raise UnableToCloseError(
            f"closing as of {run.issued_on.isoformat()} would date documents before the newest that is issued "
            f"({newest.isoformat()}), and numbers follow dates: close as of that day or later"
        )
    if dry_run:
        totals, parked = _dry(run, due, progress, watch, retry_parked=retry_parked)
        return CloseReport(run.name, len(due), len(not_yet), totals, parked, time.monotonic() - started, True)
    # What wasn't kept is credited first: credits post before anything else is asked of a customer.
    credit_period(year=year, month=month, at=at, actor=actor, accounts=due)
    with transaction.atomic():
        opened = invoicing.open_run(period=run.name, at=at, actor=actor)
        invoicing.plan_chunks(run=opened.id, chunks=list(_slices(due, CHUNK)))
        if retry_parked:
            invoicing.retry_parked(run=opened.id, at=at, chunk_size=CHUNK)
    totals = _run_parallel(run, opened.id, workers, progress) if workers > 1 else _run(run, opened.id, progress)
    if documents.chunks_left(run=opened.id):
        raise UnableToCloseError(f"{run.name} is being closed by another process; its numbers come when that is done")
    numbered = invoicing.assign_numbers(run=opened.id, series=run.catalog.series, at=at)
    ask_all(at=at)
    payments.apply_on_hand(actor=actor, reason=f"what {run.name} billed is paid out of what is on hand", at=at)
    numbers: dict[str, tuple[str, str]] = {}
    for block in numbered.blocks:
        series = run.catalog.series[block.series]
        numbers[block.series] = series.write(block.first, block.year), series.write(block.last, block.year)
    parked = tuple(Parked(p.account, p.reason, p.detail) for p in documents.parked(run=opened.id))
    seconds = time.monotonic() - started
    return CloseReport(run.name, len(due), len(not_yet), totals, parked, seconds, False, numbers)


def _due(run: Closing) -> tuple[list[int], list[int]]:
    due: list[int] = []
    not_yet: list[int] = []
    known: dict[tuple[str, int], bool] = {}
    for account in customers.accounts():
        key = (account.zone, account.billing_day)
        if key not in known:
            known[key] = run.is_due(account.billing_day, ZoneInfo(account.zone))
        (due if known[key] else not_yet).append(account.id)
    return due, not_yet


def _when(run: Closing, not_yet: Sequence[int]) -> str:
    if not not_yet:
        return f"there are no accounts to close {run.name} for: import customers first"
    days = run.provider.settle_after_days
    return (
        f"{run.name} can't be closed on {run.issued_on.isoformat()}: a period is settled {days} days after its end "
        f"(settle_after_days), and none of {len(not_yet)} accounts' has come that far"
    )


def _slices(items: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _dry(
    run: Closing, due: Sequence[int], progress: Progress | None, watch: Watch | None, *, retry_parked: bool
) -> tuple[Totals, tuple[Parked, ...]]:
    """What closing would do to accounts that it has not done yet, computed by the same functions and not written."""
    done = history.accounts_done(period=run.name)
    opened = documents.run(period=run.name)
    if opened is not None and not retry_parked:
        done |= {row.account for row in documents.parked(run=opened.id)}
    left = [account for account in due if account not in done]
    totals, parked = Totals(), list[Parked]()
    with _rarely_collected() as collect:
        for number, accounts in enumerate(_slices(left, CHUNK)):
            drafts, problems = _compute(run, accounts)
            totals.add(drafts)
            totals.held += sum(waits(run.catalog, new.draft) for account in drafts for new in account.documents)
            parked.extend(problems)
            if watch:
                watch(drafts)
            del drafts
            collect()
            if progress:
                progress(min(len(left), (number + 1) * CHUNK), len(left))
    return totals, tuple(parked)


def _compute(run: Closing, accounts: Sequence[int]) -> tuple[list[AccountDrafts], list[Parked]]:
    """Drafts and corrections of these accounts; an unforeseen fault of one is narrowed down to it."""
    try:
        with transaction.atomic():  # a statement that fails must not take the chunk's transaction with it
            return draft_chunk(run, accounts)
    except Exception as error:
        _not_ours(error)
        if len(accounts) == 1:
            return [], [_parked(accounts[0], error)]
    drafts: list[AccountDrafts] = []
    parked: list[Parked] = []
    for half in _halves(accounts):
        more, problems = _compute(run, half)
        drafts.extend(more)
        parked.extend(problems)
    return drafts, parked


def _halves(accounts: Sequence[int]) -> tuple[Sequence[int], Sequence[int]]:
    middle = len(accounts) // 2
    return accounts[:middle], accounts[middle:]


def _parked(account: int, error: BaseException) -> Parked:
    return Parked(account, type(error).__name__, str(error) or repr(error))


def _not_ours(error: BaseException) -> None:
    """Let through what is no account's fault: no memory, or a database that is gone."""
    if isinstance(error, MemoryError | InterfaceError) or not connection.is_usable():
        raise error


def _run(run: Closing, run_id: int, progress: Progress | None) -> Totals:
    totals = Totals()
    with _rarely_collected() as collect:
        while (one := _one_chunk(run, run_id)) is not None:
            totals.merge(one)
            collect()
            if progress:
                progress(*history.run_progress(run=run_id))
    return totals


@contextmanager
def _rarely_collected() -> Iterator[Callable[[], object]]:
    """Leave the search for unreachable cycles to the caller, who does it between chunks, by what this gives.

    A chunk makes a million objects that all live until it is written: searching them over and over took a quarter of
    a closing's time and found nothing. What is there before (the catalog, the index of series) isn't searched either.
    """
    was_on = gc.isenabled()
    gc.freeze()
    gc.disable()

    def collect() -> None:
        gc.collect()
        gc.freeze()  # what survived a chunk was read on first use (the index of series) and stays

    try:
        yield collect
    finally:
        gc.unfreeze()
        if was_on:
            gc.enable()


def _one_chunk(run: Closing, run_id: int) -> Totals | None:
    """Compute and write the next chunk in one transaction; none when no chunk is left for this process."""
    with transaction.atomic():
        chunk = invoicing.next_chunk(run=run_id)
        if chunk is None:
            return None
        totals = Totals()
        _settle(run, run_id, chunk.accounts, totals)
        invoicing.finish_chunk(chunk=chunk.id, at=run.at)
        return totals


def _settle(run: Closing, run_id: int, accounts: Sequence[int], totals: Totals) -> None:
    drafts, parked = _compute(run, accounts)
    for problem in parked:
        invoicing.park_account(
            run=run_id, account=problem.account, reason=problem.reason, detail=problem.detail, at=run.at
        )
    _write(run, run_id, drafts, totals)


def _write(run: Closing, run_id: int, drafts: Sequence[AccountDrafts], totals: Totals) -> None:
    """Write drafts; when the database refuses, halve them until the account it refuses is alone, and park that."""
    if not drafts:
        return
    try:
        with transaction.atomic():
            new_documents = [new for draft in drafts for new in draft.documents]
            ids = invoicing.write_drafts(run=run_id, drafts=new_documents)
            held = those_that_wait(run.catalog, zip(ids, (new.draft for new in new_documents), strict=True))
            if held:
                invoicing.hold_documents(documents=held, why=why(run.catalog), at=run.at)
            invoicing.carry_lines(run=run_id, purpose="close", lines=[new for draft in drafts for new in draft.carried])
            invoicing.record_figures(run=run_id, figures=[new for draft in drafts for new in draft.figures])
            overage.record_settlements(new=[new for draft in drafts for new in draft.overage], at=run.at)
    except Exception as error:
        _not_ours(error)
        if len(drafts) == 1:
            problem = _parked(drafts[0].account, error)
            invoicing.park_account(
                run=run_id, account=problem.account, reason=problem.reason, detail=problem.detail, at=run.at
            )
            return
        middle = len(drafts) // 2
        _write(run, run_id, drafts[:middle], totals)
        _write(run, run_id, drafts[middle:], totals)
    else:
        totals.add(drafts)
        totals.held += len(held)


def _run_parallel(run: Closing, run_id: int, workers: int, progress: Progress | None) -> Totals:
    """The same in several processes, which take chunks from the table until none is left."""
    context = multiprocessing.get_context("spawn")
    results: multiprocessing.Queue[Totals | BaseException] = context.Queue()
    connection.close()  # a connection belongs to one process
    processes = [
        context.Process(
            target=work,
            args=(run.year, run.month, run.at, run.fence, dict(run.national), run_id, results),
            daemon=True,
        )
        for _ in range(workers)
    ]
    for process in processes:
        process.start()
    totals, waiting = Totals(), len(processes)
    failure: BaseException | None = None
    while waiting:
        if results.empty() and any(process.is_alive() for process in processes):
            time.sleep(0.1)
            if progress:
                progress(*history.run_progress(run=run_id))
            continue
        if results.empty():
            break  # a process was killed before it could report; its chunk is free again
        result = results.get()
        waiting -= 1
        if isinstance(result, Totals):
            totals.merge(result)
        else:
            failure = result
    for process in processes:
        process.join()
        if process.exitcode:
            log.warning(
                "a process of the closing of %s ended with code %s; what it left is done by the others, more slowly",
                run.name,
                process.exitcode,
            )
    if failure is not None:
        raise failure
    totals.merge(_run(run, run_id, progress))  # what a killed process left
    return totals


def take_part(
    *, year: int, month: int, at: datetime, fence: int, national: Mapping[str, NationalRate], run: int
) -> Totals:
    """A worker's share of a run that another process opened: chunk after chunk, until none is left."""
    return _run(Closing(year, month, at, catalog.catalog(), fence, national), run, None)
