"""What every reader shares: files read with their faults, cells as days and money, rows gathered into a book."""

import csv
import html
import io
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from coulance.integrations.takeover.mapping import SourceMapping
from coulance_core.kernel import Money
from coulance_core.taking_over import (
    Book,
    Finding,
    GivenNumber,
    Left,
    LeftOut,
    SeriesEnd,
    TakenClause,
    TakenContact,
    TakenCustomer,
    TakenMandate,
    TakenOpenItem,
    TakenPrepaid,
    TakenService,
    Where,
)

MOST_BYTES = 512 * 1024 * 1024
# Letters that UTF-8 becomes when it is read as Windows-1252: each begins with one of two, a continuation follows.
_MOJIBAKE = re.compile("[\u00c2\u00c3\u00e2][\u0080-\u00bf\u0152\u0153\u0160\u0161\u0178\u017d\u017e\u0192\u02c6"
                       "\u02dc\u2013-\u203a\u20ac\u2122]")  # fmt: skip


@dataclass(slots=True)
class Gathered:
    """Rows as they are read, and what is wrong with them."""

    mapping: SourceMapping
    findings: list[Finding]
    customers: list[TakenCustomer] = field(default_factory=list)
    contacts: list[TakenContact] = field(default_factory=list)
    services: list[TakenService] = field(default_factory=list)
    items: list[TakenOpenItem] = field(default_factory=list)
    prepaid: list[TakenPrepaid] = field(default_factory=list)
    mandates: list[TakenMandate] = field(default_factory=list)
    series: list[SeriesEnd] = field(default_factory=list)
    clauses: list[TakenClause] = field(default_factory=list)
    numbers: list[GivenNumber] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    used: set[str] = field(default_factory=set)
    """Keys of the mapping's `leave_out` that named something."""
    gone: set[str] = field(default_factory=set)
    """Accounts that stay behind, with all they have."""

    def find(self, code: str, where: Where, found: str, expected: str = "", *, stops: bool = True) -> None:
        """Record what is wrong with a row."""
        self.findings.append(Finding(code, where, found, expected, stops))

    def left(
        self, where: Where, why: Left, what: str, account: str = "", left: Money | None = None, reason: str = ""
    ) -> None:
        """Record a row that rightly stays behind."""
        self.left_out.append(LeftOut(where, why, what, account, left, reason))

    def asked_out(self, key: str, where: Where, account: str = "", left: Money | None = None) -> bool:
        """Whether the mapping leaves this row out; recorded with its reason."""
        reason = self.mapping.leave_out.get(key)
        if reason is None:
            return False
        self.used.add(key)
        if key.startswith("customer/"):
            self.gone.add(account)
        self.left(where, Left.ASKED, key, account, left, reason)
        return True

    def text(self, value: Any, where: Where, most: int = 200) -> str:
        """A text as people read it: entities decoded, one line, its length bounded."""
        if value is None:
            return ""
        text = str(value)
        for _ in range(2):  # what was escaped twice is told by both
            text = html.unescape(text)
        text = " ".join(text.split())
        if any(ord(char) < 32 or char == "\ufffd" for char in text):
            self.find("bad-text", where, repr(text[:60]), "a text without control characters")
            text = "".join(char for char in text if ord(char) >= 32 and char != "\ufffd")
        if _MOJIBAKE.search(text):
            self.find("wrong-encoding", where, f"{text[:60]!r} was UTF-8, and was read as Windows-1252 once", "mended "
                      "there, or left as it is", stops=False)  # fmt: skip
        if len(text) > most:
            self.find("long-text", where, f"{len(text)} characters", f"at most {most}; the rest is cut", stops=False)
            text = text[:most].rstrip()
        return text

    def day(self, value: Any, where: Where, what: str, *, required: bool = False) -> date | None:
        """A day, with or without a time; none for an empty one, which MySQL writes 0000-00-00."""
        text = "" if value is None else str(value).strip()
        if not text or text.startswith("0000-00-00"):
            if required:
                self.find("bad-date", where, f"{what}: no day", "a day as 2026-01-31")
            return None
        for form in ("%Y-%m-%d", self.mapping.dates):
            try:
                # Only the day is read: no zone belongs to it.
                found = datetime.strptime(re.split(r"[ T]", text)[0], form).date()  # noqa: DTZ007
            except ValueError:
                continue
            if 1990 <= found.year <= 2100:
                return found
        self.find("bad-date", where, f"{what}: {text!r}", "a day as 2026-01-31")
        return None

    def money(self, value: Any, code: str, where: Where, what: str) -> Money | None:
        """An amount in major units, with or without the currency's signs around it; none (and told) for another."""
        text = "" if value is None else str(value).strip()
        digits = re.sub(r"[^\d.,'\-]", "", text).strip(".")
        if "," in digits and "." in digits:
            decimal = max(digits.rfind(","), digits.rfind("."))
            digits = re.sub(r"[.,']", "", digits[:decimal]) + "." + digits[decimal + 1 :]
        elif re.fullmatch(r"-?\d+,\d{1,2}", digits):
            digits = digits.replace(",", ".")
        digits = digits.replace(",", "").replace("'", "")
        if not re.fullmatch(r"-?\d+(\.\d+)?", digits):
            self.find("bad-amount", where, f"{what}: {text!r}", "an amount such as 12.50")
            return None
        try:
            return Money.of(Decimal(digits), code)
        except ValueError as error:
            self.find("bad-amount", where, f"{what}: {error}", f"an amount in whole minor units of {code}")
            return None

    def book(self) -> Book:
        """The rows as a book."""
        for key in sorted(self.mapping.leave_out.keys() - self.used):
            self.find("bad-mapping", Where(self.mapping.file, 0, f"leave_out.{key}"), "nothing of the source has that "
                      "name", "a row of it", stops=False)  # fmt: skip
        return Book(
            self.mapping.system,
            self.mapping.on,
            tuple(self.customers),
            tuple(self.contacts),
            tuple(self.services),
            tuple(self.items),
            tuple(self.prepaid),
            tuple(self.mandates),
            (*self.mapping.series, *self.series),
            tuple(self.clauses),
            tuple(self.numbers),
            tuple(self.left_out),
            keeps_prices=self.mapping.prices == "theirs",
            with_tax=self.mapping.taxes == "inclusive",
        )


