"""The `[contracts]` table of a provider's file: what service contracts say, by version.

Pure: the caller opens the file. Every fault is named by its field, so that `coulance check` can say the line. Promises
of response stand under `[[contracts.response]]` and are read by who knows clocks (`sla.response_file`), mail to the
desk under `[contracts.mail]` (`mail_terms`): here they are only named.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from fractions import Fraction
from typing import Any, TypeVar

from coulance_core.catalog.faults import Fault, TermsError
from coulance_core.catalog.reading import Table
from coulance_core.contracts.bundles import Bundle, read_bundle
from coulance_core.contracts.pricing import Cost
from coulance_core.contracts.renewal import Indexation, Renewal, Renews
from coulance_core.contracts.terms import HOUR, Cover, Kind, Retainer, Rollover, Rounding, Up, Work, WorkTerms
from coulance_core.contracts.worth import WorthTerms
from coulance_core.kernel import Money

_T = TypeVar("_T")
ZERO = Fraction(0)
_UNITS = {"s": 1, "min": 60, "h": HOUR}


@dataclass(frozen=True, slots=True)
class CardProduct:
    """A card as it is sold: so many seconds for a price, valid for so many months (None: always)."""

    key: str
    seconds: int
    price: Money
    months: int | None


@dataclass(frozen=True)
class ServiceTerms:
    """What a kind of contract says, of one version.

    `price` is for `every` months (of one seat, where it is by seat). `rate` is an hour beyond cover; None: there is
    none, work stops there. `low` and `ahead_days` say when a card's holder is told. `approval_days` is how long leave
    for work beyond cover is good for. `standby` and `tail` are what being reachable, and cover for the bad year, are
    worth in a year; `cost` is what a year costs us; `stop` the hours above which a year's work is the customer's.
    `bundle`: what else the price pays for. `top_up`: whether the customer may order a card in the portal.
    """

    name: str
    valid_from: date
    kind: Kind
    title: str
    price: Money
    every: int
    work: WorkTerms
    renewal: Renewal
    rate: Money | None = None
    retainer: Retainer | None = None
    cards: tuple[CardProduct, ...] = ()
    indexation: Indexation | None = None
    response: str = ""
    low: int = 2 * HOUR
    ahead_days: int = 30
    approval_days: int = 30
    tax_class: str = "standard"
    standby: Money | None = None
    tail: Money | None = None
    cost: Cost = field(default_factory=Cost)
    loading: Fraction = Fraction(1, 10)
    stop: Fraction | None = None
    bundle: Bundle | None = None
    top_up: bool = False

    @property
    def version(self) -> str:
        """Name and first day: `care@2026-01-01`."""
        return f"{self.name}@{self.valid_from.isoformat()}"

    @property
    def currency(self) -> str:
        """What its prices are in."""
        return self.price.currency

    def card(self, key: str) -> CardProduct:
        """A card that is sold under these terms. Raises `LookupError`."""
        for one in self.cards:
            if one.key == key:
                return one
        raise LookupError(
            f"{self.version} sells no card {key!r}: it has {', '.join(c.key for c in self.cards) or 'none'}"
        )


def read_contracts(data: Mapping[str, Any]) -> tuple[tuple[ServiceTerms, ...], list[Fault]]:
    """Every contract's terms in the table, and every fault. `response` is left to its own reader."""
    t = Table(data)
    found = [one for row in t.tables("terms") if (one := read_terms(row)) is not None]
    t.tables("response")
    read_worth(t.table("worth"))
    t.table("mail")
    seen: set[str] = set()
    for n, one in enumerate(found):
        if one.version in seen:
            t.fault(f"terms[{n}].from", f"{one.version} is there twice: a change is a new day")
        seen.add(one.version)
    t.close()
    return tuple(found), t.faults


def parse_terms(data: Mapping[str, Any]) -> ServiceTerms:
    """One table of terms, as it stood in a file that was judged. Raises `TermsError` with every fault.

    >>> terms = parse_terms({"name": "strips", "from": "2026-01-01", "kind": "card", "rate": "95.00 EUR",
    ...                      "card": [{"key": "20h", "hours": "20 h", "price": "1800.00 EUR", "months": 12}]})
    >>> terms.version, terms.card("20h").seconds
    ('strips@2026-01-01', 72000)
    """
    t = Table(data)
    found = read_terms(t)
    if t.faults or found is None:
        raise TermsError(f"contracts.terms {data.get('name', '')}", t.faults)
    return found


