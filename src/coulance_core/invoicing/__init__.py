"""Documents: lines assembled and taxed, numbered, frozen as snapshots, credited, booked. Pure."""

from coulance_core.invoicing.assemble import CARD_KIND, TaxTerms, assemble
from coulance_core.invoicing.carry import CarryDecision, decide_carry
from coulance_core.invoicing.credit import CreditError, CreditRequest, Issued, credit_note
from coulance_core.invoicing.debit import DebitError, IssuedNote, debit_note
from coulance_core.invoicing.documents import (
    SERIES,
    BillLine,
    Buyer,
    BuyerKind,
    CreditType,
    DocumentDraft,
    DocumentError,
    DocumentKind,
    DocumentState,
    DraftLine,
    NationalRate,
    NationalTax,
    Seller,
    ServiceRef,
    TaxLine,
    Totals,
    may_become,
)
from coulance_core.invoicing.lowering import Lowering, lowered
from coulance_core.invoicing.numbering import Block, next_block, series_year, sql_format, statement_number, write
from coulance_core.invoicing.postings import carry_entry, carry_journal, entry_for, journal
from coulance_core.invoicing.snapshot import SCHEMA, SCHEMA_NAME, SnapshotError, check, snapshot_of
from coulance_core.invoicing.tax import Taxed, decide_tax, tax_of

__all__ = [
    "CARD_KIND",
    "SCHEMA",
    "SCHEMA_NAME",
    "SERIES",
    "BillLine",
    "Block",
    "Buyer",
    "BuyerKind",
    "CarryDecision",
    "CreditError",
    "CreditRequest",
    "CreditType",
    "DebitError",
    "DocumentDraft",
    "DocumentError",
    "DocumentKind",
    "DocumentState",
    "DraftLine",
    "Issued",
    "IssuedNote",
    "Lowering",
    "NationalRate",
    "NationalTax",
    "Seller",
    "ServiceRef",
    "SnapshotError",
    "TaxLine",
    "TaxTerms",
    "Taxed",
    "Totals",
    "assemble",
    "carry_entry",
    "carry_journal",
    "check",
    "credit_note",
    "debit_note",
    "decide_carry",
    "decide_tax",
    "entry_for",
    "journal",
    "lowered",
    "may_become",
    "next_block",
    "series_year",
    "snapshot_of",
    "sql_format",
    "statement_number",
    "tax_of",
    "write",
]
