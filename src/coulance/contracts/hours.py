"""Where each minute of a contract went, at an instant: derived from all its facts, never stored."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from coulance.contracts.queries import ContractRow, Facts
from coulance_core.contracts.hours import (
    Cards,
    CardWarning,
    Draw,
    From,
    HourlyCharge,
    Pool,
    Stop,
    card_warnings,
    charge,
    draw_cards,
    draw_hourly,
    draw_pool,
)
from coulance_core.contracts.renewal import months_later
from coulance_core.contracts.terms import HOUR, Kind
from coulance_core.kernel import Period


@dataclass(frozen=True)
class Hours:
    """A contract's hours at an instant: cards or a pool, and what paid for each entry."""

    draws: tuple[Draw, ...]
    cards: Cards | None = None
    pool: Pool | None = None

    @property
    def left(self) -> int | None:
        """Seconds that can still be drawn now; None where nothing is drawn."""
        if self.cards is not None:
            return self.cards.left
        if self.pool is not None and self.pool.periods:
            now = self.pool.periods[-1]
            return now.pool + now.carried_in - now.used
        return None

    def of(self, entry: str) -> list[Draw]:
        """What paid for an entry."""
        return [one for one in self.draws if one.entry == entry]

    def by(self, source: From) -> int:
        """Seconds that one kind of source paid."""
        return sum(one.seconds for one in self.draws if one.by is source)


def hours(contract: ContractRow, facts: Facts, at: datetime) -> Hours:
    """What pays for each entry of a contract that began by an instant."""
    terms, stop = contract.terms, _stop(contract, at)
    if contract.kind is Kind.CARD:
        cards = draw_cards(facts.cards, facts.entries, facts.approvals, terms.work, at, stop)
        return Hours(cards.draws, cards=cards)
    if terms.retainer is not None:
        pool = draw_pool(terms.retainer, contract.periods(at), facts.entries, facts.approvals, terms.work, at, stop)
        return Hours(pool.draws, pool=pool)
    return Hours(draw_hourly(facts.entries, facts.approvals, terms.work, at, stop))


def _stop(contract: ContractRow, at: datetime) -> Stop | None:
    """Where the fee includes only so much in each year of the contract."""
    if contract.terms.stop is None:
        return None
    edges = [contract.midnight(contract.starts_on)]
    while edges[-1] <= at:
        edges.append(contract.midnight(months_later(contract.starts_on, 12 * len(edges))))
    return Stop(int(contract.terms.stop * HOUR), [Period(a, b) for a, b in pairwise(edges)])


def approved_charge(contract: ContractRow, facts: Facts, found: Hours) -> HourlyCharge:
    """What all approved work comes to, since the contract began."""
    return charge(found.draws, facts.approvals, contract.currency, contract.version)


def warnings(contract: ContractRow, found: Hours, at: datetime) -> tuple[CardWarning, ...]:
    """What a card's holder is to be told now."""
    if found.cards is None:
        return ()
    terms = contract.terms
    return card_warnings(found.cards, at, low=terms.low, ahead=timedelta(days=terms.ahead_days))
