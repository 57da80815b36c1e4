"""Lines and documents for the invoicing tests, and strategies that make them."""

from collections.abc import Sequence
from datetime import date
from fractions import Fraction
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from coulance_core.catalog.terms import PriceBasis, TaxRate, TaxRounding, TaxTable
from coulance_core.invoicing import (
    BillLine,
    Buyer,
    BuyerKind,
    DocumentDraft,
    DocumentKind,
    NationalRate,
    Seller,
    ServiceRef,
    TaxTerms,
    assemble,
)
from coulance_core.kernel import Explanation, Money, anchored_period, currency

ON = date(2026, 11, 4)
PERIOD = anchored_period(2026, 10, 1, ZoneInfo("Europe/Amsterdam"))
TABLE = TaxTable(
    (
        TaxRate("NL", "standard", Fraction(21), date(2012, 10, 1), "NL-21"),
        TaxRate("NL", "reduced", Fraction(9), date(2019, 1, 1), "NL-9"),
    )
)
SELLER = Seller("Example Hosting B.V.", "NL", ("Kade 1",), "NL000000000B01")
SERVICE = ServiceRef("s-1", "web1", 7)


def buyer(code: str = "EUR") -> Buyer:
    return Buyer("c-1", "Customer", BuyerKind.BUSINESS, "NL", "Europe/Amsterdam", code, ("Straat 1",))


def bill_line(minor: int, kind: str = "overage", tax_class: str = "standard", code: str = "EUR") -> BillLine:
    money = Money(minor, code)
    why = (
        Explanation.build("rating.per_unit", terms="vps-s@2026-01-01")
        .fact("amount", money.amount, code)
        .step("net", "round", "amount", str(currency(code).exponent), "half_up", unit=code)
        .freeze()
    )
    return BillLine(
        kind=kind,
        description="Traffic",
        period=PERIOD,
        quantity=Fraction(abs(minor), 3),
        unit="GB",
        unit_price=Fraction(3, 100),
        amount=money,
        tax_class=tax_class,
        explanation=why,
        service=SERVICE,
        charge="traffic",
        plan_version="vps-s@2026-01-01",
    )


def document(
    lines: Sequence[BillLine],
    kind: DocumentKind = DocumentKind.OVERAGE_INVOICE,
    *,
    prices: PriceBasis = PriceBasis.NET,
    algorithm: TaxRounding = TaxRounding.SUM_BY_NET,
    code: str = "EUR",
    national: NationalRate | None = None,
) -> DocumentDraft:
    return assemble(
        kind=kind,
        period_name="2026-10",
        period=PERIOD,
        seller=SELLER,
        buyer=buyer(code),
        lines=lines,
        terms=TaxTerms(TABLE, prices, algorithm),
        issued_on=ON,
        tax_point=ON,
        payment_days=14,
        national=national,
        notes=("Thank you.",),
    )


KINDS = ("base", "commit", "overage", "minimum", "late_usage", "carried")


@st.composite
def documents(draw: st.DrawFn) -> DocumentDraft:
    """Invoices of random lines in currencies of every exponent, by every price basis and rounding."""
    code = draw(st.sampled_from(["EUR", "JPY", "KWD"]))
    prices = draw(st.sampled_from(PriceBasis))
    roundings = [r for r in TaxRounding if prices is PriceBasis.GROSS or r is not TaxRounding.SUM_BY_GROSS]
    lines = draw(
        st.lists(
            st.builds(
                bill_line,
                st.integers(1, 10**7),
                st.sampled_from(KINDS),
                st.sampled_from(["standard", "reduced"]),
                st.just(code),
            ),
            min_size=1,
            max_size=6,
        )
    )
    if draw(st.booleans()):  # a spend limit's discount, of one of the lines
        of = draw(st.sampled_from(lines))
        lines.append(bill_line(-draw(st.integers(1, of.amount.minor)), "maximum_discount", of.tax_class, code))
    kind = draw(st.sampled_from([DocumentKind.BASE_INVOICE, DocumentKind.OVERAGE_INVOICE]))
    return document(lines, kind, prices=prices, algorithm=draw(st.sampled_from(roundings)), code=code)
