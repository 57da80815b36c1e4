"""UN/CEFACT Cross Industry Invoice (D22B), profile EN 16931: what Factur-X and ZUGFeRD carry inside the PDF."""

from datetime import date

from lxml import etree

from coulance.invoicing.einvoice.building import Builder, written
from coulance_core.invoicing.en16931_model import SEPA_TRANSFER, Invoice, Line, Party, Tax

RSM = "urn:un:unece:uncefact:data:standard:CrossIndustryInvoice:100"
RAM = "urn:un:unece:uncefact:data:standard:ReusableAggregateBusinessInformationEntity:100"
UDT = "urn:un:unece:uncefact:data:standard:UnqualifiedDataType:100"
QDT = "urn:un:unece:uncefact:data:standard:QualifiedDataType:100"
EN16931 = "urn:cen.eu:en16931:2017"

_R, _A, _U, _Q = f"{{{RSM}}}", f"{{{RAM}}}", f"{{{UDT}}}", f"{{{QDT}}}"


def write(invoice: Invoice) -> bytes:
    """The document's bytes."""
    root = etree.Element(_R + "CrossIndustryInvoice", nsmap={"rsm": RSM, "ram": RAM, "udt": UDT, "qdt": QDT})
    to = Builder(root)
    to.group(_R + "ExchangedDocumentContext").group(_A + "GuidelineSpecifiedDocumentContextParameter").add(
        _A + "ID", EN16931
    )
    head = to.group(_R + "ExchangedDocument")
    head.add(_A + "ID", invoice.number)
    head.add(_A + "TypeCode", invoice.type_code)
    _day(head, "IssueDateTime", invoice.issued_on)
    if invoice.note:
        head.group(_A + "IncludedNote").add(_A + "Content", invoice.note)
    trade = to.group(_R + "SupplyChainTradeTransaction")
    for line in invoice.lines:
        _line(trade, line)
    agreement = trade.group(_A + "ApplicableHeaderTradeAgreement")
    agreement.add(_A + "BuyerReference", invoice.buyer_reference)
    _party(agreement.group(_A + "SellerTradeParty"), invoice.seller)
    _party(agreement.group(_A + "BuyerTradeParty"), invoice.buyer)
    delivery = trade.group(_A + "ApplicableHeaderTradeDelivery")
    if invoice.deliver_to:
        place = delivery.group(_A + "ShipToTradeParty").group(_A + "PostalTradeAddress")
        place.add(_A + "CountryID", invoice.deliver_to)
    _settlement(trade.group(_A + "ApplicableHeaderTradeSettlement"), invoice)
    return written(root)


def _day(to: Builder, tag: str, day: date | None) -> None:
    if day is not None:
        to.group(_A + tag).add(_U + "DateTimeString", f"{day:%Y%m%d}", format="102")


def _period(to: Builder, period: tuple[date, date]) -> None:
    made = to.group(_A + "BillingSpecifiedPeriod")
    _day(made, "StartDateTime", period[0])
    _day(made, "EndDateTime", period[1])


def _party(to: Builder, party: Party) -> None:
    if party.identifier:
        to.add(_A + "ID", party.identifier.value)
    to.add(_A + "Name", party.name)
    if party.legal:
        to.group(_A + "SpecifiedLegalOrganization").add(_A + "ID", party.legal.value, schemeID=party.legal.scheme)
    if party.phone or party.email:
        contact = to.group(_A + "DefinedTradeContact")
        if party.phone:
            contact.group(_A + "TelephoneUniversalCommunication").add(_A + "CompleteNumber", party.phone)
        if party.email:
            contact.group(_A + "EmailURIUniversalCommunication").add(_A + "URIID", party.email)
    where = party.address
    lines = dict(enumerate(where.lines))
    place = to.group(_A + "PostalTradeAddress")
    place.add(_A + "PostcodeCode", where.post_code)
    place.add(_A + "LineOne", lines.get(0))
    place.add(_A + "LineTwo", lines.get(1))
    place.add(_A + "LineThree", lines.get(2))
    place.add(_A + "CityName", where.city)
    place.add(_A + "CountryID", where.country)
    place.add(_A + "CountrySubDivisionName", where.region)
    if party.endpoint and party.endpoint_known:
        to.group(_A + "URIUniversalCommunication").add(
            _A + "URIID", party.endpoint.value, schemeID=party.endpoint.scheme
        )
    for number, scheme in ((party.vat, "VA"), (party.tax_id, "FC")):
        if number:
            to.group(_A + "SpecifiedTaxRegistration").add(_A + "ID", number, schemeID=scheme)


