"""Reads terms from tables (a TOML file's mapping), and says of every fault in which field it is.

Pure: the caller opens the file. Nothing is guessed: an unknown name, a number with a point where it must be exact, a
missing field are faults, all of them told at once.
"""

import re
from collections.abc import Callable, Mapping
from datetime import date
from enum import StrEnum
from fractions import Fraction
from typing import Any, TypeVar

from coulance_core.catalog.faults import Fault, TermsError
from coulance_core.kernel import Money, currency

_T = TypeVar("_T")
_E = TypeVar("_E", bound=StrEnum)
_REQUIRED = object()


class Table:
    """A table being read: takes fields by name, gathers faults, and refuses what nobody asked for."""

    def __init__(self, data: Any, path: str = "", faults: list[Fault] | None = None) -> None:
        self.path = path
        self.faults: list[Fault] = [] if faults is None else faults
        self._asked: set[str] = set()
        self.data: Mapping[str, Any] = data if isinstance(data, Mapping) else {}
        if not isinstance(data, Mapping):
            self.fault("", f"expected a table, not {data!r}")

    def fault(self, name: str, message: str) -> None:
        """Record what is wrong with a field."""
        path = ".".join(part for part in (self.path, name) if part)
        self.faults.append(Fault(path, message))

    def _take(self, name: str, default: object) -> Any:
        self._asked.add(name)
        if name in self.data:
            return self.data[name]
        if default is _REQUIRED:
            self.fault(name, "is missing")
        return None

    def has(self, name: str) -> bool:
        """Whether the field is there."""
        return name in self.data

    def value(self, name: str, default: Any, read: Callable[[Any], _T], fallback: _T) -> _T:
        """What `read` makes of a field; its `ValueError` is a fault. `default` where it isn't there."""
        value = self._take(name, default)
        if value is None:
            return fallback if default is _REQUIRED else default
        try:
            return read(value)
        except (ValueError, TypeError) as error:
            self.fault(name, str(error))
            return fallback

    def text(self, name: str, default: Any = _REQUIRED) -> str:
        """A string."""
        return self.value(name, default, _text, "")

    def whole(self, name: str, default: Any = _REQUIRED) -> int:
        """A whole number."""
        return self.value(name, default, _whole, 0)

    def flag(self, name: str, default: Any = _REQUIRED) -> bool:
        """True or false."""
        return self.value(name, default, _flag, False)

    def day(self, name: str, default: Any = _REQUIRED) -> date:
        """A date."""
        return self.value(name, default, _day, date(1, 1, 1))

    def maybe_day(self, name: str) -> date | None:
        """A date, or none."""
        self._asked.add(name)
        return self.day(name) if self.has(name) else None

    def number(self, name: str, default: Any = _REQUIRED) -> Fraction:
        """An exact number: whole, or in quotes."""
        return self.value(name, default, exact_number, Fraction(0))

    def maybe_number(self, name: str) -> Fraction | None:
        """An exact number, or none."""
        self._asked.add(name)
        return self.number(name) if self.has(name) else None

    def money(self, name: str) -> Money | None:
        """An amount, `"5.00 EUR"`, or none."""
        self._asked.add(name)
        return self.value(name, _REQUIRED, read_money, None) if self.has(name) else None

    def amounts(self, name: str) -> tuple[Money, ...]:
        """Amounts, each of its own currency."""
        found = tuple(self._value_of(name, n, item, read_money) for n, item in enumerate(self._list(name)))
        amounts = tuple(money for money in found if money is not None)
        if len({money.currency for money in amounts}) < len(amounts):
            self.fault(name, "one amount a currency")
        return amounts

    def choice(self, name: str, kind: type[_E], default: Any = _REQUIRED) -> _E:
        """One of a set of names."""
        return self.value(name, default, lambda value: _member(value, kind), next(iter(kind)))

    def choices(self, name: str, kind: type[_E], default: tuple[_E, ...]) -> tuple[_E, ...]:
        """Some of a set of names, in their order."""
        if not self.has(name):
            self._asked.add(name)
            return default
        found = (self._value_of(name, n, v, lambda x: _member(x, kind)) for n, v in enumerate(self._list(name)))
        return tuple(one for one in found if one is not None)

    def texts(self, name: str) -> tuple[str, ...]:
        """Strings."""
        found = (self._value_of(name, n, item, _text) for n, item in enumerate(self._list(name)))
        return tuple(one for one in found if one is not None)

    def wholes(self, name: str, default: tuple[int, ...]) -> tuple[int, ...]:
        """Whole numbers."""
        if not self.has(name):
            self._asked.add(name)
            return default
        found = (self._value_of(name, n, item, _whole) for n, item in enumerate(self._list(name)))
        return tuple(one for one in found if one is not None)

    def tables(self, name: str) -> list["Table"]:
        """Tables, one after the other."""
        path = f"{self.path}.{name}" if self.path else name
        return [Table(item, f"{path}[{n}]", self.faults) for n, item in enumerate(self._list(name))]

    def table(self, name: str) -> "Table":
        """A table inside; empty where there is none."""
        self._asked.add(name)
        path = f"{self.path}.{name}" if self.path else name
        return Table(self.data.get(name, {}), path, self.faults)

    def items(self) -> list[tuple[str, "Table"]]:
        """Every field of this table as a table, by name."""
        self._asked |= set(self.data)
        return [(name, Table(value, f"{self.path}.{name}", self.faults)) for name, value in self.data.items()]

    def close(self) -> None:
        """Refuse what nobody asked for."""
        for name in self.data:
            if name not in self._asked:
                known = ", ".join(sorted(self._asked))
                self.fault(name, f"no such field; there is {known}")

    def _list(self, name: str) -> list[Any]:
        self._asked.add(name)
        value = self.data.get(name, [])
        if isinstance(value, list | tuple):
            return list(value)
        self.fault(name, f"expected a list, not {value!r}")
        return []

    def _value_of(self, name: str, n: int, item: Any, read: Callable[[Any], _T]) -> _T | None:
        try:
            return read(item)
        except (ValueError, TypeError) as error:
            self.fault(f"{name}[{n}]", str(error))
            return None


