"""Documents of every kind are valid by the official rules, in every form, whatever their texts; broken ones are not."""

import re
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from lxml import etree

from coulance.invoicing import einvoice
from coulance.invoicing.einvoice import peppol_rules, validation
from coulance_core.invoicing import (
    CreditRequest,
    CreditType,
    DocumentDraft,
    Issued,
    IssuedNote,
    NationalRate,
    credit_note,
    debit_note,
)
from coulance_core.invoicing.documents import Buyer, BuyerKind
from coulance_core.invoicing.en16931_codes import (
    _COUNTRIES_AND_MORE,
    _REGISTERS,
    _VAT_SCHEMES,
    VATEX_OF,
    Identifier,
    unit_code,
)
from coulance_core.kernel.quantity import unit_names
from tests.core.invoicing import papers, samples
from tests.documents import samples as pages

GERMAN = Buyer(
    "D-1", "Kunde GmbH", BuyerKind.BUSINESS, "DE", "Europe/Berlin", "EUR", ("Weg 1", "10115 Berlin"), "DE136695976"
)
AMERICAN = Buyer(
    "U-1", "Client Inc.", BuyerKind.BUSINESS, "US", "America/New_York", "EUR", ("1 Main St", "Reno, NV 89501")
)
CITIZEN = Buyer("P-1", "Anna", BuyerKind.CONSUMER, "NL", "Europe/Amsterdam", "EUR")
TOWN = Buyer("T-1", "Gemeente", BuyerKind.PUBLIC, "NL", "Europe/Amsterdam", "EUR", ("Plein 1", "1000 AA Stad"))
FOUR = [samples.bill_line(m) for m in (4126, 19524, 89, 1000)]
DOLLARS = [samples.bill_line(12345, code="USD")]
EURO = NationalRate("EUR", Fraction("0.9"), samples.ON)
SEK = NationalRate("SEK", Fraction("11.0235"), samples.ON, "ECB")
JPY = NationalRate("JPY", Fraction("163.25"), samples.ON, "ECB")


def note(kind: CreditType, draft: DocumentDraft, lines: list[CreditRequest] | None = None) -> DocumentDraft:
    return credit_note(
        Issued.of(draft, "O2026-000001"),
        lines=lines,
        credit_type=kind,
        reason="Attack traffic of 14 October & <more>",
        issued_on=samples.ON,
        tax_point=samples.ON,
    )


def back(given: DocumentDraft) -> DocumentDraft:
    return debit_note(
        IssuedNote.of(given, "C2026-0001"), reason="it was meant for another", issued_on=samples.ON, due_on=samples.ON
    )


DISCOUNTED = samples.document([*FOUR, samples.bill_line(-300, "maximum_discount")])
DOCUMENTS: dict[str, DocumentDraft] = {
    "plain": samples.document(FOUR),
    "discount": DISCOUNTED,
    "two rates": samples.document([samples.bill_line(1001), samples.bill_line(333, tax_class="reduced")]),
    "zero": papers.of_classes("zero"),
    "exempt": papers.of_classes("exempt"),
    "exempt with code": papers.of_classes("medical"),
    "export": papers.of_classes("export"),
    "goods in the EU": papers.of_classes("goods", buyer=GERMAN),
    "out of scope": papers.of_classes("fine"),
    "out of scope beside standard": papers.of_classes("standard", "fine", "zero", "exempt", "odd"),
    "reverse charge": papers.of_classes("standard", buyer=GERMAN),
    "outside the EU": papers.of_classes("standard", buyer=AMERICAN),
    "consumer": papers.of_classes("standard", buyer=CITIZEN),
    "public": papers.of_classes("standard", buyer=TOWN),
    "dollars": samples.document(DOLLARS, code="USD"),
    "dollars, tax in euros": samples.document(DOLLARS, code="USD", national=EURO),
    "national currency": samples.document(FOUR, national=SEK),
    "national currency without decimals": samples.document(FOUR, national=JPY),
    "yen": samples.document([samples.bill_line(12345, code="JPY")], code="JPY"),
    "dinars that two decimals hold": samples.document([samples.bill_line(100_000, code="KWD")], code="KWD"),
    "nothing to pay": samples.document([samples.bill_line(300), samples.bill_line(-300, "maximum_discount")]),
    "price reduction": note(CreditType.PRICE_REDUCTION, samples.document(FOUR), [CreditRequest(2)]),
    "correction of all, discount too": note(CreditType.CORRECTION, DISCOUNTED),
    "damages": note(CreditType.DAMAGES, samples.document(FOUR, national=SEK)),
    "correction of a reverse charge": note(CreditType.CORRECTION, papers.of_classes("standard", buyer=GERMAN)),
    "price reduction in two currencies": note(CreditType.PRICE_REDUCTION, samples.document(FOUR, national=SEK)),
    "debit note on a price reduction": back(note(CreditType.PRICE_REDUCTION, samples.document(FOUR, national=SEK))),
    "debit note on damages": back(note(CreditType.DAMAGES, samples.document(FOUR))),
    "debit note of a reverse charge": back(note(CreditType.CORRECTION, papers.of_classes("standard", buyer=GERMAN))),
}  # fmt: skip


