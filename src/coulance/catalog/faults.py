"""Faults of a file a person wrote: where, what was found, what was expected, and the name they probably meant."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where something stands in a text: file, line and columns from 1, `end` one past its last column on that line."""

    file: str
    line: int = 0
    column: int = 0
    end: int = 0

    def __str__(self) -> str:
        return ":".join([self.file, *(str(n) for n in (self.line, self.column) if n)])


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault. `key` is the path of names to it (`plans.vps-s.versions[0].base`), `nearest` a valid name close by."""

    place: Place
    key: str
    found: str
    expected: str = ""
    nearest: str = ""

    def __str__(self) -> str:
        parts = [f"{self.place}: {self.key + ': ' if self.key else ''}{self.found}"]
        if self.expected:
            parts.append(f"expected {self.expected}")
        if self.nearest:
            parts.append(f"did you mean {self.nearest!r}?")
        return "; ".join(parts)

    def to_json(self) -> dict[str, str | int]:
        """For editors: one flat object, places from 1."""
        return {
            "file": self.place.file,
            "line": self.place.line,
            "column": self.place.column,
            "end_column": self.place.end,
            "key": self.key,
            "found": self.found,
            "expected": self.expected,
            "nearest": self.nearest,
        }


class Faults:
    """Collects faults, so that all of them are told at once. Its truth is whether there are any."""

    def __init__(self) -> None:
        self._faults: dict[Fault, None] = {}

    def add(self, place: Place, key: str, found: str, expected: str = "", nearest: str = "") -> None:
        """Record one fault; the same one twice counts once."""
        self._faults.setdefault(Fault(place, key, found, expected, nearest))

    def __bool__(self) -> bool:
        return bool(self._faults)

    def __len__(self) -> int:
        return len(self._faults)

    def sorted(self) -> tuple[Fault, ...]:
        """In the order of the text they stand in."""
        return tuple(sorted(self._faults, key=lambda fault: (fault.place, fault.key)))


_MOST_COMPARED = 2000


def nearest(name: str, names: Iterable[str]) -> str:
    """The valid name closest to `name`, or nothing when none is close.

    >>> nearest("trafic", ["traffic", "storage"]), nearest("outbound", ["out"]), nearest("zzz", ["traffic"])
    ('traffic', 'out', '')
    """
    known = {n.casefold(): n for n in names}
    wanted = name.casefold()
    if len(known) > _MOST_COMPARED:  # among very many names, look only at those that begin alike
        known = dict(islice(((low, n) for low, n in known.items() if low[:2] == wanted[:2]), _MOST_COMPARED))
    close = difflib.get_close_matches(wanted, known, n=1, cutoff=0.55)
    if not close:
        close = [
            low
            for low in known
            if (len(low) > 1 and wanted.startswith(low)) or (len(wanted) > 2 and low.startswith(wanted))
        ]
    return known[close[0]] if close else ""


def listed(names: Iterable[str], most: int = 12) -> str:
    """Names as a person reads a choice; a long list is cut short.

    >>> listed(["in", "out", "both"])
    'in, out or both'
    """
    words = list(names)
    if len(words) > most:
        return ", ".join(words[:most]) + ", ..."
    return " or ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))
