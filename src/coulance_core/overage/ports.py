"""Where a percentile port stands while its period runs: burst left, warnings due, and when it must be held to a rate.

A percentile drops its highest samples, so a port may lie above a rate for so many of them and the bill won't know: the
burst. What counts is therefore how many samples lie above a rate, and not how much was used. Once all but what may
still come while we act are spent, the port is held to the dearest rate within its limit; from then on no sample lies
above it, and the percentile provably stays within (`test_ports`). For percentiles of in and out that are **added** no
one rate proves it; settling bounds the bill there as everywhere.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor

from coulance_core.catalog.terms import Action, MissingSamples, Of, PercentileTerms, Threshold
from coulance_core.kernel import Dimension, Explanation, Money, unit
from coulance_core.overage.bursts import Port, figure_of
from coulance_core.overage.limit import most, reach
from coulance_core.overage.standing import BurstStanding, Policy, Stop
from coulance_core.overage.terms import Consent
from coulance_core.rating.models import price
from coulance_core.usage.percentile import rank_of

ZERO = Fraction(0)


@dataclass(frozen=True, slots=True)
class PortStanding:
    """What is known of a port at an instant. `port` has the samples so far, and `expected` of its whole period.

    `coming` samples are still to come, one each `interval_s`. The rest is as a quantity's `Standing`.
    """

    port: Port
    coming: int
    interval_s: int
    consent: Consent | None = None
    verified: bool = False
    acknowledged: bool = False
    exposure: Money | None = None

    @property
    def figure(self) -> Fraction:
        """The percentile if nothing more came: it only rises. In the port's unit."""
        return figure_of(self.port)

    @property
    def free(self) -> int:
        """How many samples of the whole period may lie above a rate, and the percentile isn't."""
        port = self.port
        came = max(port.end.size + self.coming, 1)
        n = max(port.expected, came) if port.rank.missing is MissingSamples.LOWEST else came
        return free_of(port.rank, n)

    def above(self, rate: Fraction) -> int:
        """How many samples lie above a rate, of the direction that has most of them."""
        port = self.port
        shares = _shares(port)
        return max(
            int((column > floor(rate * share / port.factor)).sum())
            for column, share in zip(port.columns, shares, strict=True)
        )

    @property
    def burst(self) -> BurstStanding:
        """The burst above what is paid for in any case: the commit, with the tolerance."""
        return BurstStanding(self.free, self.above(self.top), self.interval_s)

    @property
    def top(self) -> Fraction:
        """The rate up to which nothing more is charged."""
        return self.port.commit + self.port.tolerance


def free_of(terms: PercentileTerms, n: int) -> int:
    """How many of `n` samples may lie above a rate without the percentile lying above it.

    >>> [free_of(PercentileTerms(), n) for n in (8064, 8640, 8928)]
    [403, 432, 446]
    """
    rank = rank_of(n, terms.rank, terms.p)
    # Between two samples, the higher one counts as well.
    return max(rank.dropped - (1 if rank.above else 0), 0)


def _shares(port: Port) -> list[Fraction]:
    """What part of a rate each column has: all of it, or of percentiles that are added as much as it carried."""
    if not port.added:
        return [Fraction(1)] * len(port.columns)
    sums = [int(column.sum(dtype=object)) if column.size else 0 for column in port.columns]
    whole = sum(sums)
    return [Fraction(own, whole) if whole else Fraction(1, len(sums)) for own in sums]


@dataclass(frozen=True, slots=True)
class RateStop:
    """The dearest rate that may be charged now, and why no more."""

    rate: Fraction
    why: Stop


