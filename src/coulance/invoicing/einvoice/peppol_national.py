"""National rules of Peppol BIS Billing 3 for sellers in the Netherlands (NL-R) and for documents within Germany (DE-R).

Written from the published text (docs.peppol.eu/poacc/billing/3.0), each under its own id and in our words. Belgium has
none of its own there beyond the form of its enterprise numbers (PEPPOL-COMMON-R043). Rules that only warn are left out.
"""

import re
from collections.abc import Iterator

from lxml import etree

from coulance.invoicing.einvoice.broken import NAMES, Broken, number_at, text_at

_ADDRESS = ("StreetName", "CityName", "PostalZone")
_COUNTRY = "a:PostalAddress/a:Country/b:IdentificationCode"
_NEEDS_TAX_NUMBER = ("S", "Z", "E", "AE", "K", "G", "L", "M")


def check(root: etree._Element) -> Iterator[Broken]:
    """The national rules that a UBL document breaks."""
    seller, buyer = (
        root.find(f"a:{side}/a:Party", NAMES) for side in ("AccountingSupplierParty", "AccountingCustomerParty")
    )
    if seller is None or buyer is None:
        return
    if text_at(seller, _COUNTRY) == "NL":
        yield from _dutch_seller(root, seller, buyer)
    if text_at(seller, _COUNTRY) == text_at(buyer, _COUNTRY) == "DE":
        yield from _within_germany(root, seller, buyer)


def _dutch_seller(root: etree._Element, seller: etree._Element, buyer: etree._Element) -> Iterator[Broken]:
    credit = root.tag.endswith("}CreditNote")
    if credit and not text_at(root, "a:BillingReference/a:InvoiceDocumentReference/b:ID"):
        yield Broken("NL-R-001", "/BillingReference", "a credit note names the invoice it lowers")
    if not all(text_at(seller, f"a:PostalAddress/b:{part}") for part in _ADDRESS):
        yield Broken("NL-R-002", "/AccountingSupplierParty", "the seller's address has a street, a place and a code")
    legal = seller.find("a:PartyLegalEntity/b:CompanyID", NAMES)
    if legal is None or legal.get("schemeID") not in ("0106", "0190"):
        yield Broken("NL-R-003", "/AccountingSupplierParty", "the seller has a KvK (0106) or OIN (0190) number")
    if text_at(buyer, _COUNTRY) == "NL":
        if not all(text_at(buyer, f"a:PostalAddress/b:{part}") for part in _ADDRESS):
            yield Broken("NL-R-004", "/AccountingCustomerParty", "the buyer's address has a street, a place and a code")
        theirs = buyer.find("a:PartyLegalEntity/b:CompanyID", NAMES)
        if theirs is not None and theirs.get("schemeID") not in ("0106", "0190"):
            yield Broken("NL-R-005", "/AccountingCustomerParty", "the buyer's register number is KvK or OIN")
    agent = root.find("a:TaxRepresentativeParty", NAMES)
    dutch_agent = agent is not None and text_at(agent, _COUNTRY) == "NL"
    if agent is not None and dutch_agent and not all(text_at(agent, f"a:PostalAddress/b:{one}") for one in _ADDRESS):
        said = "a fiscal representative's address has a street, a place and a code"
        yield Broken("NL-R-006", "/TaxRepresentativeParty", said)
    due = number_at(root, "a:LegalMonetaryTotal/b:PayableAmount") or 0
    means = [text_at(one, "b:PaymentMeansCode") for one in root.findall("a:PaymentMeans", NAMES)]
    if due > 0 and not means and not credit:
        yield Broken("NL-R-007", "/PaymentMeans", "an invoice that is to be paid says how")
    if any(code not in ("30", "48", "49", "57", "58", "59") for code in means):
        yield Broken("NL-R-008", "/PaymentMeans", f"means of payment {means} is not among those of the Netherlands")
    for line in [*root.findall("a:InvoiceLine", NAMES), *root.findall("a:CreditNoteLine", NAMES)]:
        if text_at(line, "a:OrderLineReference/b:LineID") and not text_at(root, "a:OrderReference/b:ID"):
            yield Broken("NL-R-009", "/OrderReference", "who names the line of an order names the order")


