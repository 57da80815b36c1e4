"""Base fees and commitments in advance: whatever happened, each active day is paid for once, to the cent."""

from datetime import date, timedelta
from fractions import Fraction as F

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.rating.scenes import AMS, book, plan, port, told, traffic

from coulance_core.catalog.terms import Catalog, NotInCatalogError, Proration
from coulance_core.kernel import Money, Rounding
from coulance_core.rating.base import BilledSpan, DueSpan, UnableToPriceError, base_due
from coulance_core.rating.proration import share_of_dates
from coulance_core.rating.segments import AgreedPrice, PriceSpan, SubscriptionSpan, with_prices

CATALOG = book(plan("s"), plan("l", base="20.00"), plan("q", base="90.00", months=3), plan("c", port(), base=None))
SINCE = date(2025, 10, 1)


def span(key: str, start: str, end: str | None = None, units: int = 1) -> SubscriptionSpan:
    return SubscriptionSpan(key, units, date.fromisoformat(start), None if end is None else date.fromisoformat(end))


class Account:
    """A service with its billed spans: each `bill` records what it invoiced, as the shell does."""

    def __init__(self, catalog: Catalog = CATALOG, billing_day: int = 1) -> None:
        self.catalog, self.billing_day = catalog, billing_day
        self.billed: list[BilledSpan] = []

    def bill(self, through: str, *spans: SubscriptionSpan) -> list[str]:
        due = self.due(date.fromisoformat(through), spans)
        told([one.line for one in due])
        self.billed += [one.span for one in due]
        assert self.due(date.fromisoformat(through), spans) == ()  # a second run finds nothing to do
        return [f"{one.line.kind} {one.span.start:%m-%d}..{one.span.end:%m-%d} {one.line.net.decimal()}" for one in due]

    def due(self, through: date, spans: tuple[SubscriptionSpan, ...]) -> tuple[DueSpan, ...]:
        return base_due(
            self.catalog,
            spans,
            self.billed,
            billing_day=self.billing_day,
            zone=AMS,
            since=SINCE,
            through=through,
            service="vps-1",
        )

    @property
    def net(self) -> Money:
        return Money(sum(one.net.minor for one in self.billed), "EUR")


def test_a_month_at_a_time_in_advance() -> None:
    account = Account()
    ongoing = span("s", "2025-10-01")
    assert account.bill("2025-10-01", ongoing) == ["base 10-01..11-01 10.00"]
    assert account.bill("2025-10-31", ongoing) == []
    assert account.bill("2025-12-01", ongoing) == ["base 11-01..12-01 10.00", "base 12-01..01-01 10.00"]


def test_the_first_part_of_a_month_comes_with_the_next() -> None:
    assert Account().bill("2025-11-01", span("s", "2025-10-22")) == [
        "base 10-22..11-01 3.23",  # 10 of 31 days
        "base 11-01..12-01 10.00",
    ]


def test_billing_day_31_in_february() -> None:
    account = Account(billing_day=31)
    assert account.bill("2026-03-31", span("s", "2026-01-31")) == [
        "base 01-31..02-28 10.00",
        "base 02-28..03-31 10.00",
        "base 03-31..04-30 10.00",
    ]


def test_a_change_of_plan_in_mid_period_credits_the_unused_part_and_charges_the_new_one() -> None:
    account = Account()
    assert account.bill("2025-11-01", span("s", "2025-11-01")) == ["base 11-01..12-01 10.00"]
    moved = span("s", "2025-11-01", "2025-11-11"), span("l", "2025-11-11")
    assert account.bill("2025-12-01", *moved) == [
        "base 11-11..12-01 13.33",
        "base 12-01..01-01 20.00",
        "credit 11-11..12-01 -6.67",
    ]
    assert account.net.minor == 333 + 1333 + 2000


def test_a_service_that_ends_gets_back_what_it_did_not_use() -> None:
    account = Account()
    account.bill("2025-12-01", span("s", "2025-11-01"))
    ended = span("s", "2025-11-01", "2025-11-16")
    assert account.bill("2025-12-01", ended) == ["credit 11-16..12-01 -5.00", "credit 12-01..01-01 -10.00"]
    assert account.net.minor == 500
    assert account.bill("2026-01-01", ended) == []


