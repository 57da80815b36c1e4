"""Tax: which rate applies to whom, and to the cent what each named rounding gives."""

from datetime import date
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coulance_core.catalog.terms import NoTaxRateError, PriceBasis, TaxKind, TaxRate, TaxRounding, TaxTable
from coulance_core.invoicing import Buyer, BuyerKind, Seller, decide_tax, tax_of

OLD, NEW, ON = date(2012, 10, 1), date(2026, 7, 1), date(2026, 11, 1)


def rate(country: str, percent: str, code: str, kind: TaxKind = TaxKind.STANDARD, **more: object) -> TaxRate:
    fields = {"tax_class": "standard", "valid_from": OLD, "reason": ""} | more
    return TaxRate(country=country, rate=Fraction(percent), code=code, kind=kind, **fields)  # type: ignore[arg-type]


TABLE = TaxTable(
    (
        rate("NL", "21", "NL-21"),
        rate("NL", "22", "NL-22", valid_from=NEW),
        rate("DE", "19", "DE-19"),
        rate("NL", "0", "NL-E", TaxKind.EXEMPT, tax_class="insurance", reason="Exempt: article 135(1)(a)"),
        rate("FR", "0", "FR-RC", TaxKind.REVERSE_CHARGE, reason="Autoliquidation"),
        rate("CH", "8.1", "CH-8.1"),
        rate("NL", "0", "NL-0", TaxKind.ZERO, tax_class="diplomatic"),
    )
)
NL = Seller("Host", "NL", vat_id="NL1")
B, C, P = BuyerKind.BUSINESS, BuyerKind.CONSUMER, BuyerKind.PUBLIC


@pytest.mark.parametrize(
    ("country", "kind", "vat_id", "on", "code", "percent"),
    [
        ("NL", C, "", ON, "NL-22", 22),  # at home, by the tax point
        ("NL", B, "NL2", ON, "NL-22", 22),
        ("NL", B, "NL2", date(2026, 6, 30), "NL-21", 21),
        ("DE", C, "", ON, "DE-19", 19),  # one-stop shop
        ("DE", B, "", ON, "DE-19", 19),  # a business without a valid id is taxed as a consumer
        ("DE", C, "DE9", ON, "DE-19", 19),  # a consumer's id changes nothing
        ("DE", B, "DE9", ON, "DE-RC", 0),
        ("DE", P, "DE9", ON, "DE-RC", 0),
        ("FR", B, "FR9", ON, "FR-RC", 0),  # the table's own words for the reverse charge
        ("US", C, "", ON, "OUT", 0),
        ("US", B, "", ON, "OUT", 0),
        ("CH", B, "", ON, "CH-8.1", Fraction("8.1")),  # registered there, so the table has a rate
    ],
)
def test_who_pays_which_rate(
    country: str, kind: BuyerKind, vat_id: str, on: date, code: str, percent: Fraction
) -> None:
    buyer = Buyer("c", "C", kind, country, "UTC", "EUR", vat_id=vat_id)
    got = decide_tax(seller=NL, buyer=buyer, tax_class="standard", tax_point=on, table=TABLE)
    assert (got.code, got.rate) == (code, percent)
    assert bool(got.reason) == (percent == 0)


def test_without_one_stop_shop_consumers_elsewhere_pay_the_sellers_rate() -> None:
    seller = Seller("Host", "NL", one_stop_shop=False)
    buyer = Buyer("c", "C", C, "DE", "UTC", "EUR")
    assert decide_tax(seller=seller, buyer=buyer, tax_class="standard", tax_point=ON, table=TABLE).code == "NL-22"


def test_exempt_and_overridden_classes_and_a_seller_outside_the_union() -> None:
    def code(seller: Seller, buyer: Buyer, tax_class: str) -> str:
        return decide_tax(seller=seller, buyer=buyer, tax_class=tax_class, tax_point=ON, table=TABLE).code

    assert code(NL, Buyer("c", "C", C, "NL", "UTC", "EUR"), "insurance") == "NL-E"
    # What is exempt at home has no charge to reverse.
    assert code(NL, Buyer("c", "C", B, "DE", "UTC", "EUR", vat_id="DE9"), "insurance") == "NL-E"
    assert code(NL, Buyer("c", "C", P, "NL", "UTC", "EUR", tax_class="diplomatic"), "standard") == "NL-0"
    swiss = Seller("Host", "CH")
    assert code(swiss, Buyer("c", "C", C, "CH", "UTC", "EUR"), "standard") == "CH-8.1"
    assert code(swiss, Buyer("c", "C", B, "NO", "UTC", "EUR"), "standard") == "OUT"


