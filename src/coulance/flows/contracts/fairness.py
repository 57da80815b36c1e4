"""Whether contracts are fair, to whom not, and what they should cost: from what was paid and worked.

What was paid counts as far as its time has run: a fee by the days gone, a card by the hours used or lapsed. What is
expected of a year weighs a contract's own quarters against all contracts' (credibility), so that one quarter alone
never tips a verdict.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from fractions import Fraction

from coulance.catalog import queries as catalogs
from coulance.contracts import judgements, queries
from coulance.contracts.errors import UnableToFindContractError
from coulance.contracts.hours import Hours, hours
from coulance.contracts.queries import ChargeRow, ContractRow, Facts
from coulance.flows.contracts import billing
from coulance_core.catalog.reading import Table
from coulance_core.contracts.credibility import Estimate, Seen, estimate, expected_of
from coulance_core.contracts.credibility import Portfolio as Credibility
from coulance_core.contracts.fairness import Fairness, Prices, Used, judge
from coulance_core.contracts.hours import From
from coulance_core.contracts.pricing import Advice, Year, advise, bootstrap, stop_loss, to_scale, years_of
from coulance_core.contracts.renewal import Renews, months_later
from coulance_core.contracts.terms import HOUR, Cover, Kind
from coulance_core.contracts.terms_file import read_worth
from coulance_core.contracts.worth import Recurring, Worth, worth
from coulance_core.kernel import Money, Rounding

ZERO = Fraction(0)
QUARTER = Fraction(1, 4)
_PAID = frozenset({From.FEE, From.CARD, From.POOL, From.CARRIED, From.APPROVED})
_GIVEN = frozenset({From.FREE, From.ABSORBED})


@dataclass(frozen=True)
class Judged:
    """A contract beside its figures: what happened, what is expected, the verdict, and a price for another year.

    `left` are seconds that can still be drawn; None where nothing is drawn.
    """

    contract: ContractRow
    left: int | None
    used: Used
    expected: Estimate
    price: Money
    fairness: Fairness
    advice: Advice
    rest: Money
    """What else its price pays for in a year: hosting, domains."""
    by_hour: Money
    """What was charged by the hour beside it, a year."""

    @property
    def recurs(self) -> Money:
        """What of it recurs in a year, without being asked for again."""
        return self.rest if self.contract.kind is Kind.BEST_EFFORT else self.price + self.rest


@dataclass(frozen=True)
class Portfolio:
    """All contracts of one currency: what recurs in a year, its share of all, what that is worth, and a year drawn
    from what happened."""

    currency: str
    contracts: tuple[Judged, ...]
    recurring: Money
    share: Fraction
    year: Year | None
    worth: Worth


def judge_all(*, at: datetime, seed: int = 1, years: int = 2000) -> list[Portfolio]:
    """Every contract that has run, by currency, those we lose most on first; `seed` names the draws of the bad year."""
    rows = [c for c in queries.contracts() if c.midnight(c.starts_on) < at]
    facts = queries.facts([c.id for c in rows])
    states = {c.id: hours(c, facts[c.id], at) for c in rows}
    charges: dict[int, list[ChargeRow]] = defaultdict(list)
    for charge in queries.charges([c.id for c in rows]):
        charges[charge.contract].append(charge)
    credited: dict[int, Fraction] = defaultdict(Fraction)
    for credit in queries.credits_of([c.id for c in rows], most=1_000_000):
        credited[credit.contract] += credit.amount.amount
    found = []
    for code in sorted({c.currency for c in rows}):
        mine = [c for c in rows if c.currency == code]
        past = _Past.of({c.key: _quarters(c, facts[c.id], states[c.id], at) for c in mine})
        judged = [
            _judge(c, facts[c.id], states[c.id], past, charges.get(c.id, ()), credited.get(c.id, ZERO), at)
            for c in mine
        ]
        running = [j for j in judged if j.contract.runs_on(j.contract.day_of(at))]
        recurring = sum((j.recurs for j in running), Money(0, code))
        whole = sum((j.price + j.rest + j.by_hour for j in running), Money(0, code))
        share = Fraction(recurring.minor, whole.minor) if whole.minor else ZERO
        judged.sort(key=lambda j: j.fairness.expected_provider)
        year = _year(running, past.quarters, seed, years)
        found.append(Portfolio(code, tuple(judged), recurring, share, year, _worth(mine, running, at, code)))
    return found


def _worth(rows: Sequence[ContractRow], running: Sequence[Judged], at: datetime, code: str) -> Worth:
    """What the recurring part of running contracts is worth: the margin of their work, after loading, as long as they
    are expected to go on. Contracts' ends, and the years that were seen of them, are of all that ever began here."""
    found, ended, years = [], 0, ZERO
    for row in rows:
        today, last = row.day_of(at), row.ends_on
        if last is None and row.term_on(today) is None:
            last = months_later(row.starts_on, row.terms.renewal.months)
        over = last is not None and last <= today
        ended += over
        years += Fraction(((last if last is not None and over else today) - row.starts_on).days * 4, 1461)
    for one in running:
        row, today = one.contract, one.contract.day_of(at)
        if row.kind is Kind.BEST_EFFORT:
            continue
        term = row.term_on(today)
        ends = row.ends_on or (term.end if term is not None else today)
        costs = one.advice.explanation.recompute()
        margin = one.price.amount - costs["labour"] - costs["safety"] - costs["cost to serve"]
        says = row.ends_on is not None or row.terms.renewal.renews is Renews.ENDS
        sure = Fraction(max((ends - today).days, 0) * 4, 1461)
        found.append(Recurring(row.key, one.price.amount, margin, sure, says))
    rules = read_worth(Table(catalogs.table("contracts").get("worth", {})))
    return worth(found, rules, ended=ended, years=years, code=code)


