"""Whether contracts are fair, to whom not, and what they should cost: from what was paid and worked.

What was paid counts as far as its time has run: a fee by the days gone, a card by the hours used or lapsed. What is
expected of a year weighs a contract's own quarters against all contracts' (credibility), so that one quarter alone
never tips a verdict.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction

from coulance.contracts import queries
from coulance.contracts.errors import UnableToFindContractError
from coulance.contracts.hours import Hours, hours
from coulance.contracts.queries import ContractRow, Facts
from coulance.flows.contracts import billing
from coulance_core.contracts.credibility import Estimate, Seen, estimate, expected_of
from coulance_core.contracts.fairness import Fairness, Prices, Used, judge
from coulance_core.contracts.hours import From
from coulance_core.contracts.pricing import Advice, Year, advise, bootstrap, stop_loss
from coulance_core.contracts.renewal import months_later
from coulance_core.contracts.terms import HOUR, Kind
from coulance_core.kernel import Money, Rounding

ZERO = Fraction(0)
QUARTER = Fraction(1, 4)
_PAID = frozenset({From.FEE, From.CARD, From.POOL, From.CARRIED, From.APPROVED})
_GIVEN = frozenset({From.FREE, From.ABSORBED})


@dataclass(frozen=True)
class Judged:
    """A contract beside its figures: what happened, what is expected, the verdict, and a price for another year."""

    contract: ContractRow
    used: Used
    expected: Estimate
    price: Money
    fairness: Fairness
    advice: Advice


@dataclass(frozen=True)
class Portfolio:
    """All contracts of one currency: what recurs in a year, its share of all, and a year drawn from what happened."""

    currency: str
    contracts: tuple[Judged, ...]
    recurring: Money
    share: Fraction
    year: Year | None


def judge_all(*, at: datetime, seed: int = 1, years: int = 2000) -> list[Portfolio]:
    """Every contract that has run, by currency, those we lose most on first; `seed` names the draws of the bad year."""
    rows = [c for c in queries.contracts() if c.midnight(c.starts_on) < at]
    facts = queries.facts([c.id for c in rows])
    states = {c.id: hours(c, facts[c.id], at) for c in rows}
    found = []
    for code in sorted({c.currency for c in rows}):
        mine = [c for c in rows if c.currency == code]
        quarters = {c.key: _quarters(c, facts[c.id], states[c.id], at) for c in mine}
        judged = [_judge(c, facts[c.id], states[c.id], quarters, at) for c in mine]
        running = [j for j in judged if j.contract.runs_on(j.contract.day_of(at))]
        recurring = sum((j.price for j in running if j.contract.kind is not Kind.BEST_EFFORT), Money(0, code))
        whole = sum((j.price for j in running), Money(0, code))
        share = Fraction(recurring.minor, whole.minor) if whole.minor else ZERO
        judged.sort(key=lambda j: j.fairness.expected_provider)
        found.append(Portfolio(code, tuple(judged), recurring, share, _year(running, quarters, seed, years)))
    return found


def judge_one(key: str, *, at: datetime) -> Judged:
    """One contract, weighed against all of its currency. Raises `UnableToFindContractError`."""
    queries.contract(key)
    for portfolio in judge_all(at=at, years=100):
        for one in portfolio.contracts:
            if one.contract.key == key:
                return one
    raise UnableToFindContractError(f"{key} hasn't begun")


def _quarters(contract: ContractRow, facts: Facts, state: Hours, at: datetime) -> list[Seen]:
    """Hours delivered in each whole quarter since it began, as a rate of a year over a quarter's exposure."""
    began = {w.entry.key: w.entry.began_at for w in facts.work}
    edges = [contract.midnight(contract.starts_on)]
    while True:
        after = contract.midnight(months_later(contract.starts_on, 3 * len(edges)))
        if after > at or not contract.runs_on(contract.day_of(edges[-1])):
            break
        edges.append(after)
    spent = [0] * (len(edges) - 1)
    for draw in state.draws:
        for n in range(len(spent)):
            if edges[n] <= began[draw.entry] < edges[n + 1]:
                spent[n] += draw.seconds
    return [Seen(Fraction(seconds, HOUR), QUARTER) for seconds in spent]


def _expected(key: str, quarters: Mapping[str, Sequence[Seen]]) -> Estimate:
    """Hours expected of a year."""
    known = {k: v for k, v in quarters.items() if v}
    mine = quarters[key]
    if len(known) >= 2 and any(len(v) >= 2 for v in known.values()):
        portfolio = estimate(known)
        return portfolio.each[key] if key in known else expected_of(portfolio, ())
    exposure = sum((s.exposure for s in mine), ZERO)
    own = sum((s.amount for s in mine), ZERO) / exposure if exposure else ZERO
    return Estimate(own, ZERO, own, exposure)


