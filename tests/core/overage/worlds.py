"""Random worlds for the first law, and a naive judge that decides one sample at a time, by reading the law aloud.

The judge shares no code with what it judges but the values and the price models: it knows no regimes, no stretches and
no inverse of a price; it looks at each sample with plain comparisons.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction

from hypothesis import strategies as st

from coulance_core.catalog.terms import BlockMode, BlockTier, Graduated, Package, PerUnit, Tier, TieredBlocks, Volume
from coulance_core.kernel import Money
from coulance_core.overage.settle import Attack, Draws, Meter
from coulance_core.overage.terms import Absorbed, Consent, Facts, Limit, PriceTerms, Span
from coulance_core.rating.models import price

T0 = datetime(2026, 10, 1, tzinfo=UTC)
STEP = 300
SAMPLES = 40
VERSION = "plan@2026-01-01"


def at(seconds: int) -> datetime:
    return T0 + timedelta(seconds=seconds)


def epoch(seconds: int) -> int:
    return int(T0.timestamp()) + seconds


prices = st.integers(0, 40).map(lambda n: Fraction(n, 20))
sizes = st.integers(1, 60).map(Fraction)


@st.composite
def models(draw: st.DrawFn) -> PerUnit | Graduated | Volume | Package | TieredBlocks:
    kind = draw(st.sampled_from(["unit", "graduated", "volume", "package", "blocks", "top"]))
    if kind == "unit":
        return PerUnit(draw(prices))
    if kind == "package":
        return Package(draw(prices), draw(sizes), Fraction(draw(st.integers(0, 20))))
    count = draw(st.integers(1, 3))
    if kind in ("blocks", "top"):
        tiers = [BlockTier(draw(sizes), draw(prices), draw(st.integers(1, 3))) for _ in range(count)]
        tiers[-1] = BlockTier(tiers[-1].size, tiers[-1].price, None)
        return TieredBlocks(tuple(tiers), BlockMode.TOP_TIER if kind == "top" else BlockMode.ALL_TIERS)
    edges = sorted(draw(st.sets(st.integers(1, 200), min_size=count - 1, max_size=count - 1)))
    ends: list[Fraction | None] = [Fraction(e) for e in edges]
    made = tuple(Tier(e, draw(prices), draw(prices)) for e in [*ends, None])
    return Graduated(made) if kind == "graduated" else Volume(made)


instants = st.integers(-600, SAMPLES * STEP + 600)


@st.composite
def spans(draw: st.DrawFn) -> Span:
    a, b = sorted((draw(instants), draw(instants)))
    return Span(at(a), draw(st.sampled_from([None, at(b)])))


@st.composite
def limits(draw: st.DrawFn) -> Limit:
    amount = Money(draw(st.integers(0, 20_000)), "EUR")
    quantity = Fraction(draw(st.integers(0, 400)))
    typed = draw(st.sampled_from(["amount", "quantity"]))
    return Limit(amount, quantity, typed)


@st.composite
def consents(draw: st.DrawFn, number: int) -> Consent:
    return Consent(
        f"c{number}",
        draw(spans()),
        draw(limits()),
        draw(st.sampled_from([VERSION, VERSION, "plan@2025-01-01"])),
        tuple(draw(st.lists(spans(), min_size=0, max_size=2))) or (Span(at(-600)),) * draw(st.integers(0, 1)),
        draw(st.sampled_from([None, None, Money(5_000, "EUR")])),
    )


@st.composite
def facts(draw: st.DrawFn) -> Facts:
    return Facts(
        tuple(draw(consents(i)) for i in range(draw(st.integers(0, 3)))),
        tuple(draw(st.lists(spans(), max_size=2))),
        tuple(at(a) for a in draw(st.lists(instants, max_size=2))),
        tuple(draw(st.lists(spans(), max_size=2))),
        draw(st.sampled_from([None, Money(0, "EUR"), Money(1_000, "EUR")])),
    )


@st.composite
def draws_of(draw: st.DrawFn, service: str, cap: bool = False) -> Draws:
    ends, start = [], 0
    for _ in range(draw(st.integers(0, SAMPLES))):
        start += draw(st.sampled_from([STEP, STEP, STEP, 299, 301, 900]))
        ends.append(start)
    begins = [0, *ends[:-1]] if ends else []
    amounts = [draw(st.sampled_from([0, 1, 3, 7, 20, 150])) for _ in ends]
    bound = Fraction(draw(st.integers(0, 200))) if cap and draw(st.booleans()) else None
    return Draws.of(service, [epoch(b) for b in begins], [epoch(e) for e in ends], amounts, Fraction(1, 2), bound)


@st.composite
def meters(draw: st.DrawFn, key: str = "transfer", services: int = 1) -> Meter:
    terms = PriceTerms(
        VERSION,
        draw(models()),
        "EUR",
        draw(st.sampled_from([Fraction(0), Fraction(21), Fraction(19), Fraction(55, 10)])),
        draw(st.booleans()),
        draw(st.sampled_from([None, None, None, Fraction(30)])),
    )
    return Meter(
        key,
        "GB",
        Fraction(draw(st.integers(0, 60))),
        terms,
        tuple(draw(draws_of(f"{key}-{i}", cap=services > 1)) for i in range(services)),
        Fraction(draw(st.sampled_from([0, 0, 5, 20]))),
    )


@st.composite
def attacks(draw: st.DrawFn, service: str) -> Attack:
    at_most = draw(st.sampled_from([None, None, Fraction(0), Fraction(7, 2), Fraction(100)]))
    return Attack(service, draw(spans()), "flow report", at_most)


@dataclass(frozen=True)
class Verdict:
    """What the naive judge says of one sample's use past allowance and tolerance."""

    end: int
    beyond: Fraction
    may: bool
    lawful: tuple[Consent, ...]


