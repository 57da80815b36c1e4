"""The words and number formats of documents, by language.

Every text a customer reads on paper or page stands in one table, `words.toml`, so that a language is complete or
absent: a test holds each key in each language with the same placeholders. Formats work on exact decimal strings;
nothing here rounds money.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from zoneinfo import ZoneInfo

from coulance_core.kernel import Rounding, exact, round_to, show

NBSP = "\u00a0"
"""A space that does not break: between a number and its unit, a currency and its amount."""

TABLE: Mapping[str, Mapping[str, str]] = tomllib.loads(Path(__file__).with_name("words.toml").read_text("utf-8"))

# Sign, whether a space follows it: only signs that no other currency of the list shares.
_SIGNS = {"EUR": "€", "GBP": "£"}


_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?\+00:00")


@dataclass(frozen=True, slots=True)
class Words:
    """The words of one language, and how it writes numbers, money and dates.

    >>> en, nl = Words.of("en"), Words.of("nl-NL")
    >>> en.money("1234567.50", "EUR"), nl.money("1234567.50", "EUR"), en.money("-0.125", "KWD")
    ('€1,234,567.50', '€\\xa01.234.567,50', '−KWD\\xa00.125')
    >>> en.number("1412.5873917"), nl.number("1412.5873917", 1), en.number("14/31"), en.number("1000")
    ('1,412.59', '1.412,6', '0.45', '1,000')
    """

    language: str

    @classmethod
    def of(cls, language: str | None) -> "Words":
        """The words of a language tag such as `nl` or `nl-BE`; English where we have no other."""
        primary = (language or "en").lower().replace("_", "-").split("-")[0]
        return cls(primary if primary in TABLE else "en")

    def __call__(self, key: str, **values: object) -> str:
        """The text under `key`, its placeholders filled in."""
        text = TABLE[self.language][key]
        return text.format(**values) if values else text

    def has(self, key: str) -> bool:
        """Whether there is a text under `key`."""
        return key in TABLE[self.language]

    def digits(self, plain: str) -> str:
        """A plain decimal (`-1412.50`) with this language's separators, and a true minus sign."""
        sign, plain = ("−", plain[1:]) if plain.startswith("-") else ("", plain)
        whole, _, rest = plain.partition(".")
        if not whole.isdigit():
            return sign + plain
        grouped = f"{int(whole):,}"
        if self.language == "en":
            return sign + grouped + (f".{rest}" if rest else "")
        return sign + grouped.replace(",", ".") + (f",{rest}" if rest else "")

    def number(self, value: object, decimals: int = 2) -> str:
        """A quantity to read, rounded to at most `decimals`; a text that is no number comes back unchanged.

        The exact value stands in the calculation; this is for sentences and tables.
        """
        try:
            rounded = round_to(exact(_plain(value)), decimals, Rounding.HALF_UP)
        except (TypeError, ValueError):
            return str(value)
        return self.digits(show(rounded))

    def exact(self, value: str) -> str:
        """A number of the calculation, all its digits; one without end as a fraction beside its rounding."""
        try:
            number = exact(value)
        except (TypeError, ValueError):
            return value.replace("T", " ").replace("+00:00", " UTC") if _INSTANT.fullmatch(value) else value
        text = show(number)
        if "/" in text or len(text) > 26:
            near = self.digits(show(round_to(number, 8, Rounding.HALF_UP)))
            return f"{text} ≈ {near}" if len(text) <= 40 else f"≈ {near}"
        return self.digits(text)

    def money(self, amount: object, code: str) -> str:
        """An amount in major units with its currency; digits as they are given, never rounded here."""
        text = self.digits(_plain(amount))
        minus, text = ("−", text[1:]) if text.startswith("−") else ("", text)
        sign = _SIGNS.get(code)
        if sign is None:
            return f"{minus}{code}{NBSP}{text}"
        return f"{minus}{sign}{text}" if self.language == "en" else f"{minus}{sign}{NBSP}{text}"

    def price(self, amount: object, code: str) -> str:
        """A unit price: all the digits that it has, and at least two."""
        try:
            text = show(exact(_plain(amount)))
        except (TypeError, ValueError):
            return str(amount)
        if "/" in text:
            text = show(round_to(exact(text), 8, Rounding.HALF_UP))
        whole, _, rest = text.partition(".")
        return self.money(f"{whole}.{rest.ljust(2, '0')}", code)

    def amount_of(self, value: object, unit: str, decimals: int = 2) -> str:
        """A quantity with its unit: `1,412.6 GB`. The unit `1` is not written."""
        text = self.number(value, decimals)
        named = self.unit(unit, one=text == "1")
        return f"{text}{NBSP}{named}" if named else text

    def unit(self, name: str, *, one: bool = False) -> str:
        """A unit as people say it: things that are counted have a plural, `1` has no name, the others are symbols.

        >>> Words.of("en").unit("seat"), Words.of("nl").unit("seat", one=True), Words.of("en").unit("GB")
        ('seats', 'plaats', 'GB')
        """
        if name in ("", "1"):
            return ""
        forms = TABLE[self.language].get(f"unit_{name}")
        return forms.split("|")[0 if one else 1] if forms else name

    def day(self, value: str | date | None) -> str:
        """A civil date in words: `6 December 2026`."""
        if not value:
            return "–"
        on = value if isinstance(value, date) else date.fromisoformat(str(value)[:10])
        return f"{on.day}{NBSP}{self('months_long').split()[on.month - 1]}{NBSP}{on.year}"

    def short_day(self, instant: datetime) -> str:
        """A civil date for a picture: `6 Dec`."""
        return f"{instant.day}{NBSP}{self('months').split()[instant.month - 1]}"

    def month(self, period: str) -> str:
        """A billing period's name: `2026-10` as `October 2026`; any other text as it is."""
        year, _, month = period.partition("-")
        if year.isdigit() and month.isdigit() and 1 <= int(month) <= 12:
            return f"{self('months_long').split()[int(month) - 1]}{NBSP}{year}"
        return period

    def span(self, period: Mapping[str, str] | None, zone: ZoneInfo) -> str:
        """A period as its first and last civil day in `zone`: `1 to 31 October 2026`."""
        if not period or not period.get("start") or not period.get("end"):
            return ""
        first, last = _civil(period["start"], zone), _last_day(period["end"], zone)
        if last <= first:
            return self.day(first)
        start = str(first.day) if (first.year, first.month) == (last.year, last.month) else self.day(first)
        if first.year == last.year and first.month != last.month:
            start = f"{first.day}{NBSP}{self('months_long').split()[first.month - 1]}"
        return self("from_to", start=start, end=self.day(last))