def _judge(
    contract: ContractRow, facts: Facts, state: Hours, quarters: Mapping[str, Sequence[Seen]], at: datetime
) -> Judged:
    terms = contract.terms
    expected = _expected(contract.key, quarters)
    hourly = _hourly(contract)
    # Quarters as if each were a year: on the careful side, until there are years enough.
    all_years = [4 * s.amount for seen in quarters.values() for s in seen]
    tail = terms.tail.amount if terms.tail is not None else (
        stop_loss(all_years, terms.stop) * hourly if terms.stop is not None else ZERO
    )  # fmt: skip
    prices = Prices(
        hourly, terms.cost.hour, terms.standby.amount if terms.standby is not None else ZERO, tail, terms.cost.year
    )
    price = _year_price(contract, expected, at)
    used = _used(contract, facts, state, at)
    fair = judge(used, expected, price.amount, prices, version=contract.version)
    advice = advise(
        expected, terms.cost, all_years, code=contract.currency, loading=terms.loading, stop=terms.stop,
        ready=sum((one.amount for one in (terms.standby, terms.tail) if one is not None), ZERO),
    )  # fmt: skip
    return Judged(contract, used, expected, price, fair, advice)


def _hourly(contract: ContractRow) -> Fraction:
    """What an hour costs by the hour: the rate, else what it costs on the first card."""
    terms = contract.terms
    if terms.rate is not None:
        return terms.rate.amount
    return terms.cards[0].price.amount * HOUR / terms.cards[0].seconds if terms.cards else ZERO


def _year_price(contract: ContractRow, expected: Estimate, at: datetime) -> Money:
    """What an expected year is paid: fees, cards for the expected hours, and hours beyond the pool."""
    terms, day = contract.terms, contract.day_of(at)
    fees = contract.fee_on(day).amount * 12 / terms.every
    if contract.kind is Kind.CARD:
        card = terms.cards[0]
        fees = expected.expected * card.price.amount * HOUR / card.seconds
    elif contract.kind is Kind.BEST_EFFORT:
        fees += expected.expected * _hourly(contract)
    elif terms.retainer is not None and terms.rate is not None:
        pool = Fraction(terms.retainer.seconds * 12, HOUR * terms.every)
        fees += max(ZERO, expected.expected - pool) * terms.rate.amount
    return Money.of(fees, contract.currency, Rounding.HALF_UP)


def _used(contract: ContractRow, facts: Facts, state: Hours, at: datetime) -> Used:
    """What happened since it is billed here: what was paid for the time that has run, the hours, what we missed."""
    charges = queries.charges([contract.id])
    fees = [c.starts_on for c in charges if c.kind == billing.FEE]
    since = contract.midnight(contract.starts_on)
    if contract.terms.price.minor:
        since = contract.midnight(min(fees)) if fees else at
    paid = ZERO
    for charge in charges:
        share = Fraction(1)
        if charge.kind == billing.FEE:
            whole = (charge.ends_on - charge.starts_on).days
            gone = (min(contract.day_of(at), charge.ends_on) - charge.starts_on).days
            share = Fraction(max(gone, 0), max(whole, 1))
        elif charge.kind == billing.CARD:
            found = [c for c in (state.cards.cards if state.cards else ()) if f"card/{c.card.key}" == charge.key]
            share = Fraction(found[0].used + found[0].lapsed, found[0].card.seconds) if found else ZERO
        paid += charge.amount.amount * share * (-1 if charge.kind == billing.BACK else 1)
    penalties = sum((c.amount.amount for c in queries.credits_of([contract.id])), ZERO)
    counted = {w.entry.key for w in facts.work if w.entry.began_at >= since}
    seconds = {source: sum(d.seconds for d in state.draws if d.by is source and d.entry in counted) for source in From}
    lapsed = sum(c.lapsed for c in state.cards.cards) if state.cards else 0
    if state.pool is not None:
        lapsed += sum(p.lapsed for p in state.pool.periods if since < p.period.end <= at)
    return Used(
        paid,
        Fraction(sum(seconds[s] for s in _PAID), HOUR),
        Fraction(sum(seconds[s] for s in _GIVEN), HOUR),
        Fraction(lapsed, HOUR),
        penalties,
        Fraction(max(round((at - since) / timedelta(days=1)), 1)) / Fraction(1461, 4),
    )


def _year(running: Sequence[Judged], quarters: Mapping[str, Sequence[Seen]], seed: int, draws: int) -> Year | None:
    """A year of all contracts together: four quarters drawn from what happened, the same for all, so that what
    happened to all at once stays together. None before a quarter has passed."""
    import numpy as np

    mine = [j for j in running if quarters[j.contract.key]]
    if not mine:
        return None
    longest = max(len(quarters[j.contract.key]) for j in mine)
    # Quarters are counted back from now: the last of each contract is the same season.
    drawn = np.random.default_rng(seed).integers(0, longest, (draws, 4))
    history, price = [], []
    for one in mine:
        past = np.array([float(s.amount) for s in reversed(quarters[one.contract.key])])
        history.append((past[drawn % past.size].sum(axis=1) * float(one.contract.terms.cost.hour)).tolist())
        price.append(float(one.price.amount - one.contract.terms.cost.year))
    return bootstrap(history, price, 1.0, np.arange(draws))
