"""The CSV of customers: rows of accounts, contacts, services, subscriptions and series, read with every fault at once.

A file holds rows of several kinds, told by its `record` column; or of one kind, told by its name (`accounts.csv`,
`contacts.csv`, `services.csv`, `subscriptions.csv`, `series.csv`). Only the form of a row is judged here; whether what
it names exists is for `import_customers`. `docs/customers.md` explains the columns.
"""

import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import available_timezones

from coulance.catalog.faults import Faults, Place, listed, nearest
from coulance.customers import checks
from coulance.customers.kinds import AccountKind, Channel, Role
from coulance.services.operations import KINDS
from coulance_core.kernel import currency

_MOST_BYTES = 256 * 1024 * 1024


class Column(NamedTuple):
    """A column of a kind of row: its reader (raises `UnreadableCellError`), whether it must be there, its default."""

    read: Callable[[str], Any]
    required: bool = False
    default: Any = ""


class UnreadableCellError(ValueError):
    """What was expected instead, and the nearest valid word."""

    def __init__(self, expected: str, close: str = "") -> None:
        super().__init__(expected)
        self.close = close


def _text(most: int) -> Callable[[str], str]:
    def read(text: str) -> str:
        if len(text) > most:
            raise UnreadableCellError(f"at most {most} characters")
        if any(ord(c) < 32 and c not in "\n\r\t" for c in text):
            raise UnreadableCellError("a text without control characters")
        return text

    return read


def _choice(words: Iterable[str]) -> Callable[[str], str]:
    known = list(words)

    def read(text: str) -> str:
        if text not in known:
            raise UnreadableCellError(listed(known), nearest(text, known))
        return text

    return read


def _several(words: Iterable[str]) -> Callable[[str], list[str]]:
    one = _choice(words)

    def read(text: str) -> list[str]:
        return list(dict.fromkeys(one(word) for word in re.split(r"[\s|,;]+", text) if word))

    return read


def _checked(problem: Callable[[str], str]) -> Callable[[str], str]:
    def read(text: str) -> str:
        if expected := problem(text):
            raise UnreadableCellError(expected)
        return text

    return read


def _country(text: str) -> str:
    if expected := checks.country(text):
        close = text.upper() if not checks.country(text.upper()) else {"UK": "GB", "EL": "GR"}.get(text.upper(), "")
        raise UnreadableCellError(expected, close)
    return text


def _currency(text: str) -> str:
    try:
        return currency(text).code
    except ValueError:
        raise UnreadableCellError("an ISO 4217 currency, such as EUR") from None


@cache
def _zones() -> frozenset[str]:
    """Every zone there is: looked up on disk once, not for each cell."""
    return frozenset(available_timezones())


def _zone(text: str) -> str:
    if text not in _zones():
        raise UnreadableCellError("a time zone, such as Europe/Amsterdam", nearest(text, _zones()))
    return text


def _day(text: str) -> date:
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
        raise UnreadableCellError("a day as year-month-day: 2026-01-31")
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise UnreadableCellError("a day that exists, as year-month-day") from None
    if not 1900 <= day.year <= 2199:  # around the calendar's ends, instants can't be computed with in every zone
        raise UnreadableCellError("a day in a year from 1900 to 2199")
    return day


def _whole(least: int, most: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not re.fullmatch(r"\d{1,9}", text) or not least <= int(text) <= most:
            raise UnreadableCellError(f"a whole number from {least} to {most}")
        return int(text)

    return read


def _yes(text: str) -> bool:
    words = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}
    if text.lower() not in words:
        raise UnreadableCellError("yes or no")
    return words[text.lower()]


def _lines(text: str) -> list[str]:
    lines = [line.strip() for line in re.split(r"\n|\|", text.replace("\r", "")) if line.strip()]
    if len(lines) > 6 or any(len(line) > 200 for line in lines):
        raise UnreadableCellError("at most 6 lines, separated by |")
    return lines


def _groups(text: str) -> list[str]:
    words = list(dict.fromkeys(word for word in re.split(r"[\s|,;]+", text) if word))
    for word in words:
        if expected := checks.group(word):
            raise UnreadableCellError(expected)
    return words