def test_an_end_that_is_taken_back_is_charged_again_to_the_same_cent() -> None:
    account = Account()
    account.bill("2025-11-01", span("s", "2025-11-01"))
    account.bill("2025-11-01", span("s", "2025-11-01", "2025-11-08"))
    assert account.bill("2025-11-01", span("s", "2025-11-01")) == ["base 11-08..12-01 7.67"]
    assert account.net.minor == 1000


def test_a_service_imported_by_mistake_is_credited_whole() -> None:
    account = Account()
    account.bill("2025-11-01", span("s", "2025-10-15"))
    assert account.bill("2025-11-01") == ["credit 10-15..11-01 -5.48", "credit 11-01..12-01 -10.00"]
    assert account.net.minor == 0


def test_quarters_are_aligned_to_the_start_of_the_service() -> None:
    account = Account(billing_day=15)
    assert account.bill("2026-02-15", span("q", "2025-11-01")) == [
        "base 11-01..11-15 13.70",  # 14 of the 92 days from 15 August
        "base 11-15..02-15 90.00",
        "base 02-15..05-15 90.00",
    ]


def test_units_multiply_and_a_change_of_units_is_a_change() -> None:
    account = Account()
    assert account.bill("2025-11-01", span("s", "2025-11-01", units=3)) == ["base 11-01..12-01 30.00"]
    more = span("s", "2025-11-01", "2025-11-16", units=3), span("s", "2025-11-16", units=4)
    assert account.bill("2025-11-01", *more) == ["base 11-16..12-01 20.00", "credit 11-16..12-01 -15.00"]


def test_a_new_version_with_the_same_fee_changes_nothing() -> None:
    account = Account(book(plan("s"), plan("s", traffic(), on=date(2025, 11, 10))))
    account.bill("2025-11-01", span("s", "2025-11-01"))
    assert account.bill("2025-11-15", span("s", "2025-11-01")) == []


def test_a_new_price_holds_from_its_day() -> None:
    account = Account(book(plan("s"), plan("s", base="15.00", on=date(2025, 11, 16))))
    assert account.bill("2025-12-01", span("s", "2025-11-01")) == [
        "base 11-01..11-16 5.00",
        "base 11-16..12-01 7.50",
        "base 12-01..01-01 15.00",
    ]


def test_commitments_are_billed_like_base_fees() -> None:
    account = Account()
    due = account.due(date(2025, 12, 1), (span("c", "2025-11-16"),))
    assert told([one.line for one in due]) == ["commit 1 1 = 75.00", "commit 1 1 = 150.00"]
    assert due[0].line.charge == "port"
    assert due[0].line.description == "C, Port, commitment of 100 Mbit/s"
    assert due[0].span.key == "commit:port"


def test_a_moved_billing_day_neither_repeats_nor_skips_a_day() -> None:
    account = Account()
    account.bill("2025-11-01", span("s", "2025-11-01"))
    account.billing_day = 15
    assert account.bill("2025-12-15", span("s", "2025-11-01")) == [
        "base 12-01..12-15 4.67",  # 14 of the 30 days from 15 November
        "base 12-15..01-15 10.00",
    ]


def test_a_service_older_than_the_catalog_is_billed_from_where_the_terms_begin() -> None:
    account = Account(billing_day=15)
    assert account.bill("2026-02-15", span("q", "2019-03-20")) == [
        "base 07-15..10-15 90.00",  # aligned to its true start, in April 2019; the cycle that SINCE falls in
        "base 10-15..01-15 90.00",
        "base 01-15..04-15 90.00",
    ]
    with pytest.raises(NotInCatalogError, match="begins 2025-12-01"):
        Account(book(plan("s", on=date(2025, 12, 1)))).bill("2026-01-01", span("s", "2019-03-20"))


def test_a_change_known_beforehand_is_billed_with_its_cycle() -> None:
    planned = span("s", "2025-11-01", "2025-11-16"), span("l", "2025-11-16")
    assert Account().bill("2025-11-01", *planned) == ["base 11-01..11-16 5.00", "base 11-16..12-01 10.00"]
    assert Account().bill("2025-11-01", span("s", "2025-12-02")) == []


def test_no_fee_no_line() -> None:
    account = Account(book(plan("s", base="0.00")))
    assert account.bill("2025-11-01", span("s", "2025-11-01")) == []


