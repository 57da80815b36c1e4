"""The rules that Peppol BIS Billing 3 adds to EN 16931, as far as our own documents can meet or break them.

Written from the published text of the rules (docs.peppol.eu/poacc/billing/3.0), each under its own id. What is judged
by EN 16931's own rules too (most code lists) and national rules of other countries than ours are not here:
docs/e-invoices.md lists them. The access point runs the official ones; this says so earlier, and in our words.
"""

import re
from collections.abc import Iterator
from datetime import date
from decimal import Decimal

from lxml import etree

from coulance.invoicing.einvoice import peppol_national
from coulance.invoicing.einvoice.broken import NAMES, Broken, number_at, text_at
from coulance.invoicing.einvoice.ubl_writer import CBC, PEPPOL, PEPPOL_PROCESS


def check(root: etree._Element) -> list[Broken]:
    """Every rule that a UBL document (already valid by schema and EN 16931) breaks."""
    return [
        *_document(root),
        *_parties(root),
        *_totals(root),
        *_lines(root),
        *_exemptions(root),
        *_allowances(root),
        *peppol_national.check(root),
    ]


def _document(root: etree._Element) -> Iterator[Broken]:
    if not text_at(root, "b:ProfileID"):
        yield Broken("PEPPOL-EN16931-R001", "/ProfileID", "the business process must be given")
    elif text_at(root, "b:ProfileID") != PEPPOL_PROCESS:
        yield Broken("PEPPOL-EN16931-R007", "/ProfileID", f"the business process is {PEPPOL_PROCESS}")
    if not text_at(root, "b:CustomizationID").startswith(PEPPOL):
        yield Broken("PEPPOL-EN16931-R004", "/CustomizationID", f"the specification is {PEPPOL}")
    objects = [one for one in root.findall("a:AdditionalDocumentReference", NAMES)
               if text_at(one, "b:DocumentTypeCode") == "130"]  # fmt: skip
    if len(objects) > 1:
        yield Broken("PEPPOL-EN16931-R006", "/AdditionalDocumentReference", "a document is for one object at most")
    projects = [one for one in root.findall("a:AdditionalDocumentReference", NAMES)
                if text_at(one, "b:DocumentTypeCode") == "50"]  # fmt: skip
    if len(projects) + len(root.findall("a:ProjectReference", NAMES)) > 1:
        yield Broken("PEPPOL-EN16931-R080", "/ProjectReference", "a document is for one project at most")
    for code in root.findall("a:InvoicePeriod/b:DescriptionCode", NAMES):
        if (code.text or "").strip() not in ("3", "35", "432"):
            yield Broken("PEPPOL-EN16931-CL006", "/InvoicePeriod", f"{code.text!r} says no date of tax")
    countries = [text_at(root, f"a:{side}/a:Party/a:PostalAddress/a:Country/b:IdentificationCode")
                 for side in ("AccountingSupplierParty", "AccountingCustomerParty")]  # fmt: skip
    if text_at(root, "b:InvoiceTypeCode") in ("326", "384") and countries != ["DE", "DE"]:
        yield Broken("PEPPOL-EN16931-P0112", "/InvoiceTypeCode", "types 326 and 384 are for documents within Germany")
    for means in root.findall("a:PaymentMeans", NAMES):
        debit = text_at(means, "b:PaymentMeansCode") in ("49", "59")
        if debit and not text_at(means, "a:PaymentMandate/b:ID"):
            yield Broken("PEPPOL-EN16931-R061", "/PaymentMeans", "a direct debit names its mandate")
    if len(root.findall("b:Note", NAMES)) > 1:
        yield Broken("PEPPOL-EN16931-R002", "/Note", "no more than one note on a document")
    if not text_at(root, "b:BuyerReference") and not text_at(root, "a:OrderReference/b:ID"):
        yield Broken("PEPPOL-EN16931-R003", "/", "a buyer reference or purchase order reference must be given")
    if text_at(root, "b:TaxCurrencyCode") and text_at(root, "b:TaxCurrencyCode") == text_at(
        root, "b:DocumentCurrencyCode"
    ):
        yield Broken("PEPPOL-EN16931-R005", "/TaxCurrencyCode", "it must differ from the document's currency")
    tree = root.getroottree()
    for element in root.iter(etree.Element):
        if not len(element) and not (element.text or "").strip():
            yield Broken("PEPPOL-EN16931-R008", tree.getpath(element), "a document must not hold empty elements")
    code = text_at(root, "b:InvoiceTypeCode")
    if code and code not in {"71", "80", "82", "84", "102", "218", "219", "326", "331", "380", "382", "383", "384",
                             "386", "388",
                             "393", "395", "553", "575", "623", "780", "817", "870", "875", "876", "877"}:  # fmt: skip
        yield Broken("PEPPOL-EN16931-P0100", "/InvoiceTypeCode", f"{code!r} is no invoice type of Peppol's list")
    code = text_at(root, "b:CreditNoteTypeCode")
    if code and code not in {"381", "396", "81", "83", "532"}:
        yield Broken("PEPPOL-EN16931-P0101", "/CreditNoteTypeCode", f"{code!r} is no credit note type of Peppol's list")


