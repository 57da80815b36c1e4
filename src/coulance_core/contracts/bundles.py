"""One price for several things: hosting, domains and work, and what of the price is each one's.

The price is allocated by what each thing costs alone (relative standalone prices: IFRS 15.76, ASC 606-10-32-31), to
the cent. Fairness looks at the part that pays for work; an element that ends takes its part along, or what stays costs
what it costs alone, as the terms say.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

from coulance_core.catalog.reading import Table
from coulance_core.contracts.terms import ContractError
from coulance_core.kernel import Explanation, Money, Rounding, currency
from coulance_core.kernel.explanation import ExplanationBuilder


class Part(StrEnum):
    """What an element of a bundle is."""

    SERVICE = "service"
    """Something the customer runs with us: hosting, a domain. Its plan's base fee is in the bundle."""
    WORK = "work"
    """The contract's own: what its fee includes, its pool, or a card each period."""


class Lines(StrEnum):
    """How a bundle prints."""

    ONE = "one"
    EACH = "each"
    """A line for each element, with its part."""


class WhenOneEnds(StrEnum):
    """What stays costs, once an element has ended."""

    PART = "part"
    """The price less the part of what ended: what is left keeps its discount."""
    ALONE = "alone"
    """What it costs alone; never more than the bundle did."""


@dataclass(frozen=True, slots=True)
class Element:
    """A part of a bundle; `alone` is what it costs alone, for the same months. `card`: a card it brings each period."""

    key: str
    title: str
    alone: Money
    part: Part
    tax_class: str = ""
    card: str = ""


@dataclass(frozen=True, slots=True)
class Bundle:
    """Several elements at one price. Exactly one of them is the work."""

    elements: tuple[Element, ...]
    lines: Lines = Lines.ONE
    when_one_ends: WhenOneEnds = WhenOneEnds.PART

    def __post_init__(self) -> None:
        keys = [one.key for one in self.elements]
        if len(keys) < 2 or len(set(keys)) != len(keys):
            raise ContractError("a bundle has at least two elements, each with a key of its own")
        if [one.part for one in self.elements].count(Part.WORK) != 1:
            raise ContractError('one element of a bundle is the work: part = "work"')
        if len({one.alone.currency for one in self.elements}) > 1 or not sum(one.alone.minor for one in self.elements):
            raise ContractError("elements say what they cost alone, in one currency, and not all of them nothing")
        if self.lines is Lines.ONE and len({one.tax_class for one in self.elements}) > 1:
            raise ContractError('elements of several tax classes can\'t be one line: lines = "each"')
        if self.lines is Lines.ONE and any(one.card for one in self.elements):
            raise ContractError('a card is income when its hours are used, so it is a line apart: lines = "each"')

    @property
    def work(self) -> Element:
        """The element that is the contract's own work."""
        return next(one for one in self.elements if one.part is Part.WORK)

    def element(self, key: str) -> Element:
        """An element by its key. Raises `LookupError`."""
        for one in self.elements:
            if one.key == key:
                return one
        raise LookupError(f"there is no element {key!r}: there are {', '.join(one.key for one in self.elements)}")


@dataclass(frozen=True, slots=True)
class Allocated:
    """A price by element; the parts add up to it exactly."""

    price: Money
    parts: Mapping[str, Money]
    explanation: Explanation


