"""E-invoices of issued documents: UBL, CII and Factur-X, from frozen snapshots, checked by the official rules."""

from collections.abc import Mapping
from typing import Any

from coulance.invoicing import pdf
from coulance.invoicing.einvoice import cii_writer, hybrid, ubl_writer
from coulance.invoicing.einvoice.survey import Survey, survey
from coulance.invoicing.einvoice.validation import Finding, Report, validate
from coulance_core.invoicing.en16931 import invoice_of
from coulance_core.invoicing.en16931_model import EInvoiceInvalidError, Lack, Routing

__all__ = [
    "EInvoiceInvalidError",
    "Finding",
    "Lack",
    "Report",
    "Routing",
    "Survey",
    "attached",
    "checked",
    "cii",
    "factur_x",
    "survey",
    "ubl",
    "validate",
]


def ubl(snapshot: Mapping[str, Any], *, routing: Routing | None = None, peppol: bool = False) -> bytes:
    """The document as UBL 2.1 Invoice or CreditNote. Raises `EInvoiceInvalidError` naming every field that lacks.

    The rules are not run: `checked` in front of whatever leaves the house.
    """
    return ubl_writer.write(invoice_of(snapshot, routing=routing), peppol=peppol)


def cii(snapshot: Mapping[str, Any], *, routing: Routing | None = None) -> bytes:
    """The document as Cross Industry Invoice, profile EN 16931. Raises `EInvoiceInvalidError`."""
    return cii_writer.write(invoice_of(snapshot, routing=routing))


def factur_x(snapshot: Mapping[str, Any], *, routing: Routing | None = None) -> bytes:
    """The document's PDF/A-3b with its CII inside and declared (Factur-X, profile EN 16931).

    Raises `EInvoiceInvalidError`, or `pdf.UnableToRenderError`.
    """
    return hybrid.declared(pdf.render(snapshot, einvoice=cii(snapshot, routing=routing)))


def attached(pdf_file: bytes) -> bytes | None:
    """The `factur-x.xml` inside a PDF from anywhere; none when there is none or it is no PDF that can be read."""
    return hybrid.attached(pdf_file)


def checked(xml: bytes, number: str) -> bytes:
    """The bytes of an e-invoice when it is valid. Raises `EInvoiceInvalidError` with what failed; fails closed."""
    report = validate(xml)
    if not report.valid:
        raise EInvoiceInvalidError(number, message=str(report))
    return xml
