"""A contract quarter by quarter: what was paid for it, worked in it, and what each side had of it.

A quarter says what happened, never whether it is fair: that is judged of the expected year.
"""

from dataclasses import dataclass
from datetime import date, datetime
from fractions import Fraction

from coulance.contracts import queries
from coulance.contracts.hours import hours
from coulance.contracts.queries import ContractRow
from coulance.flows.contracts import billing
from coulance_core.contracts.hours import From
from coulance_core.contracts.renewal import months_later
from coulance_core.contracts.terms import HOUR

ZERO = Fraction(0)
_GIVEN = frozenset({From.FREE, From.ABSORBED})


@dataclass(frozen=True, slots=True)
class Quarter:
    """Three months of a contract, [start, end), or what has run of them; money in major units, exact.

    `by_hour` is what its hours would have cost by the hour, `cost` what they and serving it cost us; `we` and `they`
    are both sides' surplus, standing by and penalties counted.
    """

    start: date
    end: date
    paid: Fraction
    hours: Fraction
    free: Fraction
    lapsed: Fraction
    by_hour: Fraction
    cost: Fraction
    penalties: Fraction
    we: Fraction
    they: Fraction


def quarters(contract: ContractRow, *, at: datetime) -> list[Quarter]:
    """Every quarter since the contract is billed here, the oldest first, the one that runs as far as it has."""
    facts = queries.facts([contract.id])[contract.id]
    state = hours(contract, facts, at)
    bundle = contract.terms.bundle
    work = bundle.work.key if bundle is not None else ""
    charges = [c for c in queries.charges([contract.id]) if c.element in ("", work)]
    credits_ = queries.credits_of([contract.id], most=100_000)
    fees = [c for c in charges if c.kind == billing.FEE]
    prices = {c.key.removeprefix("card/"): c.amount.amount for c in charges if c.kind == billing.CARD}
    rates = {one.key: one.rate.amount for one in facts.leave}
    began = {one.entry.key: contract.day_of(one.entry.began_at) for one in facts.work}
    cards = {c.card.key: c for c in (state.cards.cards if state.cards else ())}
    today = contract.day_of(at)
    first = contract.starts_on
    if contract.terms.price.minor:
        first = min((c.starts_on for c in charges if c.kind == billing.FEE or c.element), default=today)
    last = min(today, contract.ends_on or today)
    found, n = [], 0
    while (start := months_later(first, 3 * n)) < last:
        end = min(months_later(first, 3 * (n + 1)), last)
        n += 1
        paid = sum((_share(c.starts_on, c.ends_on, start, end) * c.amount.amount for c in fees), ZERO)
        seconds, given = 0, 0
        for draw in state.draws:
            if not start <= began[draw.entry] < end:
                continue
            if draw.by in _GIVEN:
                given += draw.seconds
                continue
            seconds += draw.seconds
            if draw.by is From.CARD:
                paid += prices.get(draw.source, ZERO) * draw.seconds / cards[draw.source].card.seconds
            elif draw.by is From.APPROVED:
                paid += rates[draw.source] * draw.seconds / HOUR
        lapsed = 0
        for key, one in cards.items():
            if one.lapsed and one.card.until is not None and start <= contract.day_of(one.card.until) < end:
                lapsed += one.lapsed
                paid += prices.get(key, ZERO) * one.lapsed / one.card.seconds
        if state.pool is not None:
            lapsed += sum(p.lapsed for p in state.pool.periods if start < contract.day_of(p.period.end) <= end)
        penalties = sum((c.amount.amount for c in credits_ if start <= c.period_start < end), ZERO)
        found.append(_quarter(contract, start, end, paid, seconds, given, lapsed, penalties))
    return found


def _share(starts: date, ends: date, start: date, end: date) -> Fraction:
    """What of the days [starts, ends) lies in [start, end)."""
    both = (min(ends, end) - max(starts, start)).days
    return Fraction(max(both, 0), max((ends - starts).days, 1))


def _quarter(
    contract: ContractRow, start: date, end: date, paid: Fraction, seconds: int, given: int, lapsed: int,
    penalties: Fraction,
) -> Quarter:  # fmt: skip
    terms = contract.terms
    years = Fraction((end - start).days * 4, 1461)
    delivered = Fraction(seconds + given, HOUR)
    hourly = terms.rate.amount if terms.rate is not None else (
        terms.cards[0].price.amount * HOUR / terms.cards[0].seconds if terms.cards else ZERO
    )  # fmt: skip
    ready = sum((one.amount for one in (terms.standby, terms.tail) if one is not None), ZERO) * years
    cost = delivered * terms.cost.hour + terms.cost.year * years
    by_hour = delivered * hourly
    return Quarter(
        start, end, paid, Fraction(seconds, HOUR), Fraction(given, HOUR), Fraction(lapsed, HOUR), by_hour, cost,
        penalties, paid - cost - penalties, by_hour + ready + penalties - paid,
    )  # fmt: skip
