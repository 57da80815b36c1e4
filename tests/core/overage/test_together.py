"""One limit over everything: quantities, levels over time, percentile ports and peaks under one consent."""

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction as F

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.overage.worlds import (
    STEP,
    T0,
    VERSION,
    at,
    draws_of,
    epoch,
    facts,
    judge,
    meters,
    models,
    payable,
)

from coulance_core.catalog.terms import MissingSamples, PercentileTerms, PerUnit, RankConvention
from coulance_core.kernel import Money, Rounding, round_to
from coulance_core.overage import together as room
from coulance_core.overage.bursts import Port, SettledPort
from coulance_core.overage.limit import amount_for
from coulance_core.overage.settle import Draws, Meter, Settled
from coulance_core.overage.standing import Standing, share_of
from coulance_core.overage.terms import Consent, Facts, Limit, PriceTerms, Span
from coulance_core.overage.together import settle_together
from coulance_core.usage.percentile import percentile
from coulance_core.usage.samples import ints

P95 = PercentileTerms(RankConvention.NEAREST_RANK, F(95), MissingSamples.DROPPED)
PEAK = PercentileTerms(RankConvention.NEAREST_RANK, F(100), MissingSamples.DROPPED)
NET = PriceTerms(VERSION, PerUnit(F(1)), "EUR")
ALWAYS = (Span(T0),)


def word(amount: str | None = None, quantity: int | None = None) -> Facts:
    limit = Limit(
        None if amount is None else Money.of(amount, "EUR"), None if quantity is None else F(quantity),
        "amount" if amount is not None else "quantity",
    )  # fmt: skip
    return Facts((Consent("c", Span(T0), limit, VERSION, ALWAYS),), ALWAYS)


def rates(
    *values: int, key: str = "port", commit: int = 10, rank: PercentileTerms = PEAK, unit: str = "Mbit/s"
) -> Port:
    ends = [epoch((i + 1) * STEP) for i in range(len(values))]
    return Port(
        key, unit, F(commit), NET, PEAK, ints([e - STEP for e in ends]), ints(ends), (ints(list(values)),), len(values)
    )


def transfer(*amounts: int, key: str = "web", unit: str = "GB", included: int = 0) -> Meter:
    ends = [epoch((i + 1) * STEP) for i in range(len(amounts))]
    draws = Draws.of(key, [e - STEP for e in ends], ends, list(amounts))
    return Meter(key, unit, F(included), NET, (draws,))


def test_one_amount_over_transfer_storage_a_port_and_a_peak() -> None:
    known = word("30.00")
    settled, ranked = settle_together(
        [(transfer(5, 5, 5), known), (transfer(2, 2, 2, key="disk", unit="GB-month"), known)],
        [(rates(14, 14, 30), known), (rates(3, 9, 9, key="seats", commit=4, unit="seat"), known)],
    )
    # 15 and 6 leave 9 of 30 for the port's 20 above its commit, and nothing for the seats.
    assert [one.billable for one in settled] == [15, 6]
    assert [one.overage for one in ranked] == [9, 0]


def test_quantities_of_two_units_take_of_the_amount_in_the_order_of_use() -> None:
    known = word("5.00")
    settled, _ = settle_together([(transfer(0, 4), known), (transfer(3, 3, key="disk", unit="GB-month"), known)], [])
    # First 3 of the disk; of the second interval the transfer comes first, and takes the other 2.
    assert [one.billable for one in settled] == [2, 3]


def test_two_ports_share_a_limit_in_their_unit() -> None:
    known = word(quantity=12)
    _, ranked = settle_together([], [(rates(18, 18), known), (rates(18, 18, key="b"), known)])
    assert [one.overage for one in ranked] == [8, 4]


def test_each_needs_its_own_warning() -> None:
    told, untold = word("30.00"), replace(word("30.00"), warned=(Span(at(STEP)),))
    settled, _ = settle_together([(transfer(5, 5), told), (transfer(5, 5, key="b"), untold)], [])
    assert [one.billable for one in settled] == [10, 5]


# ---- the law, attacked over all kinds at once


@st.composite
def ports(draw: st.DrawFn, key: str) -> Port:
    count = draw(st.integers(0, 25))
    ends = [epoch((i + 1) * STEP) for i in range(count)]
    terms = PriceTerms(
        VERSION, draw(models()), "EUR", draw(st.sampled_from([F(0), F(21), F(55, 10)])), draw(st.booleans())
    )
    columns = [[draw(st.sampled_from([0, 5, 9, 20, 60])) for _ in ends] for _ in range(draw(st.integers(1, 2)))]
    return Port(
        key, draw(st.sampled_from(["Mbit/s", "seat"])), F(draw(st.integers(0, 12))), terms,
        draw(st.sampled_from([P95, PEAK])), ints([e - STEP for e in ends]), ints(ends),
        tuple(ints(column) for column in columns), count, F(1, 2), len(columns) == 2 and draw(st.booleans()),
        F(draw(st.sampled_from([0, 0, 3]))),
    )  # fmt: skip