def _within_germany(root: etree._Element, seller: etree._Element, buyer: etree._Element) -> Iterator[Broken]:
    supplier, customer = "/AccountingSupplierParty", "/AccountingCustomerParty"
    if root.find("a:PaymentMeans", NAMES) is None:
        yield Broken("DE-R-001", "/PaymentMeans", "it says how it is to be paid")
    contact = seller.find("a:Contact", NAMES)
    if contact is None:
        yield Broken("DE-R-002", supplier, "the seller has a contact")
    needed = (
        ("DE-R-003", seller, supplier, "a:PostalAddress/b:CityName", "the seller's place"),
        ("DE-R-004", seller, supplier, "a:PostalAddress/b:PostalZone", "the seller's postal code"),
        ("DE-R-008", buyer, customer, "a:PostalAddress/b:CityName", "the buyer's place"),
        ("DE-R-009", buyer, customer, "a:PostalAddress/b:PostalZone", "the buyer's postal code"),
        ("DE-R-015", root, "/", "b:BuyerReference", "the buyer's reference"),
    )
    for rule, node, where, path, what in needed:
        if not text_at(node, path):
            yield Broken(rule, where, f"{what} must be given")
    if contact is not None:
        for rule, name, what in (
            ("DE-R-005", "Name", "name"),
            ("DE-R-006", "Telephone", "telephone number"),
            ("DE-R-007", "ElectronicMail", "mail address"),
        ):
            if not text_at(contact, f"b:{name}"):
                yield Broken(rule, f"{supplier}/Contact", f"the {what} of the seller's contact must be given")
    place = root.find("a:Delivery/a:DeliveryLocation/a:Address", NAMES)
    if place is not None:
        for rule, name in (("DE-R-010", "CityName"), ("DE-R-011", "PostalZone")):
            if not text_at(place, f"b:{name}"):
                yield Broken(rule, "/Delivery", f"an address of delivery has its {name}")
    categories = set()
    for row in root.findall("a:TaxTotal/a:TaxSubtotal/a:TaxCategory", NAMES):
        categories.add(text_at(row, "b:ID"))
        if not text_at(row, "b:Percent"):
            yield Broken("DE-R-014", "/TaxTotal", "each row of the tax has its rate")
    numbers = [text_at(one, "b:CompanyID") for one in seller.findall("a:PartyTaxScheme", NAMES)]
    agent = root.find("a:TaxRepresentativeParty", NAMES)
    if categories & set(_NEEDS_TAX_NUMBER) and not any(numbers) and agent is None:
        yield Broken("DE-R-016", supplier, "the seller has a tax number, a VAT number or a fiscal representative")
    for terms in root.findall("a:PaymentTerms/b:Note", NAMES):
        yield from _skonto(terms.text or "")
    for means in root.findall("a:PaymentMeans", NAMES):
        yield from _means(means)
    names = [node.get("filename") or "" for node in root.iter(f"{{{NAMES['b']}}}EmbeddedDocumentBinaryObject")]
    if len(set(names)) < len(names):
        yield Broken("DE-R-022", "/AdditionalDocumentReference", "attached files have names of their own")


def _means(means: etree._Element) -> Iterator[Broken]:
    code = text_at(means, "b:PaymentMeansCode")
    transfer, card, debit = (
        means.find(f"a:{part}", NAMES) is not None
        for part in ("PayeeFinancialAccount", "CardAccount", "PaymentMandate")
    )
    where = "/PaymentMeans"
    if code in ("30", "58") and (not transfer or card or debit):
        yield Broken("DE-R-023", where, "a transfer names an account, and neither a card nor a mandate")
    if code in ("48", "54", "55") and (not card or transfer or debit):
        yield Broken("DE-R-024", where, "a payment by card names a card, and neither an account nor a mandate")
    if code == "59" and (not debit or transfer or card):
        yield Broken("DE-R-025", where, "a direct debit names a mandate, and neither an account nor a card")
    if code == "58" and not _is_iban(text_at(means, "a:PayeeFinancialAccount/b:ID")):
        yield Broken("DE-R-019", where, "a SEPA transfer names a sound IBAN")
    if code == "59" and not _is_iban(text_at(means, "a:PaymentMandate/a:PayerFinancialAccount/b:ID")):
        yield Broken("DE-R-020", where, "a SEPA direct debit names a sound IBAN")


def _skonto(terms: str) -> Iterator[Broken]:
    """Discounts for early payment are written so: #SKONTO#TAGE=14#PROZENT=2.00#, each on a line of its own."""
    for line in terms.splitlines():
        row = line.strip()
        form = r"#(SKONTO|VERZUG)#TAGE=\d+#PROZENT=\d+\.\d{2}(#BASISBETRAG=-?\d+\.\d{2})?#"
        if row.startswith("#") and not re.fullmatch(form, row):
            yield Broken(
                "DE-R-018", "/PaymentTerms", f"{row[:60]!r} begins as a discount's terms, and isn't written so"
            )


def _is_iban(text: str) -> bool:
    compact = re.sub(r"\s", "", text).upper()
    if not re.fullmatch(r"[A-Z]{2}\d{2}[A-Z0-9]{11,30}", compact):
        return False
    return int("".join(str(int(char, 36)) for char in compact[4:] + compact[:4])) % 97 == 1
