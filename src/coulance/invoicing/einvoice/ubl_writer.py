"""UBL 2.1 Invoice and CreditNote, in the profile of EN 16931 itself or of Peppol BIS Billing 3."""

from decimal import Decimal

from lxml import etree

from coulance.invoicing.einvoice.building import Builder, written
from coulance_core.invoicing.en16931_codes import Identifier
from coulance_core.invoicing.en16931_model import Invoice, Line, Party, Tax

CAC = "urn:oasis:names:specification:ubl:schema:xsd:CommonAggregateComponents-2"
CBC = "urn:oasis:names:specification:ubl:schema:xsd:CommonBasicComponents-2"
INVOICE = "urn:oasis:names:specification:ubl:schema:xsd:Invoice-2"
CREDIT_NOTE = "urn:oasis:names:specification:ubl:schema:xsd:CreditNote-2"
EN16931 = "urn:cen.eu:en16931:2017"
PEPPOL = "urn:cen.eu:en16931:2017#compliant#urn:fdc:peppol.eu:2017:poacc:billing:3.0"
PEPPOL_PROCESS = "urn:fdc:peppol.eu:2017:poacc:billing:01:1.0"

_A, _B = f"{{{CAC}}}", f"{{{CBC}}}"


def write(invoice: Invoice, *, peppol: bool = False) -> bytes:
    """The document's bytes. `peppol` also states endpoints that were derived, and the profile's names."""
    space = CREDIT_NOTE if invoice.is_credit_note else INVOICE
    root = etree.Element(
        f"{{{space}}}{'CreditNote' if invoice.is_credit_note else 'Invoice'}",
        nsmap={None: space, "cac": CAC, "cbc": CBC},
    )
    to = Builder(root)
    _head(to, invoice, peppol)
    _party(to.group(_A + "AccountingSupplierParty").group(_A + "Party"), invoice.seller, peppol)
    _party(to.group(_A + "AccountingCustomerParty").group(_A + "Party"), invoice.buyer, peppol)
    if invoice.deliver_to:
        place = to.group(_A + "Delivery").group(_A + "DeliveryLocation").group(_A + "Address")
        place.group(_A + "Country").add(_B + "IdentificationCode", invoice.deliver_to)
    _payment(to, invoice, peppol)
    _taxes(to, invoice)
    _totals(to, invoice)
    for line in invoice.lines:
        _line(to, line, invoice)
    return written(root)


def _head(to: Builder, invoice: Invoice, peppol: bool) -> None:
    credit = invoice.is_credit_note
    to.add(_B + "CustomizationID", PEPPOL if peppol else EN16931)
    if peppol:
        to.add(_B + "ProfileID", PEPPOL_PROCESS)
    to.add(_B + "ID", invoice.number)
    to.add(_B + "IssueDate", invoice.issued_on)
    if credit:
        to.add(_B + "TaxPointDate", invoice.tax_point)
        to.add(_B + "CreditNoteTypeCode", invoice.type_code)
        to.add(_B + "Note", invoice.note)
    else:
        to.add(_B + "DueDate", invoice.due_on)
        to.add(_B + "InvoiceTypeCode", invoice.type_code)
        to.add(_B + "Note", invoice.note)
        to.add(_B + "TaxPointDate", invoice.tax_point)
    to.add(_B + "DocumentCurrencyCode", invoice.currency)
    to.add(_B + "TaxCurrencyCode", invoice.tax_currency)
    # Peppol wants the buyer's reference or order; who gave none is known to us by their customer number.
    customer = invoice.buyer.identifier.value if peppol and invoice.buyer.identifier else ""
    to.add(_B + "BuyerReference", invoice.buyer_reference or customer)
    period = to.group(_A + "InvoicePeriod")
    period.add(_B + "StartDate", invoice.period[0])
    period.add(_B + "EndDate", invoice.period[1])
    if invoice.preceding:
        named = to.group(_A + "BillingReference").group(_A + "InvoiceDocumentReference")
        named.add(_B + "ID", invoice.preceding[0])
        named.add(_B + "IssueDate", invoice.preceding[1])


def _identifier(to: Builder, tag: str, value: Identifier) -> None:
    to.add(tag, value.value, schemeID=value.scheme)


