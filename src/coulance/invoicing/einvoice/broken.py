"""What rules of our own say of a document, and how they read it."""

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from lxml import etree

from coulance.invoicing.einvoice.ubl_writer import CAC, CBC

NAMES = {"a": CAC, "b": CBC}


@dataclass(frozen=True, slots=True)
class Broken:
    """A rule that does not hold: its id, where, and what is wrong."""

    id: str
    location: str
    text: str


def text_at(node: etree._Element, path: str) -> str:
    """The text at a path, or an empty one."""
    found = node.find(path, NAMES)
    return (found.text or "").strip() if found is not None else ""


def number_at(node: etree._Element, path: str) -> Decimal | None:
    """The number at a path; none where there is none."""
    try:
        return Decimal(text_at(node, path))
    except InvalidOperation:
        return None