@st.composite
def towns(draw: st.DrawFn) -> tuple[list[tuple[Meter, Facts]], list[tuple[Port, Facts]]]:
    """Allowances of an account under its one word, each with its own warnings, acknowledgements and pauses."""
    shared = draw(facts())
    typed = [replace(c, terms=VERSION, limit=replace(c.limit, typed="amount")) for c in shared.consents]

    def own() -> Facts:
        other = draw(facts())
        return replace(other, consents=tuple(typed), exposure=shared.exposure)

    quantities = [(draw(meters("transfer")), own())]
    if draw(st.booleans()):
        disk = replace(draw(meters("disk")), unit="GB-month", draws=(draw(draws_of("disk-0")),))
        quantities.append((disk, own()))
    return quantities, [(draw(ports(f"port-{i}")), own()) for i in range(draw(st.integers(0, 2)))]


def stated(terms: PriceTerms, quantity: F) -> F:
    """What an invoice states for it: net and tax each in cents."""
    net = payable(replace(terms, tax_included=False), quantity)
    if not terms.tax_included:
        return net  # the limit speaks of the exact price before tax
    cents = round_to(net, 2, Rounding.HALF_UP)
    return max(cents + round_to(cents * terms.tax_rate / 100, 2, Rounding.HALF_UP), payable(terms, quantity))


def allowed_by_law(port: Port, known: Facts) -> F:
    """The percentile with every sample that nobody agreed to, or was not warned of, left at the commit."""
    columns = []
    for column in port.columns:
        values = []
        for start, end, value in zip(port.start.tolist(), port.end.tolist(), column.tolist(), strict=True):
            one = Meter(port.key, port.unit, F(0), port.terms, (Draws.of(port.key, [start], [end], [1]),))
            (verdict,) = judge(one, replace(known, paused=()))
            values.append(value if verdict.may else min(value, int(port.commit / port.factor)))
        columns.append(ints(values))
    figures = [percentile(column, port.rank, expected=port.expected) for column in columns]
    figure = (sum(figures, F(0)) if port.added else max(figures)) * port.factor
    return max(figure - port.commit - port.tolerance, F(0))


def breach(
    quantities: Sequence[tuple[Meter, Facts]],
    ranked: Sequence[tuple[Port, Facts]],
    settled: Sequence[Settled],
    done: Sequence[SettledPort],
) -> str | None:
    """How a settlement of all of them breaks the law, or None."""
    total = F(0)
    for (meter, known), got in zip(quantities, settled, strict=True):
        if got.included + got.billable + got.absorbed_total != got.metered:
            return f"{meter.key} does not add up"
        lawful = sum((v.beyond for v in judge(meter, known) if v.may), F(0))
        if got.billable > lawful:
            return f"{meter.key}: {got.billable} billable of {lawful}"
        total += stated(meter.terms, got.billable) if got.billable else F(0)
    for (port, known), rank in zip(ranked, done, strict=True):
        if rank.billable > rank.measured or (not port.added and rank.overage > allowed_by_law(port, known)):
            return f"{port.key}: {rank.overage} billable"
        total += stated(port.terms, rank.overage) if rank.overage else F(0)
    words = quantities[0][1].consents
    limit = max((c.limit.amount.amount for c in words if c.limit.amount is not None), default=F(0))
    return f"{total} payable within {limit}" if total > limit else None


@settings(max_examples=25, deadline=None)
@given(towns())
def test_no_bill_of_any_kinds_together_passes_the_one_limit(
    town: tuple[list[tuple[Meter, Facts]], list[tuple[Port, Facts]]],
) -> None:
    quantities, ranked = town
    assert breach(quantities, ranked, *settle_together(quantities, ranked)) is None


def test_a_kind_that_is_left_out_of_the_limit_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "less", lambda known, *_: known)

    # Where all may be charged, the limit alone stands in the way.
    known = word("9.00")
    town = ([(transfer(4, 4), known)], [(rates(17, 17), known)])
    assert breach(*town, *settle_together(*town)) == "15 payable within 9"


@settings(max_examples=60)
@given(st.lists(st.tuples(models(), st.integers(0, 60)), min_size=2, max_size=5), st.integers(0, 20_000))
def test_while_nobody_went_past_their_share_the_limit_holds(used: list[tuple[object, int]], minor: int) -> None:
    """What is armed: up to there all of them together stay within the amount, whatever their prices."""
    everyone = [PriceTerms(VERSION, model, "EUR", F(21)) for model, _ in used]  # type: ignore[arg-type]
    billable = [F(quantity) for _, quantity in used]
    limit = Money(minor, "EUR")
    spent = [amount_for(q, terms) if q else Money(0, "EUR") for q, terms in zip(billable, everyone, strict=True)]
    whole = Money(sum(one.minor for one in spent), "EUR")
    if whole.minor > minor:
        return  # stopped already
    after = F(0)
    for terms, own, mine in zip(everyone, billable, spent, strict=True):
        left = Money(limit.minor - whole.minor + mine.minor, "EUR")
        consent = Consent("c", Span(T0), Limit(left, None), VERSION)
        standing = Standing(own, F(0), terms, own, consent=consent, verified=True, warned=True)
        to = share_of(standing, len(used))
        if to is None:
            continue  # free from here on
        assert to >= own
        after += payable(terms, to) if to > own else mine.amount
    assert after <= limit.amount