def holds(xml: bytes) -> None:
    report = einvoice.validate(xml)
    assert report.valid, str(report)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_kind_of_document_is_valid_in_every_form(name: str) -> None:
    snapshot = papers.issued(DOCUMENTS[name])
    holds(einvoice.ubl(snapshot))
    holds(einvoice.cii(snapshot))
    buyer = einvoice.Routing(endpoint=Identifier("12345678", "0106"))
    if snapshot["buyer"]["country"] == "NL" and len(snapshot["buyer"]["address"]) < 2:
        snapshot["buyer"] |= {"address": ["Straat 1", "1234 AB Stad"]}
    holds(einvoice.ubl(snapshot, routing=buyer, peppol=True))


@pytest.mark.parametrize("make", [pages.overage_invoice, pages.rich_overage_invoice, pages.pool_invoice,
                                  pages.base_invoice, pages.credit_note], ids=lambda make: make.__name__)  # fmt: skip
def test_the_sample_pages_are_valid(make: Any) -> None:
    snapshot = make(conventions=[])
    snapshot["tax"] = [row | {"kind": "standard"} for row in snapshot["tax"]]
    snapshot["totals"] |= {"due": snapshot["totals"]["gross"]}
    for made in (einvoice.ubl(snapshot), einvoice.ubl(snapshot, peppol=True), einvoice.cii(snapshot)):
        holds(made)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(draft=samples.documents())
def test_any_document_is_valid_or_refused_in_words(draft: DocumentDraft) -> None:
    found = einvoice.survey([papers.issued(draft)])
    assert not found.failed
    for lacks in found.impossible.values():
        assert all("three decimals" in lack.problem or "strays" in lack.problem for lack in lacks)


HOSTILE = [
    "]]><x/>",
    "&amp;&#0;<!--",
    "a\x00\x08b",
    "\ud800",
    "\u202e12",
    "😀" * 40,
    "   ",
    "'\"<>",
    "Ünï  code\n\tŁ",
    "x" * 3000,
]


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_names_stay_text(name: str) -> None:
    draft = samples.document(FOUR)
    snapshot = papers.issued(draft)
    snapshot["notes"] = [name]
    shown = name if name.strip() else "x"
    snapshot["buyer"] |= {"name": shown, "address": [name, name, name, name], "external_id": shown}
    for line in snapshot["lines"]:
        line |= {"description": name, "charge": name, "service": {"id": name, "name": name}}
    for made in (einvoice.ubl(snapshot), einvoice.cii(snapshot)):
        holds(made)
        root = etree.fromstring(made)
        assert root.xpath("count(//*[local-name()='x'])") == 0


# --- mutations: what the rules are for ---


def broken(pattern: str, replacement: str, name: str = "plain", **options: Any) -> tuple[str, ...]:
    """The rules that fail once the first match of a pattern in a valid UBL document is replaced."""
    made = einvoice.ubl(papers.issued(DOCUMENTS[name]), **options).decode()
    changed, times = re.subn(pattern, replacement, made, count=1, flags=re.S)
    assert times == 1
    return einvoice.validate(changed.encode()).rules


