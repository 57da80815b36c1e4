"""The provider's own terms: who they are, how they round, tax, and number their paper."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from fractions import Fraction
from zoneinfo import ZoneInfo

from coulance_core.catalog.faults import Fault, refuse
from coulance_core.kernel import Money, Rounding, currency


class PriceBasis(StrEnum):
    """Whether prices are written without tax or with it."""

    NET = "net"
    GROSS = "gross"


class TaxRounding(StrEnum):
    """Where tax is rounded."""

    LINE = "line"
    """Each line's tax by itself; the total is their sum."""
    SUM_BY_NET = "sum_by_net"
    """One tax for each rate, of the sum of its lines' net."""
    SUM_BY_GROSS = "sum_by_gross"
    """One tax for each rate, out of the sum of its lines' gross: for prices that include tax."""


class TaxKind(StrEnum):
    """Why tax is what it is."""

    STANDARD = "standard"
    ZERO = "zero"
    EXEMPT = "exempt"
    REVERSE_CHARGE = "reverse_charge"
    OUT_OF_SCOPE = "out_of_scope"


class Resets(StrEnum):
    """When a number series starts again."""

    YEARLY = "yearly"
    NEVER = "never"


class NoTaxRateError(LookupError):
    """No rate for that country and class on that day."""


@dataclass(frozen=True, slots=True)
class TaxRate:
    """A rate in percent for a country (ISO 3166 alpha-2, or `*` for any other) and tax class, from a date."""

    country: str
    tax_class: str
    rate: Fraction
    valid_from: date
    code: str
    kind: TaxKind = TaxKind.STANDARD
    reason: str = ""
    valid_until: date | None = None

    def __post_init__(self) -> None:
        refuse(f"tax rate {self.code!r}", self.faults())

    def faults(self) -> Iterator[Fault]:
        """Everything wrong with it."""
        if self.country != "*" and not re.fullmatch("[A-Z]{2}", self.country):
            yield Fault("country", f"expected two capital letters such as NL, or *, not {self.country!r}")
        if not 0 <= self.rate < 100:
            yield Fault("rate", f"expected 0 to 100 percent, not {self.rate}")
        if not self.code:
            yield Fault("code", "a rate needs a code; it prints on the invoice")
        if self.kind is not TaxKind.STANDARD and self.rate != 0:
            yield Fault("rate", f"{self.kind} means 0, not {self.rate}")
        if self.kind in (TaxKind.EXEMPT, TaxKind.REVERSE_CHARGE) and not self.reason:
            yield Fault("reason", f"{self.kind} needs the reason that the invoice must state")
        if self.valid_until is not None and self.valid_until <= self.valid_from:
            yield Fault("valid_until", f"expected after {self.valid_from}, not {self.valid_until}")


@dataclass(frozen=True, slots=True)
class TaxTable:
    """Every rate there is. `rate` finds the one of a country, class and day; the newest that has begun wins."""

    rates: tuple[TaxRate, ...] = ()

    def __post_init__(self) -> None:
        refuse("tax", self.faults())

    def faults(self) -> Iterator[Fault]:
        """Everything wrong with it."""
        seen: dict[tuple[str, str, date, bool], int] = {}
        for i, rate in enumerate(self.rates):
            key = (rate.country, rate.tax_class, rate.valid_from, rate.kind is TaxKind.REVERSE_CHARGE)
            if key in seen:
                yield Fault(
                    f"rates[{i}]",
                    f"{rate.country} {rate.tax_class!r} from {rate.valid_from} is already there (rates[{seen[key]}])",
                )
            seen.setdefault(key, i)

    def rate(self, country: str, tax_class: str, on: date) -> TaxRate:
        """The rate at a tax point; a rate of the country itself goes before one for any (`*`).

        Raises `NoTaxRateError` naming the three, when there is none.
        """
        found = self._find(country, tax_class, on, reverse=False)
        if found is None:
            raise NoTaxRateError(f"no tax rate for country {country}, class {tax_class!r}, on {on.isoformat()}")
        return found

    def reverse_charge(self, country: str, tax_class: str, on: date) -> TaxRate | None:
        """The reverse-charge entry for that country and class, when there is one in force."""
        return self._find(country, tax_class, on, reverse=True)

    def classes(self) -> tuple[str, ...]:
        """Every tax class, sorted."""
        return tuple(sorted({rate.tax_class for rate in self.rates}))

    def _find(self, country: str, tax_class: str, on: date, *, reverse: bool) -> TaxRate | None:
        best: TaxRate | None = None
        for rate in self.rates:
            if (
                rate.country in (country, "*")
                and rate.tax_class == tax_class
                and (rate.kind is TaxKind.REVERSE_CHARGE) is reverse
                and rate.valid_from <= on
                and (rate.valid_until is None or on < rate.valid_until)
                and (best is None or (rate.country != "*", rate.valid_from) > (best.country != "*", best.valid_from))
            ):
                best = rate
        return best


