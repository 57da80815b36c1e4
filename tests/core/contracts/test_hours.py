"""Hours: where each second goes, against a judge that draws second by second; law 1 for hours; exact balances."""

from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coulance_core.catalog.faults import TermsError
from coulance_core.contracts.hours import (
    CardState,
    Draw,
    From,
    Stop,
    Warn,
    breakage,
    card_warnings,
    charge,
    draw_cards,
    draw_hourly,
    draw_pool,
)
from coulance_core.contracts.terms import (
    HOUR,
    MINUTE,
    Approval,
    Card,
    ContractError,
    Cover,
    Entry,
    Retainer,
    Rollover,
    Rounding,
    Up,
    Work,
    WorkTerms,
)
from coulance_core.contracts.terms_file import parse_terms
from coulance_core.kernel import Money, Period

START = datetime(2026, 1, 1, tzinfo=UTC)
END = START + timedelta(days=200)


def day(n: int) -> datetime:
    return START + timedelta(days=n)


TERMS = WorkTerms(
    "care-2",
    {Work.PREVENTIVE: Cover.INCLUDED, Work.PERFECTIVE: Cover.HOURLY},
    Rounding(15 * MINUTE, Up.STARTED),
)
CARDS = st.lists(
    st.builds(
        lambda n, a, days, hours: Card(
            f"C{n}", hours * HOUR, Money(hours * 9_000, "EUR"), day(a), None if days is None else day(a + days)
        ),
        st.integers(0, 999), st.integers(0, 60), st.none() | st.integers(1, 100), st.integers(1, 8),
    ), max_size=3, unique_by=lambda c: c.key,
)  # fmt: skip
ENTRIES = st.lists(
    st.builds(
        lambda n, at, minutes, work, free: Entry(f"e{n}", day(0) + timedelta(hours=at), minutes * MINUTE, work, free),
        st.integers(0, 9999), st.integers(0, 150 * 24), st.integers(0, 400), st.sampled_from(list(Work)), st.booleans(),
    ), max_size=8, unique_by=lambda e: e.key,
)  # fmt: skip
APPROVALS = st.lists(
    st.builds(
        lambda n, at, length, hours, rate: Approval(f"a{n}", day(at), day(at + length), hours * HOUR, Fraction(rate)),
        st.integers(0, 999), st.integers(0, 100), st.integers(1, 60), st.integers(0, 6), st.sampled_from((80, 95)),
    ), max_size=3, unique_by=lambda a: a.key,
)  # fmt: skip


def balanced(draws: tuple[Draw, ...], entries: list[Entry]) -> None:
    """Each entry's counted time goes somewhere exactly once."""
    for entry in entries:
        drawn = sum(d.seconds for d in draws if d.entry == entry.key)
        assert drawn == TERMS.rounding.count(entry.seconds)
    assert all(d.seconds > 0 for d in draws)


def lawful(draws: tuple[Draw, ...], entries: list[Entry], approvals: list[Approval]) -> None:
    """Law 1: what is charged was approved before it began, for its time, and within the approved amount."""
    began = {e.key: e.began_at for e in entries}
    for approval in approvals:
        mine = [d for d in draws if d.by is From.APPROVED and d.source == approval.key]
        assert sum(d.seconds for d in mine) <= approval.seconds
        assert all(approval.at <= began[d.entry] < approval.until for d in mine)
    price = charge(draws, approvals, "EUR", "v1")
    price.explanation.recompute()
    exact = sum(
        (
            Fraction(d.seconds, HOUR) * next(a.rate for a in approvals if a.key == d.source)
            for d in draws
            if d.by is From.APPROVED
        ),
        Fraction(0),
    )
    assert abs(price.amount.amount - exact) <= Fraction(1, 100)


@settings(max_examples=80)
@given(CARDS, ENTRIES, APPROVALS, st.randoms(use_true_random=False))
def test_cards_are_exact_whatever_order_things_came_in(
    cards: list[Card], entries: list[Entry], approvals: list[Approval], random: object
) -> None:
    found = draw_cards(cards, entries, approvals, TERMS, END)
    for items in (mixed := [list(cards), list(entries), list(approvals)]):
        random.shuffle(items)  # type: ignore[attr-defined]
    assert draw_cards(*mixed, TERMS, END) == found  # type: ignore[arg-type]
    balanced(found.draws, entries)
    lawful(found.draws, entries, approvals)
    began = {e.key: e for e in entries}
    for state in found.cards:
        assert state.used + state.left + state.lapsed == state.card.seconds
        mine = [d for d in found.draws if d.by is From.CARD and d.source == state.card.key]
        assert sum(d.seconds for d in mine) == state.used
        for draw in mine:
            entry = began[draw.entry]
            assert state.card.from_ <= entry.began_at
            assert state.card.until is None or entry.began_at < state.card.until
            assert TERMS.cover_of(entry.work) is Cover.DRAWN
            assert not entry.free
    # Nothing is absorbed or charged while a card that could have paid has hours left.
    for draw in found.draws:
        entry = began[draw.entry]
        if draw.by in (From.ABSORBED, From.APPROVED) and TERMS.cover_of(entry.work) is Cover.DRAWN:
            for state in found.cards:
                usable = state.card.from_ <= entry.began_at and (
                    state.card.until is None or entry.began_at < state.card.until
                )
                drawn_by_then = sum(
                    d.seconds for d in found.draws
                    if d.source == state.card.key and (began[d.entry].began_at, d.entry) <= (entry.began_at, entry.key)
                )  # fmt: skip
                assert not usable or drawn_by_then == state.card.seconds


