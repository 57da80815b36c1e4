"""Settling a period: cases worked by hand, and the first law attacked by random histories."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from fractions import Fraction as F
from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from tests.core.overage.worlds import (
    T0,
    VERSION,
    Verdict,
    at,
    attacks,
    epoch,
    facts,
    in_force,
    judge,
    meters,
    payable,
)

from coulance_core.catalog.terms import Package, PerUnit
from coulance_core.kernel import Money, Rounding, round_to
from coulance_core.overage import settle as room
from coulance_core.overage.limit import most
from coulance_core.overage.settle import Attack, Draws, Meter, Settled, SettleError, settle
from coulance_core.overage.terms import Absorbed, Consent, Facts, Limit, PriceTerms, Span
from coulance_core.rating.models import price

HOUR = 3600
GB = PriceTerms(VERSION, PerUnit(F(1, 10)), "EUR", F(21))


def steady(service: str, each: int, samples: int, first: int = 0, cap: F | None = None) -> Draws:
    """`each` GB in every hour."""
    starts = [epoch(first + i * HOUR) for i in range(samples)]
    return Draws.of(service, starts, [s + HOUR for s in starts], [each] * samples, F(1), cap)


def always(amount: str | None = None, quantity: int | None = None, **more: Any) -> Consent:
    limit = Limit(
        None if amount is None else Money.of(amount, "EUR"),
        None if quantity is None else F(quantity),
        "amount" if amount is not None else "quantity",
    )
    given = {"in_force": Span(T0), "verified": (Span(T0),), "terms": VERSION} | more
    return Consent("c1", limit=limit, **given)


WARNED = (Span(T0),)


def one(included: int, draws: Draws, facts: Facts, terms: PriceTerms = GB, **more: Any) -> Settled:
    return settle([Meter("transfer", "GB", F(included), terms, (draws,), **more)], facts)[0]


# Ten samples of 10 GB, one an hour; 30 GB included: 70 GB past the allowance, the first of it in hour 3.
HOURS = steady("web-1", 10, 10)
TABLE: list[tuple[str, Facts, int, dict[Absorbed, int]]] = [
    ("no consent: nothing is charged", Facts(warned=WARNED), 0, {Absorbed.NO_CONSENT: 70}),
    ("consent and warning from the start", Facts((always("100.00"),), WARNED), 70, {}),
    ("a limit of 3.63 payable is 30 GB", Facts((always("3.63"),), WARNED), 30, {Absorbed.ABOVE_LIMIT: 40}),
    ("a limit of 45 GB", Facts((always(quantity=45),), WARNED), 45, {Absorbed.ABOVE_LIMIT: 25}),
    ("no verified contact", Facts((always("100.00", verified=()),), WARNED), 0, {Absorbed.DORMANT: 70}),
    (
        "verified only for the first five hours",
        Facts((always("100.00", verified=(Span(T0, at(5 * HOUR)),)),), WARNED),
        20,
        {Absorbed.DORMANT: 50},
    ),
    ("never warned", Facts((always("100.00"),)), 0, {Absorbed.NOT_WARNED: 70}),
    (
        "warned in the middle of hour 5: that sample is not charged",
        Facts((always("100.00"),), (Span(at(5 * HOUR + 60)),)),
        40,
        {Absorbed.NOT_WARNED: 30},
    ),
    (
        "warned at the stroke of hour 5: that sample is",
        Facts((always("100.00"),), (Span(at(5 * HOUR)),)),
        50,
        {Absorbed.NOT_WARNED: 20},
    ),
    (
        "the warning bounced, so it never was; reached by phone in hour 7",
        Facts((always("100.00"),), (Span(at(HOUR), at(HOUR)), Span(at(7 * HOUR)))),
        30,
        {Absorbed.NOT_WARNED: 40},
    ),
    (
        "consent given in hour 4 and withdrawn at hour 8",
        Facts((always("100.00", in_force=Span(at(4 * HOUR + 1), at(8 * HOUR))),), WARNED),
        30,
        {Absorbed.NO_CONSENT: 40},
    ),
    (
        "paused from hour 6 on, and it ran on for two hours more than we wanted",
        Facts((always("100.00"),), WARNED, paused=(Span(at(6 * HOUR), at(8 * HOUR)),)),
        50,
        {Absorbed.PAUSED: 20},
    ),
    (
        "a pause that begins within a sample spoils the sample",
        Facts((always("100.00"),), WARNED, paused=(Span(at(6 * HOUR + 1800), at(8 * HOUR)),)),
        50,
        {Absorbed.PAUSED: 20},
    ),
    (
        "raised from 20 GB to 50 GB in hour 6",
        Facts(
            (
                always(quantity=20, in_force=Span(T0, at(6 * HOUR))),
                replace(always(quantity=50, in_force=Span(at(6 * HOUR))), ref="c2"),
            ),
            WARNED,
        ),
        50,
        {Absorbed.ABOVE_LIMIT: 20},
    ),
    (
        "lowered to 10 GB when 30 were used: what was allowed stays charged, and no more",
        Facts(
            (
                always(quantity=50, in_force=Span(T0, at(6 * HOUR))),
                replace(always(quantity=10, in_force=Span(at(6 * HOUR))), ref="c2"),
            ),
            WARNED,
        ),
        30,
        {Absorbed.ABOVE_LIMIT: 40},
    ),
    (
        "3.00 of overage must be acknowledged, and nobody did",
        Facts((always("100.00"),), WARNED, exposure=Money.of("3.00", "EUR")),
        30,
        {Absorbed.NOT_ACKNOWLEDGED: 40},
    ),
    (
        "acknowledged at hour 8",
        Facts((always("100.00"),), WARNED, (at(8 * HOUR),), exposure=Money.of("3.00", "EUR")),
        50,
        {Absorbed.NOT_ACKNOWLEDGED: 20},
    ),
    (
        "5.00 acknowledged beforehand",
        Facts((always("100.00", pre_acknowledged=Money.of("5.00", "EUR")),), WARNED, exposure=Money.of("3.00", "EUR")),
        50,
        {Absorbed.NOT_ACKNOWLEDGED: 20},
    ),
    (
        "exposure counts what is not billable too: the warning came at hour 5, 20 GB in",
        Facts((always("100.00"),), (Span(at(5 * HOUR)),), exposure=Money.of("3.00", "EUR")),
        10,
        {Absorbed.NOT_WARNED: 20, Absorbed.NOT_ACKNOWLEDGED: 40},
    ),
]


@pytest.mark.parametrize(("facts", "billable", "absorbed"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_by_hand(facts: Facts, billable: int, absorbed: dict[Absorbed, int]) -> None:
    settled = one(30, HOURS, facts)
    assert settled.billable == billable
    assert settled.absorbed == absorbed
    assert (settled.metered, settled.included, settled.overage) == (100, 30, 70)


def test_steady_stream_without_consent_is_absorbed_whole() -> None:
    """25.9 TB at an even pace in 30 days, 1000 GB included, 0.10 a GB, no consent: nothing on the bill."""
    each = np.full(8640, 25_900_000_000_000 // 8640, np.int64)
    ends = epoch(0) + 300 * np.arange(1, 8641)
    draws = Draws.of("vps-1", ends - 300, ends, each, F(1, 10**9))
    paused = Span(at(int(30 * 86400 * 1000 / 25_900) + 1))
    settled = one(1000, draws, Facts(paused=(paused,)))
    assert settled.billable == 0
    assert settled.included == 1000
    assert settled.absorbed_total + 1000 == settled.metered == F(int(each.sum()), 10**9)
    assert set(settled.absorbed) == {Absorbed.NO_CONSENT, Absorbed.PAUSED}
    assert settled.absorbed[Absorbed.NO_CONSENT] < 3  # the sample in which the allowance ended


def test_fifty_euro_limit_with_a_late_pause() -> None:
    """50.00 payable, 21 % tax in it, 0.10 a GB: 413.2 GB; 3.2 GB ran through while the pause took effect."""
    draws = Draws.of(
        "vps-1", [epoch(0), epoch(300), epoch(600)], [epoch(300), epoch(600), epoch(900)], [10_000, 4_132, 32], F(1, 10)
    )
    settled = one(1000, draws, Facts((always("50.00"),), WARNED, paused=(Span(at(600), at(900)),)))
    assert settled.billable == F("413.2")
    assert settled.absorbed == {Absorbed.PAUSED: F("3.2")}
    net = round_to(price(GB.price, settled.billable), 2, Rounding.HALF_UP)
    assert (net, net + round_to(net * F(21, 100), 2, Rounding.HALF_UP)) == (F("41.32"), F("50.00"))


def test_limit_with_packages_is_the_largest_amount_below() -> None:
    blocks = PriceTerms(VERSION, Package(F(9), F(100)), "EUR", F(21))
    settled = one(30, steady("web-1", 100, 10), Facts((always("50.00"),), WARNED), blocks)
    assert settled.billable == 400  # four packages: 36.00, 43.56 payable; a fifth would be 54.45
    assert payable(blocks, settled.billable) == F("43.56")


def test_tolerance_lies_right_above_the_allowance() -> None:
    settled = one(30, HOURS, Facts((always("100.00"),), WARNED), tolerance=F(3))
    assert (settled.billable, settled.absorbed) == (67, {Absorbed.TOLERANCE: 3})


def test_a_flood_is_excluded_with_its_evidence() -> None:
    flood = Attack("web-1", Span(at(4 * HOUR), at(6 * HOUR)), "flow report 77")
    meter = Meter("transfer", "GB", F(30), GB, (HOURS,))
    (settled,) = settle([meter], Facts((always("100.00"),), WARNED), attacks=[flood])
    assert (settled.absorbed, settled.overage, settled.billable) == ({Absorbed.ATTACK: 20}, 50, 50)
    bounded = replace(flood, at_most=F(15))
    (settled,) = settle([meter], Facts((always("100.00"),), WARNED), attacks=[bounded])
    assert (settled.absorbed, settled.billable) == ({Absorbed.ATTACK: 15}, 55)


def test_a_pool_goes_by_who_drew_first_and_members_have_caps() -> None:
    early, late = steady("a", 10, 5), steady("b", 10, 5, first=2 * HOUR, cap=F(15))
    meter = Meter("pool:transfer", "GB", F(40), GB, (early, late))
    (settled,) = settle([meter], Facts((always(quantity=40),), WARNED))
    # a: hours 1-5, b: hours 3-7. 40 GB are in by the end of hour 3 (a 30, b 10); b may add 15 by itself.
    assert settled.by_service == {"a": 20, "b": 15}
    assert settled.absorbed == {Absorbed.ABOVE_LIMIT: 25}
    (tight,) = settle([meter], Facts((always(quantity=25),), WARNED))
    assert tight.by_service == {"a": 15, "b": 10}


def test_meters_share_an_amount_in_the_order_of_use() -> None:
    web = Meter("web", "GB", F(0), GB, (steady("web", 10, 3),))
    mail = Meter("mail", "GB", F(0), PriceTerms("m@1", PerUnit(F(1)), "EUR", F(21)), (steady("mail", 10, 2, HOUR),))
    shared = settle([web, mail], Facts((always("14.52"),), WARNED))
    # 12.00 net: web takes 1.00 in hour 1; in hour 2 web comes first (1.00), then mail 10 GB at 1.00: 12.00. Full.
    assert [s.billable for s in shared] == [20, 10]
    assert [s.absorbed.get(Absorbed.ABOVE_LIMIT, F(0)) for s in shared] == [10, 10]


def test_draws_that_cannot_be_are_refused() -> None:
    with pytest.raises(SettleError, match="rows"):
        Draws.of("a", [1], [2, 3], [4])
    with pytest.raises(SettleError, match="ascend"):
        Draws.of("a", [3, 1], [4, 2], [1, 1])
    with pytest.raises(SettleError, match="0 or more"):
        Draws.of("a", [1], [2], [-1])
    meter = Meter("t", "GB", F(0), GB, (HOURS,))
    with pytest.raises(SettleError, match="one key"):
        settle([meter, meter], Facts())


# ---- the law, attacked


def eligible(verdicts: list[Verdict]) -> F:
    return sum((v.beyond for v in verdicts if v.may), F(0))


def breach(meter: Meter, known: Facts, settled: Settled) -> str | None:
    """How a settlement breaks the law, or None. Written from the law, not from the code."""
    parts = settled.included + settled.billable + settled.absorbed_total
    if parts != settled.metered:
        return f"{parts} accounted for, {settled.metered} metered"
    if settled.metered != sum((int(d.amount.sum()) * d.factor for d in meter.draws), F(0)):
        return "not what was drawn"
    if settled.billable < 0 or any(q < 0 for q in settled.absorbed.values()):
        return "a part below nothing"
    verdicts = judge(meter, known)
    if settled.billable > eligible(verdicts):
        return f"{settled.billable} billable, {eligible(verdicts)} eligible"
    used, charged = F(0), F(0)
    for cut in settled.trail:
        used += cut.quantity
        if cut.reason is None:
            charged += cut.quantity
            word = next(c for c in known.consents if c.ref == cut.consent)
            changed, limit = word.terms != meter.terms.version, word.limit
            by_amount = limit.amount is not None and (limit.typed == "amount" or changed)
            if by_amount and limit.amount is not None and payable(meter.terms, charged) > limit.amount.amount:
                return f"{charged} costs more than {limit.amount}"
            if (limit.typed == "quantity" or changed) and limit.quantity is not None and charged > limit.quantity:
                return f"{charged} is more than {limit.quantity}"
    if settled.billable and not known.consents:
        return "billable without any consent"
    numbers = settled.explanation.recompute()
    if numbers["billable"] != settled.billable:
        return "the explanation says otherwise"
    return unacknowledged(meter, known, settled)


def unacknowledged(meter: Meter, known: Facts, settled: Settled) -> str | None:
    """Whether anything was charged past the exposure that nobody had acknowledged by then."""
    if known.exposure is None:
        return None
    used = F(0)
    (draws,) = meter.draws
    bound = F(0)
    for start, amount in zip(draws.start.tolist(), draws.amount.tolist(), strict=True):
        before, used = used, used + amount * draws.factor
        when = datetime.fromtimestamp(start, UTC)
        word = in_force(known, when)
        seen = any(instant <= when for instant in known.acknowledged)
        allowed = known.exposure.amount
        if word is not None and word.pre_acknowledged is not None:
            allowed = max(allowed, word.pre_acknowledged.amount)
        top = meter.included + meter.tolerance
        low = max(before, top)
        if used > low and (seen or price(meter.terms.price, used - meter.included) <= allowed):
            bound += used - low
        elif used > low:
            # Part of the sample may lie below the exposure: at most what the price allows.
            lo, hi = F(0), used - low
            for _ in range(40):
                middle = (lo + hi) / 2
                fits = price(meter.terms.price, low + middle - meter.included) <= allowed
                lo, hi = (middle, hi) if fits else (lo, middle)
            bound += hi
    return f"{settled.billable} billable past exposure {bound}" if settled.billable > bound else None


@settings(max_examples=120)
@given(meters(), facts())
def test_law_one(meter: Meter, known: Facts) -> None:
    (settled,) = settle([meter], known)
    assert breach(meter, known, settled) is None


@settings(max_examples=60)
@given(meters(), facts())
def test_nothing_is_absorbed_that_the_law_lets_us_charge(meter: Meter, known: Facts) -> None:
    """Without exposure and above no limit, exactly what the naive judge finds eligible is billable."""
    known = replace(known, exposure=None)
    (settled,) = settle([meter], known)
    if Absorbed.ABOVE_LIMIT not in settled.absorbed:
        assert settled.billable == eligible(judge(meter, known))
    elif len(known.consents) == 1:
        consent = known.consents[0]
        reached = most(consent.limit, meter.terms, consent.terms)
        assert settled.billable == reached


@settings(max_examples=40)
@given(meters(services=3), facts())
def test_a_pool_adds_up_and_keeps_its_caps(meter: Meter, known: Facts) -> None:
    (settled,) = settle([meter], known)
    assert settled.included + settled.billable + settled.absorbed_total == settled.metered
    assert sum(settled.by_service.values(), F(0)) == settled.billable
    for draws in meter.draws:
        drawn = int(draws.amount.sum()) * draws.factor
        assert settled.by_service.get(draws.service, F(0)) <= (drawn if draws.cap is None else min(drawn, draws.cap))
    together = replace(meter, draws=tuple(replace(d, cap=None) for d in meter.draws))
    (free,) = settle([together], known)
    assert free.billable >= settled.billable


@settings(max_examples=40)
@given(meters("one"), meters("two"), facts())
def test_meters_that_share_stay_within_one_limit(one: Meter, two: Meter, known: Facts) -> None:
    settled = settle([one, two], known)
    limits = [c.limit.amount for c in known.consents if c.limit.amount is not None and c.limit.typed == "amount"]
    if len(limits) == len(known.consents) and all(c.terms == VERSION for c in known.consents):
        spent = sum(
            (payable(m.terms, s.billable) for m, s in zip((one, two), settled, strict=True) if s.billable), F(0)
        )
        assert spent <= max((limit.amount for limit in limits), default=F(0))


@given(meters(), facts(), attacks("transfer-0"))
def test_attacks_are_taken_out_and_never_charged(meter: Meter, known: Facts, attack: Attack) -> None:
    (plain,) = settle([meter], known)
    (spared,) = settle([meter], known, attacks=[attack])
    assert spared.metered == plain.metered
    assert spared.included + spared.billable + spared.absorbed_total == spared.metered
    assert spared.overage <= plain.overage
    if attack.at_most is not None:
        assert spared.absorbed.get(Absorbed.ATTACK, F(0)) <= attack.at_most


MUTATIONS: list[tuple[str, Callable[[pytest.MonkeyPatch], None]]] = [
    ("a consent need not be in force", lambda m: m.setattr(room, "_regime", _mutant(Absorbed.NO_CONSENT))),
    ("a contact need not be verified", lambda m: m.setattr(room, "_regime", _mutant(Absorbed.DORMANT))),
    ("nobody need be warned", lambda m: m.setattr(room, "_regime", _mutant(Absorbed.NOT_WARNED))),
    ("use while paused is charged", lambda m: m.setattr(room, "_regime", _mutant(Absorbed.PAUSED))),
    ("the limit is forgotten", lambda m: m.setattr(room, "_left", lambda *_: None)),
    ("exposure is forgotten", lambda m: m.setattr(room, "_exposure", lambda *_: None)),
    ("a sample is judged by its start", lambda m: m.setattr(room, "strictest", lambda _r, first, _l: first)),
    ("a sample is judged by its end", lambda m: m.setattr(room, "strictest", lambda _r, _f, last: last)),
]

_original = room._regime


def _mutant(forgiven: Absorbed) -> Callable[..., Any]:
    def regime(start: int, known: Facts) -> Any:
        found = _original(start, known)
        if found.reason is not forgiven:
            return found
        consent = found.consent or (known.consents[0] if known.consents else None)
        return replace(found, reason=None if consent else Absorbed.NO_CONSENT, consent=consent)

    return regime


@pytest.mark.parametrize("mutate", [m[1] for m in MUTATIONS], ids=[m[0] for m in MUTATIONS])
def test_dropping_any_condition_is_seen(
    mutate: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    mutate(monkeypatch)

    class Seen(Exception):
        pass

    @settings(max_examples=1500, database=None, derandomize=True, phases=[Phase.generate])
    @given(meters(), facts())
    def attack(meter: Meter, known: Facts) -> None:
        (settled,) = settle([meter], known)
        if breach(meter, known, settled):
            raise Seen

    with pytest.raises(Seen):
        attack()
