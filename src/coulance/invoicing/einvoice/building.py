"""Small help in writing XML: elements in their order, none of them empty."""

from datetime import date
from decimal import Decimal

from lxml import etree


class Builder:
    """Writes children of one element; `add` leaves out what has no text, since an empty element is a fault."""

    __slots__ = ("element",)

    def __init__(self, element: etree._Element) -> None:
        self.element = element

    def group(self, tag: str, **attributes: str) -> "Builder":
        """A child that holds others."""
        return Builder(etree.SubElement(self.element, tag, attributes))

    def add(self, tag: str, text: object, **attributes: str) -> None:
        """A child with text; an attribute without a value is left out too."""
        shown = said(text)
        if shown:
            child = etree.SubElement(self.element, tag, {k: v for k, v in attributes.items() if v})
            child.text = shown


def said(value: object) -> str:
    """A value as XML writes it: decimals without an exponent, days in ISO form, nothing as nothing."""
    if value is None:
        return ""
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, date):
        return value.isoformat()
    return str(value)


def written(root: etree._Element) -> bytes:
    """The document's bytes; the same for the same invoice."""
    etree.indent(root, " ")
    made: bytes = etree.tostring(root, xml_declaration=True, encoding="UTF-8")
    return made
