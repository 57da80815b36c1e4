"""A page that is one table: columns, rows, and for some rows a small form. Shown by `console/table.html`."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell. `small` stands below it; `tag` is `good`, `warn` or `plain`; `num` is a figure."""

    text: object = ""
    href: str = ""
    small: str = ""
    tag: str = ""
    num: bool = False


@dataclass(frozen=True, slots=True)
class Field:
    """What a form asks: text, or one of `choices` (value, words)."""

    name: str
    label: str
    required: bool = True
    choices: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True, slots=True)
class Act:
    """A form of a row: its address, what goes along, what it asks, its buttons (value of `do`, words)."""

    summary: str
    about: str
    address: str
    hidden: Sequence[tuple[str, str]]
    fields: Sequence[Field]
    buttons: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Row:
    """A row: cells (the first names it), and its forms."""

    cells: Sequence[Cell]
    acts: Sequence[Act] = ()


@dataclass(frozen=True, slots=True)
class Table:
    """A table with its heading, and what to say when it is empty."""

    heading: str
    columns: Sequence[str]
    rows: Sequence[Row]
    empty: str
    intro: str = ""

    @property
    def headed(self) -> list[tuple[str, bool]]:
        """Each column's words, and whether it holds figures: as its first row does."""
        cells = self.rows[0].cells if self.rows else ()
        return [(words, i < len(cells) and cells[i].num) for i, words in enumerate(self.columns)]
