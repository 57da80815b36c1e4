"""Credits for missed responses: worked numbers, and that a further miss never credits less."""

from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coulance_core.kernel import Money, Period
from coulance_core.sla.calendars import Calendar
from coulance_core.sla.clocks import Event, EventKind, clocks
from coulance_core.sla.intervals import micros
from coulance_core.sla.penalties import (
    Attainment,
    PenaltyError,
    PenaltyTerms,
    PerMissed,
    Stacking,
    TicketClock,
    response_credit,
)
from coulance_core.sla.responses import Promise, ResponseTerms, Span, Target

MAY = Period(datetime(2026, 5, 1, tzinfo=UTC), datetime(2026, 6, 1, tzinfo=UTC))
PROMISED = ResponseTerms(
    "v1", Calendar.always(), {(Promise.FIRST_RESPONSE, p): Target(Span.SECONDS, 900) for p in ("p1", "p2")}
)
FEE = Money(10_000, "EUR")
F = Fraction


def ticket(number: int, minutes: int, priority: str = "p1", opened: datetime = MAY.start) -> TicketClock:
    """A ticket that was answered after so many minutes."""
    start = opened + number * timedelta(minutes=30)
    events = [
        Event(micros(start), 0, EventKind.OPENED, priority),
        Event(micros(start + timedelta(minutes=minutes)), 1, EventKind.ANSWERED),
    ]
    return TicketClock(f"T{number}", clocks(events, PROMISED, micros(MAY.end + timedelta(days=30)))[0])


def kept_and_missed(kept: int, missed: int) -> list[TicketClock]:
    return [ticket(n, 10) for n in range(kept)] + [ticket(kept + n, 16) for n in range(missed)]


# HostDime: 5 % of the fee for each missed ticket, up to all of it. Equinix: P1 answered in 15 min, in 95 % of cases.
HOSTDIME = PenaltyTerms("hostdime", (PerMissed(Promise.FIRST_RESPONSE, F(5, 100)),))
EQUINIX = PenaltyTerms(
    "equinix", (Attainment(Promise.FIRST_RESPONSE, ((F(95, 100), F(10, 100)), (F(90, 100), F(25, 100)))),)
)

WORKED = [
    (HOSTDIME, 10, 0, 0), (HOSTDIME, 10, 1, 500), (HOSTDIME, 0, 3, 1500), (HOSTDIME, 0, 30, 10_000),
    (EQUINIX, 19, 1, 0), (EQUINIX, 18, 1, 1000), (EQUINIX, 9, 1, 1000), (EQUINIX, 8, 1, 2500), (EQUINIX, 0, 0, 0),
]  # fmt: skip


@pytest.mark.parametrize(("terms", "kept", "missed", "cents"), WORKED)
def test_worked(terms: PenaltyTerms, kept: int, missed: int, cents: int) -> None:
    credit = response_credit(terms, kept_and_missed(kept, missed), FEE, MAY)
    assert (credit.amount.minor, len(credit.missed)) == (cents, missed)
    assert credit.explanation.recompute()["rounded"] == F(cents, 100)


def test_a_share_is_judged_from_the_least_number_of_clocks_on() -> None:
    rule = Attainment(Promise.FIRST_RESPONSE, ((F(95, 100), F(10, 100)),), least=4)
    owed = PenaltyTerms("v1", (rule,))
    assert [response_credit(owed, kept_and_missed(n, 1), FEE, MAY).amount.minor for n in (2, 3)] == [0, 1000]


def test_it_counts_where_its_deadline_fell() -> None:
    late = ticket(0, 60, opened=MAY.end - timedelta(minutes=10))
    june = Period(MAY.end, MAY.end + timedelta(days=30))
    assert response_credit(HOSTDIME, [late], FEE, MAY).amount.minor == 0
    assert response_credit(HOSTDIME, [late], FEE, june).missed == ("T0",)
    edge = ticket(0, 60, opened=MAY.end - timedelta(minutes=15))  # due in the very instant: one period's, not two
    assert [response_credit(HOSTDIME, [edge], FEE, p).amount.minor for p in (MAY, june)] == [0, 500]


def test_priorities_stacking_and_few_tickets() -> None:
    two = PenaltyTerms("v", (PerMissed(Promise.FIRST_RESPONSE, F(1, 10), frozenset({"p2"})), *EQUINIX.rules))
    both = [ticket(0, 16, "p2"), ticket(1, 10, "p1")]
    assert response_credit(two, both, FEE, MAY).amount.minor == 3500
    best = PenaltyTerms("v", two.rules, stacking=Stacking.BEST)
    assert response_credit(best, both, FEE, MAY).amount.minor == 2500
    patient = PenaltyTerms("v", (Attainment(Promise.FIRST_RESPONSE, ((F(1), F(1)),), least=5),))
    assert response_credit(patient, kept_and_missed(3, 1), FEE, MAY).amount.minor == 0


@settings(max_examples=20)
@given(
    st.integers(0, 20), st.integers(0, 20), st.fractions(0, 1, max_denominator=20), st.sampled_from((HOSTDIME, EQUINIX))
)
def test_a_further_miss_never_credits_less_and_the_cap_holds(
    kept: int, missed: int, cap: Fraction, terms: PenaltyTerms
) -> None:
    terms = PenaltyTerms(terms.version, terms.rules, cap)
    less = response_credit(terms, kept_and_missed(kept + 1, missed), FEE, MAY).amount
    more = response_credit(terms, kept_and_missed(kept, missed + 1), FEE, MAY).amount
    assert less <= more
    assert more.amount <= FEE.amount * cap + F(1, 100)


@pytest.mark.parametrize(
    "make",
    [
        lambda: PerMissed(Promise.SOLUTION, F(2)),
        lambda: Attainment(Promise.SOLUTION, ()),
        lambda: Attainment(Promise.SOLUTION, ((F(9, 10), F(1, 10)), (F(95, 100), F(1, 4)))),
        lambda: Attainment(Promise.SOLUTION, ((F(9, 10), F(1, 4)), (F(8, 10), F(1, 10)))),
        lambda: PenaltyTerms("v", (), cap=F(3, 2)),
    ],
)
def test_terms_that_can_not_be_meant(make: object) -> None:
    with pytest.raises(PenaltyError):
        make()  # type: ignore[operator]
