"""How much money is at risk, who will probably pay late, which bills reached nobody, and what prevents the next one.

Nothing here is read by a step: a score picks what is gentler, and tells an operator.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date, datetime
from fractions import Fraction

from coulance.arrears import nights
from coulance.arrears import queries as records
from coulance.arrears.nights import FigureRow
from coulance.catalog import queries as catalogs
from coulance.customers import queries as customers
from coulance.customers.queries import AccountRow
from coulance.payments import agreements, mandates
from coulance.payments import queries as payments
from coulance_core.arrears import StayKind
from coulance_core.arrears.risk import (
    Expected,
    Gentler,
    Paid,
    Score,
    expected_loss,
    lately,
    score,
    usual,
)
from coulance_core.kernel import Money
from coulance_core.payments import ItemKind

SAMPLE = 500
"""Accounts from which everybody's habit is told, spread evenly over all."""
MOST = 1000


@dataclass(frozen=True, slots=True)
class AtRisk:
    """One currency's money: open and late, by age with what of it may never come, and days of sales outstanding.

    `not_received`: of what isn't due yet, bills that nobody is known to have received.
    """

    open: Money
    late: Money
    not_received: Money
    expected: Expected
    days_outstanding: int | None


@dataclass(frozen=True, slots=True)
class Likely:
    """An account that will probably pay its next bill late: the chance with its reasons, and what is gentler."""

    account: AccountRow
    chance: Fraction
    bills: int
    gentler: tuple[Gentler, ...]
    remind_days: int
    open: Money


@dataclass(frozen=True, slots=True)
class Unreceived:
    """A bill of which nothing says that it arrived: it isn't due until it does."""

    account: AccountRow
    number: str
    printed_due: date
    open: Money
    since: datetime


@dataclass(frozen=True, slots=True)
class OurError:
    """An account where something rests because we were wrong: what was restricted is lifted and credited."""

    account: AccountRow
    why: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Risk:
    """All of it as of `at`, the night that worked it out; none: no night did yet. `everybody`: the share of all bills
    that are paid late."""

    at: datetime | None
    everybody: Fraction
    money: tuple[AtRisk, ...]
    likely: tuple[Likely, ...]
    unreceived: tuple[Unreceived, ...]
    our_errors: tuple[OurError, ...]


def risk(*, at: datetime) -> Risk:
    """The picture as the last night left it; our own errors as they are now. Reads small tables alone."""
    kept = nights.figures()
    return Risk(
        min((one.at for one in kept), default=None),
        kept[0].everybody if kept else Fraction(1, 3),
        tuple(_money(one) for one in kept),
        tuple(_likely()),
        tuple(_unreceived()),
        tuple(our_errors(at=at)),
    )


def everybody(*, at: datetime) -> Fraction:
    """The share of everybody's bills that are paid late, from a sample."""
    on = at.astimezone(catalogs.catalog().provider.zone_info).date()
    return usual(histories(_sample()).values(), on)


def histories(accounts: Collection[int]) -> dict[int, list[Paid]]:
    """How these accounts paid in the last two years: each bill of theirs with its day, and when it was paid whole.

    Bills that were credited to nothing, and fees of collecting, say nothing of how somebody pays.
    """
    out: dict[int, list[Paid]] = {account: [] for account in accounts}
    if not accounts:
        return out
    came: dict[str, date] = {}
    paid: dict[str, int] = defaultdict(int)
    for row in payments.allocations(accounts=accounts):
        came[row.ref] = max(came.get(row.ref, row.effective_on), row.effective_on)
        paid[row.ref] += row.amount.minor
    for found in payments.items_since(accounts=accounts, settled=True):
        item = found.item
        if item.gross.minor <= 0 or item.kind in (ItemKind.COSTS, ItemKind.INTEREST):
            continue
        if item.open.minor <= 0 and not paid[item.ref]:
            continue
        out[item.account].append(Paid(item.due_on, came.get(item.ref) if item.open.minor <= 0 else None))
    return out


def score_of(account: int, *, at: datetime) -> Score:
    """The score of one account now, worked out anew."""
    on = at.astimezone(catalogs.catalog().provider.zone_info).date()
    return score(lately(histories([account])[account], on), on, everybody(at=at))


def by_themselves(accounts: Collection[int], *, on: date) -> frozenset[int]:
    """Those of these accounts whose bills are paid by themselves: a mandate, or an agreement to charge."""
    found = {row.account for row in agreements.agreements(accounts=accounts, kind="auto_pay")}
    return frozenset(found | set(mandates.in_force(on=on, accounts=accounts)))


def our_errors(*, at: datetime, accounts: Collection[int] | None = None) -> Iterable[OurError]:
    """Where we were wrong, and it rests. What was restricted is lifted, credited as downtime, and apologised for."""
    found = [
        row for row in records.stays(accounts=accounts)
        if row.kind is StayKind.OWN_ERROR and row.since <= at and (row.ends_at is None or at < row.ends_at)
    ]  # fmt: skip
    rows = {row.id: row for row in customers.accounts({one.account for one in found})} if found else {}
    return [OurError(rows[one.account], one.why, one.since) for one in found]


def _sample() -> list[int]:
    ids = customers.account_ids()
    return ids[:: max(1, len(ids) // SAMPLE)]


def _money(one: FigureRow) -> AtRisk:
    late = sum(money.minor for money in one.by_age[1:])
    whole = sum(money.minor for money in one.by_age)
    return AtRisk(
        Money(whole, one.currency), Money(late, one.currency), one.not_received, expected_loss(one.by_age),
        one.days_outstanding,
    )  # fmt: skip


def _likely() -> Iterable[Likely]:
    """Who will probably pay late, of those that owe something now, the likeliest first."""
    found = nights.habits(late=True, most=MOST)
    rows = {row.id: row for row in customers.accounts([one.account for one in found])} if found else {}
    open_now = payments.open_items(accounts=list(rows)) if rows else {}
    for one in found:
        row = rows[one.account]
        mine = [item.open for item in open_now.get(one.account, ()) if item.open.currency == row.currency]
        owed = sum(money.minor for money in mine if money.minor > 0)
        if owed:
            picked = tuple(Gentler(pick) for pick in one.gentler)
            yield Likely(
                row, Fraction(one.chance, 10_000), one.bills, picked, one.remind_days, Money(owed, row.currency)
            )


def _unreceived() -> Iterable[Unreceived]:
    found = nights.unreceived(most=MOST)
    rows = {row.id: row for row in customers.accounts({one.account for one in found})} if found else {}
    for one in found:
        yield Unreceived(rows[one.account], one.number, one.printed_due, one.amount, one.since)
