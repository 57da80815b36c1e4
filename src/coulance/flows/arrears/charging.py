"""What being late costs, on documents of its own: collection costs and interest, numbered, booked, outside VAT.

Both are compensation, not the price of a service, so that no VAT is due on them (the Court of Justice in C-222/81 for
interest; costs follow it). They are never added to a debt, and never restrict.
"""

from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from fractions import Fraction
from zoneinfo import ZoneInfo

from django.utils import translation
from django.utils.translation import gettext as _

from coulance.arrears.errors import UnableToActError
from coulance.catalog import queries as catalogs
from coulance.customers.queries import AccountRow
from coulance.flows.arrears.facts import Read
from coulance.flows.closing.paper import buyer_of
from coulance.flows.sending.wording import language_of
from coulance.invoicing import operations as invoicing
from coulance.invoicing.documents.words import Words
from coulance_core.arrears import Act, Intent
from coulance_core.catalog.provider import TaxKind, TaxRate
from coulance_core.catalog.terms import TaxTable
from coulance_core.invoicing import BillLine, DocumentKind, Seller, TaxTerms, assemble
from coulance_core.kernel import Explanation, Money, Period, Rounding, civil_midnight

_CLASS = "late-payment"
_OUTSIDE = TaxRate(
    "*", _CLASS, Fraction(0), date(1970, 1, 1), "OUTSIDE", TaxKind.OUT_OF_SCOPE,
    "Compensation for late payment: outside the scope of VAT",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Charge:
    """What is charged: how much, why, in which words, of which debts, and from which day its period runs."""

    kind: DocumentKind
    amount: Money
    explanation: Explanation
    words: str
    since: date | None = None


def charge(one: Read, intent: Intent, *, ref: str, at: datetime) -> int:
    """Invoice what an intent charges; the document's id. Raises `UnableToActError` where it can't be."""
    if intent.explanation is None or not intent.amount.minor:
        raise UnableToActError("nothing is charged that isn't explained")
    numbers = ", ".join(one.debts[debt].number for debt in intent.debts if debt in one.debts)
    since = min((one.debts[debt].due_on for debt in intent.debts if debt in one.debts), default=None)
    with translation.override(language_of(one.account.language)):
        if intent.act is Act.CHARGE_COSTS:
            words = _("Costs of collecting %(numbers)s") % {"numbers": numbers}
            what = Charge(DocumentKind.FEE_INVOICE, intent.amount, intent.explanation, words, since)
        else:
            words = _("Interest on %(numbers)s up to %(day)s") % {"numbers": numbers, "day": _today(one, at)}
            said = f"{words}: {nights(intent.explanation)}"
            what = Charge(DocumentKind.INTEREST_INVOICE, intent.amount, intent.explanation, said, since)
        return issue(one.account, what, ref=ref, at=at)


def charge_fee(one: Read, intent: Intent, *, ref: str, at: datetime) -> int | None:
    """Invoice what a notice costs, where it costs anything: the document's id."""
    if intent.fee is None or not intent.fee.minor or intent.explanation is None:
        return None
    numbers = ", ".join(one.debts[debt].number for debt in intent.debts if debt in one.debts)
    with translation.override(language_of(one.account.language)):
        words = _("Costs of the reminder about %(numbers)s") % {"numbers": numbers}
        what = Charge(DocumentKind.FEE_INVOICE, intent.fee, intent.explanation, words)
        return issue(one.account, what, ref=ref, at=at)


def nights(explanation: Explanation) -> str:
    """The days and rates that interest was counted by, stretch by stretch, in the language that is active."""
    words = Words.of(translation.get_language())
    facts = {fact.name: fact for fact in explanation.facts}
    out = []
    n = 1
    while (days := facts.get(f"days {n}")) is not None:
        owed = facts[f"principal {n}"]
        amount = Money.of(Fraction(owed.value), owed.unit, Rounding.HALF_UP)
        rate = words.number(Fraction(facts[f"rate {n}"].value))
        said = {"days": days.value, "rate": rate, "amount": words.money(amount.decimal(), amount.currency)}
        out.append(_("%(days)s days at %(rate)s %% a year on %(amount)s") % said)
        n += 1
    return "; ".join(out)


def _today(one: Read, at: datetime) -> str:
    return Words.of(translation.get_language()).day(at.astimezone(ZoneInfo(one.account.zone)).date())


def issue(account: AccountRow, what: Charge, *, ref: str, at: datetime) -> int:
    """Write and issue a document of one line, outside VAT; its id. In the active language."""
    catalog = catalogs.catalog()
    provider = catalog.provider
    today = at.astimezone(provider.zone_info).date()
    zone = ZoneInfo(account.zone)
    own = at.astimezone(zone).date()
    period = Period(civil_midnight(min(what.since or own, own), zone), civil_midnight(own + timedelta(days=1), zone))
    line = BillLine(
        kind="fee" if what.kind is DocumentKind.FEE_INVOICE else "interest",
        description=what.words,
        period=period,
        quantity=Fraction(1),
        unit="",
        unit_price=None,
        amount=what.amount,
        tax_class=_CLASS,
        explanation=_as_line(what),
    )
    # VAT is outside, so prices with and without it are the same.
    terms = TaxTerms(TaxTable((_OUTSIDE,)), algorithm=provider.tax_rounding, rule=provider.rounding)
    buyer = replace(buyer_of(account), currency=what.amount.currency, tax_class=None)
    draft = assemble(
        kind=what.kind,
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
    (document,) = invoicing.write_drafts(run=None, drafts=[invoicing.NewDocument(account.id, draft)], purpose=ref)
    invoicing.issue_documents(ids=[document], series=catalog.series, at=at)
    return document


def _as_line(what: Charge) -> Explanation:
    """The explanation as a line's: it comes to the line's amount, and how that came about is beneath it."""
    e = Explanation.build(what.explanation.rule, terms=what.explanation.terms)
    e.fact("charged", what.amount.amount, what.amount.currency).child(what.explanation)
    return e.step("net", "add", "charged", unit=what.amount.currency).freeze()
