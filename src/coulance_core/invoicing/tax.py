"""Which tax a line falls under, and how tax is rounded.

The decision follows the place of supply of services: the seller's country at home; inside the EU the reverse charge
for a business with a valid VAT id, else the consumer's own country (one-stop shop) or the seller's; outside, no tax
unless the table holds a rate for that country. Sources: Council Directive 2006/112/EC, articles 44, 58, 59 and 196.
Not legal advice: the table decides the rates, and a `*` entry of the table comes before the built-in wording.

Rounding is one of three named algorithms (`TaxRounding`); they differ by cents, so the name prints on the document.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from fractions import Fraction

from coulance_core.catalog.provider import NoTaxRateError, PriceBasis, TaxKind, TaxRate, TaxRounding, TaxTable
from coulance_core.invoicing.documents import Buyer, BuyerKind, Seller
from coulance_core.kernel import Rounding
from coulance_core.kernel.rounding import round_int

EU = frozenset("AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IT LT LU LV MT NL PL PT RO SE SI SK".split())
"""Members of the European Union, ISO 3166 (VAT ids spell Greece EL)."""

REVERSE_CHARGE_REASON = "Reverse charge: the recipient accounts for VAT (article 196, Directive 2006/112/EC)"
OUT_OF_SCOPE_REASON = "Not subject to VAT: supplied where the recipient is (articles 44 and 59, Directive 2006/112/EC)"
DAMAGES = TaxRate(
    "*", "damages", Fraction(0), date(1970, 1, 1), "damages", TaxKind.OUT_OF_SCOPE, "Compensation, not subject to tax"
)
"""What damages fall under: no supply, so no tax, and none reversed."""


def decide_tax(*, seller: Seller, buyer: Buyer, tax_class: str, tax_point: date, table: TaxTable) -> TaxRate:
    """The rate a line of `tax_class` falls under at its tax point.

    Raises `NoTaxRateError` when the table lacks a rate that is needed, naming country, class and day.

    >>> table = TaxTable((TaxRate("NL", "standard", Fraction(21), date(2012, 10, 1), "NL-21"),
    ...                   TaxRate("DE", "standard", Fraction(19), date(2021, 1, 1), "DE-19")))
    >>> seller = Seller("Host", "NL")
    >>> def code(country, kind, vat_id=""):
    ...     buyer = Buyer("c1", "C", kind, country, "UTC", "EUR", vat_id=vat_id)
    ...     on = date(2026, 11, 1)
    ...     return decide_tax(seller=seller, buyer=buyer, tax_class="standard", tax_point=on, table=table).code
    >>> code("NL", BuyerKind.BUSINESS, "NL1"), code("DE", BuyerKind.CONSUMER), code("DE", BuyerKind.BUSINESS, "DE1")
    ('NL-21', 'DE-19', 'DE-RC')
    >>> code("US", BuyerKind.CONSUMER)
    'OUT'
    """
    tax_class = buyer.tax_class or tax_class
    if buyer.country == seller.country:
        return table.rate(seller.country, tax_class, tax_point)
    if seller.country in EU and buyer.country in EU:
        if buyer.kind is not BuyerKind.CONSUMER and buyer.vat_id:
            exempt = _found(table, seller.country, tax_class, tax_point)
            if exempt is not None and exempt.kind is TaxKind.EXEMPT:
                return exempt  # what is exempt at home has no charge to reverse
            stated = table.reverse_charge(buyer.country, tax_class, tax_point)
            return stated or TaxRate(
                buyer.country,
                tax_class,
                Fraction(0),
                date(1970, 1, 1),
                f"{buyer.country}-RC",
                TaxKind.REVERSE_CHARGE,
                REVERSE_CHARGE_REASON,
            )
        return table.rate(buyer.country if seller.one_stop_shop else seller.country, tax_class, tax_point)
    return _found(table, buyer.country, tax_class, tax_point) or TaxRate(
        buyer.country, tax_class, Fraction(0), date(1970, 1, 1), "OUT", TaxKind.OUT_OF_SCOPE, OUT_OF_SCOPE_REASON
    )


def _found(table: TaxTable, country: str, tax_class: str, on: date) -> TaxRate | None:
    try:
        return table.rate(country, tax_class, on)
    except NoTaxRateError:
        return None


@dataclass(frozen=True, slots=True)
class Taxed:
    """The outcome for the lines of one tax code, in minor units: each line's net, their base, and the tax."""

    nets: tuple[int, ...]
    base: int
    tax: int


