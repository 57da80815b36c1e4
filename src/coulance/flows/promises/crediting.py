"""Credits for what wasn't kept: measured, written down, told, paid. Unasked, and never twice.

Everything may be done again at any time: what was credited of a service's period is known, and only what evidence now
shows above it is credited more. Killed between two services, the next run goes on; a credit that isn't paid yet is paid
by the next run.
"""

import logging
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from django.db import InterfaceError, OperationalError, transaction

from coulance.catalog import queries as catalog
from coulance.contracts import bundled
from coulance.customers import queries as customers
from coulance.customers.queries import AccountRow
from coulance.flows import payments as money
from coulance.flows.promises import fees, measuring, telling, terms, wording
from coulance.flows.promises.measuring import Measured
from coulance.flows.promises.terms import Promised
from coulance.flows.rails import paying_back
from coulance.invoicing import crediting as notes
from coulance.invoicing import history
from coulance.invoicing.errors import InvoicingError
from coulance.payments import operations as payments
from coulance.payments import queries as paid
from coulance.payments.errors import PaymentsError
from coulance.platform import alarms
from coulance.platform.webhooks import emit
from coulance.services import queries as services
from coulance.sla import looks, operations
from coulance.sla import queries as sla
from coulance.sla.queries import CreditRow, MeasureRow
from coulance_core.invoicing import CreditRequest, CreditType
from coulance_core.kernel import Money
from coulance_core.kernel.period import add_months
from coulance_core.sla.composite import read_composite
from coulance_core.sla.paying import Pays
from coulance_core.sla.terms import Charged
from coulance_core.sla.terms_file import SlaTable

log = logging.getLogger(__name__)
CHUNK = 100
"""Services whose evidence is read at once."""
NEWS = timedelta(days=7)
"""How long an entry about an older month has it looked at again: a worker may stand still for some nights."""
MOST_MONTHS = 40


@dataclass
class Report:
    """What a run did: credits made (for how much), credit notes given, what waits, what failed; promises that were
    broken where there is nothing that a credit could be part of."""

    measured: int = 0
    not_yet: int = 0
    credited: list[tuple[str, Money]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    carried: list[tuple[int, Money, str]] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)
    nothing: list[tuple[str, str]] = field(default_factory=list)

    def add(self, other: "Report") -> None:
        """Count another run's in; what waits is what waits after the later one."""
        self.measured += other.measured
        self.not_yet += other.not_yet
        self.credited += other.credited
        self.notes += other.notes
        self.failed += other.failed
        self.nothing += other.nothing
        self.carried = other.carried


def credit_period(
    *, year: int, month: int, at: datetime, actor: str, accounts: Collection[int] | None = None
) -> Report:
    """Measure a month's period of every service with a promise, credit what wasn't kept, pay it out. Outside a
    transaction; each service and each account's payout is one of its own.

    Periods that are not over, or in which samples may still come (`settle_after_days`), are left for later. One
    service that can't be judged stops no other: it raises an alarm.
    """
    report = Report()
    with_terms = terms.promised(year=year, month=month, accounts=accounts)
    if not with_terms:
        return report
    while looks.gather(before=at - timedelta(hours=1)):
        pass
    days = timedelta(days=catalog.catalog().provider.settle_after_days)
    due = [one for one in with_terms if one.period.end + days <= at]
    report.not_yet = len(with_terms) - len(due)
    for chunk in chunks(due):
        credit_chunk(chunk, at, actor, report)
    pay_out(accounts={one.account.id for one in due}, at=at, actor=actor, report=report)
    return report


def credit_again(*, at: datetime, actor: str, months: int = 3) -> Report:
    """Look at the last months again, and at older ones that somebody said something of lately (a customer's report that
    was granted, say): what evidence says now above what was credited is credited too."""
    zone = catalog.catalog().provider.zone_info
    today = at.astimezone(zone).date()
    wanted = {add_months(today.year, today.month, -back) for back in range(1, months + 1)}
    for entry in sla.entries(entered_since=at - NEWS, most=1_000_000):
        first, last = (when.astimezone(zone).date() for when in (entry.since, min(entry.until or at, at)))
        # A month of an account may begin late in the calendar's.
        year, month = add_months(first.year, first.month, -1)
        while (year, month) <= (last.year, last.month) and len(wanted) < MOST_MONTHS:
            wanted.add((year, month))
            year, month = add_months(year, month, 1)
    whole = Report()
    for year, month in sorted(wanted):
        if (year, month) < (today.year, today.month):
            whole.add(credit_period(year=year, month=month, at=at, actor=actor))
    return whole