@pytest.mark.parametrize(
    ("pattern", "replacement", "rule"),
    [
        (r"(<cac:InvoiceLine>.*?<cbc:LineExtensionAmount[^>]*>)41\.26", r"\g<1>41.27", "BR-CO-10"),
        (r"(<cbc:TaxInclusiveAmount[^>]*>)[\d.]+", r"\g<1>1.00", "BR-CO-15"),
        (r"(<cbc:PayableAmount[^>]*>)[\d.]+", r"\g<1>1.00", "BR-CO-16"),
        (r"(<cac:TaxTotal>\s*<cbc:TaxAmount[^>]*>)[\d.]+", r"\g<1>1.00", "BR-CO-14"),
        (r"(<cac:TaxSubtotal>.*?<cbc:TaxAmount[^>]*>)[\d.]+", r"\g<1>1.00", "BR-CO-17"),
        (r"(<cbc:PriceAmount[^>]*>)", r"\g<1>-", "BR-27"),
        (r"<cac:ClassifiedTaxCategory>.*?</cac:ClassifiedTaxCategory>", "", "BR-CO-04"),
        (r"<cac:TaxSubtotal>.*?</cac:TaxSubtotal>", "", "BR-CO-18"),
        (r"(<cac:PartyTaxScheme>\s*<cbc:CompanyID>)NL", r"\g<1>99", "BR-CO-09"),
        (r'unitCode="E34"', 'unitCode="Gigabyte"', "BR-CL-23"),
        (r"(<cbc:IdentificationCode>)NL", r"\g<1>XX", "BR-CL-14"),
        (r"(<cbc:LineExtensionAmount[^>]*>)([\d.]+)", r"\g<1>\g<2>0", "BR-DEC-09"),
        (r"<cbc:ID>O2026-000001</cbc:ID>", "", "XSD"),
        (r"<cbc:DueDate>2026-", "<cbc:DueDate>2026-13-", "XSD"),
        (r"urn:cen.eu:en16931:2017", "urn:example", "PROFILE"),
    ],
)
def test_a_broken_document_fails_by_the_rule_that_it_breaks(pattern: str, replacement: str, rule: str) -> None:
    assert rule in broken(pattern, replacement)


def test_broken_cii_fails_too() -> None:
    made = einvoice.cii(papers.issued(DOCUMENTS["plain"])).decode()
    assert "BR-CO-15" in einvoice.validate(re.sub(r"(GrandTotalAmount>)[\d.]+", r"\g<1>1.00", made).encode()).rules
    assert "XSD" in einvoice.validate(made.replace("TypeCode", "Typecode").encode()).rules


OBJECT, PROJECT = (
    f"<cac:AdditionalDocumentReference><cbc:ID>x</cbc:ID><cbc:DocumentTypeCode>{code}</cbc:DocumentTypeCode>"
    "</cac:AdditionalDocumentReference>"
    for code in ("130", "50")
)
REFERENCE = (
    "<cac:DocumentReference><cbc:ID>x</cbc:ID><cbc:DocumentTypeCode>130</cbc:DocumentTypeCode></cac:DocumentReference>"
)
ORDER = "<cac:OrderLineReference><cbc:LineID>1</cbc:LineID></cac:OrderLineReference>"
AGENT = (
    "<cac:TaxRepresentativeParty><cac:PostalAddress><cac:Country><cbc:IdentificationCode>NL</cbc:IdentificationCode>"
    "</cac:Country></cac:PostalAddress></cac:TaxRepresentativeParty>"
)


def allowed(kind: str, amounts: str) -> str:
    """An allowance or charge: `Amount=1 BaseAmount=9`."""
    parts = "".join(f"<cbc:{name}>{value}</cbc:{name}>" for name, value in (one.split("=") for one in amounts.split()))
    return f"<cac:AllowanceCharge><cbc:ChargeIndicator>{kind}</cbc:ChargeIndicator>{parts}</cac:AllowanceCharge>"


SECOND_TAX = '<cac:TaxTotal><cbc:TaxAmount currencyID="SEK">1.00</cbc:TaxAmount></cac:TaxTotal>'


