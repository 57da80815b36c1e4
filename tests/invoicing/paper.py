"""Accounts, services and drafts for the invoicing tests, made without the rooms above."""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from fractions import Fraction
from zoneinfo import ZoneInfo

from django.db import connection, transaction

from coulance.invoicing.operations import NewDocument, assign_numbers, open_run, write_drafts
from coulance_core.catalog.terms import NumberSeries, Proration, TaxRate, TaxTable
from coulance_core.invoicing import (
    BillLine,
    Buyer,
    BuyerKind,
    DocumentDraft,
    DocumentKind,
    Seller,
    ServiceRef,
    TaxTerms,
    assemble,
)
from coulance_core.kernel import Explanation, Money, anchored_period
from coulance_core.rating.base import BilledSpan

AT = datetime(2026, 11, 4, 6, 0, tzinfo=UTC)
ON = date(2026, 11, 4)
ZONE = "Europe/Amsterdam"
PERIOD = anchored_period(2026, 10, 1, ZoneInfo(ZONE))
TABLE = TaxTable(
    (
        TaxRate("NL", "standard", Fraction(21), date(2012, 10, 1), "NL-21"),
        TaxRate("NL", "reduced", Fraction(9), date(2019, 1, 1), "NL-9"),
        TaxRate("DE", "standard", Fraction(19), date(2021, 1, 1), "DE-19"),
    )
)
TERMS = TaxTerms(TABLE)
SELLER = Seller("Example Hosting B.V.", "NL", ("Kade 1", "1000 AA Amsterdam"), "NL000000000B01")
SERIES = {
    "base": NumberSeries("base", "B{year}-{number:06d}"),
    "overage": NumberSeries("overage", "O{year}-{number:06d}"),
    "credit": NumberSeries("credit", "C{year}-{number:04d}"),
}


def make_accounts(count: int, prefix: str = "c") -> list[tuple[int, str]]:
    """So many customer accounts: database id and external id, numbered so that text order is not their id's order."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO customers_account (external_id, name, kind, country, address, currency, zone, language)"
            " SELECT %s || '-' || (%s - n), 'Customer ' || n, 'business', 'NL', '{}', 'EUR', %s, 'en'"
            " FROM generate_series(1, %s) n RETURNING id, external_id",
            [prefix, count, ZONE, count],
        )
        return list(cursor.fetchall())


def make_service(account: int, ref: str) -> int:
    """A service of an account; its database id."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO services_service (account_id, external_id, name, kind, started_on)"
            " VALUES (%s, %s, %s, 'vps', %s) RETURNING id",
            [account, ref, f"Server {ref}", date(2026, 1, 1)],
        )
        found: int = cursor.fetchone()[0]
        return found


def buyer(ref: str) -> Buyer:
    """A Dutch business."""
    return Buyer(ref, f"Customer {ref}", BuyerKind.BUSINESS, "NL", ZONE, "EUR", ("Straat 1",))


def line(
    amount: int,
    kind: str = "overage",
    *,
    tax_class: str = "standard",
    service: ServiceRef | None = None,
    span: BilledSpan | None = None,
    carried_id: int | None = None,
    charge: str = "traffic",
) -> BillLine:
    """A line of so many cents that explains itself."""
    money = Money(amount, "EUR")
    why = Explanation.build("test.line").fact("amount", money.amount, "EUR").step("net", "add", "amount", "0").freeze()
    return BillLine(
        kind=kind,
        description=f"Traffic\tover \\ the allowance, {amount}",
        period=PERIOD,
        quantity=Fraction(amount, 10),
        unit="GB",
        unit_price=Fraction(1, 10),
        amount=money,
        tax_class=tax_class,
        explanation=why,
        service=service,
        charge=charge,
        plan_version="vps-s@2026-01-01",
        span=span,
        carried_id=carried_id,
    )


def span(start: date, end: date, *, net: int = 1000, credit: bool = False, plan: str = "vps-s") -> BilledSpan:
    """Days of a base fee of 10.00 a month."""
    return BilledSpan(
        key="base",
        plan=plan,
        terms=f"{plan}@2026-01-01",
        name="VPS small",
        tax_class="standard",
        fee=Fraction(10),
        proration=Proration.CALENDAR_DAYS,
        start=start,
        end=end,
        cycle_start=start,
        cycle_end=end,
        net=Money(net, "EUR"),
        credit=credit,
    )


def draft(
    ref: str,
    lines: Sequence[BillLine],
    kind: DocumentKind = DocumentKind.OVERAGE_INVOICE,
    *,
    period_name: str = "2026-10",
    issued_on: date = ON,
    terms: TaxTerms = TERMS,
) -> DocumentDraft:
    """A draft for a Dutch business."""
    return assemble(
        kind=kind,
        period_name=period_name,
        period=PERIOD,
        seller=SELLER,
        buyer=buyer(ref),
        lines=lines,
        terms=terms,
        issued_on=issued_on,
        tax_point=issued_on,
        payment_days=14,
    )


def open_and_write(drafts: Sequence[NewDocument], period: str = "2026-10", purpose: str = "close") -> int:
    """A run with these drafts in it; its id."""
    with transaction.atomic():
        run = open_run(period=period, purpose=purpose, at=AT, actor="test")
        write_drafts(run=run.id, drafts=drafts, purpose=purpose)
    return run.id


def issue(account: int, ref: str, lines: Sequence[BillLine], kind: DocumentKind = DocumentKind.OVERAGE_INVOICE) -> str:
    """Issue one document by a run of its own; its number."""
    run = open_and_write([NewDocument(account, draft(ref, lines, kind))], purpose=f"only-{ref}-{kind.value}")
    assign_numbers(run=run, series=SERIES, at=AT)
    with connection.cursor() as cursor:
        cursor.execute("SELECT number FROM invoicing_document WHERE run_id = %s", [run])
        number: str = cursor.fetchone()[0]
    return number
