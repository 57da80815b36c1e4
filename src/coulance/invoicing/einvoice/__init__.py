"""E-invoices of issued documents: UBL, CII and Factur-X, from frozen snapshots, checked by the official rules."""

from collections.abc import Mapping
from typing import Any

from coulance.invoicing.einvoice import cii as _cii
from coulance.invoicing.einvoice import ubl as _ubl
from coulance.invoicing.einvoice.validation import Finding, Report, validate
from coulance_core.invoicing.en16931 import invoice_of
from coulance_core.invoicing.en16931_model import EInvoiceInvalidError, Lack, Routing

__all__ = [
    "EInvoiceInvalidError",
    "Finding",
    "Lack",
    "Report",
    "Routing",
    "cii",
    "ubl",
    "validate",
]


def ubl(snapshot: Mapping[str, Any], *, routing: Routing | None = None, peppol: bool = False) -> bytes:
    """The document as UBL 2.1 Invoice or CreditNote. Raises `EInvoiceInvalidError` naming every field that lacks.

    The rules are not run: `checked` in front of whatever leaves the house.
    """
    return _ubl.write(invoice_of(snapshot, routing=routing), peppol=peppol)


def cii(snapshot: Mapping[str, Any], *, routing: Routing | None = None) -> bytes:
    """The document as Cross Industry Invoice, profile EN 16931. Raises `EInvoiceInvalidError`."""
    return _cii.write(invoice_of(snapshot, routing=routing))
