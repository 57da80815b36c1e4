"""Credits: published terms on worked months and GitHub's real windows, beside a second computation; and their laws."""

import csv
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from math import ceil, floor
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coulance_core.kernel import Money, Period
from coulance_core.sla.calendars import Calendar
from coulance_core.sla.credits import Charges, credit
from coulance_core.sla.downtime import MINUTE, Exclusion, Facts, Maintenance, Outage, downtime
from coulance_core.sla.intervals import EMPTY, Spans, micros
from coulance_core.sla.planning import plan, upstream
from coulance_core.sla.proof import TermsError, Tier, TierError, prove, tiers_below
from coulance_core.sla.terms import (
    Caps,
    Claim,
    Denominator,
    ErrorTiers,
    FreeSlots,
    From,
    MaintenanceTerms,
    Multiple,
    Started,
    Steps,
    Tiers,
    Together,
    UptimeTerms,
    Whole,
    YearOf,
)

F = Fraction
MAY = Period(datetime(2026, 5, 1, tzinfo=UTC), datetime(2026, 6, 1, tzinfo=UTC))
MAY_MINUTES = 44_640
FEE = Money(10_000, "EUR")
LIFE = Spans.of([(0, 2**60)])


def tiers(*below: tuple[str, int]) -> Tiers:
    return Tiers(tiers_below((F(bound), F(percent, 100)) for bound, percent in below))


def terms(target: str, *models: object, **more: object) -> UptimeTerms:
    return UptimeTerms("v1", F(target), models, **more)  # type: ignore[arg-type]


def minutes(*windows: tuple[int, int], at: datetime = MAY.start) -> Spans:
    start = micros(at)
    return Spans.of((start + a * MINUTE, start + b * MINUTE) for a, b in windows)


def facts(*windows: tuple[int, int], **more: object) -> Facts:
    """Outages in minutes from the start of May, each one of its own."""
    return Facts(MAY, LIFE, tuple(Outage(f"o{i}", minutes(w)) for i, w in enumerate(windows)), **more)  # type: ignore[arg-type]


# Published credit terms (the pages' own, as stored in 2026), each with the same rule written a second time on whole
# minutes: from the lengths of a month's outages (not overlapping) and the month's minutes to percent of the fee.
Second = Callable[[list[int], int], Fraction]


def by_tiers(*below: tuple[str, int]) -> Second:
    def rule(lengths: list[int], month: int) -> Fraction:
        availability = F(100) - F(100 * sum(lengths), month)
        return F(max([p for bound, p in below if availability < F(bound)], default=0))

    return rule


def lost(lengths: list[int], month: int, target: str = "0") -> Fraction:
    """Downtime past what a target allows, in minutes."""
    return max(F(0), sum(lengths) - (100 - F(target)) * month / 100 if target != "0" else F(sum(lengths)))