def chunks(rows: Sequence[Promised]) -> Iterator[Sequence[Promised]]:
    """Rows in parts whose evidence is read at once."""
    for start in range(0, len(rows), CHUNK):
        yield rows[start : start + CHUNK]


def credit_chunk(
    chunk: Sequence[Promised], at: datetime, actor: str, report: Report, *, only_over: bool = False
) -> None:
    """Measure and credit these, a transaction each. `only_over`: what is over of periods that aren't."""
    known = measuring.gather_for(chunk)
    for one in chunk:
        name = one.service.external_id
        key = f"sla-measure/{name}"
        try:
            with transaction.atomic():
                operations.lock_service(service=one.service.id)
                _credit(one, known, at, actor, report, only_over=only_over)
        except fees.UsageNotBilledError:
            report.not_yet += 1
            continue
        except (OperationalError, InterfaceError):
            raise
        except Exception as error:
            log.exception("%s of %s can't be judged", name, one.period_name)
            report.failed.append((name, str(error)))
            what = f"{name}, {one.period_name}: what was promised can't be judged: {error}"
            alarms.raise_alarm(key=key, severity="warning", what=what[:500], at=at)
            continue
        alarms.clear_alarm(key=key, at=at)
        report.measured += 1


def _credit(
    one: Promised, known: measuring.Evidence, at: datetime, actor: str, report: Report, *, only_over: bool
) -> None:
    before = sla.newest_measure(one.service.id, one.period_name)
    if only_over and before is not None and not before.so_far:
        return  # it was judged whole meanwhile
    fee = sla.pinned_fee(one.service.id, one.period_name)
    made = measuring.measured(one, known, at=at, fee=fee, only_over=only_over)
    _say_when_nothing(one, made, at, report)
    if only_over and made.credit.amount.minor <= sla.credited_of(one.service.id, one.period_name):
        return  # nothing is owed above what was given: the period's end will write down what it came to
    row, credit = operations.record_measure(new=_new(made), at=at, actor=actor)
    if credit is not None:
        telling.tell_credit(made, row, credit, before=before, at=at, actor=actor)
        emit(event="sla.credited", data=_told(made, row, credit, before), at=at)
        report.credited.append((one.service.external_id, credit.amount))


def _say_when_nothing(one: Promised, made: Measured, at: datetime, report: Report) -> None:
    """A promise that was broken is never silently worth nothing."""
    key = f"sla-no-fee/{one.service.external_id}/{one.period_name}"
    if made.credit.share and not made.fee.minor:
        what = (
            f"{one.service.external_id}, {one.period_name}: its promise ({one.promise.version}) was broken, and it has "
            f"no {measuring.charged(one.promise)} that a credit could be part of. Let its terms say what credits are "
            'parts of (charges = "usage" or "all"), agree a price, or give a credit by hand; then: coulance sla credit'
        )
        report.nothing.append((one.service.external_id, one.period_name))
        alarms.raise_alarm(key=key, severity="warning", what=what, at=at)
    else:
        alarms.clear_alarm(key=key, at=at)


def _new(made: Measured) -> operations.NewMeasure:
    one = made.of
    return operations.NewMeasure(
        service=one.service.id,
        account=one.account.id,
        period_name=one.period_name,
        start=one.period.start,
        end=one.period.end,
        terms_version=one.promise.version,
        terms=one.said,
        downtime=made.credit.downtime.length,
        unknown=made.unknown,
        availability=str(made.credit.downtime.availability)[:40],
        outages=made.outages,
        fee=made.fee,
        amount=made.credit.amount,
        explanation=made.credit.explanation.to_json(),
        so_far=made.so_far,
    )


def _told(made: Measured, row: MeasureRow, credit: CreditRow, before: MeasureRow | None) -> dict[str, Any]:
    return {
        "account": made.of.account.external_id,
        "service": made.of.service.external_id,
        "period": row.period_name,
        "amount": {"amount": credit.amount.decimal(), "currency": credit.amount.currency},
        "downtime_minutes": row.downtime // 60_000_000,
        "terms": row.terms_version,
        "on": telling.occasion(row, before).value,
        "correction": before is not None and not before.so_far,
    }


