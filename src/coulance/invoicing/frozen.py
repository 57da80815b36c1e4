"""An issued document's parts as core knows them, from its rows and its snapshot: what corrections are made from."""

from collections.abc import Sequence
from datetime import date
from typing import Any

from django.db import connection

from coulance_core.catalog.terms import Proration, TaxKind
from coulance_core.invoicing import (
    Buyer,
    BuyerKind,
    DraftLine,
    NationalRate,
    Seller,
    ServiceRef,
    TaxLine,
)
from coulance_core.kernel import Explanation, Money, Period, exact
from coulance_core.rating.base import BilledSpan


def national_of(snapshot: dict[str, Any]) -> NationalRate | None:
    """The rate by which it stated its tax in a second currency."""
    stated = snapshot.get("national")
    if stated is None:
        return None
    on = date.fromisoformat(stated["date"])
    return NationalRate(stated["currency"], exact(stated["rate"]), on, stated.get("source", ""))


def seller_of(data: dict[str, Any]) -> Seller:
    """Who billed."""
    return Seller(**{**data, "address": tuple(data["address"])})


def buyer_of(data: dict[str, Any], currency: str, language: str) -> Buyer:
    """Who was billed."""
    return Buyer(
        external_id=data["external_id"],
        name=data["name"],
        kind=BuyerKind(data["kind"]),
        country=data["country"],
        zone=data["zone"],
        currency=currency,
        address=tuple(data["address"]),
        vat_id=data["vat_id"],
        language=language,
    )


def lines_of(document: int, currency: str, snapshot: dict[str, Any]) -> tuple[DraftLine, ...]:
    """Its lines: columns, and from the snapshot the words and the explanation."""
    spans = billed_spans_of(document)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT no, kind, service_id, pool, charge, plan_version, description, period_start, period_end, quantity,"
            "       unit, unit_price, net, tax_code, tax_rate, account, credits_no, settled"
            "  FROM invoicing_document_line"
            " WHERE document_id = %s ORDER BY no",
            [document],
        )
        rows = cursor.fetchall()
    out = []
    for row, frozen in zip(rows, snapshot["lines"], strict=True):
        service = frozen["service"]
        out.append(
            DraftLine(
                no=row[0],
                kind=row[1],
                service=None if service is None else ServiceRef(service["id"], service["name"], row[2]),
                pool=row[3],
                charge=row[4],
                plan_version=row[5],
                description=row[6],
                period=Period(row[7], row[8]),
                quantity=exact(row[9]),
                unit=row[10],
                unit_price=None if row[11] is None else exact(row[11]),
                net=Money(row[12], currency),
                tax_code=row[13],
                tax_rate=exact(row[14]),
                account=row[15],
                explanation=Explanation.from_json(frozen["explanation"]),
                span=spans.get(row[0]),
                credits=row[16],
                settled=row[17],
            )
        )
    return tuple(out)


def taxes_of(document: int, currency: str) -> tuple[TaxLine, ...]:
    """Its tax by code."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT code, kind, country, rate, base, tax, reason FROM invoicing_document_tax"
            " WHERE document_id = %s ORDER BY code",
            [document],
        )
        return tuple(
            TaxLine(code, TaxKind(kind), country, exact(rate), Money(base, currency), Money(tax, currency), reason)
            for code, kind, country, rate, base, tax, reason in cursor.fetchall()
        )


def billed_spans_of(document: int) -> dict[int, BilledSpan]:
    """The billed span of each line of a document that has one."""
    with connection.cursor() as cursor:
        cursor.execute(SPAN_COLUMNS + " WHERE s.document_id = %s", [document])
        return {row[1]: span_of(row) for row in cursor.fetchall()}


SPAN_COLUMNS = (
    "SELECT s.service_id, s.line_no, s.key, s.plan, s.fee, s.proration, s.start, s.end, s.cycle_start, s.cycle_end,"
    " s.net, s.currency, s.credit, s.terms, s.name, s.tax_class FROM invoicing_billed_span s"
)


def span_of(row: Sequence[Any]) -> BilledSpan:
    """Rating's billed span of a row of `SPAN_COLUMNS`."""
    return BilledSpan(
        key=row[2],
        plan=row[3],
        fee=exact(row[4]),
        proration=Proration(row[5]),
        start=row[6],
        end=row[7],
        cycle_start=row[8],
        cycle_end=row[9],
        net=Money(row[10], row[11]),
        credit=row[12],
        terms=row[13],
        name=row[14],
        tax_class=row[15],
    )