_FIELD = re.compile(r"\{(\w*)(?::([^}]*))?\}")


@dataclass(frozen=True, slots=True)
class NumberSeries:
    """A gapless series of document numbers: `B{year}-{number:06d}`, starting again each year or never.

    >>> NumberSeries("base", "B{year}-{number:06d}").write(42, 2026)
    'B2026-000042'
    """

    key: str
    format: str
    resets: Resets = Resets.YEARLY
    start: int = 1

    def __post_init__(self) -> None:
        refuse(f"number series {self.key!r}", self.faults())

    def faults(self) -> Iterator[Fault]:
        """Everything wrong with it."""
        fields = _FIELD.findall(self.format)
        names = [name for name, _ in fields]
        if names.count("number") != 1:
            yield Fault("format", f"expected {{number}} or {{number:06d}} once in {self.format!r}")
        for name, spec in fields:
            if name not in ("number", "year"):
                yield Fault("format", f"unknown {{{name}}}: expected {{year}} and {{number}}")
            if spec and not re.fullmatch(r"0\d{1,2}d", spec):
                yield Fault("format", f"{{{name}:{spec}}}: expected a width such as {{number:06d}}")
        rest = _FIELD.sub("", self.format)
        if "{" in rest or "}" in rest:
            yield Fault("format", f"a brace without its partner in {self.format!r}")
        if self.resets is Resets.YEARLY and "year" not in names:
            yield Fault("format", "a series that starts again each year needs {year}, or numbers would repeat")
        if self.resets is Resets.NEVER and "year" in names:
            yield Fault("resets", "a series with {year} starts again yearly; expected yearly, or a format without it")
        if self.start < 0:
            yield Fault("start", f"expected 0 or more, not {self.start}")

    def write(self, number: int, year: int) -> str:
        """The document number."""
        return self.format.format(number=number, year=year)


@dataclass(frozen=True, slots=True)
class ProviderTerms:
    """Who bills, in which currency and zone, and the provider-wide rules.

    `settle_after_days` after a period's end it may be closed; `carry_forward_below`: a smaller overage waits for the
    next invoice; use found later than `back_billing_cap_months` after its period is absorbed.
    """

    name: str
    country: str
    currency: str
    zone: str
    address: tuple[str, ...] = ()
    vat_id: str = ""
    registration: str = ""
    email: str = ""
    phone: str = ""
    website: str = ""
    iban: str = ""
    bic: str = ""
    language: str = "en"
    rounding: Rounding = Rounding.HALF_UP
    tax_rounding: TaxRounding = TaxRounding.SUM_BY_NET
    prices: PriceBasis = PriceBasis.NET
    payment_days: int = 14
    settle_after_days: int = 3
    carry_forward_below: Money | None = None
    back_billing_cap_months: int = 12
    national_currency: str | None = None
    texts: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        refuse("provider", self.faults())

    @property
    def zone_info(self) -> ZoneInfo:
        """Its zone."""
        return ZoneInfo(self.zone)

    def text(self, key: str, default: str = "") -> str:
        """A text of the provider's own, such as `invoice_footer`."""
        return dict(self.texts).get(key, default)

    def faults(self) -> Iterator[Fault]:
        """Everything wrong with it."""
        if not self.name:
            yield Fault("name", "an invoice must name who bills")
        if not re.fullmatch("[A-Z]{2}", self.country):
            yield Fault("country", f"expected two capital letters such as NL, not {self.country!r}")
        for field, code in (("currency", self.currency), ("national_currency", self.national_currency)):
            if code is not None:
                try:
                    currency(code)
                except ValueError as error:
                    yield Fault(field, str(error))
        try:
            ZoneInfo(self.zone)
        except (KeyError, ValueError, OSError):
            yield Fault("zone", f"unknown zone {self.zone!r}: expected an IANA name such as Europe/Amsterdam")
        for field, days, most in (
            ("payment_days", self.payment_days, 365),
            ("settle_after_days", self.settle_after_days, 60),
            ("back_billing_cap_months", self.back_billing_cap_months, 120),
        ):
            if not 0 <= days <= most:
                yield Fault(field, f"expected 0 to {most}, not {days}")
        least = self.carry_forward_below
        if least is not None and (least.minor < 0 or least.currency != self.currency):
            yield Fault("carry_forward_below", f"expected 0 or more {self.currency}, not {least}")
        if self.tax_rounding is TaxRounding.SUM_BY_GROSS and self.prices is PriceBasis.NET:
            yield Fault("tax_rounding", "sum_by_gross is for prices that include tax; expected line or sum_by_net")