def allocate(bundle: Bundle, price: Money, ended: Collection[str] = ()) -> Allocated:
    """What of `price` is each element's, and what is left of it without those that `ended`.

    Cents that don't divide go to the largest remainders, the first of the bundle before.

    >>> hosting = Element("hosting", "Hosting", Money(3_000, "EUR"), Part.SERVICE)
    >>> hours = Element("hours", "Hours", Money(9_000, "EUR"), Part.WORK)
    >>> found = allocate(Bundle((hosting, hours)), Money(9_999, "EUR"))
    >>> {key: part.minor for key, part in found.parts.items()}, found.price.minor
    ({'hosting': 2500, 'hours': 7499}, 9999)
    """
    if price.currency != bundle.elements[0].alone.currency or price.minor < 0:
        raise ContractError(f"a bundle in {bundle.elements[0].alone.currency} can't cost {price}")
    e = Explanation.build("contracts.bundle").fact("bundle price", price.amount, price.currency)
    whole = _parts(e, "bundle price", bundle.elements, price)
    left = tuple(one for one in bundle.elements if one.key not in ended)
    if len(left) == len(bundle.elements):
        return Allocated(price, whole, e.freeze())
    e.note("ended: " + ", ".join(one.title for one in bundle.elements if one.key in ended))
    parts = {one.key: whole[one.key] for one in left}
    if bundle.when_one_ends is WhenOneEnds.ALONE:
        alone = sum((one.alone for one in left), Money(0, price.currency))
        now = min(alone, price)
        e.convention("what stays costs what it costs alone, and at most what the bundle did")
        e.step("now", "min", "bundle price", str(alone.amount), unit=price.currency)
        inner = Explanation.build("contracts.bundle_rest").fact("price now", now.amount, now.currency)
        parts = _parts(inner, "price now", left, now)
        e.child(inner.freeze())
        return Allocated(now, parts, e.freeze())
    e.convention("what stays keeps its part of the price")
    e.step("now", "add", *(f"part of {one.key}" for one in left), unit=price.currency)
    return Allocated(Money.of(e.number("now"), price.currency), parts, e.freeze())


def _parts(e: ExplanationBuilder, name: str, elements: tuple[Element, ...], price: Money) -> dict[str, Money]:
    """Parts by standalone prices: whole cents down, then one each to the largest remainders (Hamilton's method)."""
    total = sum(one.alone.minor for one in elements)
    exact = {one.key: Fraction(price.minor * one.alone.minor, total) if total else Fraction(0) for one in elements}
    cents = {key: int(value) for key, value in exact.items()}
    rest = price.minor - sum(cents.values()) if total else 0
    order = sorted(elements, key=lambda one: -(exact[one.key] - cents[one.key]))
    given = {one.key for one in order[:rest]}
    cent = Money(1, price.currency).amount
    digits = currency(price.currency).exponent
    for one in elements:
        e.fact(f"{one.key} alone", one.alone.amount, price.currency, one.title)
    e.step("all alone", "add", *(f"{one.key} alone" for one in elements), unit=price.currency)
    for one in elements:
        if not total:
            e.fact(f"part of {one.key}", 0, price.currency)
            continue
        e.step(f"share of {one.key}", "divide", f"{one.key} alone", "all alone")
        e.step(f"exactly {one.key}", "multiply", name, f"share of {one.key}", unit=price.currency)
        e.step(f"down {one.key}", "round", f"exactly {one.key}", digits, Rounding.DOWN.value, unit=price.currency)
        e.step(f"part of {one.key}", "add", f"down {one.key}", cent if one.key in given else 0, unit=price.currency)
    return {one.key: Money(cents[one.key] + (one.key in given), price.currency) for one in elements}


def read_bundle(t: Table, tax_class: str) -> Bundle | None:
    """`bundle = { lines, when_one_ends }` and `[[...element]]` of terms; None where there is none, or with faults."""
    rows = t.tables("element")
    row, there = t.table("bundle"), t.has("bundle")
    if not there and not rows:
        return None
    before = len(t.faults)
    lines = row.choice("lines", Lines, Lines.ONE)
    ends = row.choice("when_one_ends", WhenOneEnds, WhenOneEnds.PART)
    row.close()
    elements = []
    for one in rows:
        key, alone = one.text("key"), one.money("alone")
        if alone is None:
            one.fault("alone", "is missing: what it costs alone, for as many months as the price")
        part, card = one.choice("part", Part), one.text("card", "")
        if card and part is not Part.WORK:
            one.fault("card", "only the work brings a card")
        elements.append(
            Element(
                key,
                one.text("title", key),
                Money(0, "EUR") if alone is None else alone,
                part,
                one.text("tax_class", tax_class),
                card,
            )
        )
        one.close()
    if len(t.faults) > before:
        return None
    try:
        return Bundle(tuple(elements), lines, ends)
    except ContractError as error:
        t.fault("bundle", str(error))
        return None
