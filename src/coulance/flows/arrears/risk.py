"""How much money is at risk, who will probably pay late, which bills reached nobody, and what prevents the next one.

Nothing here is read by a step: a score picks what is gentler, and tells an operator.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from fractions import Fraction

from coulance.arrears import queries as records
from coulance.catalog import queries as catalogs
from coulance.customers import queries as customers
from coulance.customers.queries import AccountRow
from coulance.flows.arrears.facts import read
from coulance.invoicing import queries as documents
from coulance.payments import agreements, mandates, statements
from coulance.payments import queries as payments
from coulance_core.arrears import StayKind
from coulance_core.arrears.judging import Judging
from coulance_core.arrears.risk import (
    Expected,
    Gentler,
    Paid,
    Score,
    days_sales_outstanding,
    expected_loss,
    gentler,
    lately,
    remind_days,
    score,
    usual,
)
from coulance_core.kernel import Money
from coulance_core.payments import ItemKind

SAMPLE = 500
"""Accounts from which everybody's habit is told, spread evenly over all."""
YEAR = timedelta(days=365)


@dataclass(frozen=True, slots=True)
class AtRisk:
    """One currency's money: open and late, by age with what of it may never come, and days of sales outstanding."""

    open: Money
    late: Money
    expected: Expected
    days_outstanding: int | None


@dataclass(frozen=True, slots=True)
class Likely:
    """An account that will probably pay its next bill late: the score with its reasons, and what is gentler."""

    account: AccountRow
    score: Score
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


@dataclass(frozen=True, slots=True)
class OurError:
    """An account where something rests because we were wrong: what was restricted is lifted and credited."""

    account: AccountRow
    why: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Risk:
    """All of it at a day. `everybody` is the share of all bills that are paid late."""

    on: date
    everybody: Fraction
    money: tuple[AtRisk, ...]
    likely: tuple[Likely, ...]
    unreceived: tuple[Unreceived, ...]
    our_errors: tuple[OurError, ...]


def risk(*, at: datetime, accounts: Collection[int] | None = None) -> Risk:
    """The picture at an instant, of these accounts or of all that owe."""
    try:
        on = at.astimezone(catalogs.catalog().provider.zone_info).date()
    except catalogs.UnableToFindCatalogError:
        return Risk(at.date(), Fraction(1, 3), (), (), (), ())  # nobody is billed yet
    open_now = payments.open_items(accounts=accounts)
    owing = [account for account, items in open_now.items() if any(item.open.minor > 0 for item in items)]
    rows = {row.id: row for row in customers.accounts(owing)} if owing else {}
    everybody = usual(histories(_sample()).values(), on)
    return Risk(
        on,
        everybody,
        tuple(_money(on)) if accounts is None else (),
        tuple(_likely(rows, everybody, on)),
        tuple(_unreceived(rows, at)),
        tuple(our_errors(at=at, accounts=accounts)),
    )


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


def scores(accounts: Collection[int], *, on: date) -> dict[int, Score]:
    """The score of each of these accounts on a day."""
    everybody = usual(histories(_sample()).values(), on)
    return {account: score(lately(of, on), on, everybody) for account, of in histories(accounts).items()}


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


def _money(on: date) -> Iterable[AtRisk]:
    billed = documents.billed_by_day(since=on - YEAR)
    for code, found in sorted(statements.totals(statements.aged_accounts(on=on)).items()):
        by_age = [found.not_late, found.to_30, found.to_60, found.to_90, found.older]
        late = sum(money.minor for money in by_age[1:])
        whole = sum(money.minor for money in by_age)
        dso = days_sales_outstanding(billed.get(code, {}).items(), whole, on)
        yield AtRisk(Money(whole, code), Money(late, code), expected_loss(by_age), dso)


def _likely(rows: Mapping[int, AccountRow], everybody: Fraction, on: date) -> Iterable[Likely]:
    means = by_themselves(list(rows), on=on) if rows else frozenset()
    open_now = payments.open_items(accounts=list(rows)) if rows else {}
    out = []
    for account, history in histories(list(rows)).items():
        found = score(lately(history, on), on, everybody)
        if not found.probably_late:
            continue
        row = rows[account]
        mine = [item.open for item in open_now.get(account, ()) if item.open.currency == row.currency]
        owed = sum(money.minor for money in mine if money.minor > 0)
        picked = gentler(found, lately(history, on), on, has_means=account in means)
        out.append(Likely(row, found, picked, remind_days(history, on), Money(owed, row.currency)))
    return sorted(out, key=lambda one: (-one.score.chance, -one.open.minor, one.account.external_id))


def _unreceived(rows: Mapping[int, AccountRow], at: datetime) -> Iterable[Unreceived]:
    """By core's own judgement of which bills are due, so that it is the one that steps go by."""
    out = []
    for account, one in read(rows, at=at).items():
        for standing in Judging(one.policy, one.facts, at, one.law).standing.values():
            if standing.due_on is None:
                debt = standing.debt
                out.append(Unreceived(rows[account], debt.number, debt.due_on, debt.open))
    return sorted(out, key=lambda one: (one.printed_due, one.number))
