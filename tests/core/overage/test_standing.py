"""Where a meter stands: warnings once each, stops by hand, and stops that agree with how the period settles."""

from fractions import Fraction as F

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tests.core.overage.worlds import T0, VERSION, epoch, limits, models

from coulance_core.catalog.terms import PerUnit
from coulance_core.kernel import Money
from coulance_core.overage.settle import Draws, Meter, settle
from coulance_core.overage.standing import (
    Action,
    BurstStanding,
    Of,
    Policy,
    Standing,
    Stop,
    Threshold,
    arm,
    crossed,
    decide,
    exposure_bound,
    stop_point,
)
from coulance_core.overage.terms import Absorbed, Consent, Facts, Limit, PriceTerms, Span

GB = PriceTerms(VERSION, PerUnit(F(1, 10)), "EUR", F(21))


def consent(amount: str | None = None, quantity: int | None = None, ahead: str | None = None) -> Consent:
    limit = Limit(
        None if amount is None else Money.of(amount, "EUR"),
        None if quantity is None else F(quantity),
        "quantity" if amount is None else "amount",
    )
    return Consent("c", Span(T0), limit, VERSION, (Span(T0),), None if ahead is None else Money.of(ahead, "EUR"))


FINE = {"verified": True, "warned": True}
FIVE = Money.of("5.00", "EUR")
STOPS: list[tuple[str, dict[str, object], str | None, Stop | None]] = [
    ("nobody agreed", {}, "1000", Stop.ALLOWANCE),
    ("nobody agreed, 10 % free", {"tolerance": F(100)}, "1100", Stop.ALLOWANCE),
    ("agreed, and no verified contact", {"consent": consent("50.00"), "warned": True}, "1000", Stop.DORMANT),
    ("50.00 payable", {"consent": consent("50.00"), **FINE}, "1413.2", Stop.LIMIT),
    ("200 GB", {"consent": consent(quantity=200), **FINE}, "1200", Stop.LIMIT),
    (
        "100 GB absorbed",
        {"consent": consent(quantity=200), "used": F(1150), "billable": F(50), **FINE},
        "1300",
        Stop.LIMIT,
    ),
    ("not warned yet", {"consent": consent(quantity=200), "used": F(1150), "verified": True}, "1200", Stop.LIMIT),
    ("5.00 must be acknowledged", {"consent": consent("50.00"), "exposure": FIVE, **FINE}, "1050", Stop.EXPOSURE),
    ("and was", {"consent": consent("50.00"), "exposure": FIVE, "acknowledged": True, **FINE}, "1413.2", Stop.LIMIT),
    ("20.00 ahead", {"consent": consent("50.00", ahead="20.00"), "exposure": FIVE, **FINE}, "1200", Stop.EXPOSURE),
    ("absorbed counts too", {"consent": consent("50.00"), "exposure": FIVE, "verified": True}, "1050", Stop.EXPOSURE),
]


@pytest.mark.parametrize(("known", "where", "why"), [s[1:] for s in STOPS], ids=[s[0] for s in STOPS])
def test_stops_by_hand(known: dict[str, object], where: str | None, why: Stop | None) -> None:
    point = stop_point(Standing(**({"used": F(900), "included": F(1000), "terms": GB} | known)))  # type: ignore[arg-type]
    assert point is not None
    assert (point.at, point.why) == (F(where or 0), why)


def test_a_free_price_stops_nowhere() -> None:
    free = PriceTerms(VERSION, PerUnit(F(0)), "EUR")
    decision = decide(Standing(F(9999), F(1000), free, consent=consent("50.00"), verified=True, warned=True), Policy())
    assert (decision.act, decision.point, decision.left) == (None, None, None)


@pytest.mark.parametrize(
    ("used", "policy", "act"),
    [
        ("999.9", Policy(), None),
        ("1000", Policy(), Action.PAUSE),
        ("1000", Policy(Action.ABSORB), Action.ABSORB),
        ("995", Policy(reserve=F(10)), None),
        ("995", Policy(reserve=F(10), budget_spent=True), Action.PAUSE),
    ],
)
def test_the_reserve_counts_once_the_budget_is_spent(used: str, policy: Policy, act: Action | None) -> None:
    decision = decide(Standing(F(used), F(1000), GB), policy)
    assert decision.act is act
    assert decision.explanation.recompute()["left"] <= 1000