_ID = _text(100)
_NAME = _text(200)
RECORDS: dict[str, dict[str, Column]] = {
    "account": {
        "account": Column(_ID, True),
        "name": Column(_NAME, True),
        "kind": Column(_choice(AccountKind.values), True),
        "country": Column(_country, True),
        "vat_id": Column(_text(20)),
        "address": Column(_lines, default=[]),
        "currency": Column(_currency),
        "zone": Column(_zone),
        "language": Column(_checked(checks.language)),
        "billing_day": Column(_whole(1, 31), default=1),
        "tax_class": Column(_text(60)),
        "national_tax_currency": Column(_currency),
        "groups": Column(_groups, default=[]),
    },
    "contact": {
        "account": Column(_ID, True),
        "contact": Column(_ID, True),
        "name": Column(_NAME, True),
        "email": Column(_checked(checks.email)),
        "phone": Column(_text(40)),
        "roles": Column(_several(Role.values), default=[]),
        "may_incur_cost": Column(_yes, default=False),
        "language": Column(_checked(checks.language)),
        "channels": Column(_several(Channel.values), default=[]),
        "mailbox_service": Column(_ID),
        "zone": Column(_zone),
    },
    "service": {
        "account": Column(_ID, True),
        "service": Column(_ID, True),
        "name": Column(_NAME, True),
        "kind": Column(_choice(KINDS), True),
        "started_on": Column(_day, True),
        "ended_on": Column(_day, default=None),
        "billed_until": Column(_day, default=None),
        "pool": Column(_text(60)),
        "plan": Column(_text(60)),
        "quantity": Column(_whole(1, 1_000_000), default=1),
    },
    "subscription": {
        "service": Column(_ID, True),
        "plan": Column(_text(60), True),
        "quantity": Column(_whole(1, 1_000_000), default=1),
        "from": Column(_day, True),
        "until": Column(_day, default=None),
    },
    "series": {
        "service": Column(_ID, True),
        "series": Column(_text(200), True),
        "meter": Column(_text(60), True),
    },
}
_BY_NAME = {"accounts": "account", "customers": "account", "contacts": "contact", "services": "service",
            "subscriptions": "subscription", "series": "series"}  # fmt: skip
_KNOWN = tuple(dict.fromkeys(["record", *(column for record in RECORDS.values() for column in record)]))


@dataclass(frozen=True, slots=True)
class Row:
    """A row as read: its kind, its values by column, and where they stand. `given` are the columns the file has."""

    record: str
    values: Mapping[str, Any]
    given: frozenset[str]
    file: str
    line: int
    number: int
    columns: Mapping[str, int]

    def fault(self, faults: Faults, column: str, found: str, expected: str = "", close: str = "") -> None:
        """Record a fault in one of its cells."""
        index = self.columns.get(column, 0)
        cell = f"{column} (cell {_letters(index)}{self.number})" if index else column
        faults.add(Place(self.file, self.line, index, index + 1 if index else 0), cell, found, expected, close)


def read_files(paths: Iterable[Path], faults: Faults, *, encoding: str = "utf-8") -> list[Row]:
    """The rows of these files; what is wrong goes to `faults`, and rows with faults are left out."""
    rows: list[Row] = []
    for path in paths:
        text = _decoded(path, encoding, faults)
        if text is not None:
            rows.extend(_rows(path.name, text, faults))
    return rows


def _decoded(path: Path, encoding: str, faults: Faults) -> str | None:
    try:
        if path.stat().st_size > _MOST_BYTES:
            faults.add(Place(path.name), "", f"{path.stat().st_size} bytes", f"at most {_MOST_BYTES}; split the file")
            return None
        raw = path.read_bytes()
    except OSError as error:
        faults.add(Place(path.name), "", f"{path}: {error.strerror or error}", "a file that can be read")
        return None
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        faults.add(Place(path.name), "", "the file is UTF-16", "UTF-8: save it as CSV UTF-8")
        return None
    if raw.startswith(b"PK\x03\x04"):
        faults.add(Place(path.name), "", "the file is a spreadsheet (or a zip)", "CSV: save it as CSV UTF-8")
        return None
    try:
        text = raw.decode("utf-8-sig" if encoding.replace("_", "-").lower() in ("utf-8", "utf8") else encoding)
    except (UnicodeDecodeError, LookupError) as error:
        if isinstance(error, LookupError):
            faults.add(Place(path.name), "", f"unknown encoding {encoding!r}", "utf-8 or cp1252")
            return None
        line = raw[: error.start].count(b"\n") + 1
        seen = raw[error.start : error.start + 1]
        meant = f" (in Windows-1252 it is {seen.decode('cp1252', 'replace')!r})" if encoding == "utf-8" else ""
        found = f"byte {seen.hex()} is not {encoding}{meant}"
        faults.add(Place(path.name, line), "", found, "CSV in UTF-8; for Windows-1252 say --encoding cp1252")
        return None
    if "\x00" in text:
        faults.add(Place(path.name, text[: text.index("\x00")].count("\n") + 1), "", "a zero byte", "a text file")
        return None
    return text


