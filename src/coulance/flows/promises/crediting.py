"""Credits for what wasn't kept: measured, written down, told, paid. Unasked, and never twice.

Everything may be done again at any time: what was credited of a service's period is known, and only what evidence now
shows above it is credited more. Killed between two services, the next run goes on; a credit that isn't paid yet is paid
by the next run.
"""

import logging
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.db import InterfaceError, OperationalError, transaction

from coulance.catalog import queries as catalog
from coulance.customers import queries as customers
from coulance.customers.queries import AccountRow
from coulance.flows import payments as money
from coulance.flows.promises import measuring, telling, terms, wording
from coulance.flows.promises.measuring import Measured
from coulance.flows.promises.terms import Promised
from coulance.invoicing import crediting as notes
from coulance.invoicing import history
from coulance.invoicing.errors import InvoicingError
from coulance.invoicing.history import BaseLine
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
from coulance_core.sla.paying import Pays
from coulance_core.sla.terms_file import SlaTable

log = logging.getLogger(__name__)
CHUNK = 100
"""Services whose evidence is read at once."""


@dataclass
class Report:
    """What a run did: credits made (for how much), credit notes given, what waits, what failed."""

    measured: int = 0
    not_yet: int = 0
    credited: list[tuple[str, Money]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    carried: list[tuple[int, Money, str]] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)


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
    for chunk in _chunks(due):
        _credit_chunk(chunk, at, actor, report)
    pay_out(accounts={one.account.id for one in due}, at=at, actor=actor, report=report)
    return report


def credit_again(*, at: datetime, actor: str, months: int = 3) -> Report:
    """Look at the last months again: what evidence says now above what was credited is credited too."""
    zone = catalog.catalog().provider.zone_info
    today = at.astimezone(zone).date()
    whole = Report()
    for back in range(months, 0, -1):
        one = credit_period(
            year=add_months(today.year, today.month, -back)[0],
            month=add_months(today.year, today.month, -back)[1],
            at=at,
            actor=actor,
        )
        whole.measured += one.measured
        whole.credited += one.credited
        whole.notes += one.notes
        whole.failed += one.failed
        whole.carried = one.carried
    return whole


def _chunks(rows: Sequence[Promised]) -> Iterator[Sequence[Promised]]:
    for start in range(0, len(rows), CHUNK):
        yield rows[start : start + CHUNK]


def _credit_chunk(chunk: Sequence[Promised], at: datetime, actor: str, report: Report) -> None:
    start, end = min(o.period.start for o in chunk), max(o.period.end for o in chunk)
    known = measuring.gather([one.service.id for one in chunk], start, end)
    for one in chunk:
        key = f"sla-measure/{one.service.external_id}"
        try:
            with transaction.atomic():
                operations.lock_service(service=one.service.id)
                pinned = sla.first_measure(one.service.id, one.period_name)
                made = measuring.measured(one, known, at=at, fee=pinned.fee if pinned else None)
                row, credit = operations.record_measure(new=_new(made), at=at, actor=actor)
                if credit is not None:
                    telling.tell_credit(made, row, credit, at=at, actor=actor)
                    emit(event="sla.credited", data=_told(made, row, credit), at=at)
                    report.credited.append((one.service.external_id, credit.amount))
        except (OperationalError, InterfaceError):
            raise
        except Exception as error:
            log.exception("%s of %s can't be judged", one.service.external_id, one.period_name)
            report.failed.append((one.service.external_id, str(error)))
            what = f"{one.service.external_id}, {one.period_name}: what was promised can't be judged: {error}"
            alarms.raise_alarm(key=key, severity="warning", what=what[:500], at=at)
            continue
        alarms.clear_alarm(key=key, at=at)
        report.measured += 1


def _new(made: Measured) -> operations.NewMeasure:
    one = made.of
    return operations.NewMeasure(
        service=one.service.id,
        account=one.account.id,
        period_name=one.period_name,
        start=one.period.start,
        end=one.period.end,
        terms_version=one.promise.version,
        terms=one.promise.said,
        downtime=made.credit.downtime.length,
        unknown=made.unknown,
        availability=str(made.credit.downtime.availability)[:40],
        outages=made.outages,
        fee=made.fee,
        amount=made.credit.amount,
        explanation=made.credit.explanation.to_json(),
    )


def _told(made: Measured, row: MeasureRow, credit: CreditRow) -> dict[str, Any]:
    return {
        "account": made.of.account.external_id,
        "service": made.of.service.external_id,
        "period": row.period_name,
        "amount": {"amount": credit.amount.decimal(), "currency": credit.amount.currency},
        "downtime_minutes": row.downtime // 60_000_000,
        "terms": row.terms_version,
        "correction": row.no > 1,
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
        except (InvoicingError, PaymentsError, ValueError) as error:
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
    lines: dict[int, list[BaseLine]] = defaultdict(list)
    for line in history.base_lines(services={row.service for row in rows}):
        lines[line.service].append(line)
    periods = {m.id: (m.start.astimezone(zone).date(), m.end.astimezone(zone).date()) for m in _measures(rows)}
    left: dict[tuple[str, int], Money] = {}
    out: dict[str, list[Part]] = defaultdict(list)
    rest = zero
    for row in rows:
        due = row.left
        period = periods[row.measure]
        own = [one for one in lines[row.service] if _covers(one, *period)]
        others = [one for one in lines[row.service] if not _covers(one, *period)]
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


def _measures(rows: Sequence[CreditRow]) -> list[MeasureRow]:
    return sla.measures_by_id({row.measure for row in rows})


def _covers(line: BaseLine, first: date, end: date) -> bool:
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
    else:
        alarms.raise_alarm(
            key=f"sla-pay-back/{freed.receipt}",
            severity="warning",
            what=f"pay {surplus} back to {owner.external_id} for downtime: they asked for money. Book it with: "
            f"coulance payment refund {freed.receipt}",
            at=at,
        )
