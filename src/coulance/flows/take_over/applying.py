"""Taking a book over: planned and applied by the same steps, in one transaction, so that the two can't differ.

A plan does everything and takes it back. Killed at any instant nothing stays, and the next run does all of it; run
again, everything is known by its key and nothing changes. What differs from what was taken over before is shown, and
refused: nothing that is here is ever overwritten.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from hashlib import sha256
from typing import Any

from django.db import DatabaseError, connection, transaction

from coulance.catalog import queries as catalog
from coulance.catalog.faults import Fault, Faults
from coulance.customers import queries as customers
from coulance.flows.import_customers import UnableToImportCustomersError, import_customers
from coulance.flows.take_over.clauses import take_over_clauses
from coulance.flows.take_over.here import here_of, with_defaults
from coulance.flows.take_over.prices import with_prices_judged
from coulance.flows.take_over.rows import form_faults, rows_of
from coulance.invoicing import operations as invoicing
from coulance.invoicing import queries as documents
from coulance.overage.operations import OverageError
from coulance.payments import operations as payments
from coulance.payments import queries as payment_rows
from coulance.platform import audit
from coulance.platform.db import advisory_lock
from coulance.services import operations as services
from coulance_core.kernel import Money, require_aware
from coulance_core.taking_over import (
    RECORDS,
    Book,
    Difference,
    Finding,
    Reconciliation,
    TakenOpenItem,
    Where,
    judge,
    keyed,
    reconcile,
    rows_that_differ,
)


class UnableToTakeOverError(ValueError):
    """The take-over was refused, and nothing was written; `outcome` says why, row by row."""

    def __init__(self, outcome: "Outcome") -> None:
        self.outcome = outcome
        stops = [str(one) for one in outcome.findings if one.stops] + [str(one) for one in outcome.differences]
        super().__init__(f"nothing is taken over, for {len(stops)} reason(s):\n" + "\n".join(f"  {s}" for s in stops))


@dataclass(slots=True)
class Outcome:
    """What a take-over does, did, or is refused for.

    `fresh` counts, by kind, what is new; `known` what was taken over before and is the same. `differences` are rows
    that were taken over with other content, or are here and not in the source any more. `reconciliation` ends it.
    """

    book: Book
    findings: tuple[Finding, ...] = ()
    differences: tuple[Difference, ...] = ()
    fresh: dict[str, int] = field(default_factory=dict)
    known: dict[str, int] = field(default_factory=dict)
    reconciliation: Reconciliation | None = None
    applied: bool = False

    @property
    def stopped(self) -> bool:
        """Whether something must be mended before it can be applied."""
        return bool(self.differences) or any(one.stops for one in self.findings)


class _TakenBackError(Exception):
    """Ends a plan's transaction."""


def take_over(
    *, book: Book, findings: Sequence[Finding], apply: bool, actor: str, reason: str, at: datetime
) -> Outcome:
    """Take a book over, or with `apply` False say what would come of it.

    `findings` are those of reading. Applying raises `UnableToTakeOverError` when anything stops it; nothing is written
    then. A reason is demanded: it stands in the audit log with every act.
    """
    at = require_aware(at)
    if apply and not reason.strip():
        raise ValueError("say why: a take-over is written to the audit log with its reason")
    terms = catalog.catalog()
    outcome = Outcome(with_defaults(book, terms.provider), tuple(findings))
    try:
        with transaction.atomic():
            advisory_lock("customers", "import")
            _run(outcome, actor, reason.strip() or "a plan, taken back", at)
            if outcome.stopped and apply:
                raise UnableToTakeOverError(outcome)
            if not apply:
                raise _TakenBackError
    except _TakenBackError:
        return outcome
    outcome.applied = True
    return outcome


def compare(*, book: Book, findings: Sequence[Finding]) -> Outcome:
    """What the source says beside what is here: nothing is written, nothing is judged again but the rows."""
    outcome = Outcome(with_defaults(book, catalog.catalog().provider), tuple(findings))
    outcome.book, _ = with_prices_judged(outcome.book, catalog.catalog())
    here = here_of(outcome.book)
    _sort(outcome, here)
    outcome.reconciliation = reconcile(outcome.book, here)
    return outcome


