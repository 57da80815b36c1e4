"""Bundles, the stop of a year, and what recurs: each beside figures made by hand."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coulance.contracts import queries
from coulance.contracts.errors import UnableToAgreeError, UnableToChangeError
from coulance.flows.contracts import bundling, by_period, changing, earning, fairness, penalties
from coulance.invoicing import queries as invoicing
from coulance.invoicing.check_laws import check_charges
from coulance.services import queries as services
from coulance_core.contracts.bundles import Bundle, Element, Lines, Part, WhenOneEnds, allocate
from coulance_core.contracts.terms import ContractError
from coulance_core.contracts.terms_file import read_contracts
from coulance_core.kernel import Money
from tests.contracts.desk import ACTOR, CONTRACTS, MAY, Desk, later

MORE = """
[[contracts.terms]]
name = "whole"
from = 2026-01-01
kind = "retainer"
title = "All in"
price = "100.00 EUR"
rate = "90.00 EUR"
response = "gold"
retainer = { hours = "1 h" }
renewal = { months = 12, notice_days = 30, early_share = "50 %" }
bundle = { lines = "each" }
element = [
  { key = "hosting", title = "Hosting", alone = "25.00 EUR", part = "service" },
  { key = "domain", title = "Domain", alone = "5.00 EUR", part = "service" },
  { key = "work", title = "An hour a month", alone = "80.00 EUR", part = "work" },
]

[[contracts.terms]]
name = "strips-in"
from = 2026-01-01
kind = "card"
title = "Strips"
price = "1000.00 EUR"
every = 12
bundle = { lines = "each", when_one_ends = "alone" }
card = [{ key = "10h", hours = "10 h", price = "900.00 EUR", months = 12 }]
element = [
  { key = "hosting", alone = "300.00 EUR", part = "service" },
  { key = "strips", alone = "900.00 EUR", part = "work", card = "10h" },
]

[[contracts.terms]]
name = "stopped"
from = 2026-01-01
kind = "fixed"
title = "Stopped"
price = "100.00 EUR"
stop = "40 h"
cover = { corrective = "included" }
cost = { hour = 50 }
loading = "0 %"