def test_a_missing_rate_is_named_not_guessed() -> None:
    with pytest.raises(NoTaxRateError, match="country IT, class 'standard', on 2026-11-01"):
        decide_tax(
            seller=NL, buyer=Buyer("c", "C", C, "IT", "UTC", "EUR"), tax_class="standard", tax_point=ON, table=TABLE
        )


# Worked by hand. Five lines of 14.49 net at 19 %: a line's tax is 2.7531, so 2.75; five of them 13.75; of the sum
# 72.45 it is 13.7655, so 13.77. Three lines of 9.99 gross at 21 %: a net is 8.2562, so 8.26; their sum 24.78 has 5.20
# tax, 29.98 in all; out of 29.97 gross the tax is 5.2014, so 5.20, and the base is 24.77: one line gives up a cent.
@pytest.mark.parametrize(
    ("amounts", "percent", "prices", "algorithm", "nets", "base", "tax"),
    [
        ([1449] * 5, 19, PriceBasis.NET, TaxRounding.LINE, (1449,) * 5, 7245, 1375),
        ([1449] * 5, 19, PriceBasis.NET, TaxRounding.SUM_BY_NET, (1449,) * 5, 7245, 1377),
        ([999] * 3, 21, PriceBasis.GROSS, TaxRounding.LINE, (826,) * 3, 2478, 519),
        ([999] * 3, 21, PriceBasis.GROSS, TaxRounding.SUM_BY_NET, (826,) * 3, 2478, 520),
        ([999] * 3, 21, PriceBasis.GROSS, TaxRounding.SUM_BY_GROSS, (826, 826, 825), 2477, 520),
        ([1000, -300], 21, PriceBasis.NET, TaxRounding.SUM_BY_NET, (1000, -300), 700, 147),
        ([], 21, PriceBasis.NET, TaxRounding.LINE, (), 0, 0),
        ([500], 0, PriceBasis.GROSS, TaxRounding.SUM_BY_GROSS, (500,), 500, 0),
    ],
)
def test_worked_roundings(
    amounts: list[int],
    percent: int,
    prices: PriceBasis,
    algorithm: TaxRounding,
    nets: tuple[int, ...],
    base: int,
    tax: int,
) -> None:
    got = tax_of(amounts, Fraction(percent), prices=prices, algorithm=algorithm)
    assert (got.nets, got.base, got.tax) == (nets, base, tax)


def test_sum_by_gross_has_no_meaning_for_net_prices() -> None:
    with pytest.raises(ValueError, match="prices that include tax"):
        tax_of([1], Fraction(21), prices=PriceBasis.NET, algorithm=TaxRounding.SUM_BY_GROSS)


amounts = st.lists(st.integers(-(10**6), 10**7), max_size=12)
percents = st.fractions(min_value=0, max_value=50, max_denominator=100)


@given(amounts, percents, st.sampled_from(PriceBasis), st.sampled_from(TaxRounding))
def test_lines_always_sum_to_the_base_and_rounding_moves_little(
    values: list[int], percent: Fraction, prices: PriceBasis, algorithm: TaxRounding
) -> None:
    if prices is PriceBasis.NET and algorithm is TaxRounding.SUM_BY_GROSS:
        return
    got = tax_of(values, percent, prices=prices, algorithm=algorithm)
    assert sum(got.nets) == got.base
    assert len(got.nets) == len(values)
    exact_tax = Fraction(got.base) * percent / 100
    assert abs(got.tax - exact_tax) <= Fraction(len(values) + 1)
    if prices is PriceBasis.GROSS and algorithm is not TaxRounding.SUM_BY_NET:
        assert got.base + got.tax == sum(values)  # what was promised is what is billed
    if prices is PriceBasis.NET:
        assert got.nets == tuple(values)
    for net, value in zip(got.nets, values, strict=True):
        exact_net = Fraction(value) / (1 + percent / 100) if prices is PriceBasis.GROSS else Fraction(value)
        assert abs(net - exact_net) < 2
