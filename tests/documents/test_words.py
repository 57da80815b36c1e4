"""The words are complete in each language; the glyph table is what the fonts show."""

import re
import string

import typst

from coulance.invoicing.documents import words
from coulance.invoicing.documents.words import Words
from coulance.platform.typesetting import glyphs


def _placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_every_language_has_every_word_with_the_same_placeholders() -> None:
    english = words.TABLE["en"]
    assert set(words.TABLE) == {"en", "nl"}
    for language, table in words.TABLE.items():
        assert table.keys() == english.keys(), language
        for key, text in table.items():
            assert _placeholders(text) == _placeholders(english[key]), (language, key)
            assert text.strip(), (language, key)
        assert len(table["months"].split()) == len(table["months_long"].split()) == 12


def test_every_word_can_be_shown() -> None:
    for table in words.TABLE.values():
        for text in table.values():
            assert glyphs.safe(text).replace("\u200b", "") == text


def test_the_glyph_table_is_what_the_fonts_show() -> None:
    starts, ends = glyphs._ranges()
    covered = [chr(i) for a, b in zip(starts, ends, strict=True) for i in range(a, b + 1)]
    shown = [c for c in covered[::3] if not c.isspace() and glyphs.safe(c) == c]
    assert len(shown) > 800
    assert glyphs._missing(shown, "regular") == set()
    assert glyphs._missing(shown, "bold") == set()
    beyond = [chr(b + 1) for b in ends if chr(b + 1).isprintable() and not chr(b + 1).isspace()][:60]
    missing = glyphs._missing(beyond, "regular") | glyphs._missing(beyond, "bold")
    assert missing == {ord(c) for c in beyond}


def test_an_unknown_language_reads_english() -> None:
    assert Words.of("tlh")("amount_due") == "Amount due"
    assert Words.of(None).language == "en"
    assert Words.of("nl_BE").language == "nl"


def test_numbers_follow_the_language() -> None:
    en, nl = Words.of("en"), Words.of("nl")
    assert en.money("-1234.50", "EUR") == "−€1,234.50"
    assert nl.money("-1234.50", "EUR") == "−€\u00a01.234,50"
    assert en.money("1234", "JPY") == "JPY\u00a01,234"
    assert en.price("0.0123", "EUR") == "€0.0123"
    assert en.price("2.5", "USD") == "USD\u00a02.50"
    assert en.price("1/3", "EUR") == "€0.33333333"
    assert en.exact("14/31") == "14/31 ≈ 0.4516129"
    assert en.exact("1000/7000000000000000000000000000000000000001").startswith("≈ 0")
    assert en.exact("drop_floor") == "drop_floor"
    assert en.amount_of("1", "seat") == "1\u00a0seat"
    assert en.amount_of("412.587391744", "GB") == "412.59\u00a0GB"


def test_periods_read_as_days() -> None:
    from zoneinfo import ZoneInfo

    zone, en = ZoneInfo("Europe/Amsterdam"), Words.of("en")
    october = {"start": "2026-09-30T22:00:00+00:00", "end": "2026-10-31T23:00:00+00:00"}
    plain = en.span(october, zone).replace("\u00a0", " ")
    assert plain == "1 to 31 October 2026"
    assert en.span({"start": "2026-12-15", "end": "2027-01-15"}, zone).replace("\u00a0", " ") == (
        "15 December 2026 to 14 January 2027"
    )
    assert en.span({"start": "2026-01-31", "end": "2026-02-28"}, zone).replace("\u00a0", " ") == (
        "31 January to 27 February 2026"
    )
    assert en.span(None, zone) == ""
    assert re.fullmatch(r"October\s2026", en.month("2026-10"))


def test_the_bundled_fonts_are_there() -> None:
    families = typst.Fonts(include_system_fonts=False).families()
    assert set(glyphs.FONTS) <= set(families)