def _run(outcome: Outcome, actor: str, reason: str, at: datetime) -> None:
    terms = catalog.catalog()
    outcome.book, priced = with_prices_judged(outcome.book, terms)
    book = outcome.book
    here = here_of(book)
    fresh = _sort(outcome, here)
    own = [
        *priced,
        *judge(book, terms.series),
        *form_faults(fresh),
        *_numbers_here(book, fresh),
        *_series_here(book, here),
    ]
    outcome.findings = tuple(dict.fromkeys([*outcome.findings, *own]))
    if outcome.stopped:
        outcome.reconciliation = reconcile(book, here)
        # What the importer would say of the rest is told as well, so that everything can be mended at once.
        outcome.findings += tuple(_import_faults(fresh, at))
        return
    try:
        with transaction.atomic():
            _write(outcome, fresh, actor, reason, at)
            with connection.cursor() as cursor:
                cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # the guards judge at commit: a plan has none
                cursor.execute("SET CONSTRAINTS ALL DEFERRED")
    except UnableToImportCustomersError as error:
        outcome.findings += tuple(_import_findings(error.faults))
    except (payments.PaymentsError, invoicing.InvoicingError, OverageError, DatabaseError) as error:
        outcome.findings += (Finding("refused-here", Where("(here)"), str(error).splitlines()[0]),)
    after = here_of(book)
    outcome.reconciliation = reconcile(book, after)
    if not outcome.stopped and not outcome.reconciliation.agrees:
        outcome.differences = outcome.reconciliation.differences


def _sort(outcome: Outcome, here: Book) -> Book:
    """Count what is new, known and different; gives the new rows as a book."""
    book = outcome.book
    fresh: dict[str, Any] = {}
    differences: list[Difference] = []
    names = dict(zip(RECORDS, ("customers", "contacts", "services", "items", "prepaid", "mandates", "series",
                               "clauses"), strict=True))  # fmt: skip
    for record, field_name in names.items():
        wanted, there = keyed(book, record), keyed(here, record)
        fresh[field_name] = tuple(row for key, row in wanted.items() if key not in there)
        outcome.fresh[record] = len(fresh[field_name])
        found = list(rows_that_differ(record, {k: v for k, v in wanted.items() if k in there}, there))
        differences += found
        outcome.known[record] = len(wanted.keys() & there.keys()) - len({one.name for one in found} & wanted.keys())
    outcome.differences = tuple(differences)
    return replace(book, **fresh)


def _numbers_here(book: Book, fresh: Book) -> Iterable[Finding]:
    """Numbers that documents of ours have already."""
    wanted = {item.number: item for item in fresh.items}
    keys = {item.key for item in book.items}
    for number, found in payment_rows.items_by_number(numbers=wanted).items():
        item = wanted[number]
        if item.key in keys:
            refs = ", ".join(one.ref for one in found)
            yield Finding("number-here", item.where, f"{number} is a number here already ({refs})", "another number")


def _series_here(book: Book, here: Book) -> Iterable[Finding]:
    there = {(row.series, row.year): row.last for row in here.series}
    for row in book.series:
        last = there.get((row.series, row.year))
        if last is not None and last != row.last:
            found = f"series {row.series!r} gave numbers from {last + 1} on here"
            yield Finding("series-begun", row.where, found, f"it to go on after {last}")


def _import(fresh: Book, *, apply: bool, actor: str, at: datetime) -> tuple[Fault, ...]:
    plan = import_customers(
        rows=list(rows_of(fresh.customers, fresh.contacts, fresh.services)),
        faults=Faults(),
        catalog=catalog.catalog(),
        sold=catalog.plans_sold(),
        apply=apply,
        actor=actor,
        at=at,
        closed_period=documents.closed_until(),
    )
    return plan.faults


