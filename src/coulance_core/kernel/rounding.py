"""Exact numbers and the named rules that end their exactness.

Amounts stay exact (`Fraction`) until one named rule turns them into minor units; floats are refused everywhere,
because 0.1 is not a tenth.
"""

from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from functools import lru_cache

_MOST_DIGITS = 1000


class Rounding(StrEnum):
    """How an exact number becomes a whole number of the smallest unit. Halves and directions, for either sign."""

    HALF_UP = "half_up"
    """To the nearest; a half goes away from zero. The commercial rule."""
    HALF_EVEN = "half_even"
    """To the nearest; a half goes to the even neighbour. The banker's rule."""
    DOWN = "down"
    """Towards zero: in the customer's favour on a charge."""
    UP = "up"
    """Away from zero."""
    CEILING = "ceiling"
    """Towards plus infinity."""
    FLOOR = "floor"
    """Towards minus infinity."""


def exact(value: int | str | Decimal | Fraction) -> Fraction:
    """The number as a `Fraction`, without loss. A float or a bool raises `TypeError`, not-a-number `ValueError`.

    So does a number of more than a thousand digits: one typed as `1e999999999` is short to write and endless to keep.

    >>> exact("0.1") + exact("0.2") == exact("0.3")
    True
    """
    if isinstance(value, bool) or not isinstance(value, int | str | Decimal | Fraction):
        raise TypeError(f"an exact number is needed (int, str, Decimal or Fraction), not {type(value).__name__}")
    try:
        if _is_endless(value):
            raise ValueError("too many digits")
        return Fraction(value)
    except (OverflowError, ValueError) as error:
        raise ValueError(f"not a number: {str(value)[:60]!r}") from error


def _is_endless(value: int | str | Decimal | Fraction) -> bool:
    """Whether its power of ten alone makes it too long to keep."""
    if isinstance(value, Decimal):
        return value.is_finite() and (
            abs(value.adjusted()) > _MOST_DIGITS or -int(value.as_tuple().exponent) > _MOST_DIGITS
        )
    if isinstance(value, str):
        _, e, power = value.lower().partition("e")
        return bool(e) and abs(int(power)) > _MOST_DIGITS
    return False


def round_to(value: Fraction | int, digits: int = 0, rule: Rounding = Rounding.HALF_UP) -> Fraction:
    """`value` rounded to `digits` decimals by a named rule; still exact, so that it can be used further.

    >>> [str(round_to(exact(x), 2, Rounding.HALF_UP)) for x in ("0.125", "-0.125")]
    ['13/100', '-13/100']
    """
    scale: int = 10**digits
    return Fraction(round_int(Fraction(value) * scale, rule), scale)


def round_int(value: Fraction, rule: Rounding) -> int:
    """`value` as a whole number by a named rule.

    >>> [round_int(Fraction(5, 2), r) for r in Rounding]
    [3, 2, 2, 3, 3, 2]
    """
    n, d = value.numerator, value.denominator
    if d == 1:
        return n
    floor = n // d
    match rule:
        case Rounding.FLOOR:
            return floor
        case Rounding.CEILING:
            return floor + 1
        case Rounding.DOWN:
            return floor if n >= 0 else floor + 1
        case Rounding.UP:
            return floor + 1 if n >= 0 else floor
    twice = 2 * (n - floor * d)  # compared with d: below, at or above the half
    if twice != d:
        return floor + (twice > d)
    if rule is Rounding.HALF_EVEN:
        return floor + (floor & 1)
    return floor + (n >= 0)


def show(value: Fraction | Decimal | int) -> str:
    """An exact number as people and machines read it back: decimal where it ends, else `n/d`.

    >>> show(Fraction(1, 8)), show(Fraction(14, 31)), show(Decimal("1E+3")), show(Fraction(-5, 2))
    ('0.125', '14/31', '1000', '-2.5')
    """
    fraction = value if type(value) is Fraction else Fraction(value)
    n, d = fraction.numerator, fraction.denominator
    if d == 1:
        return str(n)
    digits = _decimals(d)
    if digits is None:
        return f"{n}/{d}"
    text = str(abs(n) * (10**digits // d)).rjust(digits + 1, "0")
    return f"{'-' if n < 0 else ''}{text[:-digits]}.{text[-digits:]}"


@lru_cache(maxsize=4096)
def _decimals(denominator: int) -> int | None:
    """How many decimals a number with this denominator (in lowest terms) ends after; none when it never ends."""
    rest, twos, fives = denominator, 0, 0
    while rest % 2 == 0:
        rest, twos = rest // 2, twos + 1
    while rest % 5 == 0:
        rest, fives = rest // 5, fives + 1
    return max(twos, fives) if rest == 1 else None
