"""What being late costs, on documents of its own: collection costs and interest, numbered, booked, outside VAT.

Both are compensation, not the price of a service, so that no VAT is due on them (the Court of Justice in C-222/81 for
interest; costs follow it). They are never added to a debt, and never restrict.
"""

from dataclasses import replace
from datetime import date, datetime, timedelta
from fractions import Fraction
from zoneinfo import ZoneInfo

from django.utils import translation
from django.utils.translation import gettext as _

from coulance.arrears.errors import UnableToActError
from coulance.catalog import queries as catalogs
from coulance.flows.arrears.facts import Read
from coulance.flows.closing.paper import buyer_of
from coulance.flows.sending.wording import language_of
from coulance.invoicing import operations as invoicing
from coulance.invoicing.documents.words import Words
from coulance_core.arrears import Act, Intent
from coulance_core.catalog.provider import TaxKind, TaxRate
from coulance_core.catalog.terms import TaxTable
from coulance_core.invoicing import BillLine, DocumentDraft, DocumentKind, Seller, TaxTerms, assemble
from coulance_core.kernel import Explanation, Period, civil_midnight

_CLASS = "late-payment"
_OUTSIDE = TaxRate(
    "*", _CLASS, Fraction(0), date(1970, 1, 1), "OUTSIDE", TaxKind.OUT_OF_SCOPE,
    "Compensation for late payment: outside the scope of VAT",
)  # fmt: skip


def charge(one: Read, intent: Intent, *, ref: str, at: datetime) -> int:
    """Invoice what an intent charges; the document's id. Raises `UnableToActError` where it can't be."""
    if intent.explanation is None or not intent.amount.minor:
        raise UnableToActError("nothing is charged that isn't explained")
    with translation.override(language_of(one.account.language)):
        draft = _draft(one, intent, at)
    catalog = catalogs.catalog()
    (document,) = invoicing.write_drafts(run=None, drafts=[invoicing.NewDocument(one.account.id, draft)], purpose=ref)
    invoicing.issue_documents(ids=[document], series=catalog.series, at=at)
    return document


def _draft(one: Read, intent: Intent, at: datetime) -> DocumentDraft:
    provider = catalogs.catalog().provider
    today = at.astimezone(provider.zone_info).date()
    zone = ZoneInfo(one.account.zone)
    own = at.astimezone(zone).date()
    numbers = ", ".join(one.debts[debt].number for debt in intent.debts if debt in one.debts)
    costs = intent.act is Act.CHARGE_COSTS
    said = {"numbers": numbers, "day": Words.of(translation.get_language()).day(own)}
    words = _("Costs of collecting %(numbers)s") if costs else _("Interest on %(numbers)s up to %(day)s")
    starts = min((one.debts[debt].due_on for debt in intent.debts if debt in one.debts), default=own)
    period = Period(civil_midnight(min(starts, own), zone), civil_midnight(own + timedelta(days=1), zone))
    explanation = intent.explanation
    assert explanation is not None
    line = BillLine(
        kind="fee" if costs else "interest",
        description=words % said,
        period=period,
        quantity=Fraction(1),
        unit="",
        unit_price=None,
        amount=intent.amount,
        tax_class=_CLASS,
        explanation=_as_line(explanation, intent),
    )
    # VAT is outside, so prices with and without it are the same.
    terms = TaxTerms(TaxTable((_OUTSIDE,)), algorithm=provider.tax_rounding, rule=provider.rounding)
    buyer = replace(buyer_of(one.account), currency=intent.amount.currency, tax_class=None)
    return assemble(
        kind=DocumentKind.FEE_INVOICE if costs else DocumentKind.INTEREST_INVOICE,
        period_name=f"{own:%Y-%m}",
        period=period,
        seller=Seller.of(provider),
        buyer=buyer,
        lines=[line],
        terms=terms,
        issued_on=today,
        tax_point=today,
        payment_days=provider.payment_days,
    )


def _as_line(explanation: Explanation, intent: Intent) -> Explanation:
    """The explanation as a line's: it comes to the line's amount, and how that came about is beneath it."""
    e = Explanation.build(f"arrears.{intent.act.value}", terms=explanation.terms)
    e.fact("charged", intent.amount.amount, intent.amount.currency).child(explanation)
    return e.step("net", "add", "charged", unit=intent.amount.currency).freeze()
