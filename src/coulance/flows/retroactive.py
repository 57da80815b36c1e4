"""The larger plan for a period that was, instead of its overage bill: offered beside it, taken in one transaction.

Taking it credits the service's usage lines in full and bills the difference of the two plans on an invoice of its own.
The base invoice and the subscription stay as they are: the next period is on the service's own plan again.
"""

from dataclasses import dataclass
from datetime import date, datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

from django.db import transaction

from coulance.catalog import queries as catalogs
from coulance.flows.advice import as_agreed, period_uses, pools_of, sold_beside
from coulance.flows.crediting import give_credit_note
from coulance.flows.fair_wording import difference_line
from coulance.invoicing import operations as invoicing
from coulance.invoicing import queries as documents
from coulance.invoicing.crediting import creditable
from coulance.overage import ways_out
from coulance.platform import audit
from coulance.services import queries as services
from coulance.services.queries import AccountForClose
from coulance_core.catalog.terms import Catalog, NotInCatalogError, PlanVersion, PriceBasis
from coulance_core.invoicing import (
    CreditRequest,
    CreditType,
    DocumentDraft,
    DocumentKind,
    DraftLine,
    Issued,
    TaxTerms,
    assemble,
)
from coulance_core.kernel import Money
from coulance_core.overage.advice import NotComparableError, compare
from coulance_core.overage.retroactive import RetroactiveOffer, retroactive_offers
from coulance_core.rating.base import UnableToPriceError

USAGE = frozenset({"overage", "minimum", "maximum_discount"})
"""Kinds of lines that overage is billed by."""


class UnableToOfferError(ValueError):
    """No such offer: it was never made, is no longer open, or was taken before."""


@dataclass(frozen=True, slots=True)
class OfferedService:
    """The larger plans that one service on an overage invoice could take for that period, the cheapest first.

    Empty `offers` come with `why_none`.
    """

    service: str
    number: str
    lines: tuple[int, ...]
    overage: Money
    """What is left of its lines, as the catalog states prices."""
    offers: tuple[RetroactiveOffer, ...]
    why_none: str = ""


class Taken(NamedTuple):
    """A plan taken for a period: the credit note, the invoice with the difference (none when it was nothing)."""

    credit_note: str
    invoice: str | None
    offer: RetroactiveOffer


def plan_offers(*, number: str) -> tuple[OfferedService, ...]:
    """The plans that could be taken instead of each service's overage on this invoice. Writes nothing.

    Raises `UnableToOfferError` for what is no overage invoice, `UnableToFindDocumentError`.
    """
    with transaction.atomic():
        return _offers(number)[2]


def accept_plan(*, number: str, service: str, plan: str, reason: str, actor: str, at: datetime) -> Taken:
    """Take `plan` (its key) for the period of an overage invoice, instead of the service's overage on it.

    One transaction: the overage is credited in full, the difference invoiced, both numbered and booked, and recorded
    with the reason. Raises `UnableToOfferError` or what crediting raises, with nothing changed.
    """
    if not reason.strip():
        raise UnableToOfferError("taking a plan for a period needs a reason: say who accepted it, and how")
    catalog = catalogs.catalog()
    today = at.astimezone(catalog.provider.zone_info).date()
    with transaction.atomic():
        account, invoice, offered = _offers(number)
        of = next((one for one in offered if one.service == service), None)
        if of is None:
            raise UnableToOfferError(f"{number} has no overage of {service!r}")
        offer = next((one for one in of.offers if one.plan.plan == plan), None)
        if offer is None:
            named = ", ".join(one.plan.plan for one in of.offers) or of.why_none
            raise UnableToOfferError(f"{plan!r} is not offered to {service} instead of {number}: {named}")
        _, _, tax_point = creditable(number)
        note = give_credit_note(
            number=number,
            lines=[CreditRequest(no) for no in of.lines],
            credit_type=CreditType.PRICE_REDUCTION,
            reason=difference_line(offer, language=invoice.buyer.language),
            actor=actor,
            at=at,
        )
        given: str | None = None
        if offer.difference.minor:
            draft = difference_draft(catalog, invoice, offer, issued_on=today, tax_point=tax_point)
            service_id = services.service(service).id
            (document,) = invoicing.write_drafts(
                run=None, drafts=[invoicing.NewDocument(account, draft)], purpose=f"plan/{service_id}"
            )
            invoicing.issue_documents(ids=[document], series=catalog.series, at=at)
            given = documents.row_of(document=document).number
        ways_out.record_plan_for_period(
            service=services.service(service).id,
            period_name=invoice.period_name,
            plan=offer.plan.version,
            instead_of=number,
            credit_note=note,
            invoice=given or "",
            overage=offer.overage,
            difference=offer.difference,
            reason=reason.strip(),
            actor=actor,
            at=at,
        )
        audit.record(
            actor=actor,
            act="plan.taken_for_period",
            subject=f"service:{service}",
            at=at,
            reason=reason.strip(),
            detail={
                "period": invoice.period_name,
                "plan": offer.plan.version,
                "instead_of": number,
                "overage": str(offer.overage),
                "difference": str(offer.difference),
                "credit_note": note,
                "invoice": given or "",
            },
        )
    return Taken(note, given, offer)