@pytest.mark.parametrize(
    ("how", "part"), [(Proration.NONE, "10.00"), (Proration.FIXED_30, "5.33"), (Proration.SECONDS, "5.48")]
)
def test_other_prorations(how: Proration, part: str) -> None:
    account = Account(book(plan("s", proration=how)))
    first, _ = account.bill("2026-04-01", span("s", "2026-03-15"))
    assert first == f"base 03-15..04-01 {part}"  # March 2026 has 743 hours, 407 of them from the 15th on


def test_cycles_before_since_are_not_looked_at() -> None:
    old = base_due(CATALOG, [span("s", "2020-01-01")], [], billing_day=1, zone=AMS, since=SINCE, through=SINCE)
    assert [one.span.start for one in old] == [SINCE]


HISTORY = st.lists(
    st.tuples(st.integers(1, 40), st.sampled_from(["s", "l", "q"]), st.integers(0, 2)), min_size=1, max_size=5
)


def history(pieces: list[tuple[int, str, int]]) -> tuple[SubscriptionSpan, ...]:
    """Contiguous spans from 10 October; units 0 are a pause."""
    out, day = [], date(2025, 10, 10)
    for length, key, units in pieces:
        after = day + timedelta(days=length)
        if units:
            out.append(SubscriptionSpan(key, units, day, after))
        day = after
    return tuple(out)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(HISTORY, min_size=1, max_size=4),
    st.integers(1, 31),
    st.sampled_from([Proration.CALENDAR_DAYS, Proration.SECONDS, Proration.FIXED_30, Proration.NONE]),
)
def test_whatever_was_billed_before_the_end_result_is_the_same(
    known: list[list[tuple[int, str, int]]], billing_day: int, how: Proration
) -> None:
    """The history is rewritten and billed again and again; what stands is what the last one alone would have cost."""
    catalog = book(
        plan("s", proration=how),
        plan("l", base="20.00", proration=how),
        plan("q", base="91.00", months=3, proration=how),
    )
    account, fresh = Account(catalog, billing_day), Account(catalog, billing_day)
    for i, pieces in enumerate(known):
        account.bill((date(2025, 11, 20) + i * timedelta(days=25)).isoformat(), *history(pieces))
    last = date(2026, 6, 1)
    account.bill(last.isoformat(), *history(known[-1]))
    fresh.bill(last.isoformat(), *history(known[-1]))
    assert paid_days(account) == paid_days(fresh) == days_of(history(known[-1]))
    # Both are to the cent by cycle. Days that were billed in a cycle which the rewritten history does not have stay
    # billed as they were: a day of one quarter is dearer than of another, by at most what two days more or less make.
    known_cycles = {(one.key, one.cycle_start, one.cycle_end) for one in fresh.billed}
    elsewhere = [
        one
        for one in account.billed
        if not one.credit and (one.key, one.cycle_start, one.cycle_end) not in known_cycles
    ]
    if how is Proration.NONE:  # a part costs the whole, so each such cycle does
        dearer = sum((one.fee * 100 for one in elsewhere), F(0))
    else:
        days = sum((one.end - one.start).days for one in elsewhere)
        dearer = days * 2 * F(9100) * (F(1, 90) - F(1, 92))  # two units of the dearest plan, in cents
    assert abs(account.net.minor - fresh.net.minor) <= len(fresh.billed) + dearer


def test_days_billed_in_a_cycle_that_the_history_lost_stay_as_billed() -> None:
    """What the property above found: a quarter of 92 days became one of 91, and its three days keep their price."""
    catalog = book(plan("s"), plan("q", base="91.00", months=3))
    account, fresh = Account(catalog), Account(catalog)
    first = history([(1, "s", 0), (22, "s", 0), (3, "q", 1)])
    last = history([(1, "s", 0), (25, "q", 1)])
    account.bill("2025-11-20", *first)
    account.bill("2026-06-01", *last)
    fresh.bill("2026-06-01", *last)
    assert paid_days(account) == paid_days(fresh)
    assert (account.net.decimal(), fresh.net.decimal()) == ("24.76", "24.73")


def paid_days(account: Account) -> dict[tuple[str, F], set[date]]:
    """The days that are paid for, by plan and fee; each once."""
    counts: dict[tuple[str, F, date], int] = {}
    for one in account.billed:
        day = one.start
        while day < one.end:
            key = one.plan, one.fee, day
            counts[key] = counts.get(key, 0) + (-1 if one.credit else 1)
            day += timedelta(days=1)
    assert set(counts.values()) <= {0, 1}
    out: dict[tuple[str, F], set[date]] = {}
    for (key, fee, day), count in counts.items():
        if count:
            out.setdefault((key, fee), set()).add(day)
    return out