@settings(max_examples=80)
@given(
    st.integers(0, 6), st.none() | st.integers(0, 10), st.integers(1, 3), st.sampled_from(Rollover), ENTRIES, APPROVALS
)
def test_a_pool_is_exact_and_equals_a_judge_that_keeps_every_second_apart(
    hours: int, most: int | None, keeps: int, rollover: Rollover, entries: list[Entry], approvals: list[Approval]
) -> None:
    retainer = Retainer(hours * HOUR, Money(10_000, "EUR"), rollover, None if most is None else most * HOUR, keeps)
    periods = [Period(day(30 * i), day(30 * (i + 1))) for i in range(5)]
    found = draw_pool(retainer, periods, entries, approvals, TERMS, END)
    balanced(found.draws, entries)
    lawful(found.draws, entries, approvals)
    # The judge: a list of quarters, each with the last period it is good for; the oldest are used first.
    quarters: list[int] = []
    for number, (period, state) in enumerate(zip(periods, found.periods, strict=True)):
        assert state.carried_in == len(quarters) * 900
        quarters = sorted(quarters)
        own = hours * 4
        used = 0
        for entry in sorted(entries, key=lambda e: (e.began_at, e.key)):
            if entry.began_at not in period or entry.free or TERMS.cover_of(entry.work) is not Cover.DRAWN:
                continue
            for _ in range(TERMS.rounding.count(entry.seconds) // 900):
                if quarters:
                    quarters.pop(0)
                elif own:
                    own -= 1
                else:
                    continue
                used += 1
        rest = len(quarters) + own
        quarters = [last for last in quarters if last > number] + [number + keeps] * own
        quarters = [] if rollover is Rollover.LAPSE else sorted(quarters, reverse=True)
        if most is not None:
            quarters = quarters[: most * 4]
        on = len(quarters)
        assert (state.used, state.carried_on, state.lapsed) == (used * 900, on * 900, (rest - on) * 900)
        assert state.used + state.lapsed + state.carried_on == state.pool + state.carried_in


STORY = [
    # what happened, minutes, class, free -> where it went
    ("a corrective half hour", 30, Work.CORRECTIVE, False, [(From.CARD, 30)]),
    ("a started quarter counts", 31, Work.ADAPTIVE, False, [(From.CARD, 45)]),
    ("preventive work is in the fee", 120, Work.PREVENTIVE, False, [(From.FEE, 120)]),
    ("our own fault is free, and logged", 60, Work.CORRECTIVE, True, [(From.FREE, 60)]),
    ("something new, not approved", 60, Work.PERFECTIVE, False, [(From.ABSORBED, 60)]),
    ("longer than the card", 90, Work.CORRECTIVE, False, [(From.CARD, 60), (From.ABSORBED, 30)]),
]


@pytest.mark.parametrize(("story", "minutes", "work", "free", "expected"), STORY)
def test_where_an_entry_goes(
    story: str, minutes: int, work: Work, free: bool, expected: list[tuple[From, int]]
) -> None:
    card = Card("C", HOUR, Money(9_500, "EUR"), day(0), day(365))
    found = draw_cards([card], [Entry("e", day(3), minutes * MINUTE, work, free)], [], TERMS, day(4))
    assert [(d.by, d.seconds // MINUTE) for d in found.draws] == expected


def test_approved_beforehand_is_charged_and_afterwards_is_not() -> None:
    leave = Approval("a", day(2), day(30), 90 * MINUTE, Fraction(95))
    entries = [Entry("before", day(1), HOUR, Work.PERFECTIVE), Entry("after", day(3), 2 * HOUR, Work.PERFECTIVE)]
    draws = draw_hourly(entries, [leave], TERMS, day(9))
    assert [(d.entry, d.by, d.seconds // MINUTE) for d in draws] == [
        ("before", From.ABSORBED, 60), ("after", From.APPROVED, 90), ("after", From.ABSORBED, 30),
    ]  # fmt: skip
    priced = charge(draws, [leave], "EUR", "v1")
    assert priced.amount == Money(14_250, "EUR")
    assert "5400 s of work" in priced.explanation.notes[0]


def test_above_the_stop_of_a_year_the_fee_includes_nothing() -> None:
    """Two hours a year are included: what is more wants leave, and each year has its own two hours."""
    terms = WorkTerms("care-3", {Work.CORRECTIVE: Cover.INCLUDED, Work.PERFECTIVE: Cover.HOURLY})
    stop = Stop(2 * HOUR, [Period(day(0), day(100)), Period(day(100), day(200))])
    entries = [Entry("a", day(1), 90 * MINUTE), Entry("b", day(2), HOUR), Entry("c", day(101), HOUR),
               Entry("d", day(3), HOUR, free=True)]  # fmt: skip
    leave = Approval("l", day(0), day(90), 20 * MINUTE, Fraction(95))
    drawn = draw_hourly(entries, [leave], terms, END, stop)
    assert [(d.entry, d.by, d.seconds // MINUTE) for d in drawn] == [
        ("a", From.FEE, 90), ("b", From.FEE, 30), ("b", From.APPROVED, 20), ("b", From.ABSORBED, 10),
        ("d", From.FREE, 60), ("c", From.FEE, 60),
    ]  # fmt: skip
    card = draw_cards([Card("C", HOUR, Money(1, "EUR"), day(0), None)], entries, [leave], terms, END, stop)
    assert card.draws == drawn  # what the stop takes off never goes to a card that wasn't meant for it
    pool = draw_pool(Retainer(HOUR, Money(1, "EUR")), list(stop.years), entries, [leave], terms, END, stop)
    assert pool.draws == drawn


def test_breakage_and_warnings() -> None:
    card = Card("C", 20 * HOUR, Money(180_001, "EUR"), day(0), day(100))
    spent = [Entry("e", day(1), 18 * HOUR)]
    near = draw_cards([card], spent, [], TERMS, day(95))
    warned = card_warnings(near, day(95), low=4 * HOUR, ahead=timedelta(days=14))
    assert [(w.warn, w.seconds // HOUR) for w in warned] == [(Warn.LOW, 2), (Warn.ENDS, 2)]
    over = draw_cards([card], spent, [], TERMS, day(100))
    assert breakage(over.cards[0]) == Money(18_000, "EUR")
    assert card_warnings(over, day(100), low=0, ahead=timedelta(0))[0].warn is Warn.EMPTY
    topped = draw_cards([card, Card("D", HOUR, Money(1, "EUR"), day(90), None)], spent, [], TERMS, day(100))
    assert card_warnings(topped, day(100), low=HOUR, ahead=timedelta(0))[0].key != warned[0].key
    assert breakage(CardState(card, 20 * HOUR, 0, 0)).minor == 0


@pytest.mark.parametrize(
    "make",
    [
        lambda: Rounding(0),
        lambda: Entry("e", day(0).replace(tzinfo=None), 60),
        lambda: Entry("e", day(0), -1),
        lambda: Card("c", 0, Money(0, "EUR"), day(0), None),
        lambda: Card("c", 60, Money(0, "EUR"), day(1), day(1)),
        lambda: Retainer(-1, Money(0, "EUR")),
        lambda: Retainer(1, Money(0, "EUR"), rate=Fraction(-1)),
        lambda: draw_hourly([Entry("e", day(0), 1), Entry("e", day(1), 1)], [], TERMS, END),
        lambda: draw_pool(
            Retainer(1, Money(0, "EUR")), [Period(day(0), day(2)), Period(day(1), day(3))], [], [], TERMS, END
        ),
    ],
)
def test_what_can_not_be(make: object) -> None:
    with pytest.raises(ContractError):
        make()  # type: ignore[operator]


def test_nearest_rounds_a_half_up() -> None:
    nearest = Rounding(15 * MINUTE, Up.NEAREST, least=10 * MINUTE)
    assert [nearest.count(m * MINUTE) // MINUTE for m in (0, 1, 7, 8, 22, 23)] == [0, 10, 10, 15, 15, 30]


def test_a_card_without_hours_is_told_and_not_left_out() -> None:
    cards = [{"key": key, "hours": hours, "price": "90.00 EUR"} for key, hours in (("0h", "0 h"), ("1h", "1 h"))]
    with pytest.raises(TermsError, match="some hours"):
        parse_terms({"name": "strips", "from": "2026-01-01", "kind": "card", "card": cards})


def test_leave_for_less_than_nothing_is_none() -> None:
    for seconds, rate, at in ((-1, 95, day(2)), (1, -95, day(2)), (1, 95, day(2).replace(tzinfo=None))):
        with pytest.raises(ContractError, match="zero or more"):
            Approval("a", at, day(30), seconds, Fraction(rate))


def test_leave_is_good_from_its_instant_on_and_before_its_end() -> None:
    leave = Approval("l", day(1), day(3), 10 * HOUR, Fraction(95))
    works = [Entry(f"e{n}", began, MINUTE, Work.CORRECTIVE) for n, began in enumerate((day(1), day(2), day(3)))]
    hourly = WorkTerms("v1", {Work.CORRECTIVE: Cover.HOURLY})
    assert [d.by for d in draw_hourly(works, [leave], hourly, day(9))] == [From.APPROVED, From.APPROVED, From.ABSORBED]