def finish(where: str, table: Table, make: Callable[[], _T]) -> _T:
    """Raise `TermsError` with every fault found in `where`; else make the value, whose own faults come likewise."""
    table.close()
    if table.faults:
        raise TermsError(where, table.faults)
    try:
        return make()
    except TermsError as error:
        raise TermsError(where, error.faults) from error


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"expected words in quotes, not {value!r}")
    return value


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"expected a whole number, not {value!r}")
    return value


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"expected true or false, not {value!r}")
    return value


def _day(value: Any) -> date:
    if type(value) is date:
        return value
    if isinstance(value, str):
        try:
            return date.fromisoformat(value)
        except ValueError:
            pass
    raise ValueError(f"expected a date, such as 2026-01-01, not {value!r}")


def exact_number(value: Any) -> Fraction:
    """An exact number: whole, or with a point and in quotes. Raises `ValueError` for any other.

    >>> exact_number("10.15")
    Fraction(203, 20)
    """
    if isinstance(value, float):
        raise ValueError(f'{value} has a point, which a computer keeps inexactly: write "{value}"')
    if isinstance(value, int) and not isinstance(value, bool):
        return Fraction(value)
    if isinstance(value, str) and re.fullmatch(r"-?\d+(?:\.\d+)?", value):
        return Fraction(value)
    raise ValueError(f"expected a number, not {value!r}")


def read_money(value: Any) -> Money:
    """An amount as `"5.00 EUR"`. Raises `ValueError` for any other.

    >>> read_money("5.00 EUR")
    Money(minor=500, currency='EUR')
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?) ([A-Z]{3})", value) if isinstance(value, str) else None
    if found is None:
        raise ValueError(f'expected an amount, such as "5.00 EUR", not {value!r}')
    return Money.of(found[1], currency(found[2]).code)


def _member(value: Any, kind: type[_E]) -> _E:
    try:
        return kind(value)
    except ValueError:
        raise ValueError(f"expected one of {', '.join(member.value for member in kind)}, not {value!r}") from None
