"""How much a contract's own history says, beside that of all contracts: Buhlmann and Buhlmann-Straub.

A contract with one quarter of history may have been lucky. Its expected hours are a weighted mean of its own and the
portfolio's, h' = Z h + (1 - Z) mu, with Z = m / (m + k): m the exposure seen, k = EPV / VHM the ratio of the variance
within contracts to that between them. Estimators: Buhlmann & Gisler, A Course in Credibility Theory (2005), ch. 4;
Klugman, Panjer & Willmot, Loss Models, on nonparametric empirical Bayes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

ZERO, ONE = Fraction(0), Fraction(1)


@dataclass(frozen=True, slots=True)
class Seen:
    """What one contract used in one period: `amount` (hours, say), over an `exposure` (months, sites, seats)."""

    amount: Fraction
    exposure: Fraction = ONE

    def __post_init__(self) -> None:
        if self.exposure <= 0:
            raise ValueError(f"an exposure of {self.exposure}: expected more than zero")


@dataclass(frozen=True, slots=True)
class Estimate:
    """One contract: its own mean a unit of exposure, its credibility Z (0 to 1), and what is expected of it."""

    own: Fraction
    credibility: Fraction
    expected: Fraction
    exposure: Fraction


@dataclass(frozen=True)
class Portfolio:
    """All contracts: `mu` the collective mean, `epv` and `vhm` the variances within and between, and each contract.

    `k` is None where the contracts don't differ more than chance (vhm estimated as zero): then none is believed.
    """

    mu: Fraction
    epv: Fraction
    vhm: Fraction
    each: Mapping[str, Estimate]

    @property
    def k(self) -> Fraction | None:
        """EPV / VHM, in units of exposure."""
        return self.epv / self.vhm if self.vhm > 0 else None


def estimate(history: Mapping[str, Sequence[Seen]]) -> Portfolio:
    """Buhlmann-Straub over contracts (with exposures all equal: Buhlmann), exact.

    The collective mean is weighted by credibility, so that expected amounts add up to what was seen. Raises
    `ValueError` without two contracts, one of them with two periods: then nothing can be said of variance.

    >>> two = {"a": [Seen(Fraction(x)) for x in (3, 5, 7)], "b": [Seen(Fraction(x)) for x in (6, 12, 9)]}
    >>> found = estimate(two)
    >>> [float(round(x, 4)) for x in (found.epv, found.vhm, found.each["a"].credibility, found.each["a"].expected)]
    [6.5, 5.8333, 0.7292, 5.5417]
    """
    if len(history) < 2 or all(len(periods) < 2 for periods in history.values()):
        raise ValueError("credibility wants at least two contracts, and one of them with two periods")
    if not all(history.values()):
        raise ValueError("every contract wants at least one period")
    exposure = {key: sum((s.exposure for s in seen), ZERO) for key, seen in history.items()}
    own = {key: sum((s.amount for s in seen), ZERO) / exposure[key] for key, seen in history.items()}
    total = sum(exposure.values(), ZERO)
    mean = sum((exposure[k] * own[k] for k in history), ZERO) / total
    within = sum((s.exposure * (s.amount / s.exposure - own[k]) ** 2 for k in history for s in history[k]), ZERO)
    epv = within / sum(len(seen) - 1 for seen in history.values())
    spread = sum((exposure[k] * (own[k] - mean) ** 2 for k in history), ZERO)
    scale = total - sum((m * m for m in exposure.values()), ZERO) / total
    vhm = max(ZERO, (spread - epv * (len(history) - 1)) / scale)
    weight = {k: _credibility(exposure[k], epv, vhm) for k in history}
    believed = sum(weight.values(), ZERO)
    mu = sum((weight[k] * own[k] for k in history), ZERO) / believed if believed else mean
    each = {k: Estimate(own[k], weight[k], weight[k] * own[k] + (ONE - weight[k]) * mu, exposure[k]) for k in history}
    return Portfolio(mu, epv, vhm, each)


def _credibility(exposure: Fraction, epv: Fraction, vhm: Fraction) -> Fraction:
    return vhm * exposure / (vhm * exposure + epv) if vhm > 0 else ZERO


def expected_of(portfolio: Portfolio, seen: Sequence[Seen]) -> Estimate:
    """What is expected of a contract that is not in the portfolio (a new one: its collective mean).

    >>> two = {"a": [Seen(Fraction(x)) for x in (3, 5, 7)], "b": [Seen(Fraction(x)) for x in (6, 12, 9)]}
    >>> expected_of(estimate(two), []).expected
    Fraction(7, 1)
    """
    exposure = sum((s.exposure for s in seen), ZERO)
    if not exposure:
        return Estimate(portfolio.mu, ZERO, portfolio.mu, ZERO)
    own = sum((s.amount for s in seen), ZERO) / exposure
    z = _credibility(exposure, portfolio.epv, portfolio.vhm)
    return Estimate(own, z, z * own + (ONE - z) * portfolio.mu, exposure)