def decoded(path: Path, gathered: Gathered) -> str | None:
    """A file's text; a fault where it has none."""
    where = Where(path.name)
    try:
        if path.stat().st_size > MOST_BYTES:
            gathered.find("unreadable", where, f"{path.stat().st_size} bytes", f"at most {MOST_BYTES}")
            return None
        raw = path.read_bytes()
    except OSError as error:
        gathered.find("unreadable", where, f"{error.strerror or error}", "a file that can be read")
        return None
    encoding = "utf-8-sig" if gathered.mapping.encoding == "utf-8" else gathered.mapping.encoding
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        gathered.find("not-utf-8", Where(path.name, line), f"byte {raw[error.start]:02x} is not {encoding}", "UTF-8")
        return None
    if "\x00" in text:
        gathered.find("unreadable", where, "a zero byte", "a text file")
        return None
    return text


def json_of(path: Path, gathered: Gathered) -> Any:
    """What a JSON file holds, its numbers as they are written; nothing, and a fault, where it is no JSON."""
    text = decoded(path, gathered)
    if text is None:
        return None
    try:
        return json.loads(text, parse_float=Decimal)
    except RecursionError:
        gathered.find("not-json", Where(path.name), "too many levels", "an answer of the API")
    except json.JSONDecodeError as error:
        cut = error.pos >= len(text.rstrip()) - 1
        found = "the file ends in the middle: it was cut off" if cut else f"{error.msg} in column {error.colno}"
        if text.lstrip()[:1] == "<":
            found = "it is a web page: a login or an error of the server"
        gathered.find("not-json", Where(path.name, error.lineno), found, "a whole answer of the API")
    return None


def csv_of(path: Path, gathered: Gathered) -> Iterator[tuple[int, dict[str, str]]]:
    """Rows of a CSV file with their line numbers, by column names in lower case."""
    text = decoded(path, gathered)
    if text is None:
        return
    first = next((line for line in text.splitlines() if line.strip()), "")
    if not first:
        gathered.find("unreadable", Where(path.name), "the file is empty", "column names, and rows")
        return
    delimiter = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    header: list[str] | None = None
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            gathered.find("bad-csv", Where(path.name, line), str(error), 'quotes in pairs: "a ""b"" c"')
            return
        if not any(cell.strip() for cell in cells):
            continue
        if header is None:
            header = [cell.strip().lower() for cell in cells]
            continue
        if len(cells) != len(header):
            gathered.find("bad-csv", Where(path.name, line), f"{len(cells)} cells", f"{len(header)}, as the first line")
            continue
        yield line, {name: cell.strip() for name, cell in zip(header, cells, strict=True)}


def many(value: Any, plural: str, singular: str) -> list[Mapping[str, Any]] | None:
    """Records of an answer that may give them as a list, under their singular, alone, by index, or as an empty text.

    >>> many({"products": {"product": {"id": 1}}}, "products", "product")
    [{'id': 1}]
    >>> many({"products": ""}, "products", "product"), many({}, "products", "product")
    ([], None)
    """
    if plural not in value:
        return None
    found = value[plural]
    if isinstance(found, Mapping) and singular in found:
        found = found[singular]
    if isinstance(found, Mapping):
        found = list(found.values()) if found and all(str(key).isdigit() for key in found) else [found] * bool(found)
    if not found:
        return []
    return [row for row in found if isinstance(row, Mapping)] if isinstance(found, list) else []


def unflattened(value: Mapping[str, Any]) -> dict[str, Any]:
    """An answer whose keys are paths (`clients[client][0][id]`), as older versions write it, as nested tables.

    >>> unflattened({"result": "success", "clients[client][0][id]": "1"})
    {'result': 'success', 'clients': {'client': {'0': {'id': '1'}}}}
    """
    out: dict[str, Any] = {}
    for key, held in value.items():
        steps = [key.split("[", 1)[0], *re.findall(r"\[([^\]]*)\]", key)]
        place = out
        for step in steps[:-1]:
            inner = place.setdefault(step, {})
            if not isinstance(inner, dict):
                inner = place[step] = {}
            place = inner
        place[steps[-1]] = held
    return out