@pytest.mark.parametrize(
    ("pattern", "replacement", "rule"),
    [
        (r"<cbc:ProfileID>.*?</cbc:ProfileID>", "<cbc:ProfileID>x</cbc:ProfileID>", "PEPPOL-EN16931-R007"),
        (r"<cbc:BuyerReference>.*?</cbc:BuyerReference>", "", "PEPPOL-EN16931-R003"),
        (r"(?s)(AccountingCustomerParty>.*?)<cbc:EndpointID.*?</cbc:EndpointID>", r"\g<1>", "PEPPOL-EN16931-R010"),
        (r"<cbc:EndpointID.*?</cbc:EndpointID>", "", "PEPPOL-EN16931-R020"),
        (r"(<cac:InvoiceLine>.*?<cbc:InvoicedQuantity[^>]*>)[\d.]+", r"\g<1>7", "PEPPOL-EN16931-R120"),
        (r"(<cac:InvoiceLine>.*?<cbc:StartDate>)2026", r"\g<1>2025", "PEPPOL-EN16931-R110"),
        (r"(<cac:InvoiceLine>.*?<cbc:EndDate>)2026", r"\g<1>2027", "PEPPOL-EN16931-R111"),
        (r"<cbc:Telephone>.*?</cbc:Telephone>", "<cbc:Telephone> </cbc:Telephone>", "PEPPOL-EN16931-R008"),
        (r'(<cbc:BaseQuantity unitCode=)"[^"]*"', r'\g<1>"C62"', "PEPPOL-EN16931-R130"),
        (r"(<cbc:BaseQuantity[^>]*>)[\d.]+", r"\g<1>0", "PEPPOL-EN16931-R121"),
        (r"<cbc:InvoiceTypeCode>380", "<cbc:InvoiceTypeCode>325", "PEPPOL-EN16931-P0100"),
        (r"<cbc:DocumentTypeCode>130", "<cbc:DocumentTypeCode>50", "PEPPOL-EN16931-R101"),
        (r'(PriceAmount currencyID=)"EUR"', r'\g<1>"USD"', "PEPPOL-EN16931-R051"),
        (r"<cbc:Note>.*?</cbc:Note>", "<cbc:Note>a</cbc:Note><cbc:Note>b</cbc:Note>", "PEPPOL-EN16931-R002"),
        (r"<cac:TaxTotal>", f"{SECOND_TAX}<cac:TaxTotal>", "PEPPOL-EN16931-R054"),
        (r"<cbc:PostalZone>.*?</cbc:PostalZone>", "", "NL-R-002"),
        (r'(PartyLegalEntity>.*?)<cbc:CompanyID schemeID="0106">.*?</cbc:CompanyID>', r"\g<1>", "NL-R-003"),
        (r"(AccountingCustomerParty>.*?)<cbc:CityName>.*?</cbc:CityName>", r"\g<1>", "NL-R-004"),
        (r"<cac:PaymentMeans>.*?</cac:PaymentMeans>", "", "NL-R-007"),
        (r"<cbc:PaymentMeansCode>58", "<cbc:PaymentMeansCode>31", "NL-R-008"),
        (r'schemeID="0106">12345678', 'schemeID="0192">12345678', "PEPPOL-COMMON-R041"),
        (r'schemeID="0106">12345678', 'schemeID="0208">12345678', "PEPPOL-COMMON-R043"),
        (r"<cbc:ProfileID>.*?</cbc:ProfileID>", "", "PEPPOL-EN16931-R001"),
        (r"poacc:billing:3.0</cbc:Cust", "poacc:billing:9</cbc:Cust", "PEPPOL-EN16931-R004"),
        (r"(<cac:AccountingSupplierParty>)", OBJECT * 2 + r"\g<1>", "PEPPOL-EN16931-R006"),
        (r"(<cac:AccountingSupplierParty>)", PROJECT * 2 + r"\g<1>", "PEPPOL-EN16931-R080"),
        (r"(<cac:InvoicePeriod>)", r"\g<1><cbc:DescriptionCode>5</cbc:DescriptionCode>", "PEPPOL-EN16931-CL006"),
        (r"<cbc:InvoiceTypeCode>380", "<cbc:InvoiceTypeCode>384", "PEPPOL-EN16931-P0112"),
        (r"<cbc:PaymentMeansCode>58", "<cbc:PaymentMeansCode>59", "PEPPOL-EN16931-R061"),
        (r"(<cac:TaxTotal>)", allowed("maybe", "Amount=1") + r"\g<1>", "PEPPOL-EN16931-R043"),
        (r"(<cac:TaxTotal>)", allowed("false", "MultiplierFactorNumeric=5 Amount=1") + r"\g<1>", "PEPPOL-EN16931-R041"),
        (r"(<cac:TaxTotal>)", allowed("false", "Amount=1 BaseAmount=9") + r"\g<1>", "PEPPOL-EN16931-R042"),
        (r"(<cac:TaxTotal>)", allowed("false", "MultiplierFactorNumeric=5 Amount=1 BaseAmount=9") + r"\g<1>",
         "PEPPOL-EN16931-R040"),
        (r"(</cac:Price>)", allowed("true", "Amount=1") + r"\g<1>", "PEPPOL-EN16931-R044"),
        (r"(</cac:Price>)", allowed("false", "Amount=1 BaseAmount=9999") + r"\g<1>", "PEPPOL-EN16931-R046"),
        *((r"(<cac:TaxCategory>\s*<cbc:ID>)S(</cbc:ID>\s*<cbc:Percent>[^<]*</cbc:Percent>)",
           rf"\g<1>Z\g<2><cbc:TaxExemptionReasonCode>VATEX-EU-{reason}</cbc:TaxExemptionReasonCode>",
           f"PEPPOL-EN16931-P{number:04d}")
          for number, reason in enumerate(("G", "O", "IC", "AE", "D", "F", "I", "J"), 104)),
        (r'schemeID="0106">12345678', 'schemeID="0088">12345678', "PEPPOL-COMMON-R040"),
        (r'schemeID="0106">12345678', 'schemeID="0184">12345678', "PEPPOL-COMMON-R042"),
        (r'schemeID="0106">12345678', 'schemeID="0007">12345678', "PEPPOL-COMMON-R049"),
        (r'schemeID="0106">12345678', 'schemeID="0151">12345678', "PEPPOL-COMMON-R050"),
        (r'schemeID="0106">12345678', 'schemeID="0201">12345678', "PEPPOL-COMMON-R044"),
        (r'schemeID="0106">12345678', 'schemeID="0210">12345678', "PEPPOL-COMMON-R045"),
        (r'schemeID="0106">12345678', 'schemeID="9907">12345678', "PEPPOL-COMMON-R046"),
        (r'schemeID="0106">12345678', 'schemeID="0211">IT12345678', "PEPPOL-COMMON-R047"),
        (r"(<cbc:BuyerReference>)", r"<cbc:TaxCurrencyCode>EUR</cbc:TaxCurrencyCode>\g<1>", "PEPPOL-EN16931-R005"),
        (r"(<cac:InvoiceLine>.*?)(<cac:Item>)", r"\g<1>" + REFERENCE * 2 + r"\g<2>", "PEPPOL-EN16931-R100"),
        (r"(<cac:InvoiceLine>.*?)(<cac:Item>)", rf"\g<1>{ORDER}\g<2>", "NL-R-009"),
        (r"(<cac:AccountingCustomerParty>)", AGENT + r"\g<1>", "NL-R-006"),
        (r"(AccountingCustomerParty>.*?<cac:PartyLegalEntity>)",
         r"\g<1><cbc:CompanyID schemeID='0208'>1</cbc:CompanyID>", "NL-R-005"),
    ],
)  # fmt: skip
def test_peppols_own_rules_see_what_they_are_for(pattern: str, replacement: str, rule: str) -> None:
    snapshot = papers.issued(DOCUMENTS["plain"])
    snapshot["buyer"] |= {"address": ["Straat 1", "1234 AB Stad"]}
    routing = einvoice.Routing(endpoint=Identifier("87654321", "0106"))
    made = einvoice.ubl(snapshot, routing=routing, peppol=True).decode()
    assert not peppol_rules.check(etree.fromstring(made.encode()))
    changed, times = re.subn(pattern, replacement, made, count=1, flags=re.S)
    assert times == 1
    found = {one.id for one in peppol_rules.check(etree.fromstring(changed.encode()))}
    assert rule in found


