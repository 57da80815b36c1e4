"""Hour cards in the books: owed in work when they are sold, income as hours are used, breakage when they lapse.

What is booked is the difference to what was booked before, so that late and corrected entries settle themselves. Cards
that were sold before this was so were income at once; they stay as they were booked.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from coulance.catalog import queries as catalogs
from coulance.contracts import operations, queries
from coulance.contracts.hours import hours
from coulance.contracts.queries import ContractRow, SoldCard
from coulance.customers import queries as customers
from coulance.invoicing.crediting import booked_of_lines
from coulance.ledger import queries as ledger
from coulance.ledger.operations import parties_for, post_entries
from coulance_core.contracts.hours import CardState
from coulance_core.contracts.unearned import Earned, earned
from coulance_core.kernel import Money
from coulance_core.ledger import Entry, EntryKind, combine, deferred, revenue

OWED = deferred("hours")
USED, LAPSED = revenue("hours"), revenue("breakage")


def source(card: int, no: int) -> str:
    """The ledger source of a card's booking."""
    return f"card/{card}/earned/{no}"


def book(contract: ContractRow, *, actor: str, at: datetime) -> int:
    """Book what was earned of a contract's cards since it was last booked, in the caller's transaction and lock."""
    sold = [one for one in queries.sold_cards([contract.id]) if one.line is not None]
    if not sold:
        return 0
    states = _states(contract, at)
    nets = _nets(sold)
    today = at.astimezone(catalogs.catalog().provider.zone_info).date()
    party = parties_for(accounts=[contract.account])[contract.account]
    entries = []
    for one in sold:
        found = _earned(one, states.get(one.key), nets)
        used, lapsed = found.used - one.used, found.lapsed - one.lapsed
        if not used.minor and not lapsed.minor:
            continue
        legs = combine(
            [
                (OWED, used.minor + lapsed.minor, used.currency),
                (USED, -used.minor, used.currency),
                (LAPSED, -lapsed.minor, used.currency),
            ]
        )
        entries.append(Entry(party, EntryKind.ADJUSTMENT, source(one.id, one.bookings + 1), today, legs))
        operations.record_earning(
            card=one.id, no=one.bookings + 1, used=found.used, lapsed=found.lapsed, actor=actor, at=at
        )
    post_entries(entries=entries, at=at)
    return len(entries)


def _states(contract: ContractRow, at: datetime) -> dict[str, CardState]:
    found = hours(contract, queries.facts([contract.id])[contract.id], at)
    return {one.card.key: one for one in (found.cards.cards if found.cards else ())}


def _nets(sold: list[SoldCard]) -> dict[tuple[str, int], Money]:
    return booked_of_lines([(one.invoice, one.line) for one in sold if one.line is not None])


def _earned(one: SoldCard, state: CardState | None, nets: dict[tuple[str, int], Money]) -> Earned:
    """What is earned of a card; of one that was taken back, nothing."""
    zero = Money(0, one.used.currency)
    net = nets.get((one.invoice, one.line or 0), zero)
    return Earned(zero, zero, net) if state is None else earned(state, net)


@dataclass(frozen=True, slots=True)
class Outstanding:
    """One contract's cards at an instant: hours and money that are owed; whether all of it is booked as it stands."""

    contract: str
    account: int
    seconds: int
    owed: Money
    used: Money
    lapsed: Money
    booked: bool


def outstanding(*, at: datetime) -> list[Outstanding]:
    """What is owed in work on each contract's cards, for whoever closes the books."""
    sold = [one for one in queries.sold_cards() if one.line is not None]
    nets = _nets(sold)
    found = []
    for contract in queries.contracts(ids={one.contract for one in sold}):
        states = _states(contract, at)
        zero = Money(0, contract.currency)
        owed, used, lapsed, booked = zero, zero, zero, True
        for one in (card for card in sold if card.contract == contract.id):
            now = _earned(one, states.get(one.key), nets)
            owed, used, lapsed = owed + now.unearned, used + now.used, lapsed + now.lapsed
            booked &= (now.used, now.lapsed) == (one.used, one.lapsed)
        left = sum(states[card.key].left for card in sold if card.key in states and card.contract == contract.id)
        found.append(Outstanding(contract.key, contract.account, left, owed, used, lapsed, booked))
    return found


@dataclass(frozen=True, slots=True)
class HoursFault:
    """An account whose journal owes something else than its cards say."""

    account: str
    message: str

    def __str__(self) -> str:
        return f"account {self.account}: {self.message}"


def check_hours() -> Iterator[HoursFault]:
    """For each account: what the journal owes in hours is what was sold, less what was credited and earned."""
    with transaction.atomic():
        sold = [one for one in queries.sold_cards() if one.line is not None]
        nets = _nets(sold)
        wanted: dict[tuple[int, str], int] = {}
        for one in sold:
            net = nets.get((one.invoice, one.line or 0), Money(0, one.used.currency))
            key = (one.account, net.currency)
            wanted[key] = wanted.get(key, 0) + (net - one.used - one.lapsed).minor
        booked = {
            (account, code): -money.minor
            for account, by_code in ledger.balances_on(OWED).items()
            for code, money in by_code.items()
        }
    # The books of an account that was erased lead to nobody: there is nothing left to compare with.
    known = ledger.balances(accounts=[account for account, _ in wanted])
    wanted = {key: minor for key, minor in wanted.items() if key[0] in known}
    names = {one.id: one.external_id for one in customers.accounts({account for account, _ in wanted | booked})}
    for account, code in sorted(wanted | booked):
        owes, journal = wanted.get((account, code), 0), booked.get((account, code), 0)
        if owes != journal:
            yield HoursFault(
                names.get(account, str(account)),
                f"the journal owes {Money(journal, code)} in hours, the cards say {Money(owes, code)}",
            )