def read_terms(t: Table) -> ServiceTerms | None:
    """One `[[contracts.terms]]`; None with faults in the table when it can't be."""
    before = len(t.faults)
    name, valid_from, kind = t.text("name"), t.day("from"), t.choice("kind", Kind)
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,60}", name):
        t.fault("name", f"{name!r}: expected small letters, digits and dashes")
    rate, price = t.money("rate"), t.money("price")
    cards = tuple(one for row in t.tables("card") if (one := _card(row)) is not None)
    _refuse_double_cards(t, cards)
    standby, tail = t.money("standby"), t.money("tail")
    given = (price, rate, standby, tail, *(c.price for c in cards))
    amounts = [m for m in given if m is not None]
    if len({m.currency for m in amounts}) > 1:
        t.fault("", "one currency: its prices are in several")
    if not amounts:
        t.fault("price", "is missing")
        return None
    if kind in (Kind.RETAINER, Kind.FIXED, Kind.PER_SEAT) and price is None:
        t.fault("price", "is missing: what the contract costs, for `every` months")
    if kind is Kind.CARD and not cards:
        t.fault("card", "expected at least one [[contracts.terms.card]]")
    if kind is not Kind.CARD and cards:
        t.fault("card", f"only a contract of hour cards sells cards, not one of kind {kind.value}")
    fee = Money(0, amounts[0].currency) if price is None else price
    every = t.whole("every", 1)
    if every < 1 or every > 12 or 12 % every:
        t.fault("every", f"{every} months: expected 1, 2, 3, 4, 6 or 12")
    retainer = _retainer(t, kind, fee, rate)
    work = WorkTerms(f"{name}@{valid_from.isoformat()}", _cover(t, kind), _rounding(t.table("rounding")))
    renewal, indexation = _renewal(t.table("renewal")), _indexation(t)
    ahead, leave = t.whole("ahead_days", 30), t.whole("approval_days", 30)
    for asked, days in (("ahead_days", ahead), ("approval_days", leave)):
        if not 1 <= days <= 366:
            t.fault(asked, f"{days} days: expected 1 to 366")
    cost = _cost(t.table("cost"))
    bundle = _bundled(t, kind, price, cards)
    rest = {
        "title": t.text("title", name), "response": t.text("response", ""),
        "low": _time(t, "low", 2 * HOUR), "tax_class": t.text("tax_class", "standard"),
        "standby": standby, "tail": tail, "top_up": t.flag("top_up", False),
        "loading": _share(t, "loading", Fraction(1, 10)), "stop": _hours(t, "stop"),
    }  # fmt: skip
    t.close()
    if len(t.faults) > before or renewal is None or cost is None:
        return None
    return ServiceTerms(
        name=name, valid_from=valid_from, kind=kind, price=fee, every=every, work=work, renewal=renewal, rate=rate,
        retainer=retainer, cards=cards, indexation=indexation, ahead_days=ahead, approval_days=leave, cost=cost,
        bundle=bundle, **rest,
    )  # fmt: skip


def _bundled(t: Table, kind: Kind, price: Money | None, cards: tuple[CardProduct, ...]) -> Bundle | None:
    """A bundle, where it fits its kind: a contract of cards brings one each period, others have their own work."""
    bundle = read_bundle(t, str(t.text("tax_class", "standard")))
    if bundle is None:
        return None
    if price is None or kind in (Kind.BEST_EFFORT, Kind.PER_SEAT):
        t.fault("bundle", f"a contract of kind {kind.value} has no price for several things")
    elif bundle.work.alone.currency != price.currency:
        t.fault("element", "one currency: its prices are in several")
    if (kind is Kind.CARD) != bool(bundle.work.card):
        wanted = "a card, one of its own" if kind is Kind.CARD else "no card"
        t.fault("element", f"the work of a contract of kind {kind.value} brings {wanted}")
    elif bundle.work.card and bundle.work.card not in {one.key for one in cards}:
        t.fault("element", f"it sells no card {bundle.work.card!r}")
    return bundle


def _card(t: Table) -> CardProduct | None:
    before = len(t.faults)
    key, seconds, price, months = t.text("key"), _time(t, "hours", None), t.money("price"), t.whole("months", None)
    if price is None:
        t.fault("price", "is missing")
    if not seconds:
        t.fault("hours", "is missing" if seconds is None else "a card has some hours")
    if months is not None and not 1 <= months <= 120:
        t.fault("months", f"{months}: expected 1 to 120 months, or none for a card that stays valid")
    t.close()
    if len(t.faults) > before or price is None or not seconds:
        return None
    return CardProduct(key, seconds, price, months)


def _refuse_double_cards(t: Table, cards: tuple[CardProduct, ...]) -> None:
    for n, one in enumerate(cards):
        if one.key in {c.key for c in cards[:n]}:
            t.fault(f"card[{n}].key", f"{one.key!r} is there twice")


