"""How the console shows money, quantities, pictures and explanations. Everything is escaped but our own SVG."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django import template
from django.utils import translation
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext

from coulance.contracts.queries import hours_text
from coulance.invoicing import chart, svg
from coulance.invoicing.documents.calculation import explained
from coulance.invoicing.documents.words import Words, ratio_percent
from coulance_core.kernel import Money, exact

register = template.Library()

SPARKS = 140
"""Points of a picture in a row of a list: it is that wide."""


def _words() -> Words:
    """The words of the reader's language."""
    return Words.of(translation.get_language())


@register.filter
def money(amount: Money | None) -> str:
    """An amount with its currency."""
    return "–" if amount is None else _words().money(amount.decimal(), amount.currency)


@register.filter
def hours(seconds: int) -> str:
    """Time as hours and minutes."""
    return hours_text(seconds)


@register.simple_tag
def amount(value: object, currency: str) -> str:
    """An amount as text (`12.50`) with its currency; a dash for none."""
    return "–" if value in (None, "") else _words().money(str(value), currency)


@register.simple_tag
def minor(units: int, currency: str) -> str:
    """Minor units with their currency."""
    return money(Money(units, currency))


@register.filter
def ago(instant: datetime, now: datetime) -> str:
    """How long ago, in the largest unit that is not zero: "3 min ago"."""
    seconds = int((now - instant).total_seconds())
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return gettext("%(count)s\u00a0%(unit)s ago") % {"count": seconds // size, "unit": gettext(unit)}
    return gettext("just now") if seconds >= 0 else gettext("ahead of the clock")


@register.filter
def as_json(value: object) -> str:
    """What an event says besides, as text."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


@register.filter
def count(number: object) -> str:
    """A whole number with separators."""
    return _words().number(number, 0)


@register.filter
def said(key: str) -> str:
    """A code as words: `overage_invoice` as "Overage invoice"."""
    words = _words()
    return words(key) if words.has(key) else gettext(str(key).replace("_", " ").capitalize())


@register.filter
def month(period: str) -> str:
    """`2026-10` as "October 2026"."""
    return _words().month(period)


@register.filter
def short_number(number: object) -> str:
    """A large count to read at a glance: 172.8 M."""
    value = float(str(number))
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.1f}\u00a0{unit}"
    return f"{value:.0f}"


@register.simple_tag
def share(seen: int, expected: int) -> str:
    """Coverage in percent, rounded down."""
    return f"{ratio_percent(seen, expected)}\u00a0%" if expected else "–"


@register.simple_tag
def picture(item: Mapping[str, Any], zone: str = "UTC", language: str = "en") -> SafeString:
    """The usage picture of an item, inline. Our SVG writer escapes what it is given, so its answer is safe as it is."""
    made = chart.model(item, zone=_zone(zone), language=language)
    return drawn(svg.svg(made)) if made is not None else SafeString("")


@register.simple_tag
def spark(item: Mapping[str, Any], zone: str = "UTC") -> SafeString:
    """A usage item's picture, small, for a row of a list."""
    points = (item.get("chart") or {}).get("points") or ()
    if len(points) > 2 * SPARKS:
        every = -(-len(points) // SPARKS)
        fewer = [max(points[i : i + every], key=lambda p: max(p[1:])) for i in range(0, len(points), every)]
        item = {**item, "chart": {**item["chart"], "points": fewer}}
    made = chart.model(item, zone=_zone(zone))
    return drawn(svg.sparkline(made)) if made is not None else SafeString("")


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return ZoneInfo("UTC")


@register.filter
def drawn(picture: str) -> SafeString:
    """A picture that `coulance.invoicing.svg` drew."""
    return mark_safe(picture)  # noqa: S308 - our own writer's SVG; a test feeds it hostile names


@register.inclusion_tag("console/parts/bar.html")
def usage_bar(item: Mapping[str, Any] | None) -> dict[str, Any]:
    """Use against what is included, as a bar (a `meter` would hide how far over)."""
    if not item or item.get("used") is None:
        return {"known": False}
    if item.get("pool"):  # its limit is the pool's, and so is what goes over
        item = {**item, "allowance": None, "commit": None, "overage": None}
    unit = str(item.get("unit") or "")
    used, limit = _exact(item["used"]), _exact(item.get("allowance") or item.get("commit"))
    over = bool(_exact(item.get("overage")))
    most = max(used, limit) or 1
    return {
        "known": True,
        "over": over,
        "limited": bool(limit),
        "within": f"{100 * min(used, limit or used) / most:.1f}",
        "beyond": f"{100 * (used - limit) / most:.1f}" if limit and used > limit else "0",
        "at": f"{100 * limit / most:.1f}",
        "used": _words().amount_of(item["used"], unit, 1),
        "limit": _words().amount_of(item.get("allowance") or item.get("commit"), unit, 1) if limit else "",
        "percent": _words().number(
            100 * exact(str(item["used"])) / exact(str(item.get("allowance") or item["commit"])), 0
        )
        if limit
        else "",
    }


@register.inclusion_tag("console/parts/explanation.html")
def explanation(data: Mapping[str, Any], language: str = "en") -> dict[str, Any]:
    """An explanation's JSON as facts, steps, conventions and notes."""
    return explained(data, Words.of(language))


@register.simple_tag
def flag_words(flags: Mapping[str, int]) -> SafeString:
    """What was odd in the samples: `gap 3, wrap 1`."""
    text = ", ".join(f"{k.replace('_', ' ').lower()} {v}" for k, v in (flags or {}).items() if v)
    return format_html("{}", text or "–")


@register.filter
def amount_of(item: Mapping[str, Any], key: str) -> str:
    """One of an item's quantities with its unit."""
    value = item.get(key)
    return "–" if value in (None, "") else _words().amount_of(value, str(item.get("unit") or ""), 3)


def _exact(value: object) -> float:
    try:
        return float(exact(str(value)))
    except (TypeError, ValueError):
        return 0.0
