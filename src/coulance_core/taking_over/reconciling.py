"""Before against after, to the cent: totals by account and currency, counts, and the very row that differs.

Both sides are books: what the source says, and what is here. The rows of each kind are matched by their keys.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from coulance_core.kernel import Money
from coulance_core.taking_over.terms import Book, Where

NOTHING = "(nothing)"


@dataclass(frozen=True, slots=True)
class Figures:
    """What an account has in one currency, in minor units: owed, credits, prepaid; and how many rows of each."""

    receivables: int = 0
    credits: int = 0
    prepaid: int = 0
    items: int = 0
    prepaids: int = 0

    def __add__(self, other: "Figures") -> "Figures":
        return Figures(*(getattr(self, one.name) + getattr(other, one.name) for one in fields(self)))


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not the same: a row (`field` empty: it is missing on one side), or a total of an account."""

    record: str
    name: str
    field: str
    before: str
    after: str
    where: Where

    def __str__(self) -> str:
        what = f"{self.record} {self.name}" + (f", {self.field}" if self.field else "")
        return f"{self.where}: {what}: {self.before} there, {self.after} here"


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """Both sides' figures by account and currency, counts of rows by kind, and every difference."""

    before: Mapping[tuple[str, str], Figures]
    after: Mapping[tuple[str, str], Figures]
    counts: Mapping[str, tuple[int, int]]
    differences: tuple[Difference, ...]

    @property
    def agrees(self) -> bool:
        """Whether nothing differs."""
        return not self.differences

    def totals(self) -> dict[str, tuple[Figures, Figures]]:
        """Both sides by currency."""
        return {
            code: (
                sum((f for (_, own), f in self.before.items() if own == code), Figures()),
                sum((f for (_, own), f in self.after.items() if own == code), Figures()),
            )
            for code in sorted({code for _, code in (*self.before, *self.after)})
        }


def figures(book: Book) -> dict[tuple[str, str], Figures]:
    """What each account has in each currency."""
    out: dict[tuple[str, str], Figures] = {}
    for item in book.items:
        minor, place = item.open.minor, (item.account, item.open.currency)
        out[place] = out.get(place, Figures()) + Figures(max(minor, 0), min(minor, 0), items=1)
    for row in book.prepaid:
        place = (row.account, row.amount.currency)
        out[place] = out.get(place, Figures()) + Figures(prepaid=row.amount.minor, prepaids=1)
    return out


_ROWS: dict[str, tuple[Callable[[Book], Sequence[Any]], Callable[[Any], str], tuple[str, ...]]] = {
    "customer": (lambda book: book.customers, lambda row: row.account,
                 ("name", "kind", "country", "currency", "vat_id", "address", "language", "zone", "tax_class",
                  "billing_day")),
    "contact": (lambda book: book.contacts, lambda row: f"{row.account}/{row.contact}",
                ("name", "email", "phone", "roles", "may_incur_cost", "language", "channels")),
    "service": (lambda book: book.services, lambda row: row.service,
                ("account", "name", "kind", "plan", "quantity", "started_on", "subscribed_from", "billed_until",
                 "pool", "ended_on", "price")),
    "item": (lambda book: book.items, lambda row: row.key,
             ("account", "number", "kind", "issued_on", "due_on", "gross", "open")),
    "prepaid": (lambda book: book.prepaid, lambda row: row.key, ("account", "amount")),
    "mandate": (lambda book: book.mandates, lambda row: row.key,
                ("account", "reference", "iban", "holder", "signed_on", "scheme", "sequence", "last_used_on")),
    "series": (lambda book: book.series, lambda row: f"{row.series} {row.year}", ("last",)),
    "clause": (lambda book: book.clauses, lambda row: row.key, ("account", "contact", "limit", "service", "charge")),
}  # fmt: skip
RECORDS = tuple(_ROWS)


def reconcile(before: Book, after: Book) -> Reconciliation:
    """Compare what the source says with what is here. `after` holds no more than what was taken over of that source."""
    found: list[Difference] = []
    counts: dict[str, tuple[int, int]] = {}
    for record in _ROWS:
        left, right = _keyed(before, record), _keyed(after, record)
        counts[record] = (len(left), len(right))
        found += rows_that_differ(record, left, right)
    was, now = figures(before), figures(after)
    for place in sorted({*was, *now}):
        if was.get(place) != now.get(place) and not found:  # a row that differs says it better
            account, code = place
            told = _told(was.get(place), code), _told(now.get(place), code)
            found.append(Difference("total", account, code, *told, Where("(totals)", 0, account)))
    return Reconciliation(was, now, counts, tuple(found))


def rows_that_differ(record: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Difference]:
    """What differs between rows of one kind, by their keys; rows that are equal are not told."""
    compared = _ROWS[record][2]
    for key in sorted({*before, *after}):
        one, other = before.get(key), after.get(key)
        if one is None or other is None:
            there: Any = other if one is None else one
            sides = (NOTHING, summary(record, there)) if one is None else (summary(record, there), NOTHING)
            yield Difference(record, key, "", *sides, there.where)
            continue
        for name in compared:
            was, now = getattr(one, name), getattr(other, name)
            if was != now:
                yield Difference(record, key, name, shown(was), shown(now), one.where)


def keyed(book: Book, record: str) -> dict[str, Any]:
    """The rows of one kind, by the key they are compared by; of rows with one key the first counts."""
    return _keyed(book, record)


def _keyed(book: Book, record: str) -> dict[str, Any]:
    rows, key, _ = _ROWS[record]
    out: dict[str, Any] = {}
    for row in rows(book):
        out.setdefault(key(row), row)
    return out


def summary(record: str, row: Any) -> str:
    """A row in a few words: its amount where it has one, else its name."""
    for name in ("open", "amount", "limit", "last", "plan", "reference", "name"):
        if hasattr(row, name):
            return shown(getattr(row, name))
    return record


def shown(value: Any) -> str:
    """A value as a person reads it."""
    if isinstance(value, tuple):
        return " | ".join(map(str, value)) or "(none)"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "(none)" if value in ("", None) else str(value)


def _told(one: Figures | None, code: str) -> str:
    if one is None:
        return NOTHING
    parts = (("owed", one.receivables), ("credit", one.credits), ("prepaid", one.prepaid))
    return ", ".join(f"{name} {Money(minor, code)}" for name, minor in parts if minor) or "0"