PLACE = (
    "<cac:Delivery><cac:DeliveryLocation><cac:Address><cac:Country><cbc:IdentificationCode>DE</cbc:IdentificationCode>"
    "</cac:Country></cac:Address></cac:DeliveryLocation></cac:Delivery>"
)
FILE = (
    "<cac:AdditionalDocumentReference><cbc:ID>x</cbc:ID><cac:Attachment>"
    "<cbc:EmbeddedDocumentBinaryObject filename='a.pdf' mimeCode='application/pdf'>eA=="
    "</cbc:EmbeddedDocumentBinaryObject></cac:Attachment></cac:AdditionalDocumentReference>"
)


def german() -> str:
    """A document within Germany, as we write it."""
    snapshot = papers.issued(DOCUMENTS["plain"])
    snapshot["seller"] |= {"country": "DE", "address": ["Weg 1", "10115 Berlin"], "vat_id": "DE136695976"}
    snapshot["buyer"] |= {"country": "DE", "address": ["Ring 1", "20095 Hamburg"], "vat_id": ""}
    routing = einvoice.Routing("04011000-12345-67", Identifier("04011000-12345-67", "0204"))
    return einvoice.ubl(snapshot, routing=routing, peppol=True).decode()


@pytest.mark.parametrize(
    ("pattern", "replacement", "rule"),
    [
        (r"<cac:PaymentMeans>.*?</cac:PaymentMeans>", "", "DE-R-001"),
        (r"<cac:Contact>.*?</cac:Contact>", "", "DE-R-002"),
        (r"<cbc:CityName>.*?</cbc:CityName>", "", "DE-R-003"),
        (r"<cbc:PostalZone>.*?</cbc:PostalZone>", "", "DE-R-004"),
        (r"(<cac:Contact>\s*)<cbc:Name>.*?</cbc:Name>", r"\g<1>", "DE-R-005"),
        (r"<cbc:Telephone>.*?</cbc:Telephone>", "", "DE-R-006"),
        (r"<cbc:ElectronicMail>.*?</cbc:ElectronicMail>", "", "DE-R-007"),
        (r"(AccountingCustomerParty>.*?)<cbc:CityName>.*?</cbc:CityName>", r"\g<1>", "DE-R-008"),
        (r"(AccountingCustomerParty>.*?)<cbc:PostalZone>.*?</cbc:PostalZone>", r"\g<1>", "DE-R-009"),
        (r"(<cac:PaymentMeans>)", f"{PLACE}\\g<1>", "DE-R-010"),
        (r"(<cac:PaymentMeans>)", f"{PLACE}\\g<1>", "DE-R-011"),
        (r"(<cac:TaxCategory>\s*<cbc:ID>S</cbc:ID>\s*)<cbc:Percent>[^<]*</cbc:Percent>", r"\g<1>", "DE-R-014"),
        (r"<cbc:BuyerReference>.*?</cbc:BuyerReference>", "", "DE-R-015"),
        (r"<cac:PartyTaxScheme>.*?</cac:PartyTaxScheme>", "", "DE-R-016"),
        (r"(<cac:TaxTotal>)",
         r"<cac:PaymentTerms><cbc:Note>#SKONTO#TAGE=14#</cbc:Note></cac:PaymentTerms>\g<1>", "DE-R-018"),
        (r"(<cac:PayeeFinancialAccount>\s*<cbc:ID>..)\d\d", r"\g<1>00", "DE-R-019"),
        (r"<cbc:PaymentMeansCode>58", "<cbc:PaymentMeansCode>59", "DE-R-020"),
        (r"(<cac:AccountingSupplierParty>)", FILE * 2 + r"\g<1>", "DE-R-022"),
        (r"<cac:PayeeFinancialAccount>.*?</cac:PayeeFinancialAccount>", "", "DE-R-023"),
        (r"<cbc:PaymentMeansCode>58", "<cbc:PaymentMeansCode>48", "DE-R-024"),
        (r"<cbc:PaymentMeansCode>58", "<cbc:PaymentMeansCode>59", "DE-R-025"),
    ],
)  # fmt: skip
def test_rules_within_germany_see_what_they_are_for(pattern: str, replacement: str, rule: str) -> None:
    made = german()
    assert peppol_rules.check(etree.fromstring(made.encode())) == []
    changed, times = re.subn(pattern, replacement, made, count=1, flags=re.S)
    assert times == 1
    assert rule in {one.id for one in peppol_rules.check(etree.fromstring(changed.encode()))}