def pay_out(*, at: datetime, actor: str, accounts: Iterable[int] | None = None, report: Report | None = None) -> Report:
    """Pay credits that aren't paid: a credit note on the fees of the services, then as the customer prefers.

    A credit waits while it is below what the provider pays at once (`carry_below`), or while no fee was billed that it
    could lower; nothing is lost meanwhile.
    """
    report = Report() if report is None else report
    known = terms.table()
    wanted = None if accounts is None else set(accounts)
    waiting: dict[int, list[CreditRow]] = defaultdict(list)
    for row in sla.given(unpaid=True):
        if wanted is None or row.account in wanted:
            waiting[row.account].append(row)
    for owner in customers.accounts(waiting):
        try:
            _pay(owner, waiting[owner.id], known, at, actor, report)
        except (InvoicingError, PaymentsError, LookupError, ValueError) as error:
            report.failed.append((owner.external_id, str(error)))
            alarms.raise_alarm(
                key=f"sla-pay/{owner.external_id}",
                severity="warning",
                what=f"a credit for downtime of {owner.external_id} can't be paid: {error}"[:500],
                at=at,
            )
    return report


def _pay(
    owner: AccountRow, rows: Sequence[CreditRow], known: SlaTable, at: datetime, actor: str, report: Report
) -> None:
    left = sum((row.left for row in rows[1:]), rows[0].left)
    least = next((one for one in known.carry_below if one.currency == left.currency), None)
    if least is not None and left < least:
        report.carried.append((owner.id, left, "carried until it is enough"))
        return
    way = way_of(owner.id, known)
    with transaction.atomic():
        rows = operations.lock_unpaid(account=owner.id)
        if not rows:
            return
        wanted, rest = _on_lines(rows, ZoneInfo(owner.zone))
        surplus = Money(0, left.currency)
        for number, parts in wanted.items():
            surplus += _note(owner, number, parts, way, at, actor, report)
        if rest.minor:
            report.carried.append((owner.id, rest, "no fee was billed yet that it could lower"))
        _as_preferred(owner, way, surplus, at, actor, "-".join(wanted)[:80])
    if way is Pays.INVOICE and wanted:
        money.apply_on_hand(accounts=[owner.id], actor=actor, reason="credited for downtime", at=at)


def way_of(account: int, known: SlaTable) -> Pays:
    """How an account is paid: as it prefers, within what the provider offers; else the provider's first."""
    preferred = sla.preference(account)
    return preferred if preferred in known.pays else known.pays[0]


Part = tuple[CreditRow, int, Money]


def _on_lines(rows: Sequence[CreditRow], zone: ZoneInfo) -> tuple[dict[str, list[Part]], Money]:
    """Which credit lowers which line of which invoice by how much, and what finds none: fees of its days first."""
    zero = Money(0, rows[0].amount.currency)
    measures = {m.id: m for m in _measures(rows)}
    lines = _lines_of(rows, measures)
    periods = {m.id: (m.start.astimezone(zone).date(), m.end.astimezone(zone).date()) for m in measures.values()}
    left: dict[tuple[str, int], Money] = {}
    out: dict[str, list[Part]] = defaultdict(list)
    rest = zero
    for row in rows:
        due = row.left
        period = periods[row.measure]
        own = [one for one in lines[row.measure] if _covers(one, *period)]
        others = [one for one in lines[row.measure] if not _covers(one, *period)]
        for line in (*own, *others):
            if (line.invoice, line.line) not in left:
                left |= {(line.invoice, one.no): one.left for one in notes.creditable_lines(line.invoice)}
            there = left.get((line.invoice, line.line), zero)
            if there.currency != due.currency or there.minor <= 0 or due.minor <= 0:
                continue
            part = min(there, due)
            out[line.invoice].append((row, line.line, part))
            left[line.invoice, line.line] = there - part
            due -= part
        rest += due
    return dict(out), rest


class _Line(NamedTuple):
    """An issued line that a credit may lower, and the days it charged."""

    invoice: str
    line: int
    start: date
    end: date