def tax_of(
    amounts: Sequence[int],
    rate: Fraction,
    *,
    prices: PriceBasis,
    algorithm: TaxRounding,
    rule: Rounding = Rounding.HALF_UP,
) -> Taxed:
    """Tax on the lines of one code. `amounts` are minor units, net or gross by `prices`; `rate` is in percent.

    Three lines of 0.33 at 21 %: `line` rounds 6.93 cents three times, `sum_by_net` 20.79 once.

    >>> tax_of([33, 33, 33], Fraction(21), prices=PriceBasis.NET, algorithm=TaxRounding.LINE).tax
    21
    >>> tax_of([7, 7, 7], Fraction(21), prices=PriceBasis.NET, algorithm=TaxRounding.LINE).tax
    3
    >>> tax_of([7, 7, 7], Fraction(21), prices=PriceBasis.NET, algorithm=TaxRounding.SUM_BY_NET).tax
    4

    With prices that include tax, `sum_by_gross` keeps the sum that was promised: three times 10.00 is 30.00.

    >>> tax_of([1000] * 3, Fraction(21), prices=PriceBasis.GROSS, algorithm=TaxRounding.SUM_BY_GROSS)
    Taxed(nets=(826, 826, 827), base=2479, tax=521)
    >>> t = tax_of([1000] * 3, Fraction(21), prices=PriceBasis.GROSS, algorithm=TaxRounding.SUM_BY_NET)
    >>> t.base, t.tax, t.base + t.tax
    (2478, 520, 2998)
    """
    share = rate / 100
    if prices is PriceBasis.NET:
        if algorithm is TaxRounding.SUM_BY_GROSS:
            raise ValueError("sum_by_gross is for prices that include tax; expected line or sum_by_net")
        nets = tuple(amounts)
        base = sum(nets)
        tax = _tax(nets, share, rule) if algorithm is TaxRounding.LINE else round_int(base * share, rule)
        return Taxed(nets, base, tax)
    exact_nets = [Fraction(amount) / (1 + share) for amount in amounts]
    rounded = [round_int(net, rule) for net in exact_nets]
    match algorithm:
        case TaxRounding.LINE:
            base = sum(rounded)
            return Taxed(tuple(rounded), base, sum(amounts) - base)
        case TaxRounding.SUM_BY_NET:
            base = sum(rounded)
            return Taxed(tuple(rounded), base, round_int(base * share, rule))
        case TaxRounding.SUM_BY_GROSS:
            gross = sum(amounts)
            base = gross - round_int(gross * share / (1 + share), rule)
            return Taxed(_spread(exact_nets, rounded, base), base, gross - base)


def _tax(nets: Sequence[int], share: Fraction, rule: Rounding) -> int:
    return sum(round_int(net * share, rule) for net in nets)


def _spread(exact_nets: Sequence[Fraction], rounded: Sequence[int], base: int) -> tuple[int, ...]:
    """Move single cents so that the lines sum to `base`: first where rounding moved furthest the other way.

    Ties go to the later line, so that the first lines of a bill look like the price list.
    """
    out = list(rounded)
    left = base - sum(out)
    step = 1 if left > 0 else -1
    order = sorted(range(len(out)), key=lambda i: (step * (exact_nets[i] - rounded[i]), i), reverse=True)
    for turn in range(abs(left)):
        out[order[turn % len(order)]] += step
    return tuple(out)