def keep_all(*, at: datetime) -> int:
    """Keep what is said of each contract now, for their customers to read; how many there are."""
    rows = [
        (one.contract.id, one.fairness.verdict, one.price, one.fairness.explanation)
        for portfolio in judge_all(at=at, years=1)
        for one in portfolio.contracts
        if one.contract.runs_on(one.contract.day_of(at))
    ]
    judgements.keep(rows, at=at)
    return len(rows)


def judge_one(key: str, *, at: datetime) -> Judged:
    """One contract, weighed against all of its currency. Raises `UnableToFindContractError`."""
    queries.contract(key)
    for portfolio in judge_all(at=at, years=100):
        for one in portfolio.contracts:
            if one.contract.key == key:
                return one
    raise UnableToFindContractError(f"{key} hasn't begun")


def _quarters(contract: ContractRow, facts: Facts, state: Hours, at: datetime) -> list[Seen]:
    """Hours in each whole quarter since it began that its price is for, as a rate of a year over a quarter's exposure.

    Work that was approved by the hour pays for itself, at a price both knew; what is above the stop of a year counts,
    since it is what the stop is for.
    """
    entries = {w.entry.key: w.entry for w in facts.work}
    edges = [contract.midnight(contract.starts_on)]
    while True:
        after = contract.midnight(months_later(contract.starts_on, 3 * len(edges)))
        if after > at or not contract.runs_on(contract.day_of(edges[-1])):
            break
        edges.append(after)
    spent = [0] * (len(edges) - 1)
    work = contract.terms.work
    for draw in state.draws:
        entry = entries[draw.entry]
        apart = draw.by is From.APPROVED and work.cover_of(entry.work) is not Cover.INCLUDED
        if apart and contract.kind is not Kind.BEST_EFFORT:
            continue
        n = bisect_right(edges, entry.began_at) - 1
        if 0 <= n < len(spent):
            spent[n] += draw.seconds
    return [Seen(Fraction(seconds, HOUR), QUARTER) for seconds in spent]


@dataclass(frozen=True)
class _Past:
    """What was worked on all contracts of a currency, by quarters, and what that says of each."""

    quarters: Mapping[str, Sequence[Seen]]
    portfolio: Credibility | None
    years: Mapping[str, Sequence[Fraction]]

    @classmethod
    def of(cls, quarters: Mapping[str, Sequence[Seen]]) -> "_Past":
        known = {k: v for k, v in quarters.items() if v}
        enough = len(known) >= 2 and any(len(v) >= 2 for v in known.values())
        years = {k: years_of([s.amount for s in v]) for k, v in known.items()}
        return cls(quarters, estimate(known) if enough else None, years)

    def expected(self, key: str) -> Estimate:
        """Hours expected of a contract's year."""
        mine = self.quarters[key]
        if self.portfolio is not None:
            return self.portfolio.each[key] if mine else expected_of(self.portfolio, ())
        exposure = sum((s.exposure for s in mine), ZERO)
        own = sum((s.amount for s in mine), ZERO) / exposure if exposure else ZERO
        return Estimate(own, ZERO, own, exposure)

    def years_like(self, mean: Fraction) -> list[Fraction]:
        """Every year that was seen, of any contract, in the size of a contract of which `mean` is expected."""
        return [year for seen in self.years.values() for year in to_scale(seen, mean)]


