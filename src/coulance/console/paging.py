"""A page of a long list, and the addresses of its neighbours."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest

PER_PAGE = 50


@dataclass(frozen=True, slots=True)
class Page:
    """Rows, what they are counted among, and the query strings of the pages before and after (empty: none)."""

    rows: Sequence[Any]
    number: int
    total: int
    per_page: int
    before: str
    after: str

    @property
    def pages(self) -> int:
        """How many pages there are; at least one."""
        return max(1, -(-self.total // self.per_page))

    @property
    def first(self) -> int:
        """The place of the first row among all, from one; zero when there is none."""
        return (self.number - 1) * self.per_page + 1 if self.rows else 0

    @property
    def last(self) -> int:
        """The place of the last row among all."""
        return self.first + len(self.rows) - 1 if self.rows else 0


def number_asked(request: HttpRequest, total: int, per_page: int = PER_PAGE) -> int:
    """The page that `?page=` asks for, brought within what there is."""
    asked = request.GET.get("page", "")
    number = int(asked) if asked.isdecimal() and len(asked) < 9 else 1
    return min(max(number, 1), max(1, -(-total // per_page)))


def page(request: HttpRequest, rows: Sequence[Any], number: int, total: int, per_page: int = PER_PAGE) -> Page:
    """The page of these rows."""

    def at(other: int) -> str:
        query = request.GET.copy()
        query["page"] = str(other)
        return query.urlencode()

    more = number * per_page < total
    return Page(rows, number, total, per_page, at(number - 1) if number > 1 else "", at(number + 1) if more else "")