def rate_stop(standing: PortStanding) -> RateStop | None:
    """The rate that a port must stay within; None: any. Of two the lower, the limit before exposure.

    As with quantities, exposure counts from the commit, and a consent whose warning has not arrived is our trouble.
    """
    consent, port = standing.consent, standing.port
    if consent is None:
        return RateStop(standing.top, Stop.ALLOWANCE)
    if not standing.verified:
        return RateStop(standing.top, Stop.DORMANT)
    points: list[RateStop] = []
    allowed = most(consent.limit, port.terms, consent.terms)
    if allowed is not None:
        points.append(RateStop(standing.top + allowed, Stop.LIMIT))
    exposed = exposed_rate(standing)
    if exposed is not None:
        points.append(RateStop(max(port.commit + exposed, standing.top), Stop.EXPOSURE))
    return min(points, key=lambda point: point.rate, default=None)


def exposed_rate(standing: PortStanding) -> Fraction | None:
    """How far above the commit a port may go before somebody must acknowledge; None: no need."""
    if standing.acknowledged or standing.exposure is None or standing.consent is None:
        return None
    reached = reach(standing.port.terms.price, standing.exposure.amount)
    given = standing.consent.pre_acknowledged
    if reached is None or given is None:
        return reached
    beforehand = reach(standing.port.terms.price, given.amount)
    return None if beforehand is None else max(reached, beforehand)


@dataclass(frozen=True, slots=True)
class PortDecision:
    """What is to be done now. `act` is None while the port may go on; a throttle holds it to `rate` (port's unit).

    `minutes_left`: how long it may still lie above that rate before it is.
    """

    act: Action | None
    point: RateStop | None
    minutes_left: Fraction | None
    observe: bool
    explanation: Explanation


def decide_port(standing: PortStanding, policy: Policy, *, lag_s: int) -> PortDecision:
    """Whether a port must be held to its rate now. A limit in force states consent to throttling; without a consent
    the provider's action applies, which may be to throttle to the commit.
    """
    port = standing.port
    e = Explanation.build("overage.port_decided", terms=port.terms.version)
    point = rate_stop(standing)
    e.fact("percentile so far", standing.figure, port.unit).fact("commit", port.commit, port.unit)
    if point is None:
        return PortDecision(None, None, None, policy.observe, e.note("the limit has no end for this price").freeze())
    burst = BurstStanding(standing.free, standing.above(point.rate), standing.interval_s)
    lag = ceil(Fraction(lag_s, standing.interval_s))
    e.fact("rate", point.rate, port.unit, source=point.why.value)
    e.fact("samples dropped", burst.free).fact("samples above", burst.above).fact("lag", lag, "", "samples")
    e.step("spare", "subtract", "samples dropped", "samples above").step("left", "subtract", "spare", "lag")
    # Where nothing was ever above, nothing has to be held: with few samples all that are dropped may be the lag's.
    act = _act(policy.action, point.why) if burst.throttle(lag_s) and burst.above else None
    return PortDecision(
        act, point, BurstStanding(burst.free - lag, burst.above, burst.interval_s).minutes_left, policy.observe,
        e.freeze(),
    )  # fmt: skip


def _act(action: Action, why: Stop) -> Action:
    if action in (Action.ABSORB, Action.WARN):
        return action
    return Action.THROTTLE if why in (Stop.LIMIT, Stop.EXPOSURE) else action


@dataclass(frozen=True, slots=True)
class _Watch:
    """Something happens once `count` samples lie above `rate`."""

    rate: Fraction
    count: int


def crossed_port(
    thresholds: Sequence[Threshold], standing: PortStanding, *, told: Collection[str] = ()
) -> tuple[tuple[Threshold, Fraction], ...]:
    """The thresholds that a port has reached and nobody was told of, each with the percentile so far.

    A share of the allowance is a share of the burst above the commit, one of the limit a share of the burst above the
    limit's rate; `BURST` is so many minutes left; a quantity and an amount are of the percentile so far.
    """
    found = [
        t
        for t in thresholds
        if t.key not in told
        and (watch := _watch(t, standing)) is not None
        and standing.above(watch.rate) >= watch.count
    ]
    return tuple((t, standing.figure) for t in sorted(found, key=lambda t: (_place(t), t.key)))


