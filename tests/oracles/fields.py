"""Reading a case's fields, with a message that says what was expected where one is wrong."""

from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Any

from tests.oracles.protocol import MalformedCaseError


def field(case: dict[str, Any], name: str, kind: type | tuple[type, ...], what: str) -> Any:
    """The field `name`, which must be of `kind`; raises `MalformedCaseError` naming it and `what` was expected."""
    if name not in case:
        raise MalformedCaseError(f"no field {name!r}: expected {what}")
    value = case[name]
    if not isinstance(value, kind) or (
        isinstance(value, bool) and bool not in (kind if isinstance(kind, tuple) else (kind,))
    ):
        raise MalformedCaseError(f"field {name!r} is {value!r}: expected {what}")
    return value


def count(case: dict[str, Any], name: str) -> int:
    """A whole number of at least 1."""
    value = field(case, name, int, "a whole number of at least 1")
    if value < 1:
        raise MalformedCaseError(f"field {name!r} is {value}: expected a whole number of at least 1")
    return int(value)


def number(value: Any, where: str) -> Fraction:
    """A JSON number, or a number written as text, as the fraction its decimals say.

    >>> number("7777542392.000000", "x"), number(0.1, "x")
    (Fraction(7777542392, 1), Fraction(1, 10))
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise MalformedCaseError(f"{where} is {value!r}: expected a number")
    try:
        return Fraction(Decimal(repr(value) if isinstance(value, float) else value))
    except (InvalidOperation, ValueError, OverflowError):
        raise MalformedCaseError(f"{where} is {value!r}: expected a number") from None


def close(expected: Fraction, got: Fraction, relative: Fraction = Fraction(1, 10**12)) -> bool:
    """Equal as far as an oracle that reckons in double precision can say."""
    return abs(expected - got) <= max(abs(expected), abs(got)) * relative + Fraction(1, 10**6)
