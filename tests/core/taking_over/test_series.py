"""A series' own numbers are known again, whatever their form; no number that it can't write is taken for one."""

from datetime import date

from hypothesis import given
from hypothesis import strategies as st

from coulance_core.catalog.provider import NumberSeries, Resets
from coulance_core.kernel import Money
from coulance_core.payments import ItemKind
from coulance_core.taking_over import (
    Book,
    GivenNumber,
    SeriesEnd,
    TakenCustomer,
    TakenOpenItem,
    Where,
    judge,
    reconcile,
    written_as,
)

HERE = Where("made", 1)
FORMS = st.sampled_from(
    [
        NumberSeries("a", "B{year}-{number:06d}"),
        NumberSeries("b", "{year}{number:04d}"),
        NumberSeries("c", "INV-{number}", Resets.NEVER),
        NumberSeries("d", "{number:03d}/{year}"),
        NumberSeries("e", "F.{number:05d}+x", Resets.NEVER),
    ]
)


@given(FORMS, st.integers(0, 10**7), st.integers(1990, 2100))
def test_what_a_series_writes_it_reads(series: NumberSeries, number: int, year: int) -> None:
    expected = (year if series.resets is Resets.YEARLY else 0, number)
    assert written_as(series, series.write(number, year)) == expected


@given(FORMS, st.text(max_size=15))
def test_what_it_reads_it_would_write(series: NumberSeries, text: str) -> None:
    found = written_as(series, text)
    if found is not None:
        years = [found[0]] if found[0] else [2026]
        assert text in [series.write(found[1], year) for year in years]


@given(st.lists(st.integers(1, 500), min_size=1, max_size=10, unique=True), st.integers(0, 600))
def test_a_series_is_sound_exactly_when_it_ends_at_or_after_all_that_was_given(given: list[int], last: int) -> None:
    base = NumberSeries("base", "B{year}-{number:04d}")
    book = Book(
        "made",
        date(2026, 11, 1),
        numbers=tuple(GivenNumber(HERE, base.write(number, 2026)) for number in given),
        series=(SeriesEnd(where=HERE, series="base", year=2026, last=last),),
    )
    assert (judge(book, {"base": base}) == ()) == (last >= max(given))


def test_two_rows_of_one_key_do_not_hide_an_amount() -> None:
    customer = TakenCustomer(where=HERE, account="a", name="A", kind="business", country="NL", currency="EUR")
    item = TakenOpenItem(
        where=HERE,
        key="one",
        account="a",
        number="1",
        kind=ItemKind.BASE,
        issued_on=date(2026, 1, 1),
        due_on=date(2026, 1, 1),
        gross=Money(500, "EUR"),
        paid=Money(0, "EUR"),
        open=Money(500, "EUR"),
    )
    once = Book("made", date(2026, 11, 1), customers=(customer,), items=(item,))
    twice = Book("made", date(2026, 11, 1), customers=(customer,), items=(item, item))
    [difference] = reconcile(twice, once).differences
    assert (difference.record, difference.before, difference.after) == ("total", "owed 10.00 EUR", "owed 5.00 EUR")
    assert reconcile(once, once).agrees