CRUCIAL = (("99.9", 5), ("99.5", 10), ("99", 20), ("98", 30))
PUBLISHED: list[tuple[str, UptimeTerms, Second]] = [
    ("Crucial", terms("99.9", tiers(*CRUCIAL)), by_tiers(*CRUCIAL)),
    ("AWS EC2 region", terms("99.99", tiers(("99.99", 10), ("99", 30), ("95", 100))),
     by_tiers(("99.99", 10), ("99", 30), ("95", 100))),
    ("AWS Compute Optimizer", terms("99.9", tiers(("99.9", 10), ("99", 25), ("95", 100))),
     by_tiers(("99.9", 10), ("99", 25), ("95", 100))),
    ("Cloud Digit VM", terms("99.95", tiers(("99.95", 10), ("99", 25), ("95", 50)), caps=Caps(period=F(1, 2))),
     by_tiers(("99.95", 10), ("99", 25), ("95", 50))),
    ("DigitalOcean", terms("99.99", Multiple(F(1)), shortest=5 * MINUTE),
     lambda ls, m: percent if (percent := F(100 * sum(x for x in ls if x > 5), m)) > F("0.01") else F(0)),
    ("UpCloud", terms("100", Multiple(F(50)), shortest=5 * MINUTE),
     lambda ls, m: min(F(100), F(50 * 100 * sum(x for x in ls if x > 5), m))),
    ("Hosting King", terms("99.9", Multiple(F(10)), beyond_target=True),
     lambda ls, m: min(F(100), 10 * 100 * lost(ls, m, "99.9") / m)),
    ("domiserver", terms("99.9", Multiple(F(1)), beyond_target=True), lambda ls, m: 100 * lost(ls, m, "99.9") / m),
    ("Arcustech network", terms("100", Steps(30 * MINUTE, F(5, 100), Started.STARTED)),
     lambda ls, m: min(F(100), F(5 * sum(ceil(x / 30) for x in ls)))),
    ("Arcustech host", terms("100", Steps(60 * MINUTE, F(5, 100), Started.STARTED, grace=60 * MINUTE)),
     lambda ls, m: min(F(100), F(5 * sum(ceil(max(0, x - 60) / 60) for x in ls)))),
    ("Rackspace managed hosting", terms("100", Steps(30 * MINUTE, F(5, 100))),
     lambda ls, m: min(F(100), F(5 * sum(floor(x / 30) for x in ls)))),
    ("ServerRack", terms("100", Steps(30 * MINUTE, F(1), per_outage=False, in_days=True)),
     lambda ls, m: min(F(100), F(100 * (sum(ls) // 30) * 1440, m))),
    ("Virteche", terms("99.9", Steps(15 * MINUTE, F(1), per_outage=False, in_days=True), beyond_target=True),
     lambda ls, m: min(F(100), F(100 * floor(lost(ls, m, "99.9") / 15) * 1440, m))),
    ("OVH", terms("99.9", Steps(60 * MINUTE, F(5, 100), per_outage=False), beyond_target=True, shortest=3 * MINUTE,
                  caps=Caps(period=F(3, 10))),
     lambda ls, m: min(F(30), F(5 * floor(lost([x for x in ls if x > 3], m, "99.9") / 60)))),
]  # fmt: skip

HISTORIES = [[], [5], [6], [3, 4], [43], [44], [45, 60], [1], [14, 200, 30, 31], [720], [4000, 90], [44_640]]


@pytest.mark.parametrize(("name", "rule", "second"), PUBLISHED, ids=[p[0] for p in PUBLISHED])
def test_published_terms_on_worked_months(name: str, rule: UptimeTerms, second: Second) -> None:
    for lengths in HISTORIES:
        at, windows = 0, []
        for length in lengths:
            windows.append((at, at + length))
            at += length + 7
        windows = [(a, min(b, MAY_MINUTES)) for a, b in windows]
        found = credit(rule, facts(*windows), Charges(FEE))
        percent = second([b - a for a, b in windows], MAY_MINUTES)
        assert found.amount == Money(floor(percent * FEE.minor / 100 + F(1, 2)), "EUR"), (name, lengths)
        found.explanation.recompute()


@pytest.mark.data
def test_published_terms_on_github_s_real_windows(cases: Path) -> None:
    """Every month of GitHub's public incidents, priced under fourteen published terms; totals equal a second sum."""
    with (cases / "outages" / "github-status" / "downtime_windows.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["impact"] in ("major", "critical")]
    windows = [(datetime.fromisoformat(r["downtime_start"]), datetime.fromisoformat(r["downtime_end"])) for r in rows]
    assert len(windows) > 50
    first, last = min(w[0] for w in windows), max(w[1] for w in windows)
    down = Spans.of((micros(a), micros(b)) for a, b in windows)
    start = datetime(first.year, first.month, 1, tzinfo=UTC)
    ours, theirs = [0] * len(PUBLISHED), [0] * len(PUBLISHED)
    while start < last:
        end = (start + timedelta(days=32)).replace(day=1)
        whole = int((end - start).total_seconds() // 60)
        spans = down.clip(micros(start), micros(end))
        known = tuple(Outage(f"{i}", Spans.of([p])) for i, p in enumerate(spans.pairs()))
        lengths = [(b - a) // MINUTE for a, b in spans.pairs()]
        for i, (_, rule, second) in enumerate(PUBLISHED):
            ours[i] += credit(rule, Facts(Period(start, end), LIFE, known), Charges(FEE)).amount.minor
            theirs[i] += floor(second(lengths, whole) * FEE.minor / 100 + F(1, 2))
        start = end
    assert ours == theirs
    assert len([total for total in ours if total > 0]) >= 10


def test_cloudflare_pays_the_part_that_was_affected() -> None:
    """credit = outage minutes x affected ratio / scheduled minutes, with a year's cap of one month's fee."""
    rule = terms("100", Multiple(F(1), by_affected=True), caps=Caps(period=None, year=F(1)))
    half = Facts(MAY, LIFE, (Outage("a", minutes((0, 4464)), affected=F(1, 2)), Outage("b", minutes((4000, 5000)))))
    # b affected all and goes first: 1000 min; what is left of a counts by half: 4000 x 1/2.
    assert credit(rule, half, Charges(FEE)).amount.minor == round(10_000 * 3000 / MAY_MINUTES)
    nearly = Charges(FEE, credited=Money(9_900, "EUR"))
    assert credit(rule, half, nearly).amount.minor == 100


def test_ec2_gives_a_clock_hour_with_more_than_six_minutes_down() -> None:
    rule = terms("100", FreeSlots(60 * MINUTE, 6 * MINUTE))
    found = credit(rule, facts((54, 67), (130, 136), (200, 210)), Charges(FEE))
    # 6 and 7 minutes fall in the first two hours: the second is free. 6 in the third isn't more; 10 in the fourth is.
    assert found.amount.minor == round(10_000 * 120 / MAY_MINUTES)


def test_s3_takes_the_mean_of_five_minute_error_rates() -> None:
    rule = terms("99.9", ErrorTiers(tiers(("99.9", 10), ("99", 25), ("95", 100))))
    requests = np.array([100, 0, 200, 7])
    none = Facts(MAY, LIFE, requests=requests, errors=np.array([0, 0, 0, 0]))
    some = replace(none, errors=np.array([1, 0, 1, 0]))  # mean of 1 %, 0, 0.5 %, 0 is 0.375 %
    assert [credit(rule, f, Charges(FEE)).amount.minor for f in (none, some)] == [0, 1000]
    with pytest.raises(ValueError, match="more errors than requests"):
        credit(rule, replace(none, errors=np.array([0, 1, 0, 0])), Charges(FEE))
    why = credit(rule, some, Charges(FEE)).explanation
    assert why.recompute()["success"] == F("99.625")
    # Slots that begin in maintenance, or when nothing was promised, don't count.
    five = 5 * MINUTE
    timed = replace(some, slots=micros(MAY.start) + five * np.arange(-1, 3))
    assert credit(rule, timed, Charges(FEE)).explanation.recompute()["error rates together"] == F(1, 200)
    work = Maintenance("m", micros(MAY.start) + five, micros(MAY.start) + 2 * five, 0)
    assert credit(rule, replace(timed, maintenance=(work,)), Charges(FEE)).amount.minor == 0


def test_a_broken_promise_shows_without_a_fee() -> None:
    found = credit(terms("100", Multiple(F(10))), facts((0, 30)), Charges(Money(0, "EUR")))
    assert (found.amount.minor, found.share) == (0, F(300, MAY_MINUTES))
    assert credit(terms("99", Multiple(F(1))), facts((0, 3)), Charges(FEE)).share == 0


def test_a_year_s_cap_is_of_the_dearest_month_or_of_all_the_year_s_fees() -> None:
    rule = terms("100", Multiple(F(50)), caps=Caps(period=None, year=F(1, 10)))
    cost = Charges(Money(100, "EUR"), month=Money(2_000, "EUR"), year=Money(9_000, "EUR"), credited=Money(50, "EUR"))
    down = facts((0, 40_000))
    assert credit(rule, down, cost).amount.minor == 150
    whole = replace(rule, caps=Caps(period=None, year=F(1, 10), year_of=YearOf.YEAR))
    assert credit(whole, down, cost).amount.minor == 850


def test_gce_drops_parts_of_minutes() -> None:
    rule = terms("99.9", Multiple(F(1)), whole=Whole.WHOLE_MINUTES)
    start = micros(MAY.start)
    known = Facts(
        MAY,
        LIFE,
        (Outage("o", Spans.of([(start, start + 59_999_999), (start + 2 * MINUTE, start + 62 * MINUTE + 5)])),),
    )
    assert downtime(rule, known).length == 60 * MINUTE


PLAIN = terms("99.9", Multiple(F(1)))
WORK = Maintenance("m", micros(MAY.start) + 500 * MINUTE, micros(MAY.start) + 560 * MINUTE, micros(MAY.start))
FLOOD = Exclusion("attack", minutes((500, 530)), "flow log 17")
FRIDAY_8 = MaintenanceTerms(window=Calendar.weekly("UTC", {"fri": ["08:00-09:00"]}))
RULES = [
    ("committed hours only", replace(PLAIN, hours=Calendar.weekly("UTC", {"fri": ["09:00-17:00"]})), {}, 60, 5 * 480),
    ("maintenance that was announced", PLAIN, {"maintenance": (WORK,)}, 60, MAY_MINUTES),
    ("announced too late", replace(PLAIN, maintenance=MaintenanceTerms(notice=600 * MINUTE)),
     {"maintenance": (WORK,)}, 120, MAY_MINUTES),
    ("never announced", PLAIN, {"maintenance": (replace(WORK, announced_at=None),)}, 120, MAY_MINUTES),
    ("past its quota", replace(PLAIN, maintenance=MaintenanceTerms(quota=20 * MINUTE)),
     {"maintenance": (WORK,)}, 100, MAY_MINUTES),
    ("outside the window for a part", replace(PLAIN, maintenance=FRIDAY_8),
     {"maintenance": (WORK,)}, 80, MAY_MINUTES),
    ("maintenance is credited, openly", replace(PLAIN, maintenance=MaintenanceTerms(credited=True)),
     {"maintenance": (WORK,)}, 120, MAY_MINUTES),
    ("an exclusion that was agreed", replace(PLAIN, excluded=frozenset({"attack"})),
     {"exclusions": (FLOOD,)}, 90, MAY_MINUTES),
    ("one that was not", PLAIN, {"exclusions": (FLOOD,)}, 120, MAY_MINUTES),
    ("suspended by right", PLAIN, {"suspended": minutes((600, 1500))}, 60, MAY_MINUTES - 900),
    ("unknown time is credited", PLAIN, {"unknown": minutes((1000, 1030), (560, 570))}, 160, MAY_MINUTES),
    ("unless other evidence shows it up", PLAIN,
     {"unknown": minutes((1000, 1030)), "shown_up": minutes((1010, 1030))}, 130, MAY_MINUTES),
    ("or the terms say otherwise", replace(PLAIN, unknown=False), {"unknown": minutes((1000, 1030))}, 120, MAY_MINUTES),
    ("100 % is 30 days", replace(PLAIN, denominator=Denominator.THIRTY_DAYS), {}, 120, 43_200),
    ("100 % is less what is excused", replace(PLAIN, denominator=Denominator.LESS_EXCLUDED),
     {"maintenance": (WORK,)}, 60, MAY_MINUTES - 60),
    ("nobody reported it", replace(PLAIN, counts_from=From.REPORTED), {}, 0, MAY_MINUTES),
]  # fmt: skip


@pytest.mark.parametrize(("name", "rule", "more", "down", "scheduled"), RULES, ids=[r[0] for r in RULES])
def test_what_counts(name: str, rule: UptimeTerms, more: dict[str, object], down: int, scheduled: int) -> None:
    """May 2026 began on a Friday. One outage from 08:20 to 09:20 and one from 0:00 to 1:00 on the 2nd."""
    found = downtime(rule, facts((500, 560), (1440, 1500), **more))
    if rule.hours is not None:
        down = 20  # 09:00 to 09:20 on the Friday
    assert (found.length // MINUTE, found.scheduled // MINUTE) == (down, scheduled)
    found.explanation.recompute()


def test_a_report_starts_the_clock() -> None:
    rule = replace(PLAIN, counts_from=From.REPORTED)
    start = micros(MAY.start)
    known = Facts(MAY, LIFE, (Outage("o", minutes((0, 60)), reported_at=start + 45 * MINUTE),))
    assert downtime(rule, known).length == 15 * MINUTE


def test_the_shortest_outage_before_and_after_maintenance() -> None:
    known = facts((0, 10), maintenance=(Maintenance("m", micros(MAY.start), micros(MAY.start) + 6 * MINUTE, 0),))
    before, after = replace(PLAIN, shortest=5 * MINUTE), replace(PLAIN, shortest=5 * MINUTE, shortest_after=True)
    assert [downtime(r, known).length // MINUTE for r in (before, after)] == [4, 0]


def test_caps_together_and_small_credits() -> None:
    two = terms("99.9", Steps(60 * MINUTE, F(5, 100)), Multiple(F(1)))
    known = facts((0, 125), (300, 370))
    assert credit(two, known, Charges(FEE)).amount.minor == 1500 + round(10_000 * 195 / MAY_MINUTES)
    assert credit(replace(two, together=Together.BEST), known, Charges(FEE)).amount.minor == 1500
    incident = replace(two, models=two.models[:1], caps=Caps(incident=F(7, 100)))
    assert credit(incident, known, Charges(FEE)).amount.minor == 700 + 500
    before = replace(two, caps=Caps(before=F(1, 10)))
    assert credit(before, known, Charges(FEE, before=Money(4_000, "EUR"))).amount.minor == 400
    aws = replace(two, least=Money(10_000, "EUR"))
    assert credit(aws, known, Charges(FEE)).amount.minor == 0


def test_what_was_credited_beyond_a_year_s_cap_is_not_taken_back() -> None:
    rule = terms("99.9", tiers(("99.9", 100)), caps=Caps(year=F(3, 2)))
    made = credit(rule, facts((0, 100)), Charges(FEE, credited=Money(20_000, "EUR")))
    assert (made.amount.minor, made.uncapped) == (0, F(100))


def test_maintenance_announced_exactly_in_time_is_excused_and_a_moment_later_isn_t() -> None:
    start, day = micros(MAY.start), 1440 * MINUTE
    rule = replace(PLAIN, maintenance=MaintenanceTerms(notice=day))
    for late, down in ((0, 0), (1, 60)):
        work = Maintenance("m", start, start + 60 * MINUTE, start - day + late)
        assert downtime(rule, facts((0, 60), maintenance=(work,))).length == down * MINUTE


def test_silence_during_an_outage_of_a_part_is_that_part() -> None:
    """What is known to be down by half isn't unknown besides, and down by the whole."""
    half = Outage("o", minutes((0, 60)), affected=F(1, 2))
    known = Facts(MAY, LIFE, (half,), unknown=minutes((0, 60)))
    rule = terms("100", Multiple(F(1), by_affected=True))
    assert [(p.key, p.affected) for p in downtime(rule, known).pieces] == [("o", F(1, 2))]


def test_a_year_s_cap_forgets_the_month_twelve_months_before() -> None:
    rule = terms("99.9", tiers(("99.9", 100)), caps=Caps(year=F(3, 2)))
    history = []
    starts = [datetime(2025 + n // 12, n % 12 + 1, 1, tzinfo=UTC) for n in range(4, 19)]
    for n, period in enumerate(map(Period, starts, starts[1:])):
        down = (Outage("o", minutes((0, 100), at=period.start)),) if n in (0, 11, 12) else ()
        history.append((Facts(period, LIFE, down), Charges(FEE)))
    found = [m.credit.amount.minor for m in plan(rule, history, ZoneInfo("UTC")).months]
    # The twelfth month finds the first one's 100.00; the thirteenth only the twelfth's 50.00, and is whole again.
    assert [found[n] for n in (0, 11, 12)] == [10_000, 5_000, 10_000]


@st.composite
def months(draw: st.DrawFn) -> list[tuple[int, int]]:
    """Outages in minutes that don't touch."""
    edges = sorted(draw(st.lists(st.integers(0, MAY_MINUTES), max_size=8, unique=True)))
    return [(a, b) for a, b in zip(edges[::2], edges[1::2], strict=False) if b > a]


@settings(max_examples=60)
@given(months(), st.sampled_from(PUBLISHED), st.integers(1, 90))
def test_longer_downtime_never_credits_less_and_no_cap_is_passed(
    windows: list[tuple[int, int]], published: tuple[str, UptimeTerms, Second], more: int
) -> None:
    _, rule, _ = published
    less = credit(rule, facts(*windows), Charges(FEE)).amount
    if windows:
        last = windows[-1]
        longer = [*windows[:-1], (last[0], min(last[1] + more, MAY_MINUTES))]
        assert credit(rule, facts(*longer), Charges(FEE)).amount >= less
    assert less <= Money(10_000, "EUR")
    # Doubles, another order, and evidence split at any minute leave the downtime as it is.
    shuffled = Facts(MAY, LIFE, tuple(Outage(f"x{i}", minutes(w)) for i, w in enumerate([*windows[::-1], *windows])))
    assert downtime(rule, shuffled).spans == downtime(rule, facts(*windows)).spans


@settings(max_examples=40)
@given(months(), months(), months(), st.booleans())
def test_downtime_equals_a_bitmap_of_minutes(
    one: list[tuple[int, int]], two: list[tuple[int, int]], away: list[tuple[int, int]], agreed: bool
) -> None:
    rule = replace(PLAIN, excluded=frozenset({"attack"} if agreed else ()))
    known = facts(*one, *two, exclusions=(Exclusion("attack", minutes(*away) if away else EMPTY, "e"),))
    bits = np.zeros(MAY_MINUTES, bool)
    for a, b in [*one, *two]:
        bits[a:b] = True
    for a, b in away if agreed else []:
        bits[a:b] = False
    assert downtime(rule, known).length == int(bits.sum()) * MINUTE


def test_a_plan_over_months_and_what_to_claim_upstream() -> None:
    rule = terms("99.9", tiers(("99.9", 100)), caps=Caps(year=F(3, 2)), claim=Claim(30))
    history = []
    for month in (5, 6, 7):
        period = Period(datetime(2026, month, 1, tzinfo=UTC), datetime(2026, month + 1, 1, tzinfo=UTC))
        history.append((Facts(period, LIFE, (Outage("o", minutes((0, 100), at=period.start)),)), Charges(FEE)))
    found = plan(rule, history, ZoneInfo("UTC"))
    assert [m.credit.amount.minor for m in found.months] == [10_000, 5_000, 0]
    assert (found.total.minor, found.missed, found.share) == (15_000, 2, F(1, 2))
    assert found.worst.start.month == 5
    claim = upstream(
        "carrier", rule, found.months[1].credit, Money(8_000, "EUR"), datetime(2026, 7, 1, tzinfo=UTC).date()
    )
    assert (claim.amount.minor, claim.by.isoformat() if claim.by else "", claim.short.minor) == (
        5_000,
        "2026-07-31",
        3_000,
    )
    with pytest.raises(ValueError, match="at least one period"):
        plan(rule, [], ZoneInfo("UTC"))


def band(low: str, high: str, percent: int) -> Tier:
    return Tier(F(low), F(high), F(percent, 100))


# Tables as they are printed on real pages (bands to one decimal), and what is wrong with each.
TOP = band("99.9", "100", 0)
FAULTY = [
    ([band("0", "90", 50), band("90", "94.9", 25), band("95", "98.9", 10), band("99", "99.9", 5), TOP],
     "between tiers 90 to 94.9 and 95 to 98.9: 94.9 to 95 is in neither"),
    ([band("0", "99.7", 20), band("99.8", "100", 0)], "tiers 0 to 99.7 and 99.8 to 100: 99.7 to 99.8 is in neither"),
    ([band("0", "99.6", 20), band("99.5", "100", 0)], "tiers 0 to 99.6 and 99.5 to 100: 99.5 to 99.6 is in both"),
    ([band("0", "99", 10), band("99", "100", 20)], "less availability would credit less"),
    ([band("90", "100", 0)], "tier 90 to 100: nothing is said of 0 to 90"),
    ([band("0", "99", 0)], "tier 0 to 99: nothing is said of 99 to 100"),
    ([band("0", "0", 0)], "it is empty"),
    ([band("0", "100", 150)], "expected a share between 0 and 1"),
    ([], "there are none"),
]  # fmt: skip


@pytest.mark.parametrize(("table", "fault"), FAULTY)
def test_a_table_that_fails_says_where(table: list[Tier], fault: str) -> None:
    with pytest.raises(TermsError) as told:
        prove(table)
    assert fault in str(told.value)


@given(
    st.lists(st.fractions(0, 100, max_denominator=20), min_size=1, max_size=4, unique=True),
    st.fractions(0, 100, max_denominator=40),
)
def test_proven_tiers_say_one_thing_everywhere(bounds: list[Fraction], availability: Fraction) -> None:
    bounds = sorted(b for b in bounds if b > 0)
    if not bounds:
        return
    table = tiers_below((b, F(1, i + 1)) for i, b in enumerate(bounds))
    holding = [
        t for t in table if t.least <= availability and (availability < t.below or t.below == 100 == availability)
    ]
    assert Tiers(table).credit(availability) == min(t.credit for t in holding)
    assert len([t for t in holding if t.least != t.below]) <= 1


def test_terms_that_can_not_be_meant() -> None:
    for make in (
        lambda: terms("0", Multiple(F(1))),
        lambda: terms("99.9"),
        lambda: terms("99.9", Multiple(F(0))),
        lambda: terms("99.9", tiers(("99.99", 10))),  # credits where the promise was kept
        lambda: terms("99.9", Steps(0, F(1, 10))),
        lambda: FreeSlots(60, 60),
        lambda: Caps(period=F(-1)),
        lambda: tiers_below([(F(99), F(1)), (F(99), F(1, 2))]),
    ):
        with pytest.raises(TermsError):
            make()
    with pytest.raises(TierError, match="said twice"):
        tiers_below([(F(99), F(1)), (F(99), F(1, 2))])


@pytest.mark.parametrize(
    ("target", "below", "said"),
    [
        ("99.9", [("99", 10)], "credit nothing"),  # 99.5 breaks the promise, and nothing follows
        ("99", [("99.9", 10)], "credit something"),
        ("100", [("99", 10)], "credit nothing"),
    ],
)
def test_tiers_credit_from_the_target_down_and_not_above_it(
    target: str, below: list[tuple[str, int]], said: str
) -> None:
    with pytest.raises(TermsError, match=said):
        terms(target, tiers(*below))
    terms(below[0][0], tiers(*below))


@pytest.mark.parametrize("more", [{}, {"shortest_after": True}])
def test_an_outage_over_the_end_of_a_period_is_one_and_no_two_short_ones(more: dict[str, object]) -> None:
    june = Period(MAY.end, datetime(2026, 7, 1, tzinfo=UTC))
    over = Outage("o", minutes((-10, 10), at=MAY.end))
    rule = terms("100", Multiple(F(1)), shortest=15 * MINUTE, **more)
    assert [downtime(rule, Facts(p, LIFE, (over,))).length // MINUTE for p in (MAY, june)] == [10, 10]
    excused = (Maintenance("m", micros(MAY.end) - 20 * MINUTE, micros(MAY.end) - 4 * MINUTE, 0),)
    found = [downtime(rule, Facts(p, LIFE, (over,), maintenance=excused)).length // MINUTE for p in (MAY, june)]
    # After maintenance came off 14 minutes are left; June doesn't know of that in May, and doubt is the customer's.
    assert found == ([0, 10] if more else [4, 10])


def test_a_least_credit_in_another_currency_forgives_nothing() -> None:
    rule = terms("100", Multiple(F(1)), least=Money(100_000, "USD"))
    tenth = Outage("o", minutes((0, MAY_MINUTES // 10)))
    assert credit(rule, Facts(MAY, LIFE, (tenth,)), Charges(FEE)).amount == Money(FEE.minor // 10, "EUR")