def _settlement(to: Builder, invoice: Invoice) -> None:
    pay = invoice.payment
    if pay:
        to.add(_A + "PaymentReference", pay.reference)
    to.add(_A + "TaxCurrencyCode", invoice.tax_currency)
    to.add(_A + "InvoiceCurrencyCode", invoice.currency)
    if pay:
        means = to.group(_A + "SpecifiedTradeSettlementPaymentMeans")
        means.add(_A + "TypeCode", pay.code)
        account = means.group(_A + "PayeePartyCreditorFinancialAccount")
        sepa = pay.code == SEPA_TRANSFER
        account.add(_A + "IBANID", pay.account if sepa else None)
        account.add(_A + "AccountName", pay.name)
        account.add(_A + "ProprietaryID", None if sepa else pay.account)
        if pay.bic:
            means.group(_A + "PayeeSpecifiedCreditorFinancialInstitution").add(_A + "BICID", pay.bic)
    for row in invoice.breakdown:
        part = to.group(_A + "ApplicableTradeTax")
        part.add(_A + "CalculatedAmount", row.amount)
        part.add(_A + "TypeCode", "VAT")
        part.add(_A + "ExemptionReason", row.reason)
        part.add(_A + "BasisAmount", row.base)
        part.add(_A + "CategoryCode", row.tax.category)
        part.add(_A + "ExemptionReasonCode", row.code)
        part.group(_A + "TaxPointDate").add(_U + "DateString", f"{invoice.tax_point:%Y%m%d}", format="102")
        part.add(_A + "RateApplicablePercent", row.tax.rate)
    _period(to, invoice.period)
    if invoice.due_on or invoice.terms:
        terms = to.group(_A + "SpecifiedTradePaymentTerms")
        terms.add(_A + "Description", invoice.terms)
        _day(terms, "DueDateDateTime", invoice.due_on)
    _totals(to.group(_A + "SpecifiedTradeSettlementHeaderMonetarySummation"), invoice)
    if invoice.preceding:
        named = to.group(_A + "InvoiceReferencedDocument")
        named.add(_A + "IssuerAssignedID", invoice.preceding[0])
        if invoice.preceding[1]:
            named.group(_A + "FormattedIssueDateTime").add(
                _Q + "DateTimeString", f"{invoice.preceding[1]:%Y%m%d}", format="102"
            )


def _totals(to: Builder, invoice: Invoice) -> None:
    to.add(_A + "LineTotalAmount", invoice.net)
    to.add(_A + "TaxBasisTotalAmount", invoice.net)
    to.add(_A + "TaxTotalAmount", invoice.tax, currencyID=invoice.currency)
    to.add(_A + "TaxTotalAmount", invoice.tax_in_tax_currency, currencyID=invoice.tax_currency)
    to.add(_A + "GrandTotalAmount", invoice.gross)
    to.add(_A + "TotalPrepaidAmount", invoice.paid or None)
    to.add(_A + "DuePayableAmount", invoice.due)


def _tax(to: Builder, tax: Tax) -> None:
    made = to.group(_A + "ApplicableTradeTax")
    made.add(_A + "TypeCode", "VAT")
    made.add(_A + "CategoryCode", tax.category)
    made.add(_A + "RateApplicablePercent", tax.rate)


def _line(to: Builder, line: Line) -> None:
    made = to.group(_A + "IncludedSupplyChainTradeLineItem")
    made.group(_A + "AssociatedDocumentLineDocument").add(_A + "LineID", line.id)
    product = made.group(_A + "SpecifiedTradeProduct")
    product.add(_A + "Name", line.name)
    product.add(_A + "Description", line.description)
    price = made.group(_A + "SpecifiedLineTradeAgreement").group(_A + "NetPriceProductTradePrice")
    price.add(_A + "ChargeAmount", line.price)
    price.add(_A + "BasisQuantity", line.per, unitCode=line.unit)
    made.group(_A + "SpecifiedLineTradeDelivery").add(_A + "BilledQuantity", line.quantity, unitCode=line.unit)
    settled = made.group(_A + "SpecifiedLineTradeSettlement")
    _tax(settled, line.tax)
    _period(settled, line.period)
    settled.group(_A + "SpecifiedTradeSettlementLineMonetarySummation").add(_A + "LineTotalAmount", line.net)
    if line.object_id:
        named = settled.group(_A + "AdditionalReferencedDocument")
        named.add(_A + "IssuerAssignedID", line.object_id)
        named.add(_A + "TypeCode", "130")
