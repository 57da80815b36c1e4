"""The field tables a provider file is made of: one description gives the reader and the published JSON Schema.

A *kind* reads one node into a value, records a fault where it cannot, and describes itself as JSON Schema. What a
schema refuses the reader refuses too; the reader also refuses what a schema cannot say (names that do not exist, days
that overlap).
"""

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from fractions import Fraction
from functools import cache
from typing import Any, Protocol
from zoneinfo import ZoneInfo, available_timezones

from coulance.catalog.faults import Faults, listed, nearest
from coulance.catalog.toml_tree import Node

Json = dict[str, Any]
NUMBER = r"\d+(?:\.\d+)?"


class Faulty:
    """What reading gives in place of a value that cannot be read; its fault is recorded."""


FAULTY = Faulty()


@dataclass(frozen=True, slots=True)
class Reference:
    """A name that must exist in one of the file's tables, checked when all files are read."""

    table: str
    name: str
    node: Node


@dataclass(slots=True)
class Reading:
    """One reading: its faults so far, and the names used in it that must exist somewhere."""

    faults: Faults = field(default_factory=Faults)
    references: list[Reference] = field(default_factory=list)

    def fault(self, node: Node, found: str, expected: str = "", nearest_name: str = "") -> Faulty:
        """Record a fault at a value; gives what a kind returns in place of it."""
        self.faults.add(node.place, node.path, found, expected, nearest_name)
        return FAULTY

    def wrong(self, node: Node, expected: str) -> Faulty:
        """Record that a value is of the wrong type."""
        if isinstance(node.value, float):
            return self.fault(
                node,
                f"{node.value} is a number with a point, which a computer keeps inexactly",
                f"{expected}; quotes keep it exact" if '"' in expected else expected,
            )
        return self.fault(node, f"{_shown(node)}{node.kind}", expected)


def _shown(node: Node) -> str:
    if isinstance(node.value, dict | list):
        return ""
    if isinstance(node.value, bool):
        return f"{str(node.value).lower()} is "
    return f"{node.value!r} is " if isinstance(node.value, str) else f"{node.value} is "


class Kind(Protocol):
    """How one value is read and described."""

    def read(self, node: Node, reading: Reading) -> Any:
        """The value, or `FAULTY` when a fault was recorded."""
        ...

    def schema(self) -> Json:
        """The same, as JSON Schema."""
        ...


@dataclass(frozen=True, slots=True)
class Text:
    """A text of one to `most` characters, of one pattern when one is given (`expected` says it in words)."""

    expected: str = "a text in quotes"
    pattern: str = ""
    most: int = 500

    def read(self, node: Node, reading: Reading) -> str | Faulty:
        if not isinstance(node.value, str):
            return reading.wrong(node, self.expected)
        if not node.value.strip():
            return reading.fault(node, "an empty text", self.expected)
        if len(node.value) > self.most:
            return reading.fault(node, f"a text of {len(node.value)} characters", f"at most {self.most}")
        if bad := next((c for c in node.value if c not in "\n\t" and unicodedata.category(c) in ("Cc", "Cs")), ""):
            return reading.fault(node, f"a character that can't be printed: {bad!r}", self.expected)
        if self.pattern and not re.fullmatch(self.pattern, node.value):
            return reading.fault(node, repr(node.value), self.expected)
        return node.value

    def schema(self) -> Json:
        out: Json = {"type": "string", "minLength": 1, "maxLength": self.most}
        return out | ({"pattern": f"^(?:{self.pattern})$"} if self.pattern else {})