def _throughout(spans: Sequence[Span], start: datetime, end: datetime) -> bool:
    """Whether every second of [start, end) lies in one of the spans."""
    now = start
    while now < end:
        covering = [s for s in spans if s.start <= now and (s.end is None or now < s.end)]
        if not covering:
            return False
        if any(s.end is None for s in covering):
            return True
        now = max(s.end for s in covering if s.end is not None)
    return True


def in_force(facts: Facts, when: datetime) -> Consent | None:
    """The consent that counts at an instant: the last of those given that is in force."""
    held = [c for c in facts.consents if c.in_force.start <= when and (c.in_force.end is None or when < c.in_force.end)]
    return held[-1] if held else None


def judge(meter: Meter, facts: Facts) -> list[Verdict]:
    """Each sample of a single service, by the law: may its use past the allowance be charged at all, on whose word."""
    (draws,) = meter.draws
    out: list[Verdict] = []
    used = Fraction(0)
    for start, end, amount in zip(draws.start.tolist(), draws.end.tolist(), draws.amount.tolist(), strict=True):
        quantity = amount * draws.factor
        top = meter.included + meter.tolerance
        beyond = max(used + quantity - max(top, used), Fraction(0))
        used += quantity
        first, last = datetime.fromtimestamp(start, UTC), datetime.fromtimestamp(end, UTC)
        # Instants are whole seconds here, so looking at each boundary in between is looking everywhere.
        moments = {first}
        for span in [*facts.warned, *facts.paused, *(c.in_force for c in facts.consents)]:
            moments |= {m for m in (span.start, span.end) if m is not None and first <= m < last}
        for c in facts.consents:
            for span in c.verified:
                moments |= {m for m in (span.start, span.end) if m is not None and first <= m < last}
        words = [in_force(facts, m) for m in sorted(moments)]
        may = all(w is not None for w in words)
        for moment, word in zip(sorted(moments), words, strict=True):
            verified = word is not None and any(
                s.start <= moment and (s.end is None or moment < s.end) for s in word.verified
            )
            may = may and verified
        may = may and _throughout(facts.warned, first, last)
        may = may and not any(p.start < last and (p.end is None or first < p.end) for p in facts.paused)
        out.append(Verdict(end, beyond, may, tuple(w for w in words if w is not None)))
    return out


def payable(terms: PriceTerms, quantity: Fraction) -> Fraction:
    """The amount payable, by the price model alone."""
    net = price(terms.price, quantity)
    if terms.maximum_spend is not None:
        net = min(net, terms.maximum_spend)
    return net * (1 + terms.tax_rate / 100) if terms.tax_included else net


REASONS = tuple(Absorbed)