def _retainer(t: Table, kind: Kind, fee: Money, rate: Money | None) -> Retainer | None:
    row, there = t.table("retainer"), t.has("retainer")
    if there != (kind is Kind.RETAINER):
        t.fault("retainer", "is missing: its hours" if not there else f"a contract of kind {kind.value} has no pool")
        return None
    if not there:
        return None
    seconds = _time(row, "hours", None)
    if seconds is None:
        row.fault("hours", "is missing")
    rollover = row.choice("rollover", Rollover, Rollover.LAPSE)
    most, periods = _time(row, "carry_most", None), row.whole("carry_periods", 1)
    row.close()
    each = None if rate is None else rate.amount
    return _sound(row, "", lambda: Retainer(seconds or 0, fee, rollover, most, periods, each))


def _cover(t: Table, kind: Kind) -> dict[Work, Cover]:
    """What pays for each class; without cards or a pool nothing can be drawn, so what isn't named is by the hour."""
    draws = kind in (Kind.CARD, Kind.RETAINER)
    row = t.table("cover")
    found = {}
    for work in Work:
        found[work] = row.choice(work.value, Cover, Cover.DRAWN if draws else Cover.HOURLY)
        if found[work] is Cover.DRAWN and not draws:
            row.fault(work.value, f"a contract of kind {kind.value} has no hours to draw on: included or hourly")
    row.close()
    return found


def _rounding(t: Table) -> Rounding:
    unit, rule, least = _time(t, "unit", 1), t.choice("rule", Up, Up.EXACT), _time(t, "least", 0)
    t.close()
    return _sound(t, "", lambda: Rounding(unit or 0, rule, least or 0)) or Rounding()


def _renewal(t: Table) -> Renewal | None:
    months, notice = t.whole("months", 12), t.whole("notice_days", 30)
    renews, early = t.choice("renews", Renews, Renews.MONTHLY), _share(t, "early_share", None)
    t.close()
    return _sound(t, "", lambda: Renewal(months, notice, renews, early))


def _indexation(t: Table) -> Indexation | None:
    row = t.table("indexation")
    floor, cap = _share(row, "floor", ZERO), _share(row, "cap", None)
    row.close()
    return _sound(row, "", lambda: Indexation(floor, cap)) if t.has("indexation") else None


def _cost(t: Table) -> Cost | None:
    """What a year costs us, in the contract's currency; `hour` is an hour of labour."""
    given = {n: t.number(n, ZERO) for n in ("hardware", "network", "watts", "kwh", "upkeep", "hour")}
    life, pue = t.number("life_years", Fraction(4)), t.number("pue", Fraction(1))
    t.close()
    return _sound(t, "", lambda: Cost(life_years=life, pue=pue, **given))


def read_worth(t: Table) -> WorthTerms:
    """`[contracts.worth]`: how what recurs is valued."""
    discount, goes_on = _share(t, "discount", Fraction(15, 100)), _share(t, "goes_on", None)
    years = t.whole("years", 5)
    t.close()
    return _sound(t, "", lambda: WorthTerms(discount, years, goes_on)) or WorthTerms()


def _sound(t: Table, name: str, make: Callable[[], _T]) -> _T | None:
    try:
        return make()
    except ValueError as error:
        t.fault(name, str(error))
        return None


def _time(t: Table, name: str, default: int | None) -> int | None:
    return t.value(name, default, read_time, 0)


def _hours(t: Table, name: str) -> Fraction | None:
    seconds = _time(t, name, None)
    return None if seconds is None else Fraction(seconds, HOUR)


def _share(t: Table, name: str, default: Fraction | None) -> Any:
    return t.value(name, default, _read_share, ZERO)


def read_time(value: Any) -> int:
    """Working time such as "15 min", "2.5 h" or "90 s", in seconds. Raises `ValueError`.

    >>> read_time("2.5 h"), read_time("15 min")
    (9000, 900)
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?) ?(s|min|h)", value) if isinstance(value, str) else None
    exact = Fraction(found[1]) * _UNITS[found[2]] if found else None
    if exact is None or exact.denominator != 1:
        raise ValueError(f'expected working time, such as "15 min" or "2.5 h", not {value!r}')
    return int(exact)


def _read_share(value: Any) -> Fraction:
    found = re.fullmatch(r"(\d+(?:\.\d+)?) ?%", value) if isinstance(value, str) else None
    if found is None:
        raise ValueError(f'expected a percentage, such as "10 %", not {value!r}')
    return Fraction(found[1]) / 100