@dataclass(frozen=True, slots=True)
class Choice:
    """One of the values of an enum; `only` narrows it."""

    enum: type[StrEnum]
    only: tuple[str, ...] = ()

    @property
    def names(self) -> list[str]:
        return list(self.only) or [str(member) for member in self.enum]

    def read(self, node: Node, reading: Reading) -> StrEnum | Faulty:
        if not isinstance(node.value, str):
            return reading.wrong(node, listed(f'"{name}"' for name in self.names))
        if node.value not in self.names:
            return reading.fault(node, repr(node.value), listed(self.names), nearest(node.value, self.names))
        return self.enum(node.value)

    def schema(self) -> Json:
        return {"type": "string", "enum": self.names}


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number from `least` to `most`."""

    least: int
    most: int

    def read(self, node: Node, reading: Reading) -> int | Faulty:
        if isinstance(node.value, bool) or not isinstance(node.value, int):
            return reading.wrong(node, f"a whole number from {self.least} to {self.most}")
        if not self.least <= node.value <= self.most:
            return reading.fault(node, str(node.value), f"a whole number from {self.least} to {self.most}")
        return node.value

    def schema(self) -> Json:
        return {"type": "integer", "minimum": self.least, "maximum": self.most}


@dataclass(frozen=True, slots=True)
class Exact:
    """An exact number: a whole one, or a decimal in quotes (`"1.5"`)."""

    def read(self, node: Node, reading: Reading) -> Fraction | Faulty:
        if isinstance(node.value, int) and not isinstance(node.value, bool) and node.value >= 0:
            return Fraction(node.value)
        if not isinstance(node.value, str):
            return reading.wrong(node, 'a number, such as 2 or "0.5"')
        if not re.fullmatch(NUMBER, node.value):
            return reading.fault(node, repr(node.value), 'a number, such as 2 or "0.5"')
        return Fraction(node.value)

    def schema(self) -> Json:
        return {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": f"^{NUMBER}$"}]}


@dataclass(frozen=True, slots=True)
class Flag:
    """true or false."""

    def read(self, node: Node, reading: Reading) -> bool | Faulty:
        return node.value if isinstance(node.value, bool) else reading.wrong(node, "true or false, without quotes")

    def schema(self) -> Json:
        return {"type": "boolean"}


@dataclass(frozen=True, slots=True)
class Day:
    """A civil day, written without quotes: 2026-01-31."""

    def read(self, node: Node, reading: Reading) -> date | Faulty:
        if isinstance(node.value, date) and not isinstance(node.value, datetime):
            # Instants around the ends of the calendar can't be computed with in every zone.
            if not 1900 <= node.value.year <= 2199:
                return reading.fault(node, node.value.isoformat(), "a day in a year from 1900 to 2199")
            return node.value
        return reading.wrong(node, "a day without quotes or time, such as 2026-01-31")

    def schema(self) -> Json:
        return {"type": "string", "format": "date", "pattern": r"^\d{4}-\d{2}-\d{2}$"}


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())  # opens six hundred files: 10 ms, half of reading a provider file


@dataclass(frozen=True, slots=True)
class Zone:
    """A time zone of the IANA database."""

    def read(self, node: Node, reading: Reading) -> ZoneInfo | Faulty:
        names = _zones()
        if not isinstance(node.value, str):
            return reading.wrong(node, 'a time zone, such as "Europe/Amsterdam"')
        if node.value not in names:
            close = nearest(node.value, names)
            return reading.fault(node, repr(node.value), 'a time zone, such as "Europe/Amsterdam"', close)
        return ZoneInfo(node.value)

    def schema(self) -> Json:
        return {"type": "string", "examples": ["Europe/Amsterdam", "Europe/Berlin", "Europe/London", "UTC"]}


@dataclass(frozen=True, slots=True)
class Name:
    """A name that must exist in another table of the file."""

    table: str

    def read(self, node: Node, reading: Reading) -> str | Faulty:
        if not isinstance(node.value, str):
            return reading.wrong(node, f"the name of one of [{self.table}.*], in quotes")
        reading.references.append(Reference(self.table, node.value, node))
        return node.value

    def schema(self) -> Json:
        return {"type": "string", "minLength": 1}


@dataclass(frozen=True, slots=True)
class ListOf:
    """A list of one kind, of at least `least`."""

    kind: Kind
    least: int = 0
    expected: str = "a list: [ ... ]"

    def read(self, node: Node, reading: Reading) -> "list[Any] | Faulty":
        if not isinstance(node.value, list):
            return reading.wrong(node, self.expected)
        if len(node.value) < self.least and not node.broken:
            return reading.fault(node, "an empty list", f"at least {self.least}")
        items = [self.kind.read(item, reading) for item in node.value]
        return FAULTY if any(item is FAULTY for item in items) else items

    def schema(self) -> Json:
        return {"type": "array", "items": self.kind.schema()} | ({"minItems": self.least} if self.least else {})


@dataclass(frozen=True, slots=True)
class OneOrMore:
    """One of a kind, or a list of them; always gives a list."""

    kind: Kind

    def read(self, node: Node, reading: Reading) -> "list[Any] | Faulty":
        if isinstance(node.value, list):
            return ListOf(self.kind, 1).read(node, reading)
        value = self.kind.read(node, reading)
        return FAULTY if value is FAULTY else [value]

    def schema(self) -> Json:
        return {"anyOf": [self.kind.schema(), ListOf(self.kind, 1).schema()]}


@dataclass(frozen=True, slots=True)
class Field:
    """One key of a table: its kind, whether it must be there, and what it says (the schema's description)."""

    key: str
    kind: Kind
    about: str
    required: bool = False


@dataclass(slots=True)
class Record:
    """A table as read: the values of its known keys. `whole` tells whether none of them was at fault."""

    node: Node
    values: dict[str, Any]
    whole: bool

    def __getitem__(self, key: str) -> Any:
        return self.values[key]

    def get(self, key: str, default: Any = None) -> Any:
        """The value of a key, or `default` when it is not there."""
        return self.values.get(key, default)

    def some(self, **names: str) -> dict[str, Any]:
        """Those values that are there, renamed: `some(valid_from="from")` gives {"valid_from": ...}."""
        return {name: self.values[key] for name, key in names.items() if key in self.values}

    def place(self, key: str = "") -> Node:
        """The node of a key, or of the table."""
        return self.node.value[key] if isinstance(self.node.value, dict) and key in self.node.value else self.node


@dataclass(frozen=True, slots=True)
class Table:
    """A table with these keys and no others."""

    title: str
    fields: tuple[Field, ...]
    short: Kind | None = None
    """A shorter way to write it, as a scalar; its value is what reading gives then."""

    def read(self, node: Node, reading: Reading) -> Any:
        if self.short is not None and not isinstance(node.value, dict):
            return self.short.read(node, reading)
        if not isinstance(node.value, dict):
            return reading.wrong(node, f"a table: {self.title}")
        known = {f.key: f for f in self.fields}
        values: dict[str, Any] = {}
        whole = True
        for key, child in node.value.items():
            if key not in known:
                free = [k for k in known if k not in node.value]
                close = nearest(key, known)
                reading.faults.add(child.key, child.path, f"unknown key {key!r}", listed(free or known, 20), close)
                whole = False
                continue
            value = known[key].kind.read(child, reading)
            if value is FAULTY:
                whole = False
            else:
                values[key] = value
                whole = whole and (not isinstance(value, Record) or value.whole)
        for missing in (f for f in self.fields if f.required and f.key not in node.value):
            whole = False
            if not node.broken:
                reading.faults.add(node.key, node.path, f"{missing.key!r} is missing", missing.about)
        return Record(node, values, whole)

    def schema(self) -> Json:
        out: Json = {
            "type": "object",
            "title": self.title,
            "additionalProperties": False,
            "properties": {f.key: f.kind.schema() | {"description": f.about} for f in self.fields},
        }
        if required := [f.key for f in self.fields if f.required]:
            out["required"] = required
        return {"anyOf": [self.short.schema(), out]} if self.short is not None else out


@dataclass(frozen=True, slots=True)
class Variants:
    """A table whose `tag` key says which of several tables it is; a scalar is read by `short`."""

    tag: str
    tables: Mapping[str, Table]
    short: Kind | None = None

    def read(self, node: Node, reading: Reading) -> Any:
        if self.short is not None and not isinstance(node.value, dict):
            return self.short.read(node, reading)
        if not isinstance(node.value, dict):
            return reading.wrong(node, f"a table with {self.tag} = {listed(self.tables, 20)}")
        if self.tag not in node.value:
            reading.faults.add(node.place, node.path, f"{self.tag!r} is missing", listed(self.tables, 20))
            return FAULTY
        named = node.value[self.tag]
        if not isinstance(named.value, str):
            return reading.wrong(named, listed((f'"{name}"' for name in self.tables), 20))
        if named.value not in self.tables:
            return reading.fault(named, repr(named.value), listed(self.tables, 20), nearest(named.value, self.tables))
        return self.tables[named.value].read(node, reading)

    def schema(self) -> Json:
        variants = [table.schema() for table in self.tables.values()]
        return {"anyOf": [*([self.short.schema()] if self.short is not None else []), *variants]}


@dataclass(frozen=True, slots=True)
class Is:
    """Exactly this text: the tag of a variant."""

    text: str

    def read(self, node: Node, reading: Reading) -> str | Faulty:
        return self.text if node.value == self.text else reading.wrong(node, f'"{self.text}"')

    def schema(self) -> Json:
        return {"const": self.text}


KEY_PATTERN = r"[a-z0-9][a-z0-9_-]*"


@dataclass(frozen=True, slots=True)
class Named:
    """A table of tables, each under a key of the provider's own: small letters, digits, - and _."""

    table: Kind

    def read(self, node: Node, reading: Reading) -> "dict[str, Record] | Faulty":
        if not isinstance(node.value, dict):
            return reading.wrong(node, f"tables, each under a name of its own: [{node.path}.NAME]")
        out: dict[str, Record] = {}
        for key, child in node.value.items():
            if not re.fullmatch(KEY_PATTERN, key) or len(key) > 60:
                expected = "small letters, digits, - and _, at most 60"
                reading.faults.add(child.key, child.path, f"{key!r} as a name", expected)
            record = self.table.read(child, reading)
            if record is not FAULTY:
                out[key] = record
        return out

    def schema(self) -> Json:
        return {
            "type": "object",
            "propertyNames": {"pattern": f"^{KEY_PATTERN}$", "maxLength": 60},
            "additionalProperties": self.table.schema(),
        }


@dataclass(frozen=True, slots=True)
class Checked:
    """Another kind, with one more condition that a schema cannot say."""

    kind: Kind
    holds: Callable[[Any], bool]
    expected: str

    def read(self, node: Node, reading: Reading) -> Any:
        value = self.kind.read(node, reading)
        if value is not FAULTY and not self.holds(value):
            return reading.fault(node, repr(node.value), self.expected)
        return value

    def schema(self) -> Json:
        return self.kind.schema()