def days_of(spans: tuple[SubscriptionSpan, ...]) -> dict[tuple[str, F], set[date]]:
    fees = {"s": F(10), "l": F(20), "q": F(91)}
    out: dict[tuple[str, F], set[date]] = {}
    for one in spans:
        assert one.end is not None
        days = {one.start + timedelta(days=i) for i in range((one.end - one.start).days)}
        out.setdefault((one.plan, fees[one.plan] * one.units), set()).update(days)
    return out


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 28), st.lists(st.integers(1, 60), min_size=1, max_size=3), st.integers(1, 31))
def test_a_cycle_that_changes_twice_costs_what_it_would_have_at_once(
    units: int, ends: list[int], billing_day: int
) -> None:
    account = Account(billing_day=billing_day)
    start = date(2025, 11, 3)
    for length in ends:
        account.bill("2026-02-01", SubscriptionSpan("s", units, start, start + timedelta(days=length)))
    cycles = {(one.cycle_start, one.cycle_end) for one in account.billed}
    for cycle in cycles:
        own = [one for one in account.billed if (one.cycle_start, one.cycle_end) == cycle]
        last = start + timedelta(days=ends[-1])
        a, b = max(start, cycle[0]), min(last, cycle[1])
        share = share_of_dates(a, b, *cycle, Proration.CALENDAR_DAYS, AMS) if a < b else F(0)
        expected = Money.of(10 * units * share, "EUR", Rounding.HALF_UP)
        assert sum(one.net.minor for one in own) == expected.minor


def agreed(amount: str, start: str, end: str | None = None, *, plan: str = "s", words: str = "as agreed") -> PriceSpan:
    until = None if end is None else date.fromisoformat(end)
    return PriceSpan(plan, date.fromisoformat(start), until, AgreedPrice(F(amount), "EUR", words))


def test_an_agreed_price_takes_the_place_of_the_plans_while_it_lasts_and_says_so() -> None:
    account = Account()
    spans = with_prices([span("s", "2025-11-01", units=3)], [agreed("22.50", "2025-11-01", "2026-01-01")])
    (line,) = [one.line for one in account.due(date(2025, 11, 1), spans)]
    assert (line.description, line.quantity, line.net.decimal()) == (
        f"{CATALOG.version('s@2025-01-01').name} (as agreed)",
        1,
        "22.50",
    )
    assert any("agreed for this service" in fact.source for fact in line.explanation.facts)
    assert account.bill("2025-12-01", *spans) == ["base 11-01..12-01 22.50", "base 12-01..01-01 22.50"]
    assert account.bill("2026-01-01", *spans) == ["base 01-01..02-01 30.00"]


def test_a_price_agreed_in_mid_period_costs_each_day_once_and_one_of_another_plan_does_nothing() -> None:
    account = Account()
    account.bill("2025-11-01", span("s", "2025-11-01"))
    spans = with_prices([span("s", "2025-11-01")], [agreed("4", "2025-11-16"), agreed("1", "2025-11-01", plan="l")])
    assert account.bill("2025-11-30", *spans) == ["base 11-16..12-01 2.00", "credit 11-16..12-01 -5.00"]
    assert account.bill("2025-12-01", *spans) == ["base 12-01..01-01 4.00"]
    assert account.bill("2025-12-01", span("s", "2025-11-01")) == [  # taken back: as if it had never been
        "base 11-16..12-01 5.00", "base 12-01..01-01 10.00", "credit 11-16..12-01 -2.00", "credit 12-01..01-01 -4.00",
    ]  # fmt: skip


def test_a_price_agreed_at_nothing_bills_nothing_and_another_currency_is_refused() -> None:
    spans = with_prices([span("s", "2025-11-01")], [agreed("0", "2025-11-01")])
    assert Account().bill("2025-12-01", *spans) == []
    dollars = PriceSpan("s", date(2025, 11, 1), None, AgreedPrice(F(4), "USD"))
    with pytest.raises(UnableToPriceError, match="USD was agreed"):
        Account().due(date(2025, 12, 1), with_prices([span("s", "2025-11-01")], [dollars]))