def test_what_we_write_within_germany_is_valid_by_all_rules() -> None:
    assert einvoice.validate(german().encode()).rules == ()


def test_identifiers_are_checked_by_their_digits() -> None:
    right = (("0088", "7300010000001"), ("0192", "923609016"), ("0184", "DK12345674"), ("0208", "0403019261"),
             ("0007", "5560360793"), ("0151", "51824753556"),
             ("0211", "IT00743110157"), ("0106", "anything"))  # fmt: skip
    for scheme, value in right:
        assert not list(peppol_rules._identifier(value, scheme, "")), (scheme, value)
        if scheme != "0106":
            wrong = value[:-1] + ("1" if value[-1] != "1" else "2") + ("" if scheme != "0184" else "0")
            assert list(peppol_rules._identifier(wrong, scheme, "")), (scheme, wrong)


# --- what comes from strangers ---


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        (b"", "XML"),
        (b"not xml", "XML"),
        (b"%PDF-1.7", "XML"),
        (b"<a/>", "SYNTAX"),
        (b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><x>&e;</x>', "XML"),
        (b'<!DOCTYPE x SYSTEM "http://example.invalid/x.dtd"><x/>', "XML"),
        (b"<!DOCTYPE x [" + b"".join(b'<!ENTITY e%d "%s">' % (i, b"&e%d;" % (i - 1) * 9 if i else b"ha")
                                     for i in range(12)) + b"]><x>&e11;</x>", "XML"),
        (b"<x>" * 100_000, "XML"),
        (b" " * (validation.MOST_BYTES + 1), "XML"),
        ("<a>é</a>".encode("utf-16"), "SYNTAX"),
    ],
    ids=range(10),
)  # fmt: skip
def test_what_is_no_invoice_is_refused_unread(data: bytes, rule: str) -> None:
    report = einvoice.validate(data)
    assert not report.valid
    assert report.rules == (rule,)
    assert "root:" not in str(report)


