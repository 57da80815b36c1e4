"""Documents of every tax kind, frozen as issued, for the tests of e-invoices."""

from dataclasses import replace
from datetime import date
from fractions import Fraction
from typing import Any

from tests.core.invoicing import samples

from coulance_core.catalog.provider import TaxKind, TaxRate, TaxTable
from coulance_core.invoicing import Buyer, DocumentDraft, DocumentKind, Seller, TaxTerms, assemble, snapshot_of

SELLER = Seller(
    "Example Hosting B.V.",
    "NL",
    ("Kade 1", "1000 AA Amsterdam"),
    "NL000000000B01",
    "KvK 12345678",
    "billing@host.example",
    "+31 20 000 00 00",
    "NL91 ABNA 0417 1643 00",
    "ABNANL2A",
)


def issued(draft: DocumentDraft, number: str = "O2026-000001", **changes: Any) -> dict[str, Any]:
    """The snapshot of a draft as issued, with changes at the top."""
    return snapshot_of(replace(draft, seller=SELLER)) | {"number": number} | changes


RATES = (
    TaxRate("NL", "standard", Fraction(21), date(2012, 10, 1), "NL-21"),
    TaxRate("NL", "zero", Fraction(0), date(2012, 10, 1), "NL-0", TaxKind.ZERO),
    TaxRate("NL", "exempt", Fraction(0), date(2012, 10, 1), "NL-EX", TaxKind.EXEMPT, "Exempt: article 11 Wet OB"),
    TaxRate("NL", "medical", Fraction(0), date(2012, 10, 1), "NL-M", TaxKind.EXEMPT, "VATEX-EU-132-1C medical care"),
    TaxRate("NL", "export", Fraction(0), date(2012, 10, 1), "NL-G", TaxKind.OUT_OF_SCOPE, "Export (VATEX-EU-G)"),
    TaxRate("NL", "goods", Fraction(0), date(2012, 10, 1), "NL-K", TaxKind.EXEMPT, "VATEX-EU-IC: goods to the EU"),
    TaxRate("NL", "fine", Fraction(0), date(2012, 10, 1), "NL-OUT", TaxKind.OUT_OF_SCOPE, "A fine"),
    TaxRate("NL", "odd", Fraction("19.6"), date(2012, 10, 1), "NL-19.6"),
)


def of_classes(*classes: str, buyer: Buyer | None = None, code: str = "EUR") -> DocumentDraft:
    """An invoice with a line of each tax class."""
    return assemble(
        kind=DocumentKind.OVERAGE_INVOICE,
        period_name="2026-10",
        period=samples.PERIOD,
        seller=SELLER,
        buyer=buyer or samples.buyer(code),
        lines=[samples.bill_line(1000 + i, tax_class=name, code=code) for i, name in enumerate(classes)],
        terms=TaxTerms(TaxTable(RATES)),
        issued_on=samples.ON,
        tax_point=samples.ON,
        payment_days=14,
    )