THRESHOLDS = [
    Threshold("half", Of.ALLOWANCE, F(1, 2)),
    Threshold("all", Of.ALLOWANCE, F(1)),
    Threshold("near", Of.LIMIT, F(9, 10)),
    Threshold("1.2 TB", Of.QUANTITY, F(1200)),
    Threshold("10 euro", Of.OVERAGE, F(10)),
]


def within_limit(used: F) -> Standing:
    word, billable = consent(quantity=500), max(used - 1000, F(0))
    return Standing(used, F(1000), GB, billable, consent=word, verified=True, warned=True)


@given(st.lists(st.integers(0, 400), min_size=1, max_size=12))
def test_each_warning_once_whatever_the_steps(steps: list[int]) -> None:
    told: list[str] = []
    used = F(0)
    for step in steps:
        used += step
        now = Standing(
            used,
            F(1000),
            GB,
            consent=consent(quantity=500),
            verified=True,
            warned=True,
            billable=max(used - 1000, F(0)),
        )
        armed = arm(
            THRESHOLDS,
            Standing(
                used - step,
                F(1000),
                GB,
                consent=consent(quantity=500),
                verified=True,
                warned=True,
                billable=max(used - step - 1000, F(0)),
            ),
            told=told,
        )
        fresh = crossed(THRESHOLDS, now, told=told)
        if fresh:
            assert armed is not None  # the armed number was passed: no crossing without it
            assert armed <= used
        told.extend(t.key for t, _ in fresh)
    assert len(told) == len(set(told))
    expected = {"half": 500, "all": 1000, "near": 1450, "1.2 TB": 1200, "10 euro": 1100}
    assert set(told) == {key for key, at in expected.items() if used >= at}


def test_a_share_of_no_limit_is_nowhere() -> None:
    assert [t.key for t, _ in crossed(THRESHOLDS, Standing(F(5000), F(1000), GB))] == [
        "half",
        "all",
        "10 euro",
        "1.2 TB",
    ]


@settings(max_examples=150)
@given(models(), limits(), st.integers(0, 50), st.integers(1, 500), st.sampled_from([None, Money(700, "EUR")]))
def test_stopping_there_leaves_nothing_absorbed_and_going_on_bills_nothing_more(
    model: object, limit: Limit, included: int, more: int, exposure: Money | None
) -> None:
    """The decision and the settlement speak of one limit: the last unit before the stop is billable, none after it."""
    terms = PriceTerms(VERSION, model, "EUR", F(21))  # type: ignore[arg-type]
    word = Consent("c", Span(T0), limit, VERSION, (Span(T0),))
    point = stop_point(Standing(F(0), F(included), terms, consent=word, verified=True, warned=True, exposure=exposure))
    assume(point is not None)
    assert point is not None
    known = Facts((word,), (Span(T0),), exposure=exposure)

    def use(quantity: F) -> tuple[F, dict[Absorbed, F]]:
        draws = Draws.of("s", [epoch(0)], [epoch(300)], [quantity.numerator], F(1, quantity.denominator))
        (settled,) = settle([Meter("m", "GB", F(included), terms, (draws,))], known)
        return settled.billable, dict(settled.absorbed)

    billable, absorbed = use(point.at)
    assert (billable, absorbed) == (point.at - included, {})
    further, beyond = use(point.at + F(more, 7))
    assert further == billable
    assert sum(beyond.values()) == F(more, 7)


def test_exposure_is_what_the_line_carries_meanwhile() -> None:
    gigabit = F(125, 1000)  # GB a second
    assert str(exposure_bound(gigabit, 300, Standing(F(0), F(1000), GB))) == "3.75 EUR"


def test_burst_minutes_left_and_when_to_hold_a_port() -> None:
    month = BurstStanding(free=432, above=0, interval_s=300)
    assert month.minutes_left == 36 * 60
    assert not month.throttle(60)
    assert BurstStanding(432, 431, 300).throttle(60)
    assert BurstStanding(432, 440, 300).minutes_left == 0


@pytest.mark.parametrize(("of", "value"), [(Of.ALLOWANCE, F(0)), (Of.LIMIT, F(3, 2))])
def test_thresholds_that_cannot_be(of: Of, value: F) -> None:
    with pytest.raises(ValueError, match="value"):
        Threshold("t", of, value)