# --- our code lists are inside the official ones ---


@pytest.fixture(scope="module")
def lists() -> dict[str, set[str]]:
    text = (validation.rules_folder() / validation._UBL_RULES).read_text()
    out = {}
    for rule in ("BR-CL-23", "BR-CL-25", "BR-CL-11", "BR-CL-14", "BR-CL-22", "BR-CL-17"):
        end = text.index(f'<xsl:attribute name="id">{rule}<')
        start = text.rindex("<xsl:when test=", 0, end)
        out[rule] = {code for part in re.findall(r"' ([^']*) '", text[start:end]) for code in part.split()}
    return out


def test_our_codes_are_in_the_official_lists(lists: dict[str, set[str]]) -> None:
    assert {unit_code(unit) for unit in unit_names()} <= lists["BR-CL-23"]
    assert set(_VAT_SCHEMES.values()) | {"0106", "0208", "0184", "0192", "0007"} <= lists["BR-CL-25"]
    assert {scheme for scheme, _ in _REGISTERS.values()} <= lists["BR-CL-11"]
    assert _COUNTRIES_AND_MORE - {"EL"} <= lists["BR-CL-14"]
    assert {code.upper() for code in VATEX_OF.values()} <= {code.upper() for code in lists["BR-CL-22"]}
    assert {"S", "Z", "E", "AE", "O", "K", "G"} <= lists["BR-CL-17"]


def test_a_document_is_the_same_bytes_each_time() -> None:
    snapshot = papers.issued(replace(DOCUMENTS["national currency"]))
    assert einvoice.ubl(snapshot) == einvoice.ubl(snapshot)
    assert einvoice.cii(snapshot) == einvoice.cii(snapshot)