def _judge(
    contract: ContractRow,
    facts: Facts,
    state: Hours,
    past: _Past,
    charges: Sequence[ChargeRow],
    credited: Fraction,
    at: datetime,
) -> Judged:
    terms = contract.terms
    expected = past.expected(contract.key)
    hourly = _hourly(contract)
    standby, tail = (one.amount if one is not None else ZERO for one in (terms.standby, terms.tail))
    prices = Prices(hourly, terms.cost.hour, standby, tail, terms.cost.year)
    used = _used(contract, facts, state, charges, credited, at)
    # Above the stop of a year work is the customer's: neither side has it of this contract.
    years = past.years_like(expected.expected) if terms.stop is not None else []
    above = stop_loss(years, terms.stop) if terms.stop is not None else ZERO
    covered = replace(expected, expected=expected.expected - above)
    price = _year_price(contract, covered, used, state, at)
    fair = judge(used, covered, price.amount, prices, version=contract.version)
    advice = advise(
        expected, terms.cost, years, code=contract.currency, loading=terms.loading, stop=terms.stop,
        ready=standby + tail,
    )  # fmt: skip
    by_hour = _by_hour(contract, charges, used)
    return Judged(contract, state.left, used, expected, price, fair, advice, _rest(contract, at), by_hour)


def _rest(contract: ContractRow, at: datetime) -> Money:
    """What of a year's price is for the other elements of a bundle."""
    bundled, bundle = contract.allocated_on(contract.day_of(at)), contract.terms.bundle
    if bundled is None or bundle is None:
        return Money(0, contract.currency)
    return Money.of((bundled.price - bundled.parts[bundle.work.key]).amount * 12 / contract.terms.every,
                    contract.currency, Rounding.HALF_UP)  # fmt: skip


def _by_hour(contract: ContractRow, rows: Sequence[ChargeRow], used: Used) -> Money:
    """What was charged by the hour, a year."""
    if contract.kind is Kind.BEST_EFFORT:  # that is its price
        return Money(0, contract.currency)
    charged = sum((c.amount.amount * (1 if c.kind == billing.HOURS else -1) for c in rows
                   if c.kind in (billing.HOURS, billing.BACK)), ZERO)  # fmt: skip
    return Money.of(charged / used.years, contract.currency, Rounding.HALF_UP)


def _hourly(contract: ContractRow) -> Fraction:
    """What an hour costs by the hour: the rate, else what it costs on the first card."""
    terms = contract.terms
    if terms.rate is not None:
        return terms.rate.amount
    return terms.cards[0].price.amount * HOUR / terms.cards[0].seconds if terms.cards else ZERO


def _year_price(contract: ContractRow, expected: Estimate, used: Used, state: Hours, at: datetime) -> Money:
    """What an expected year is paid for the work: the fee's part, or cards for the hours drawn on them and lapsed."""
    terms, day = contract.terms, contract.day_of(at)
    bundled, bundle = contract.allocated_on(day), terms.bundle
    fee = bundled.parts[bundle.work.key] if bundled is not None and bundle is not None else contract.fee_on(day)
    fees = fee.amount * 12 / terms.every
    if contract.kind is Kind.CARD and bundle is None:
        card = terms.cards[0]
        mine = [d.seconds for d in state.draws if d.by is not From.APPROVED]
        drawn = Fraction(state.by(From.CARD), sum(mine)) if mine else Fraction(1)
        hours_ = expected.expected * drawn + used.lapsed_hours / used.years
        fees += hours_ * card.price.amount * HOUR / card.seconds
    elif contract.kind is Kind.BEST_EFFORT:
        fees += expected.expected * _hourly(contract)
    return Money.of(fees, contract.currency, Rounding.HALF_UP)


def _used(
    contract: ContractRow, facts: Facts, state: Hours, charges: Sequence[ChargeRow], credited: Fraction, at: datetime
) -> Used:
    """What happened since it is billed here: what was paid for the time that has run, the hours, what we missed."""
    # Of a bundle only what the work is paid: hosting and domains have prices and costs of their own.
    bundle = contract.terms.bundle
    work = bundle.work.key if bundle is not None else ""
    charges = [c for c in charges if c.element in ("", work)]
    fees = [c.starts_on for c in charges if c.kind == billing.FEE or c.element]
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
        credited,
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