def difference_draft(
    catalog: Catalog, invoice: Issued, offer: RetroactiveOffer, *, issued_on: date, tax_point: date
) -> DocumentDraft:
    """The invoice of one line, the difference of the two plans, that takes the place of overage."""
    provider = catalog.provider
    return assemble(
        kind=DocumentKind.OVERAGE_INVOICE,
        period_name=invoice.period_name,
        period=invoice.period,
        seller=invoice.seller,
        buyer=invoice.buyer,
        lines=[offer.line],
        terms=TaxTerms(catalog.tax, provider.prices, provider.tax_rounding, provider.rounding),
        issued_on=issued_on,
        tax_point=tax_point,
        payment_days=provider.payment_days,
        national=invoice.national,
        notes=(difference_line(offer, language=invoice.buyer.language),),
    )


def _offers(number: str) -> tuple[int, Issued, tuple[OfferedService, ...]]:
    account_id, invoice, _ = creditable(number)
    kind = documents.document(number=number).row.kind
    if kind != DocumentKind.OVERAGE_INVOICE.value:
        raise UnableToOfferError(f"{number} is a {kind.replace('_', ' ')}: only overage has an instead")
    return account_id, invoice, offers_on(account_id, invoice)


def offers_on(account_id: int, invoice: Issued) -> tuple[OfferedService, ...]:
    """The plans that could be taken instead of each service's overage on an invoice, issued or about to be.

    Raises `UnableToOfferError` where the provider's terms don't allow it.
    """
    (account,) = services.accounts_for_close([account_id])
    by_service: dict[str, list[DraftLine]] = {}
    for line in invoice.lines:
        if line.service is not None and line.kind in USAGE and line.period.start >= invoice.period.start:
            by_service.setdefault(line.service.external_id, []).append(line)
    catalog = catalogs.catalog()
    if not catalog.advice.retroactive:
        raise UnableToOfferError("the provider's terms don't allow it: set retroactive = true in [advice]")
    return tuple(_of(catalog, account, invoice, name, own) for name, own in by_service.items())


def _of(
    catalog: Catalog, account: AccountForClose, invoice: Issued, name: str, lines: list[DraftLine]
) -> OfferedService:
    left = [line for line in lines if invoice.left(line)]
    overage = _left(catalog, invoice, left)
    numbers = tuple(line.no for line in left)

    def none(why: str) -> OfferedService:
        return OfferedService(name, invoice.number, numbers, overage, (), why)

    if overage.minor <= 0:
        return none("nothing is left of its overage")
    if any(line.period != invoice.period for line in lines) or len({line.plan_version for line in lines}) > 1:
        return none("its plan changed within the period, or it ran for a part of it")
    zone = ZoneInfo(account.account.zone)
    first, after = invoice.period.dates(zone)
    own = next(one for one in account.services if one.external_id == name)
    rows = [
        row
        for row in own.subscriptions
        if row.valid_from < after and (row.valid_until is None or row.valid_until > first)
    ]
    if len(rows) != 1 or rows[0].valid_from > first or (own.ended_on is not None and own.ended_on < after):
        return none("its plan changed within the period, or it ran for a part of it")
    turns = [day for price in own.prices if price.plan == rows[0].plan for day in (price.start, price.end) if day]
    if any(first < day < after for day in turns):
        return none("another base fee was agreed for it within the period")
    try:
        # What it pays beside is the fee that was agreed for it, where one was: the difference is to that.
        present = as_agreed(catalog.version(lines[0].plan_version), own.prices, first)
        if _pooled(present):
            return none("its allowance is shared in a pool")
        versions = [present, *(one for one in sold_beside(catalog, present, first) if not _pooled(one))]
        uses = period_uses(
            catalog,
            account,
            own,
            [(invoice.period_name, invoice.period)],
            versions,
            units=rows[0].quantity,
            zone=zone,
        )
        found = compare(
            present,
            versions[1:],
            uses,
            zone=zone,
            pools=pools_of(catalog, first),
            rounding=catalog.provider.rounding,
        )
    except (NotInCatalogError, NotComparableError, UnableToPriceError) as error:
        return none(str(error))
    service = lines[0].service
    assert service is not None
    offers = retroactive_offers(
        found.present.costs[0],
        [record.costs[0] for record in found.ranked if record is not found.present],
        overage=overage,
        tax_classes=sorted({present.tax_class_of(present.charge(line.charge)) for line in left}),
        service=service,
        period=invoice.period,
        zone=zone,
    )
    return OfferedService(
        name, invoice.number, numbers, overage, offers, "" if offers else "no larger plan would have been cheaper"
    )


def _pooled(version: PlanVersion) -> bool:
    return any(charge.pool is not None for charge in version.charges)


def _left(catalog: Catalog, invoice: Issued, lines: list[DraftLine]) -> Money:
    """What is left of lines, with tax where prices have it: as the catalog's plans are priced."""
    total = Money(0, invoice.currency)
    gross = catalog.provider.prices is PriceBasis.GROSS
    for line in lines:
        net = Money(invoice.left(line), invoice.currency)
        if gross:
            net = Money.of(net.amount * (1 + line.tax_rate / 100), net.currency, catalog.provider.rounding)
        total += net
    return total