def _plain(value: object) -> str:
    """A JSON value as a plain decimal text; a JSON float by its shortest spelling."""
    if isinstance(value, float):
        return format(Decimal(repr(value)), "f")
    return str(value)


def _instant(text: str, zone: ZoneInfo) -> datetime:
    instant = datetime.fromisoformat(text)
    return instant.replace(tzinfo=zone) if instant.tzinfo is None else instant.astimezone(zone)


def _civil(text: str, zone: ZoneInfo) -> date:
    return date.fromisoformat(text) if len(text) == 10 else _instant(text, zone).date()


def _last_day(text: str, zone: ZoneInfo) -> date:
    """The last civil day of a half-open period that ends at `text`."""
    if len(text) == 10:
        return date.fromordinal(date.fromisoformat(text).toordinal() - 1)
    end = _instant(text, zone)
    at_midnight = (end.hour, end.minute, end.second) == (0, 0, 0)
    return date.fromordinal(end.date().toordinal() - 1) if at_midnight else end.date()


def ratio_percent(part: int, whole: int, decimals: int = 2) -> str:
    """`part` of `whole` in percent, rounded down so that a gap never reads as 100.

    >>> ratio_percent(8639, 8640), ratio_percent(8640, 8640), ratio_percent(0, 0)
    ('99.98', '100', '100')
    """
    if whole <= 0:
        return "100"
    return show(round_to(Fraction(100 * part, whole), decimals, Rounding.FLOOR))