[contracts.worth]
discount = "0 %"
years = 2
"""


@pytest.fixture
def shop(desk: Desk) -> Desk:
    """The desk, with bundles, and two services of acme."""
    desk.world.provider(extra='email = "hulp@polder.example"\n', more=CONTRACTS + MORE)
    desk.world.service("web", "vps", "2026-05-01").service("name", "vps", "2026-05-01")
    return desk


PRICES = st.integers(0, 10**7)


@settings(max_examples=30)
@given(PRICES, st.lists(st.integers(0, 10**6), min_size=2, max_size=6), st.data())
def test_parts_add_up_to_the_cent_and_are_the_nearest_they_can_be(price: int, alone: list[int], data: Any) -> None:
    if not sum(alone):
        alone[0] = 1
    elements = tuple(
        Element(f"e{n}", f"E{n}", Money(cents, "EUR"), Part.WORK if n == 0 else Part.SERVICE)
        for n, cents in enumerate(alone)
    )
    ended = data.draw(st.sets(st.sampled_from([e.key for e in elements[1:]])))
    for ends in WhenOneEnds:
        found = allocate(Bundle(elements, when_one_ends=ends), Money(price, "EUR"), ended)
        assert sum(part.minor for part in found.parts.values()) == found.price.minor <= price
        assert set(found.parts) == {e.key for e in elements} - ended
        found.explanation.recompute()
    whole = allocate(Bundle(elements), Money(price, "EUR"))
    for one in elements:
        assert abs(whole.parts[one.key].minor - Fraction(price * one.alone.minor, sum(alone))) < 1
        assert whole.explanation.recompute()[f"part of {one.key}"] == whole.parts[one.key].amount


def test_what_is_no_bundle() -> None:
    one = Element("a", "A", Money(100, "EUR"), Part.WORK)
    wrongs: tuple[Callable[[], Any], ...] = (
        lambda: Bundle((one,)),
        lambda: Bundle((one, one)),
        lambda: Bundle((one, replace(one, key="b"))),
        lambda: Bundle((replace(one, alone=Money(0, "EUR")), Element("b", "B", Money(0, "EUR"), Part.SERVICE))),
        lambda: Bundle((replace(one, card="c"), Element("b", "B", Money(1, "EUR"), Part.SERVICE)), Lines.ONE),
    )
    for wrong in wrongs:
        with pytest.raises(ContractError):
            wrong()
    row: dict[str, Any] = {"name": "x", "from": "2026-01-01", "kind": "fixed", "price": "10.00 EUR"}
    element = {"key": "a", "alone": "1.00 EUR", "part": "work", "card": "no"}
    _, faults = read_contracts({"terms": [row | {"bundle": {"lines": "two"}, "element": [element]}]})
    assert [f.field for f in faults] == ["terms[0].bundle.lines"]
    _, faults = read_contracts(
        {"terms": [row | {"element": [element, {"key": "b", "alone": "1.00 USD", "part": "x"}]}]}
    )
    assert "terms[0].element[1].part" in [f.field for f in faults]


def test_a_bundle_bills_its_parts_and_an_element_that_ends_takes_its_part_along(shop: Desk) -> None:
    """100.00 for what costs 110.00 alone: 22.73, 4.54 (the smaller remainder) and 72.73."""
    with pytest.raises(UnableToAgreeError, match="domain, hosting"):
        shop.agrees("b1", "whole", elements={"hosting": "web"})
    with pytest.raises(UnableToAgreeError, match="no service"):
        shop.agrees("b1", "whole", elements={"hosting": "web", "domain": "nobody"})
    shop.agrees("b1", "whole", elements={"hosting": "web", "domain": "name"})
    with pytest.raises(UnableToAgreeError, match="in b1 already"):
        shop.agrees("b2", "whole", elements={"hosting": "web", "domain": "name"})
    shop.runs(MAY)
    fees = {c.element: c for c in queries.charges([shop.id("b1")])}
    assert {key: fee.amount.minor for key, fee in fees.items()} == {"hosting": 2273, "domain": 454, "work": 7273}
    document = invoicing.document(number=fees["work"].invoice)
    assert document.row.net == Money(10_000, "EUR")
    assert sorted(c.line or 0 for c in fees.values()) == [1, 2, 3]
    assert {name: [p.amount.minor for p in rows] for name, rows in _agreed().items()} == {"web": [0], "name": [0]}
    # The domain leaves with the next period; what stays keeps its part.
    on = bundling.end_element(key="b1", element="domain", on=date(2026, 5, 15), reason="moved", actor=ACTOR, at=MAY)
    assert (on, queries.contract("b1").fee_on(on)) == (date(2026, 6, 1), Money(9_546, "EUR"))
    assert _agreed()["name"][0].end == on
    with pytest.raises(UnableToChangeError, match="ends already"):
        bundling.end_element(key="b1", element="domain", on=date(2026, 7, 1), reason="x", actor=ACTOR, at=MAY)
    bundling.take_element_back(key="b1", element="domain", reason="it stays", actor=ACTOR, at=MAY)
    assert queries.contract("b1").fee_on(on) == Money(10_000, "EUR")
    bundling.end_element(key="b1", element="domain", on=date(2026, 5, 15), reason="moved", actor=ACTOR, at=MAY)
    with pytest.raises(UnableToChangeError, match="give notice"):
        bundling.end_element(key="b1", element="work", on=date(2026, 7, 1), reason="x", actor=ACTOR, at=MAY)
    june = datetime(2026, 6, 2, tzinfo=UTC)
    shop.runs(june)
    assert sum(c.amount.minor for c in queries.charges([shop.id("b1")]) if c.starts_on == on) == 9_546
    # Fair or not is judged by what the work is paid, not by the hosting.
    one = fairness.judge_one("b1", at=june)
    assert (one.price, one.rest) == (Money(87_276, "EUR"), Money(27_276, "EUR"))
    assert one.recurs == Money(114_552, "EUR")
    ends = changing.give_notice(key="b1", reason="they leave", actor=ACTOR, at=june)
    assert _agreed()["web"][0].end == ends
    changing.take_notice_back(key="b1", reason="they stay", actor=ACTOR, at=june)
    assert _agreed()["web"][-1].end is None
    assert list(check_charges()) == []


def _agreed() -> dict[str, Any]:
    rows = {row.id: row.external_id for row in services.services()}
    return {rows[n]: found for n, found in services.agreed_prices(list(rows)).items() if rows[n] in ("web", "name")}


def test_a_missed_answer_in_a_bundle_is_credited_over_its_lines(shop: Desk) -> None:
    """5 % a missed ticket of the whole 100.00; the work's line has only what an earlier credit left."""
    shop.agrees("b1", "whole", elements={"hosting": "web", "domain": "name"})
    shop.runs(MAY)
    for n in range(9):
        shop.tells(str(n), ("opened", later(0)), ("answered", later(4)))
    june = datetime(2026, 6, 4, 12, tzinfo=UTC)
    shop.runs(june)
    (credit,) = queries.credits_of([shop.id("b1")])
    assert credit.amount == Money(4_500, "EUR")
    assert invoicing.document(number=credit.credit_note).row.net == Money(-4_500, "EUR")
    assert penalties.unposted(queries.contract("b1")) == []