def _import_faults(fresh: Book, at: datetime) -> Iterable[Finding]:
    return _import_findings(_import(fresh, apply=False, actor="", at=at))


def _import_findings(faults: Iterable[Fault]) -> Iterable[Finding]:
    for fault in faults:
        column = fault.key.split(" ")[0]
        close = f" (did you mean {fault.nearest!r}?)" if fault.nearest else ""
        where = Where(fault.place.file, fault.place.line, column)
        yield Finding(f"bad-{column}".replace("_", "-"), where, fault.found + close, fault.expected)


def _write(outcome: Outcome, fresh: Book, actor: str, reason: str, at: datetime) -> None:
    book = outcome.book
    if not any(outcome.fresh.values()):
        return
    _import(fresh, apply=True, actor=actor, at=at)
    services.write_prices(
        rows=[
            services.PriceToAgree(
                row.service,
                row.plan,
                row.price.amount,
                row.price.words,
                row.subscribed_from,
                row.price.until or row.ended_on,
            )
            for row in fresh.services
            if row.price is not None
        ],
        actor=actor,
        reason=reason,
        at=at,
    )
    ids = {name: row.id for name, row in customers.accounts_by_external_id(_owners(fresh)).items()}
    items: dict[str, list[TakenOpenItem]] = defaultdict(list)
    for item in fresh.items:
        items[item.account].append(item)
    for account in sorted(items):
        payments.take_over_items(
            account=ids[account],
            items=[_taken(item) for item in items[account]],
            taken_on=book.on,
            actor=actor,
            reason=reason,
            at=at,
        )
    for row in sorted(fresh.prepaid, key=lambda one: (one.account, one.key)):
        payments.take_over_prepaid(
            account=ids[row.account],
            amount=row.amount,
            taken_on=book.on,
            source_key=row.key,
            actor=actor,
            reason=reason,
            at=at,
        )
    for mandate in fresh.mandates:
        assert mandate.signed_on is not None  # judged before
        payments.take_over_mandate(
            account=ids[mandate.account],
            reference=mandate.reference,
            iban=mandate.iban,
            holder=mandate.holder,
            signed_on=mandate.signed_on,
            scheme=mandate.scheme,
            sequence=mandate.sequence,
            last_used_on=mandate.last_used_on,
            source_key=mandate.key,
            actor=actor,
            at=at,
        )
    series = catalog.catalog().series
    for end in sorted(fresh.series, key=lambda one: (one.series, one.year)):
        invoicing.continue_series(
            series=series, key=end.series, year=end.year, last=end.last, actor=actor, reason=reason, at=at
        )
    take_over_clauses(clauses=fresh.clauses, actor=actor, reason=reason, at=at)
    _record(outcome, actor, reason, at)


def _owners(fresh: Book) -> set[str]:
    return {row.account for rows in (fresh.items, fresh.prepaid, fresh.mandates) for row in rows}


def _taken(item: TakenOpenItem) -> payments.TakenItem:
    return payments.TakenItem(
        source_key=item.key,
        kind=item.kind,
        number=item.number,
        issued_on=item.issued_on,
        due_on=item.due_on,
        gross=item.gross,
        open=item.open,
    )


def _record(outcome: Outcome, actor: str, reason: str, at: datetime) -> None:
    book = outcome.book
    totals: Mapping[str, Any] = {
        code: {
            "receivables": Money(before.receivables, code).decimal(),
            "credits": Money(before.credits, code).decimal(),
            "prepaid": Money(before.prepaid, code).decimal(),
        }
        for code, (before, _) in reconcile(book, book).totals().items()
    }
    audit.record(
        actor=actor,
        act="takeover.applied",
        subject=f"takeover:{book.source}",
        at=at,
        reason=reason,
        detail={
            "on": book.on.isoformat(),
            "taken": {record: count for record, count in outcome.fresh.items() if count},
            "totals": totals,
            "left_out": len(book.left_out),
            "prices_kept": sum(row.price is not None for row in outcome.book.services),
            "book": sha256(repr(book).encode()).hexdigest(),
        },
    )