def _lines_of(rows: Sequence[CreditRow], measures: Mapping[int, MeasureRow]) -> dict[int, list[_Line]]:
    """The lines that each measure's credits are parts of: of its service, and of an application's other services.

    Of a service in a bundle, the contract's lines that its element is on.
    """
    out: dict[int, list[_Line]] = {}
    for number in dict.fromkeys(row.measure for row in rows):
        measure = measures[number]
        promise, made_of = terms.reread(measure.terms)
        ids = {measure.service}
        if made_of:
            ids |= {services.service(name).id for name in read_composite(made_of).names()}
        found: list[_Line] = []
        if promise.terms.charges is not Charged.USAGE:
            found += [_Line(one.invoice, one.line, one.start, one.end) for one in history.base_lines(services=ids)]
            found += [_Line(one.invoice, one.line, one.start, one.end) for one in bundled.lines(ids)]
        if promise.terms.charges is not Charged.BASE:
            usage = history.usage_lines(accounts=[measure.account], start=measure.start, end=measure.end)
            days = measure.start.date(), measure.end.date()
            found += [_Line(one.invoice, one.line, *days) for one in usage if one.service in ids]
        out[number] = found
    return out


def _measures(rows: Sequence[CreditRow]) -> list[MeasureRow]:
    return sla.measures_by_id({row.measure for row in rows})


def _covers(line: _Line, first: date, end: date) -> bool:
    """Whether a line charged days of [first, end)."""
    return line.start < end and line.end > first


def _note(
    owner: AccountRow, number: str, parts: Sequence[Part], way: Pays, at: datetime, actor: str, report: Report
) -> Money:
    """Give one credit note; how much of it the account had paid already."""
    terms_now = catalog.catalog()
    sums: dict[int, Money] = {}
    for _, line, amount in parts:
        sums[line] = sums[line] + amount if line in sums else amount
    measures = {m.id: m for m in _measures([row for row, _, _ in parts])}
    names = {s.id: s.name for s in services.services({row.service for row, _, _ in parts})}
    why = wording.reason([(names[row.service], measures[row.measure]) for row, _, _ in parts], owner.language)
    before = _over(number)
    given = notes.issue_credit_note(
        number=number,
        lines=[CreditRequest(line, amount) for line, amount in sorted(sums.items())],
        credit_type=CreditType.PRICE_REDUCTION,
        reason=why,
        at=at,
        issued_on=at.astimezone(terms_now.provider.zone_info).date(),
        actor=actor,
        series=terms_now.series["credit"],
    )
    by_credit: dict[int, Money] = {}
    for row, _, amount in parts:
        by_credit[row.id] = by_credit[row.id] + amount if row.id in by_credit else amount
    for credit, amount in by_credit.items():
        operations.record_payout(credit=credit, number=given, amount=amount, way=way, at=at, actor=actor)
    report.notes.append(given)
    return _over(number) - before


def _over(number: str) -> Money:
    """How much more was paid of an invoice than is owed for it."""
    items = paid.items_by_number(numbers=[number])[number]
    zero = Money(0, items[0].open.currency)
    return sum((-item.open for item in items if item.open.minor < 0), zero)


def _as_preferred(owner: AccountRow, way: Pays, surplus: Money, at: datetime, actor: str, key: str) -> None:
    if surplus.minor <= 0 or way is Pays.INVOICE:
        return
    on = at.astimezone(catalog.catalog().provider.zone_info).date()
    why = "credited for downtime"
    freed = payments.free_credit(
        account=owner.id,
        amount=surplus,
        on=on,
        source_key=f"sla/{key}/{at.isoformat()}",
        actor=actor,
        reason=why,
        at=at,
    )
    if way is Pays.WALLET:
        payments.allocate_receipt(receipt=freed.receipt, on=on, actor=actor, reason=why, at=at, prepaid=surplus)
    elif surplus.currency == "EUR":
        # In the queue of what goes back: approved as the provider says, filed, confirmed by the bank.
        paying_back.ask(
            receipt=freed.receipt,
            amount=surplus,
            reason=f"{why}: they asked for money",
            actor=actor,
            at=at,
            source_key=f"sla/{freed.receipt}",
        )
    else:
        alarms.raise_alarm(
            key=f"sla-pay-back/{freed.receipt}",
            severity="warning",
            what=f"pay {surplus} back to {owner.external_id} for downtime: they asked for money, and SEPA pays euros."
            f" Book it with: coulance payment refund {freed.receipt}",
            at=at,
        )
