"""What is contested, whose turn it is and what is credited, for invoices and histories of any kind."""

from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coulance_core.catalog.terms import TaxRate, TaxTable
from coulance_core.disputes import (
    BY_WHOLE,
    MAY_FOLLOW,
    Contest,
    Debt,
    DisputeError,
    Earlier,
    OpenRefusal,
    Outcome,
    Policy,
    State,
    Step,
    StepKind,
    Way,
    clock,
    contested,
    decide,
    may_open,
    stopped_days,
)
from coulance_core.invoicing import (
    BillLine,
    Buyer,
    BuyerKind,
    CreditRequest,
    CreditType,
    DocumentKind,
    Issued,
    Seller,
    TaxTerms,
    assemble,
    credit_note,
)
from coulance_core.kernel import Explanation, Money, Period

T0 = datetime(2026, 11, 1, 12, tzinfo=UTC)
PERIOD = Period(datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC))
RATES = TaxTable(
    (
        TaxRate("NL", "standard", Fraction(21), date(2012, 10, 1), "NL-21"),
        TaxRate("NL", "reduced", Fraction(9), date(2019, 1, 1), "NL-9"),
    )
)


def day(days: float) -> datetime:
    return T0 + timedelta(days=days)


def invoice(*lines: tuple[int, str]) -> Issued:
    """Lines of so many cents of a tax class; below zero is a discount."""
    why = Explanation.build("test").fact("net", 0).freeze()
    billed = [
        BillLine(
            "overage",
            f"line {n}",
            PERIOD,
            Fraction(abs(cents), 10),
            "GB",
            Fraction(1, 10),
            Money(cents, "EUR"),
            kind,
            why,
        )
        for n, (cents, kind) in enumerate(lines, 1)
    ]
    buyer = Buyer("a", "A", BuyerKind.BUSINESS, "NL", "UTC", "EUR", ("Street 1",))
    draft = assemble(
        kind=DocumentKind.OVERAGE_INVOICE, period_name="2026-10", period=PERIOD, seller=Seller("S", "NL"), buyer=buyer,
        lines=billed, terms=TaxTerms(RATES), issued_on=date(2026, 11, 1), tax_point=date(2026, 10, 31), payment_days=14,
    )  # fmt: skip
    return Issued.of(draft, "V1")


LINES = st.lists(
    st.tuples(st.integers(1, 10**7) | st.integers(-500, -1), st.sampled_from(["standard", "reduced"])),
    min_size=1,
    max_size=6,
).filter(
    lambda lines: all(sum(c for c, k in lines if k == kind) >= 0 for _, kind in lines) and sum(c for c, _ in lines) > 0
)


