"""Money that refuses misuse, and unit prices that are not money yet.

`Money` is whole minor units of one currency. `UnitPrice` is an exact price for an amount of something (0.0123 for a
GB); only rating turns it into money, by a named rounding rule.
"""

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import total_ordering
from typing import Self

from coulance_core.kernel.quantity import Quantity, Unit
from coulance_core.kernel.rounding import Rounding, exact, round_int, show

# ISO 4217 exponents that differ from 2 (list one, in force 2026). Currencies with no minor unit or thousandths.
_EXPONENT = dict.fromkeys(
    (
        "BIF",
        "CLP",
        "DJF",
        "GNF",
        "ISK",
        "JPY",
        "KMF",
        "KRW",
        "PYG",
        "RWF",
        "UGX",
        "UYI",
        "VND",
        "VUV",
        "XAF",
        "XOF",
        "XPF",
    ),
    0,
) | dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3)
_TWO = frozenset(
    code
    for row in (
        "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF",
        "CNY COP CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL",
        "HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT",
        "MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB",
        "SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH",
        "USD UYU UZS VES WST XCD YER ZAR ZMW ZWG",
    )
    for code in row.split()
)


class CurrencyMismatchError(ValueError):
    """Two currencies met where only one may be. `left` and `right` are their codes."""

    def __init__(self, left: str, right: str) -> None:
        super().__init__(f"cannot mix {left} and {right}: convert one first, with a dated rate")
        self.left, self.right = left, right


@dataclass(frozen=True, slots=True)
class Currency:
    """An ISO 4217 currency: its code, and how many decimals its minor unit has (0, 2 or 3)."""

    code: str
    exponent: int


def currency(code: str) -> Currency:
    """The currency with this ISO 4217 code. Raises `ValueError` for one that is not in the list.

    >>> currency("KWD").exponent, currency("JPY").exponent, currency("EUR").exponent
    (3, 0, 2)
    """
    if code in _EXPONENT:
        return Currency(code, _EXPONENT[code])
    if code in _TWO:
        return Currency(code, 2)
    raise ValueError(f"unknown currency {code!r}: expected an ISO 4217 code such as EUR")


@total_ordering
@dataclass(frozen=True, slots=True)
class Money:
    """An amount in whole minor units (cents) of one currency.

    Adding, subtracting and comparing want the same currency and raise `CurrencyMismatchError` otherwise. Truth is
    ambiguous (is 0.00 EUR nothing?) and raises; say `.minor == 0`. Multiplication takes whole numbers only; a share
    goes through `Money.of` with a rounding rule.

    >>> Money(1999, "EUR") + Money(1, "EUR")
    Money(minor=2000, currency='EUR')
    >>> str(Money(-5, "EUR")), str(Money(1234, "KWD")), str(Money(7, "JPY"))
    ('-0.05 EUR', '1.234 KWD', '7 JPY')
    """

    minor: int
    currency: str

    def __post_init__(self) -> None:
        if isinstance(self.minor, bool) or not isinstance(self.minor, int):
            raise TypeError(f"minor units are whole numbers, not {type(self.minor).__name__}")

    @classmethod
    def of(cls, amount: int | str | Decimal | Fraction, code: str, rule: Rounding | None = None) -> Self:
        """`amount` in major units (12.34) as money. Without a rule, one finer than the minor unit raises `ValueError`.

        >>> Money.of("12.345", "EUR", Rounding.HALF_UP)
        Money(minor=1235, currency='EUR')
        """
        scaled = exact(amount) * 10 ** currency(code).exponent
        if rule is None and scaled.denominator != 1:
            raise ValueError(f"{amount} {code} is finer than its minor unit: name a rounding rule")
        return cls(round_int(scaled, rule or Rounding.HALF_UP), code)

    @property
    def amount(self) -> Fraction:
        """In major units, exact."""
        return Fraction(self.minor, 10 ** currency(self.currency).exponent)

    def decimal(self) -> str:
        """In major units with all its decimals, without the currency: `12.30`."""
        exponent = currency(self.currency).exponent
        if not exponent:
            return str(self.minor)
        text = str(abs(self.minor)).rjust(exponent + 1, "0")
        return f"{'-' if self.minor < 0 else ''}{text[:-exponent]}.{text[-exponent:]}"

    def _same(self, other: object) -> "Money":
        if not isinstance(other, Money):
            raise TypeError(f"money meets only money, not {type(other).__name__}")
        if other.currency != self.currency:
            raise CurrencyMismatchError(self.currency, other.currency)
        return other

    def __add__(self, other: "Money") -> "Money":
        return Money(self.minor + self._same(other).minor, self.currency)

    def __sub__(self, other: "Money") -> "Money":
        return Money(self.minor - self._same(other).minor, self.currency)

    def __neg__(self) -> "Money":
        return Money(-self.minor, self.currency)

    def __mul__(self, times: int) -> "Money":
        if isinstance(times, bool) or not isinstance(times, int):
            raise TypeError(
                "money is multiplied by whole numbers only; for a share use Money.of(amount * share, ..., rule)"
            )
        return Money(self.minor * times, self.currency)

    __rmul__ = __mul__

    def __lt__(self, other: "Money") -> bool:
        return self.minor < self._same(other).minor

    def __bool__(self) -> bool:
        raise TypeError("the truth of money is ambiguous: compare .minor with 0")

    def __str__(self) -> str:
        return f"{self.decimal()} {self.currency}"


@dataclass(frozen=True, slots=True)
class UnitPrice:
    """An exact price for one `per` of a quantity: 0.10 EUR a GB. Not money: it may be finer than a cent.

    `of(quantity)` gives the exact amount in major units; rating rounds it, once, by the contract's rule.

    >>> from coulance_core.kernel.quantity import unit
    >>> UnitPrice(Fraction(1, 10), "EUR", unit("GB")).of(Quantity(Fraction(3_200_000_000), unit("B")))
    Fraction(8, 25)
    """

    amount: Fraction
    currency: str
    per: Unit

    def of(self, quantity: Quantity) -> Fraction:
        """The exact amount, in major units, for `quantity`; raises `UnitError` when it is of another dimension."""
        return self.amount * quantity.to(self.per).value

    def __str__(self) -> str:
        return f"{show(self.amount)} {self.currency}/{self.per.name}"