def _party(to: Builder, party: Party, peppol: bool) -> None:
    if party.endpoint and (peppol or party.endpoint_known):
        _identifier(to, _B + "EndpointID", party.endpoint)
    if party.identifier:
        _identifier(to.group(_A + "PartyIdentification"), _B + "ID", party.identifier)
    to.group(_A + "PartyName").add(_B + "Name", party.name)
    where = party.address
    place = to.group(_A + "PostalAddress")
    lines = dict(enumerate(where.lines))
    place.add(_B + "StreetName", lines.get(0))
    place.add(_B + "AdditionalStreetName", lines.get(1))
    place.add(_B + "CityName", where.city)
    place.add(_B + "PostalZone", where.post_code)
    place.add(_B + "CountrySubentity", where.region)
    if 2 in lines:
        place.group(_A + "AddressLine").add(_B + "Line", lines[2])
    place.group(_A + "Country").add(_B + "IdentificationCode", where.country)
    for number, scheme in ((party.vat, "VAT"), (party.tax_id, "TAX")):
        if number:
            tax = to.group(_A + "PartyTaxScheme")
            tax.add(_B + "CompanyID", number)
            tax.group(_A + "TaxScheme").add(_B + "ID", scheme)
    legal = to.group(_A + "PartyLegalEntity")
    legal.add(_B + "RegistrationName", party.name)
    if party.legal:
        _identifier(legal, _B + "CompanyID", party.legal)
    if party.phone or party.email:
        contact = to.group(_A + "Contact")
        if where.country == "DE":
            contact.add(_B + "Name", party.name)  # there a contact has a name: that of a desk will do (BT-41)
        contact.add(_B + "Telephone", party.phone)
        contact.add(_B + "ElectronicMail", party.email)


def _payment(to: Builder, invoice: Invoice, peppol: bool) -> None:
    if invoice.payment is None and peppol and invoice.seller.address.country == invoice.buyer.address.country == "DE":
        # Within Germany each document says how it is paid, one that gives back too: 1 is "not defined".
        to.group(_A + "PaymentMeans").add(_B + "PaymentMeansCode", "1")
    if invoice.payment:
        pay = invoice.payment
        means = to.group(_A + "PaymentMeans")
        means.add(_B + "PaymentMeansCode", pay.code)
        means.add(_B + "PaymentID", pay.reference)
        account = means.group(_A + "PayeeFinancialAccount")
        account.add(_B + "ID", pay.account)
        account.add(_B + "Name", pay.name)
        if pay.bic:
            account.group(_A + "FinancialInstitutionBranch").add(_B + "ID", pay.bic)
    if invoice.terms:
        to.group(_A + "PaymentTerms").add(_B + "Note", invoice.terms)


def _category(to: Builder, tag: str, tax: Tax) -> Builder:
    made = to.group(tag)
    made.add(_B + "ID", tax.category)
    made.add(_B + "Percent", tax.rate)
    return made


def _taxes(to: Builder, invoice: Invoice) -> None:
    total = to.group(_A + "TaxTotal")
    _amount(total, "TaxAmount", invoice.tax, invoice.currency)
    for row in invoice.breakdown:
        part = total.group(_A + "TaxSubtotal")
        _amount(part, "TaxableAmount", row.base, invoice.currency)
        _amount(part, "TaxAmount", row.amount, invoice.currency)
        category = _category(part, _A + "TaxCategory", row.tax)
        category.add(_B + "TaxExemptionReasonCode", row.code)
        category.add(_B + "TaxExemptionReason", row.reason)
        category.group(_A + "TaxScheme").add(_B + "ID", "VAT")
    if invoice.tax_in_tax_currency is not None:
        _amount(to.group(_A + "TaxTotal"), "TaxAmount", invoice.tax_in_tax_currency, invoice.tax_currency)


def _totals(to: Builder, invoice: Invoice) -> None:
    total = to.group(_A + "LegalMonetaryTotal")
    for tag, amount in (
        ("LineExtensionAmount", invoice.net),
        ("TaxExclusiveAmount", invoice.net),
        ("TaxInclusiveAmount", invoice.gross),
        ("PrepaidAmount", invoice.paid or None),
        ("PayableAmount", invoice.due),
    ):
        _amount(total, tag, amount, invoice.currency)


def _amount(to: Builder, tag: str, amount: Decimal | None, currency: str) -> None:
    to.add(_B + tag, amount, currencyID=currency)


def _line(to: Builder, line: Line, invoice: Invoice) -> None:
    kind = "CreditNote" if invoice.is_credit_note else "Invoice"
    made = to.group(f"{_A}{kind}Line")
    made.add(_B + "ID", line.id)
    made.add(
        _B + ("CreditedQuantity" if invoice.is_credit_note else "InvoicedQuantity"), line.quantity, unitCode=line.unit
    )
    _amount(made, "LineExtensionAmount", line.net, invoice.currency)
    period = made.group(_A + "InvoicePeriod")
    period.add(_B + "StartDate", line.period[0])
    period.add(_B + "EndDate", line.period[1])
    if line.object_id:
        named = made.group(_A + "DocumentReference")
        named.add(_B + "ID", line.object_id)
        named.add(_B + "DocumentTypeCode", "130")
    item = made.group(_A + "Item")
    item.add(_B + "Description", line.description)
    item.add(_B + "Name", line.name)
    _category(item, _A + "ClassifiedTaxCategory", line.tax).group(_A + "TaxScheme").add(_B + "ID", "VAT")
    price = made.group(_A + "Price")
    _amount(price, "PriceAmount", line.price, invoice.currency)
    price.add(_B + "BaseQuantity", line.per, unitCode=line.unit)