@settings(max_examples=150, deadline=None)
@given(LINES, st.data())
def test_what_is_held_is_what_a_credit_note_gives_back_and_no_decision_gives_more(
    lines: list[tuple[int, str]], data: st.DataObject
) -> None:
    bill = invoice(*lines)
    picked = data.draw(
        st.lists(st.sampled_from([n for n, (c, _) in enumerate(lines, 1) if c > 0]), min_size=1, unique=True)
    )
    contests = []
    for no in picked:
        cents = lines[no - 1][0]
        way = data.draw(st.sampled_from([Way.WHOLE, Way.AMOUNT, Way.QUANTITY]))
        some = data.draw(st.integers(1, cents))
        contests.append(
            Contest(
                no, way,
                amount=Money(some, "EUR") if way is Way.AMOUNT else None,
                quantity=Fraction(some, 10) if way is Way.QUANTITY else None,
            )
        )  # fmt: skip
    try:
        found = contested(bill, contests)
    except DisputeError as fault:
        assert any(word in str(fault) for word in ("nothing is left", "nothing of it"))  # noqa: PT017 - of small parts
        return
    assert sum(one.net.minor for one in found.lines) == found.net.minor
    assert found.gross == found.net + found.tax
    for one in found.lines:
        assert one.explanation.recompute()["contested"] == one.net.amount
    parts = [(one.contest.line, one.net) for one in found.lines]
    upheld = decide(bill, parts, Outcome.UPHELD)
    assert (upheld.net, upheld.tax, upheld.gross, upheld.stands.minor) == (found.net, found.tax, found.gross, 0)
    share = data.draw(st.fractions(0, 1, max_denominator=20).filter(lambda f: 0 < f < 1))
    shared = decide(bill, parts, Outcome.SHARED, share=share)
    assert 0 <= shared.net.minor <= found.net.minor
    assert shared.net + shared.stands == found.net
    shared.explanation.recompute()
    assert decide(bill, parts, Outcome.REJECTED).requests == ()
    # Somebody credited by hand meanwhile: what is upheld then gives no cent of it again.
    no, net = parts[0]
    taken = data.draw(st.integers(1, net.minor))
    note = credit_note(
        bill, lines=[CreditRequest(no, Money(taken, "EUR"))], credit_type=CreditType.PRICE_REDUCTION, reason="by hand",
        issued_on=date(2026, 11, 2), tax_point=date(2026, 10, 31),
    )  # fmt: skip
    after = bill.after(note)
    again = decide(after, parts, Outcome.UPHELD)
    for request in again.requests:
        line = next(one for one in after.lines if one.no == request.line)
        assert request.net is not None
        assert request.net.minor <= after.left(line)


def test_a_period_by_time_and_what_is_accepted() -> None:
    bill = invoice((31_00, "standard"))
    week = Period(datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 10, 8, tzinfo=UTC))
    found = contested(bill, [Contest(1, Way.PERIOD, period=week, accepted=Money(200, "EUR"))])
    assert (found.net.minor, found.tax.minor, found.gross.minor) == (500, 105, 605)
    with pytest.raises(DisputeError, match="give that, and nothing else"):
        Contest(1, Way.PERIOD, amount=Money(1, "EUR"))
    with pytest.raises(DisputeError, match="outside it"):
        contested(bill, [Contest(1, Way.PERIOD, period=Period(T0, day(1)))])


def test_a_charge_cannot_be_contested_beyond_its_discount() -> None:
    bill = invoice((1000, "standard"), (-300, "standard"))
    assert contested(bill, [Contest(1)]).net.minor == 700
    with pytest.raises(DisputeError, match="is a discount"):
        contested(bill, [Contest(2)])


def test_lines_contested_apart_are_credited_together_by_no_more_than_their_discount_leaves() -> None:
    """Two cases of 10.00 on an invoice that a discount of 15.00 leaves at 5.00: whichever is first gets it."""
    bill = invoice((1000, "standard"), (1000, "standard"), (-1500, "standard"))
    ten = Money(1000, "EUR")
    both = decide(bill, [(1, ten), (2, ten)], Outcome.UPHELD)
    assert [(r.line, r.net) for r in both.requests] == [(1, Money(500, "EUR"))]
    assert (both.net.minor, both.stands.minor) == (500, 1500)