def _parties(root: etree._Element) -> Iterator[Broken]:
    for rule, side in (("R020", "AccountingSupplierParty"), ("R010", "AccountingCustomerParty")):
        where = root.find(f"a:{side}/a:Party/b:EndpointID", NAMES)
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

    if scheme == "0151" and not _australian(value):
        yield Broken("PEPPOL-COMMON-R050", where, f"{value!r} is no Australian business number")
    if scheme == "0201" and not re.fullmatch(r"[0-9A-Za-z]{6}", value):
        yield Broken("PEPPOL-COMMON-R044", where, f"{value!r} is no Italian office code (IPA)")
    if scheme in ("0210", "9907") and not re.fullmatch(r"[0-9A-Za-z]{16}|\d{11}", value):
        rule = "R045" if scheme == "0210" else "R046"
        yield Broken(f"PEPPOL-COMMON-{rule}", where, f"{value!r} is no Italian tax code")
    if scheme == "0211" and value.startswith("IT") and not (re.fullmatch(r"IT\d{11}", value) and _luhn(value[2:])):
        yield Broken("PEPPOL-COMMON-R047", where, f"{value!r} is no Italian VAT number")


def _australian(value: str) -> bool:
    if not re.fullmatch(r"\d{11}", value):
        return False
    digits = [int(char) for char in value]
    digits[0] -= 1
    weighted = zip(digits, (10, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19), strict=True)
    return sum(digit * weight for digit, weight in weighted) % 89 == 0


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
    digits = [int(ch) * (2 if i % 2 == 0 else 1) for i, ch in enumerate(reversed(value[:-1]))]
    return (10 - sum(d // 10 + d % 10 for d in digits) % 10) % 10 == int(value[-1])


def _totals(root: etree._Element) -> Iterator[Broken]:
    currency, accounting = text_at(root, "b:DocumentCurrencyCode"), text_at(root, "b:TaxCurrencyCode")
    totals = root.findall("a:TaxTotal", NAMES)
    with_rows = [one for one in totals if one.find("a:TaxSubtotal", NAMES) is not None]
    if len(with_rows) != 1:
        yield Broken("PEPPOL-EN16931-R053", "/TaxTotal", "exactly one tax total has subtotals")
    if len(totals) - len(with_rows) != (1 if accounting else 0):
        yield Broken("PEPPOL-EN16931-R054", "/TaxTotal", "exactly one more tax total where the tax currency is another")
    signs = {(number_at(one, "b:TaxAmount") or 0) < 0 for one in totals if number_at(one, "b:TaxAmount")}
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
    for line in [*root.findall("a:InvoiceLine", NAMES), *root.findall("a:CreditNoteLine", NAMES)]:
        where = f"line {text_at(line, 'b:ID')}"
        start, end = _day(line, "a:InvoicePeriod/b:StartDate"), _day(line, "a:InvoicePeriod/b:EndDate")
        if start and first and start < first:
            yield Broken("PEPPOL-EN16931-R110", where, "it starts before the period of the whole")
        if end and last and end > last:
            yield Broken("PEPPOL-EN16931-R111", where, "it ends after the period of the whole")
        counted = line.find("b:InvoicedQuantity", NAMES)
        counted = line.find("b:CreditedQuantity", NAMES) if counted is None else counted
        base = line.find("a:Price/b:BaseQuantity", NAMES)
        per = number_at(line, "a:Price/b:BaseQuantity") if base is not None else Decimal(1)
        if per is None or per <= 0:
            yield Broken("PEPPOL-EN16931-R121", where, "the base quantity of a price is above zero")
            continue
        if base is not None and counted is not None and base.get("unitCode") != counted.get("unitCode"):
            yield Broken("PEPPOL-EN16931-R130", where, "quantity and base quantity have the same unit")
        price, net = number_at(line, "a:Price/b:PriceAmount"), number_at(line, "b:LineExtensionAmount")
        if counted is None or price is None or net is None:
            continue
        if abs(Decimal((counted.text or "0").strip()) * price / per - net) > Decimal("0.02"):
            yield Broken("PEPPOL-EN16931-R120", where, f"quantity times price is not its net amount {net}")
        for reference in line.findall("a:DocumentReference", NAMES):
            if text_at(reference, "b:DocumentTypeCode") != "130":
                yield Broken("PEPPOL-EN16931-R101", where, "a line names no other document than the object it is for")
        if len(line.findall("a:DocumentReference", NAMES)) > 1:
            yield Broken("PEPPOL-EN16931-R100", where, "a line is for one object at most")


def _day(node: etree._Element, path: str) -> date | None:
    try:
        return date.fromisoformat(text_at(node, path))
    except ValueError:
        return None


_EXEMPT = {
    "VATEX-EU-G": ("G", "P0104"), "VATEX-EU-O": ("O", "P0105"), "VATEX-EU-IC": ("K", "P0106"),
    "VATEX-EU-AE": ("AE", "P0107"), "VATEX-EU-D": ("E", "P0108"), "VATEX-EU-F": ("E", "P0109"),
    "VATEX-EU-I": ("E", "P0110"), "VATEX-EU-J": ("E", "P0111"),
}  # fmt: skip
"""Reasons for no tax, and the only category that each goes with."""


def _exemptions(root: etree._Element) -> Iterator[Broken]:
    for row in root.findall("a:TaxTotal/a:TaxSubtotal/a:TaxCategory", NAMES):
        reason = text_at(row, "b:TaxExemptionReasonCode").upper()
        category, rule = _EXEMPT.get(reason, ("", ""))
        if rule and text_at(row, "b:ID") != category:
            yield Broken(f"PEPPOL-EN16931-{rule}", "/TaxTotal", f"reason {reason} goes with category {category} only")


def _allowances(root: etree._Element) -> Iterator[Broken]:
    """What is taken off or put on: of the whole, of a line, of a price."""
    tree = root.getroottree()
    for node in root.iter(f"{{{NAMES['a']}}}AllowanceCharge"):
        where, of_price = tree.getpath(node), str((p := node.getparent()) is not None and p.tag).endswith("}Price")
        kind = text_at(node, "b:ChargeIndicator")
        if kind not in ("true", "false"):
            yield Broken("PEPPOL-EN16931-R043", where, f"{kind!r} says neither charge (true) nor allowance (false)")
        parts = ("MultiplierFactorNumeric", "BaseAmount", "Amount")
        percent, base, amount = (number_at(node, f"b:{part}") for part in parts)
        if of_price:
            price = number_at(p, "b:PriceAmount") if p is not None else None
            if kind == "true":
                yield Broken("PEPPOL-EN16931-R044", where, "a price has no charge, only an allowance")
            if base is not None and amount is not None and price is not None and price != base - amount:
                yield Broken("PEPPOL-EN16931-R046", where, f"the price {price} is not {base} less {amount}")
            continue
        if percent is not None and base is None:
            yield Broken("PEPPOL-EN16931-R041", where, "a percentage is of an amount, which must be given")
        if base is not None and percent is None:
            yield Broken("PEPPOL-EN16931-R042", where, "a base amount needs its percentage")
        if percent is None or base is None or amount is None:
            continue
        if abs(base * percent / 100 - amount) > Decimal("0.02"):
            yield Broken("PEPPOL-EN16931-R040", where, f"{percent} % of {base} is not {amount}")
