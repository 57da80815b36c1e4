"""Quantities with units: bytes and their multiples, bit rates, time, counts and their products.

A gigabyte is 10^9 bytes and a gibibyte 2^30: which one a contract means is one of its terms, so both are units here
and nothing converts by guessing.
"""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from functools import total_ordering

from coulance_core.kernel.rounding import exact, show


class Dimension(StrEnum):
    """What a unit measures. Quantities convert only inside one dimension."""

    DATA = "data"
    RATE = "rate"
    TIME = "time"
    COUNT = "count"
    DATA_TIME = "data_time"
    """Data kept for a time, such as GB-hours."""


class UnitError(ValueError):
    """Unknown unit, or two units of different dimensions where one was needed."""


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit: its name, its dimension, and its size in the dimension's base (byte, bit/s, second, one, byte-second)."""

    name: str
    dimension: Dimension
    size: Fraction


def _table() -> dict[str, Unit]:
    units: dict[str, Unit] = {}

    def add(name: str, dimension: Dimension, size: Fraction | int) -> None:
        units[name] = Unit(name, dimension, Fraction(size))

    decimal = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15}
    binary = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "Pi": 2**50}
    for prefix, size in (decimal | binary).items():
        add(f"{prefix}B", Dimension.DATA, size)
        add(f"{prefix}bit", Dimension.DATA, Fraction(size, 8))
        add(f"{prefix}bit/s", Dimension.RATE, size)
        add(f"{prefix}B/s", Dimension.RATE, 8 * size)
        for period, seconds in (("h", 3600), ("day", 86400), ("month", 730 * 3600)):
            add(f"{prefix}B-{period}", Dimension.DATA_TIME, size * seconds)
        add(f"{prefix}B-s", Dimension.DATA_TIME, size)
    for name, seconds in (("s", 1), ("min", 60), ("h", 3600), ("day", 86400)):
        add(name, Dimension.TIME, seconds)
    for name in ("1", "seat", "event", "request", "mailbox", "domain", "user", "address", "instance", "EUR-volume"):
        add(name, Dimension.COUNT, 1)
    return units


_UNITS = _table()


def unit(name: str) -> Unit:
    """The unit of that name. Raises `UnitError` with the names nearest in kind.

    >>> unit("GiB").size, unit("Mbit/s").size
    (Fraction(1073741824, 1), Fraction(1000000, 1))
    """
    try:
        return _UNITS[name]
    except KeyError:
        raise UnitError(
            f"unknown unit {name!r}: expected one of B, kB, MB, GB, TB, KiB, MiB, GiB, TiB, Mbit/s, h, seat, 1, ..."
        ) from None


def unit_names() -> tuple[str, ...]:
    """Every unit's name, for completion and for the published schema."""
    return tuple(_UNITS)


@total_ordering
@dataclass(frozen=True, slots=True)
class Quantity:
    """An exact number of a unit. Addition and comparison want the same dimension and raise `UnitError` otherwise.

    >>> str(Quantity(Fraction(25_900), unit("GB")).to(unit("TB")))
    '25.9 TB'
    """

    value: Fraction
    unit: Unit

    @classmethod
    def of(cls, value: int | str | Decimal | Fraction, name: str) -> "Quantity":
        """`value` of the unit called `name`; the value must be exact (no float)."""
        return cls(exact(value), unit(name))

    def to(self, target: Unit) -> "Quantity":
        """The same quantity in another unit of its dimension."""
        if target.dimension is not self.unit.dimension:
            raise UnitError(
                f"{self.unit.name} ({self.unit.dimension}) does not convert to {target.name} ({target.dimension})"
            )
        if target == self.unit:
            return self
        return Quantity(self.value * self.unit.size / target.size, target)

    def __add__(self, other: "Quantity") -> "Quantity":
        return Quantity(self.value + other.to(self.unit).value, self.unit)

    def __sub__(self, other: "Quantity") -> "Quantity":
        return Quantity(self.value - other.to(self.unit).value, self.unit)

    def __lt__(self, other: "Quantity") -> bool:
        return self.value < other.to(self.unit).value

    def __str__(self) -> str:
        return f"{show(self.value)} {self.unit.name}"