@pytest.mark.parametrize(
    ("steps", "at", "state", "due", "lapses", "late"),
    [
        pytest.param([], 3, "open", 14, None, [], id="with us"),
        pytest.param([], 16, "open", 14, None, [(14, 16)], id="we are late"),
        pytest.param(
            [("asked", 2, None, None)], 20, "asked", 14, None, [(14, 20)], id="a question that arrived nowhere"
        ),
        pytest.param([("asked", 2, 3, None)], 20, "asked", None, None, [], id="in a mailbox: our clock rests"),
        pytest.param([("asked", 2, 3, 8)], 20, "asked", None, 22, [], id="seen: theirs runs"),
        pytest.param([("asked", 2, None, 8)], 20, "asked", None, 22, [], id="seen, and never said to have arrived"),
        pytest.param([("asked", 2, 3, 8), ("answered", 9)], 10, "open", 20, None, [], id="answered: 11 days are left"),
        pytest.param([("asked", 13, 13.5, 14), ("answered", 20)], 21, "open", 25, None, [], id="never less than five"),
        pytest.param([("asked", 2, 3, None), ("noted", 4)], 5, "asked", None, None, [], id="a note changes nothing"),
        pytest.param([("mediation", 5)], 90, "mediation", None, None, [], id="with a third party"),
        pytest.param([("mediation", 5), ("mediated", 60)], 75, "open", 69, None, [(69, 75)], id="late after mediation"),
        pytest.param([("decided", 20)], 90, "decided", None, None, [(14, 20)], id="decided late"),
        pytest.param([("decided", 14)], 90, "decided", None, None, [], id="decided in the last moment"),
        pytest.param([("asked", 2, 3, 4), ("lapsed", 18)], 90, "lapsed", None, None, [], id="closed unanswered"),
        pytest.param([("withdrawn", 1)], 90, "withdrawn", None, None, [], id="withdrawn"),
    ],
)
def test_whose_turn_it_is(
    steps: list[tuple[object, ...]],
    at: float,
    state: str,
    due: float | None,
    lapses: float | None,
    late: list[tuple[int, int]],
) -> None:
    def instant(value: object) -> datetime | None:
        return day(value) if isinstance(value, int | float) else None

    known = [Step(StepKind.OPENED, T0)]
    for kind, when, *more in steps:
        known.append(Step(StepKind(str(kind)), instant(when) or T0, *(instant(one) for one in more)))
    found = clock(known, Policy(), at=day(at))
    assert found.state.value == state
    assert found.due_at == instant(due)
    assert found.lapses_at == instant(lapses)
    assert found.late == tuple(Period(day(a), day(b)) for a, b in late)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(list(StepKind)), st.floats(0, 9), st.booleans(), st.booleans()), max_size=8))
def test_our_lateness_lies_within_our_turns_and_only_grows(walk: list[tuple[StepKind, float, bool, bool]]) -> None:
    known, when = [Step(StepKind.OPENED, T0)], 0.0
    for kind, pause, arrived, reached in walk:
        state = clock(known, Policy(), at=day(when)).state
        when += round(pause, 2)
        if kind in MAY_FOLLOW[state]:
            known.append(Step(kind, day(when), day(when + 1) if arrived else None, day(when + 2) if reached else None))
    before = timedelta(0)
    for at in range(0, 120, 7):
        found = clock(known, Policy(), at=day(at))
        total = sum((period.end - period.start for period in found.late), timedelta(0))
        assert total >= before
        before = total
        assert all(T0 + Policy().decide_within <= period.start or len(known) > 1 for period in found.late)
        assert all(a.end <= b.start for a, b in zip(found.late, found.late[1:], strict=False))
        if found.state.is_closed:
            assert (found.due_at, found.lapses_at) == (None, None)
    days = stopped_days(found.late, ZoneInfo("Europe/Amsterdam"))
    assert all(first < after for first, after in days)
    assert sum((after - first).days for first, after in days) >= before.days


def test_days_of_delay_are_joined_and_in_the_zone() -> None:
    late = [Period(datetime(2026, 11, 1, 23, 30, tzinfo=UTC), day(1)), Period(day(1.2), day(2)), Period(day(9), day(9))]
    assert stopped_days(late, ZoneInfo("Europe/Amsterdam")) == ((date(2026, 11, 2), date(2026, 11, 4)),)
    until_midnight = Period(day(1), datetime(2026, 11, 4, 23, tzinfo=UTC))
    assert stopped_days([until_midnight], ZoneInfo("Europe/Amsterdam")) == ((date(2026, 11, 2), date(2026, 11, 5)),)


