"""The rules that Peppol BIS Billing 3 adds to EN 16931, as far as our own documents can meet or break them.

Written from the published text of the rules, each under its own id. Those that concern what we never write (orders,
allowances, charges, mandates, attachments) and national rules of other sellers' countries are not here:
docs/e-invoices.md lists them. The access point runs the official ones; this says so earlier, and in our words.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation

from lxml import etree

from coulance.invoicing.einvoice.ubl_writer import CAC, CBC, PEPPOL_PROCESS

_N = {"a": CAC, "b": CBC}


@dataclass(frozen=True, slots=True)
class Broken:
    """A rule that does not hold: its id, where, and what is wrong."""

    id: str
    location: str
    text: str


def check(root: etree._Element) -> list[Broken]:
    """Every rule that a UBL document (already valid by schema and EN 16931) breaks."""
    return [
        *_document(root),
        *_parties(root),
        *_totals(root),
        *_lines(root),
        *_dutch_seller(root),
    ]


def _text(node: etree._Element, path: str) -> str:
    found = node.find(path, _N)
    return (found.text or "").strip() if found is not None else ""


def _number(node: etree._Element, path: str) -> Decimal | None:
    try:
        return Decimal(_text(node, path))
    except InvalidOperation:
        return None


def _document(root: etree._Element) -> Iterator[Broken]:
    if _text(root, "b:ProfileID") != PEPPOL_PROCESS:
        yield Broken("PEPPOL-EN16931-R007", "/ProfileID", f"the business process is {PEPPOL_PROCESS}")
    if len(root.findall("b:Note", _N)) > 1:
        yield Broken("PEPPOL-EN16931-R002", "/Note", "no more than one note on a document")
    if not _text(root, "b:BuyerReference") and not _text(root, "a:OrderReference/b:ID"):
        yield Broken("PEPPOL-EN16931-R003", "/", "a buyer reference or purchase order reference must be given")
    if _text(root, "b:TaxCurrencyCode") and _text(root, "b:TaxCurrencyCode") == _text(root, "b:DocumentCurrencyCode"):
        yield Broken("PEPPOL-EN16931-R005", "/TaxCurrencyCode", "it must differ from the document's currency")
    tree = root.getroottree()
    for element in root.iter(etree.Element):
        if not len(element) and not (element.text or "").strip():
            yield Broken("PEPPOL-EN16931-R008", tree.getpath(element), "a document must not hold empty elements")
    code = _text(root, "b:InvoiceTypeCode")
    if code and code not in {"71", "80", "82", "84", "102", "218", "219", "331", "380", "382", "383", "386", "388",
                             "393", "395", "553", "575", "623", "780", "817", "870", "875", "876", "877"}:  # fmt: skip
        yield Broken("PEPPOL-EN16931-P0100", "/InvoiceTypeCode", f"{code!r} is no invoice type of Peppol's list")
    code = _text(root, "b:CreditNoteTypeCode")
    if code and code not in {"381", "396", "81", "83", "532"}:
        yield Broken("PEPPOL-EN16931-P0101", "/CreditNoteTypeCode", f"{code!r} is no credit note type of Peppol's list")


def _parties(root: etree._Element) -> Iterator[Broken]:
    for rule, side in (("R020", "AccountingSupplierParty"), ("R010", "AccountingCustomerParty")):
        where = root.find(f"a:{side}/a:Party/b:EndpointID", _N)
        if where is None or not (where.text or "").strip():
            who = "seller" if rule == "R020" else "buyer"
            yield Broken(f"PEPPOL-EN16931-{rule}", f"/{side}", f"the {who}'s electronic address must be given")
            continue
        yield from _identifier(where.text or "", where.get("schemeID") or "", f"/{side}/EndpointID")
    for node in root.iter(f"{{{CBC}}}CompanyID"):
        yield from _identifier(node.text or "", node.get("schemeID") or "", root.getroottree().getpath(node))


def _identifier(value: str, scheme: str, where: str) -> Iterator[Broken]:
    if scheme == "0088" and not _gs1(value):
        yield Broken("PEPPOL-COMMON-R040", where, f"{value!r} is no GLN by its check digit")
    if scheme == "0192" and not _norwegian(value):
        yield Broken("PEPPOL-COMMON-R041", where, f"{value!r} is no Norwegian organisation number")
    if scheme == "0184" and not re.fullmatch(r"DK\d{8}", value):
        yield Broken("PEPPOL-COMMON-R042", where, f"{value!r} is no Danish organisation number")
    if scheme == "0208" and not (re.fullmatch(r"\d{10}", value) and 97 - int(value[:8]) % 97 == int(value[8:])):
        yield Broken("PEPPOL-COMMON-R043", where, f"{value!r} is no Belgian enterprise number")
    if scheme == "0007" and not (re.fullmatch(r"\d{10}", value) and _luhn(value)):
        yield Broken("PEPPOL-COMMON-R049", where, f"{value!r} is no Swedish organisation number")


def _gs1(value: str) -> bool:
    if not re.fullmatch(r"\d{13}", value):
        return False
    weighted = sum(int(ch) * (3 if i % 2 else 1) for i, ch in enumerate(value[:12]))
    return (10 - weighted % 10) % 10 == int(value[12])


def _norwegian(value: str) -> bool:
    if not re.fullmatch(r"\d{9}", value):
        return False
    weighted = sum(int(ch) * w for ch, w in zip(value[:8], (3, 2, 7, 6, 5, 4, 3, 2), strict=True))
    return (11 - weighted % 11) % 11 == int(value[8])


def _luhn(value: str) -> bool:
    digits = [int(ch) * (2 if i % 2 == 0 else 1) for i, ch in enumerate(value[:-1])]
    return (10 - sum(d // 10 + d % 10 for d in digits) % 10) % 10 == int(value[-1])


def _totals(root: etree._Element) -> Iterator[Broken]:
    currency, accounting = _text(root, "b:DocumentCurrencyCode"), _text(root, "b:TaxCurrencyCode")
    totals = root.findall("a:TaxTotal", _N)
    with_rows = [one for one in totals if one.find("a:TaxSubtotal", _N) is not None]
    if len(with_rows) != 1:
        yield Broken("PEPPOL-EN16931-R053", "/TaxTotal", "exactly one tax total has subtotals")
    if len(totals) - len(with_rows) != (1 if accounting else 0):
        yield Broken("PEPPOL-EN16931-R054", "/TaxTotal", "exactly one more tax total where the tax currency is another")
    signs = {(_number(one, "b:TaxAmount") or 0) < 0 for one in totals if _number(one, "b:TaxAmount")}
    if len(signs) > 1:
        yield Broken("PEPPOL-EN16931-R055", "/TaxTotal", "the tax has the same sign in both currencies")
    tree = root.getroottree()
    for node in root.iter(etree.Element):
        stated = node.get("currencyID")
        parent = node.getparent()
        aside = parent is not None and parent in totals and parent not in with_rows
        if stated is not None and stated != (accounting if aside else currency):
            yield Broken("PEPPOL-EN16931-R051", tree.getpath(node), f"amounts are in {currency}, not {stated}")


def _lines(root: etree._Element) -> Iterator[Broken]:
    first, last = _day(root, "a:InvoicePeriod/b:StartDate"), _day(root, "a:InvoicePeriod/b:EndDate")
    for line in [*root.findall("a:InvoiceLine", _N), *root.findall("a:CreditNoteLine", _N)]:
        where = f"line {_text(line, 'b:ID')}"
        start, end = _day(line, "a:InvoicePeriod/b:StartDate"), _day(line, "a:InvoicePeriod/b:EndDate")
        if start and first and start < first:
            yield Broken("PEPPOL-EN16931-R110", where, "it starts before the period of the whole")
        if end and last and end > last:
            yield Broken("PEPPOL-EN16931-R111", where, "it ends after the period of the whole")
        counted = line.find("b:InvoicedQuantity", _N)
        counted = line.find("b:CreditedQuantity", _N) if counted is None else counted
        base = line.find("a:Price/b:BaseQuantity", _N)
        per = _number(line, "a:Price/b:BaseQuantity") if base is not None else Decimal(1)
        if per is None or per <= 0:
            yield Broken("PEPPOL-EN16931-R121", where, "the base quantity of a price is above zero")
            continue
        if base is not None and counted is not None and base.get("unitCode") != counted.get("unitCode"):
            yield Broken("PEPPOL-EN16931-R130", where, "quantity and base quantity have the same unit")
        price, net = _number(line, "a:Price/b:PriceAmount"), _number(line, "b:LineExtensionAmount")
        if counted is None or price is None or net is None:
            continue
        if abs(Decimal((counted.text or "0").strip()) * price / per - net) > Decimal("0.02"):
            yield Broken("PEPPOL-EN16931-R120", where, f"quantity times price is not its net amount {net}")
        for reference in line.findall("a:DocumentReference", _N):
            if _text(reference, "b:DocumentTypeCode") != "130":
                yield Broken("PEPPOL-EN16931-R101", where, "a line names no other document than the object it is for")
        if len(line.findall("a:DocumentReference", _N)) > 1:
            yield Broken("PEPPOL-EN16931-R100", where, "a line is for one object at most")


def _day(node: etree._Element, path: str) -> date | None:
    try:
        return date.fromisoformat(_text(node, path))
    except ValueError:
        return None


def _dutch_seller(root: etree._Element) -> Iterator[Broken]:
    """What the Netherlands ask of sellers there (NL-R): addresses in full, a register's number, usual means."""
    seller, buyer = (
        root.find(f"a:{side}/a:Party", _N) for side in ("AccountingSupplierParty", "AccountingCustomerParty")
    )
    if seller is None or buyer is None or _text(seller, "a:PostalAddress/a:Country/b:IdentificationCode") != "NL":
        return
    if root.tag.endswith("}CreditNote") and not _text(root, "a:BillingReference/a:InvoiceDocumentReference/b:ID"):
        yield Broken("NL-R-001", "/BillingReference", "a credit note names the invoice it lowers")
    whole = ("StreetName", "CityName", "PostalZone")
    if not all(_text(seller, f"a:PostalAddress/b:{part}") for part in whole):
        yield Broken("NL-R-002", "/AccountingSupplierParty", "the seller's address has a street, a place and a code")
    legal = seller.find("a:PartyLegalEntity/b:CompanyID", _N)
    if legal is None or legal.get("schemeID") not in ("0106", "0190"):
        yield Broken("NL-R-003", "/AccountingSupplierParty", "the seller has a KvK (0106) or OIN (0190) number")
    if _text(buyer, "a:PostalAddress/a:Country/b:IdentificationCode") == "NL":
        if not all(_text(buyer, f"a:PostalAddress/b:{part}") for part in whole):
            yield Broken("NL-R-004", "/AccountingCustomerParty", "the buyer's address has a street, a place and a code")
        theirs = buyer.find("a:PartyLegalEntity/b:CompanyID", _N)
        if theirs is not None and theirs.get("schemeID") not in ("0106", "0190"):
            yield Broken("NL-R-005", "/AccountingCustomerParty", "the buyer's register number is KvK or OIN")
    due = _number(root, "a:LegalMonetaryTotal/b:PayableAmount") or 0
    means = [_text(one, "b:PaymentMeansCode") for one in root.findall("a:PaymentMeans", _N)]
    if due > 0 and not means and not root.tag.endswith("}CreditNote"):
        yield Broken("NL-R-007", "/PaymentMeans", "an invoice that is to be paid says how")
    if any(code not in ("30", "48", "49", "57", "58", "59") for code in means):
        yield Broken("NL-R-008", "/PaymentMeans", f"means of payment {means} is not among those of the Netherlands")
