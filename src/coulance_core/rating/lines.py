"""What rating hands to invoicing: priced lines, each with the explanation that recomputes to its amount."""

from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from functools import lru_cache

from coulance_core.kernel import Explanation, Money, Period, Rounding, currency
from coulance_core.kernel.rounding import round_int
from coulance_core.rating.sheet import Sheet


class LineKind(StrEnum):
    """What a line is for."""

    BASE = "base"
    COMMIT = "commit"
    OVERAGE = "overage"
    MINIMUM = "minimum"
    MAXIMUM_DISCOUNT = "maximum_discount"
    LATE_USAGE = "late_usage"
    CREDIT = "credit"
    CARRIED = "carried"


@dataclass(frozen=True, slots=True)
class PricedLine:
    """One line: `amount` exact in major units, `net` the same rounded by the named rule.

    The explanation states `amount` and `net` as steps. `unit_price` is there when one price holds for the whole
    quantity. `terms` is the version that it was priced by.
    """

    kind: LineKind
    charge: str
    service: str
    description: str
    period: Period
    quantity: Fraction
    unit: str
    unit_price: Fraction | None
    amount: Fraction
    net: Money
    tax_class: str
    terms: str
    explanation: Explanation
    pool: str | None = None


@lru_cache(maxsize=256)
def _minor_unit(code: str) -> tuple[str, int]:
    exponent = currency(code).exponent
    return str(exponent), 10**exponent


def rounded(
    sheet: Sheet, amount: Fraction, code: str, rule: Rounding, *, of: str = "amount", name: str = "net"
) -> Money:
    """`amount` as money, stated on the sheet as the step `name`."""
    digits, scale = _minor_unit(code)
    minor = round_int(amount * scale, rule)
    sheet.step(name, "round", (of, digits, rule.value), Fraction(minor, scale), code)
    return Money(minor, code)