def _place(threshold: Threshold) -> tuple[int, Fraction]:
    """The order in which thresholds are worth telling: the last one is what a message is about."""
    order = (Of.QUANTITY, Of.BURST, Of.ALLOWANCE, Of.OVERAGE, Of.LIMIT)
    rank = order.index(threshold.of) if threshold.of in order else 0
    return rank, -threshold.value if threshold.of is Of.BURST else threshold.value


def _watch(threshold: Threshold, standing: PortStanding) -> _Watch | None:
    port, free = standing.port, standing.free
    match threshold.of:
        case Of.ALLOWANCE:
            return _Watch(standing.top, max(ceil(threshold.value * free), 1))
        case Of.BURST:
            left = floor(threshold.value * 60 / standing.interval_s)
            return _Watch(standing.top, max(free - left, 1))
        case Of.LIMIT:
            point = rate_stop(standing)
            if point is None or point.why in (Stop.ALLOWANCE, Stop.DORMANT):
                return None
            return _Watch(point.rate, max(ceil(threshold.value * free), 1))
        case Of.QUANTITY:
            value = in_unit(threshold.value, threshold.unit, port.unit)
            return None if value is None else _at_least(value, port, free)
        case Of.OVERAGE:
            if threshold.unit and threshold.unit != port.terms.currency:
                return None
            reached = reach(port.terms.price, threshold.value)
            return None if reached is None else _at_least(standing.top + reached, port, free)
    return None


def _at_least(rate: Fraction, port: Port, free: int) -> _Watch:
    """The percentile reaches a rate when one sample more than may be dropped lies at or above it."""
    return _Watch((ceil(rate / port.factor) - 1) * port.factor, free + 1)


def in_unit(value: Fraction, given: str, wanted: str) -> Fraction | None:
    """A threshold's quantity in a meter's unit; None where it is of another kind. Without a unit it is the meter's.

    >>> in_unit(Fraction(2), "TB", "GB"), in_unit(Fraction(2), "TB", "Mbit/s"), in_unit(Fraction(2), "", "GB")
    (Fraction(2000, 1), None, Fraction(2, 1))
    """
    if not given or given == wanted:
        return value
    one, other = unit(given), unit(wanted)
    return value * one.size / other.size if one.dimension is other.dimension else None


def arm_port(
    thresholds: Sequence[Threshold],
    standing: PortStanding,
    *,
    lag_s: int,
    told: Collection[str] = (),
    shared: bool = False,
) -> int | None:
    """How much more must go through, in stored units of both directions, before anything can happen; None: nothing can.

    Where its limit is `shared` something happens as soon as the percentile comes to more: less is left for the others.

    For one more sample to lie above a rate, more than the rate must go through in its interval: so volume, which is
    counted anyway, says when to look again. At least 1.
    """
    watches = [w for t in thresholds if t.key not in told and (w := _watch(t, standing)) is not None]
    point = rate_stop(standing)
    if point is not None:
        watches.append(_Watch(point.rate, max(standing.free - ceil(Fraction(lag_s, standing.interval_s)), 1)))
    if shared:
        dearer = max(standing.figure, standing.top)
        watches.append(_Watch(dearer, max(standing.free, standing.above(dearer)) + 1))
    factor, least = standing.port.factor, min(_shares(standing.port))
    found = [
        (watch.count - above) * (floor(watch.rate * least / factor) + 1)
        for watch in watches
        if (above := standing.above(watch.rate)) < watch.count
    ]
    return max(min(found), 1) if found else None


def held_to(rate: Fraction, of: str) -> int | None:
    """A rate in bits a second, whole bytes, to be held to; None where the unit is no rate or nothing would be left.

    >>> held_to(Fraction(10), "Mbit/s"), held_to(Fraction(10), "GB")
    (10000000, None)
    """
    one = unit(of)
    if one.dimension is not Dimension.RATE:
        return None
    whole = floor(rate * one.size) // 8 * 8
    return whole or None


def overage_price(standing: PortStanding) -> Fraction:
    """What the percentile so far would come to above the commit, before tax, if all of it were charged."""
    return price(standing.port.terms.price, max(standing.figure - standing.top, ZERO))