def _rows(file: str, text: str, faults: Faults) -> Iterator[Row]:
    first = next((line for line in text.splitlines() if line.strip()), "")
    if not first:
        faults.add(Place(file), "", "the file is empty", "a line of column names, and rows")
        return
    delimiter = max(",;\t", key=lambda mark: len(next(csv.reader([first], delimiter=mark))))
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    header: list[str] | None = None
    columns: dict[str, int] = {}
    record = _BY_NAME.get(file.rsplit(".", 1)[0].lower())
    number, start = 0, 1
    while True:
        start = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            faults.add(Place(file, start), "", f"the row does not read as CSV: {error}", 'quotes in pairs: "a ""b"" c"')
            return
        number += 1
        if not any(cell.strip() for cell in cells):
            continue
        if header is None:
            header, columns = _header(file, start, cells, record, faults)
            if not columns:
                return
            continue
        if len(cells) != len(header):
            found = f"{len(cells)} cells"
            faults.add(
                Place(file, start), "", found, f"{len(header)}, one for each column: quote cells with {delimiter!r}"
            )
            continue
        row = _row(file, start, number, header, columns, cells, record, faults)
        if row is not None:
            yield row


def _header(
    file: str, line: int, cells: list[str], record: str | None, faults: Faults
) -> tuple[list[str], dict[str, int]]:
    header = [cell.strip().lower() for cell in cells]
    known = ["record", *RECORDS[record]] if record and "record" not in header else list(_KNOWN)
    columns: dict[str, int] = {}
    for index, name in enumerate(header, 1):
        place = Place(file, line, index, index + 1)
        if not name:
            faults.add(place, f"cell {_letters(index)}{line}", "a column without a name", listed(known, 30))
        elif name not in known:
            found = f"unknown column {name!r}"
            faults.add(place, f"cell {_letters(index)}{line}", found, listed(known, 30), nearest(name, known))
        elif name in columns:
            found = f"column {name!r} is there twice, first as column {columns[name]}"
            faults.add(place, f"cell {_letters(index)}{line}", found, "each column once")
        columns.setdefault(name, index)
    if record is None and "record" not in columns:
        names = listed(f"{name}.csv" for name in _BY_NAME)
        found = "what the rows are is not told"
        faults.add(Place(file, line), "", found, f"a column 'record' ({listed(RECORDS)}), or a file called {names}")
        return header, {}
    return header, columns


def _row(
    file: str,
    line: int,
    number: int,
    header: list[str],
    columns: dict[str, int],
    cells: list[str],
    record: str | None,
    faults: Faults,
) -> Row | None:
    texts = {name: cell.strip() for name, cell in zip(header, cells, strict=True) if name in _KNOWN}
    bare = Row("", {}, frozenset(), file, line, number, columns)
    kind = texts.pop("record", "") or record or ""
    if kind not in RECORDS:
        bare.fault(faults, "record", repr(kind) if kind else "an empty cell", listed(RECORDS), nearest(kind, RECORDS))
        return None
    values: dict[str, Any] = {}
    sound = True
    for name, text in texts.items():
        column = RECORDS[kind].get(name)
        if column is None:
            if text:
                bare.fault(faults, name, repr(text), f"an empty cell: {name} says nothing of a row for {kind}")
                sound = False
            continue
        if not text:
            if column.required:
                bare.fault(faults, name, "an empty cell", f"the {name} of this {kind}")
                sound = False
            values[name] = column.default
            continue
        try:
            values[name] = column.read(text)
        except UnreadableCellError as error:
            bare.fault(faults, name, repr(text), str(error), error.close)
            sound = False
    for name, column in RECORDS[kind].items():
        if column.required and name not in texts:
            bare.fault(faults, name, f"the file has no column {name!r}", f"the {name} of this {kind}")
            sound = False
    if not sound:
        return None
    given = frozenset(values)
    values = {name: column.default for name, column in RECORDS[kind].items()} | values
    return Row(kind, values, given, file, line, number, columns)


def _letters(index: int) -> str:
    """A column's letters in a spreadsheet: 3 is C, 28 is AB."""
    out = ""
    while index:
        index, rest = divmod(index - 1, 26)
        out = chr(65 + rest) + out
    return out