def test_a_card_comes_with_each_period_of_a_bundle_and_is_owed_until_used(shop: Desk) -> None:
    """1000.00 for 300.00 and 900.00: 250.00 and 750.00 for ten hours; alone they'd be at most what they cost alone."""
    shop.agrees("b1", "strips-in", elements={"hosting": "web"})
    shop.runs(MAY)
    shop.runs(MAY)
    assert shop.hours("b1", MAY).left == 36_000
    shop.works("b1", "e1", later(1), 60)
    shop.runs(later(30))
    (one,) = earning.outstanding(at=later(30))
    assert (one.owed, one.used, one.booked) == (Money(67_500, "EUR"), Money(7_500, "EUR"), True)
    assert [str(f) for f in earning.check_hours()] == []
    on = bundling.end_element(key="b1", element="hosting", on=date(2026, 6, 1), reason="x", actor=ACTOR, at=MAY)
    assert (on, queries.contract("b1").fee_on(on)) == (date(2027, 5, 1), Money(90_000, "EUR"))


def test_above_the_stop_of_a_year_work_waits_for_leave_and_one_bad_quarter_tips_no_price(shop: Desk) -> None:
    """Two contracts, 45 hours in one quarter of two years and none after: a bad quarter, a year of 45, not of 180."""
    start = later(-2800)
    for key in ("s1", "s2"):
        shop.agrees(key, "stopped", on="2026-01-01", at=start)
        for n in range(3):
            shop.works(key, f"{key}{n}", start + timedelta(days=3 + n), 15 * 60)
    end = datetime(2028, 1, 5, tzinfo=UTC)
    assert shop.went("s1", end) == {"fee": 2400, "absorbed": 300}
    one = fairness.judge_one("s1", at=end)
    # Years that were seen: 45, 0, 0, 0, 0 (windows of four quarters), a mean of 9 as 22.5 are expected of this one.
    facts = {f.name: f.value for f in one.advice.explanation.facts}
    assert facts["expected hours"] == "22.5"
    assert Fraction(facts["above the stop"]) == (Fraction(45 * 5, 2) - 40) / 5
    assert one.advice.explanation.recompute()["labour"] == 50 * (Fraction(45, 2) - Fraction(29, 2))


def test_what_recurs_is_worth_its_margin_as_long_as_it_is_expected_to_go_on(shop: Desk) -> None:
    """100.00 a month and no work: 1200.00 of margin. Two years are seen, nothing ended: 2/3 go on; discount nought."""
    shop.agrees("s1", "stopped", on="2026-01-01", at=later(-2800))
    at = datetime(2028, 1, 1, tzinfo=UTC)
    (portfolio,) = fairness.judge_all(at=at, years=10)
    seen = Fraction(730 * 4, 1461)
    sure = Fraction(31 * 4, 1461)  # it goes on by the month
    chance = 1 - 1 / (seen + 1)
    exact = 1200 * (sure + (1 - sure) * chance) * (1 + chance)
    assert portfolio.worth.goes_on == chance
    assert portfolio.worth.amount == Money(int(exact * 100), "EUR")
    changing.give_notice(key="s1", reason="they leave", actor=ACTOR, at=at)
    (portfolio,) = fairness.judge_all(at=at, years=10)
    assert portfolio.worth.amount.minor < 12_000 * 3


def test_quarters_add_up_to_what_was_paid_and_worked(shop: Desk) -> None:
    """A card at 90.00 an hour: 2 h in the first quarter, 1 h and a free one in the second, 7 h lapse in the fifth."""
    shop.agrees("k1", "strips").sells("k1")
    shop.works("k1", "e1", later(1), 120)
    shop.works("k1", "e2", later(24 * 100), 60)
    shop.works("k1", "e3", later(24 * 100 + 3), 60, free=True)
    end = datetime(2027, 5, 20, tzinfo=UTC)
    shop.runs(end)
    found = by_period.quarters(queries.contract("k1"), at=end)
    assert [str(q.start) for q in found] == ["2026-05-01", "2026-08-01", "2026-11-01", "2027-02-01", "2027-05-01"]
    assert [int(q.paid) for q in found] == [180, 90, 0, 0, 630]
    assert [(q.hours, q.free, q.lapsed) for q in found][:2] == [(2, 0, 0), (1, 1, 0)]
    assert [int(q.cost) for q in found[:2]] == [80, 80]
    one = fairness.judge_one("k1", at=end)
    assert sum(q.paid for q in found) == one.used.paid
    assert sum(q.hours for q in found) == one.used.hours
    shop.agrees("k2", "care")
    shop.runs(end)
    two = by_period.quarters(queries.contract("k2"), at=end)
    assert sum(q.paid for q in two) == fairness.judge_one("k2", at=end).used.paid