@pytest.mark.parametrize(
    ("earlier", "given_", "code"),
    [
        ([], {}, None),
        ([], {"reason": " "}, OpenRefusal.NO_REASON),
        ([], {"reason": "\u200b \u2060..."}, OpenRefusal.NO_REASON),  # nothing that anybody could read
        ([], {"on": date(2027, 11, 1)}, None),  # the 365th day
        ([], {"on": date(2027, 11, 2)}, OpenRefusal.TOO_LATE),
        ([], {"on": date(2027, 12, 1), "by_customer": False}, None),
        ([(1, {2}, State.OPEN)], {}, None),
        ([(1, {1, 2}, State.MEDIATION)], {}, OpenRefusal.OPEN_ALREADY),
        ([(1, {1}, State.WITHDRAWN)], {}, OpenRefusal.NEEDS_NEW_FACT),
        ([(1, {1}, State.DECIDED)], {"new_fact": "A log!"}, None),
        ([(1, {1}, State.DECIDED)], {"new_fact": "no, because"}, OpenRefusal.NEEDS_NEW_FACT),
        ([(1, {1}, State.DECIDED), (2, {1}, State.LAPSED)], {"new_fact": "x"}, OpenRefusal.TOO_OFTEN),
        ([(1, {1}, State.DECIDED), (2, {1}, State.LAPSED)], {"new_fact": "x", "by_customer": False}, None),
    ],
)
def test_whether_a_case_may_be_opened(
    earlier: list[tuple[int, set[int], State]], given_: dict[str, object], code: OpenRefusal | None
) -> None:
    known = [Earlier(n, frozenset(lines), state, "No - because", "") for n, lines, state in earlier]
    facts: dict[str, object] = {
        "reason": "not so",
        "new_fact": "",
        "on": date(2026, 12, 1),
        "by_customer": True,
        **given_,
    }
    refusal = may_open(lines=[1], issued_on=date(2026, 11, 1), earlier=known, policy=Policy(), **facts)  # type: ignore[arg-type]
    assert (None if refusal is None else refusal.code) == code


@settings(max_examples=150, deadline=None)
@given(
    st.integers(1, 10**7),
    st.integers(0, 10**7),
    st.integers(0, 10**7),
    st.integers(0, 10**7),
    st.sampled_from([Outcome.UPHELD, Outcome.PART, Outcome.REJECTED, Outcome.SHARED, Outcome.GOODWILL]),
)
def test_a_debt_without_lines_is_held_and_credited_within_what_is_left(
    left: int, named: int, accepted: int, asked: int, outcome: Outcome
) -> None:
    debt = Debt("2025-1", Money(left, "EUR"))
    contest = Contest(BY_WHOLE, Way.AMOUNT, amount=Money(named, "EUR"), accepted=Money(accepted, "EUR"))
    if not 0 < named <= left or accepted >= named:
        with pytest.raises(DisputeError):
            contested(debt, [contest])
        return
    found = contested(debt, [contest])
    assert found.gross.minor == found.net.minor == min(named - accepted, left)
    assert found.lines[0].explanation.recompute()["contested"] == found.gross.amount
    now = Debt("2025-1", Money(left // 2, "EUR"))  # half of it was given back by another case meanwhile
    given_: dict[str, object] = {"share": Fraction(1, 3)} if outcome is Outcome.SHARED else {}
    if outcome in (Outcome.PART, Outcome.GOODWILL):
        given_ = {"amounts": {BY_WHOLE: Money(asked, "EUR")}}
        most = found.net.minor - (outcome is Outcome.PART)
        if not 0 < asked <= most:
            with pytest.raises(DisputeError):
                decide(now, [(BY_WHOLE, found.net)], outcome, **given_)  # type: ignore[arg-type]
            return
    done = decide(now, [(BY_WHOLE, found.net)], outcome, **given_)  # type: ignore[arg-type]
    assert 0 <= done.gross.minor <= min(found.gross.minor, left // 2)
    assert (done.tax.minor, done.net + done.stands) == (0, found.net)
    assert done.explanation.recompute()["credit"] == done.gross.amount
