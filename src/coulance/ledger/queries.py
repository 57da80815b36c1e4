"""Reading the journal: balances, statements, the trial balance, open holds."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime

from django.db import connection

from coulance.ledger import reading
from coulance_core.kernel import Money
from coulance_core.ledger import RECEIVABLE, EntryKind, HoldKind, Movement, Standing, Statement, standing
from coulance_core.ledger import statement as fold_statement
from coulance_core.ledger.entry import Entry


@dataclass(frozen=True, slots=True)
class OpenHold:
    """An amount set aside and not released."""

    account: int | None
    kind: HoldKind
    amount: Money
    source: str
    placed_at: datetime
    about: str = ""
    """The debt that it is an amount of, as payments refers to it; empty: of the account as a whole."""


@dataclass(frozen=True, slots=True)
class TrialRow:
    """The sum of one ledger account in one currency: debits, credits, and what is left (debit positive)."""

    account: str
    debit: Money
    credit: Money
    balance: Money


def balances(*, accounts: Iterable[int] | None = None) -> dict[int, dict[str, Money]]:
    """What each account owes, by currency; all accounts, or these. Accounts without entries are left out."""
    wanted = None if accounts is None else list(accounts)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT p.account_id, l.currency, sum(l.amount)::bigint FROM ledger_party p"
            " JOIN ledger_entry e ON e.party_id = p.id JOIN ledger_posting l ON l.entry_id = e.id"
            " WHERE l.account = %s AND p.account_id IS NOT NULL AND (%s::bigint[] IS NULL OR p.account_id = ANY(%s))"
            " GROUP BY p.account_id, l.currency ORDER BY p.account_id, l.currency",
            [RECEIVABLE, wanted, wanted],
        )
        out: dict[int, dict[str, Money]] = {}
        for account, currency, minor in cursor.fetchall():
            out.setdefault(account, {})[currency] = Money(minor, currency)
        return out


def balances_on(code: str) -> dict[int, dict[str, Money]]:
    """What stands on one ledger account for each customer account, by currency (debit positive); nought is left out."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT p.account_id, l.currency, sum(l.amount)::bigint FROM ledger_party p"
            " JOIN ledger_entry e ON e.party_id = p.id JOIN ledger_posting l ON l.entry_id = e.id"
            " WHERE l.account = %s AND p.account_id IS NOT NULL"
            " GROUP BY p.account_id, l.currency HAVING sum(l.amount) <> 0 ORDER BY p.account_id, l.currency",
            [code],
        )
        out: dict[int, dict[str, Money]] = {}
        for account, currency, minor in cursor.fetchall():
            out.setdefault(account, {})[currency] = Money(minor, currency)
        return out


def balance(*, account: int) -> dict[str, Money]:
    """What an account owes, by currency; empty when nothing was ever booked."""
    return balances(accounts=[account]).get(account, {})


def standing_of(*, account: int, currency: str) -> Standing:
    """What an account owes in one currency beside what open holds set aside of it."""
    owed = balance(account=account).get(currency, Money(0, currency))
    return standing(owed, [(h.kind, h.amount) for h in open_holds(account=account) if h.amount.currency == currency])


def statement(*, account: int, start: date, end: date, currency: str) -> Statement:
    """An account's statement of [start, end), by the days that entries count."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT e.effective_on, e.kind, e.source, sum(l.amount)::bigint FROM ledger_party p"
            " JOIN ledger_entry e ON e.party_id = p.id JOIN ledger_posting l ON l.entry_id = e.id"
            " WHERE p.account_id = %s AND l.account = %s AND l.currency = %s AND e.effective_on < %s"
            " GROUP BY e.id ORDER BY e.seq",
            [account, RECEIVABLE, currency, end],
        )
        movements = [
            Movement(on, EntryKind(kind), source, Money(minor, currency))
            for on, kind, source, minor in cursor.fetchall()
        ]
    return fold_statement(movements, start=start, end=end, currency=currency)


def trial_balance(*, until: date | None = None) -> tuple[TrialRow, ...]:
    """Every ledger account's sums, of entries that count before `until` (none: all). Balances sum to zero."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT l.account, l.currency, coalesce(sum(l.amount) FILTER (WHERE l.amount > 0), 0)::bigint,"
            " coalesce(-sum(l.amount) FILTER (WHERE l.amount < 0), 0)::bigint"
            " FROM ledger_posting l JOIN ledger_entry e ON e.id = l.entry_id"
            " WHERE %s::date IS NULL OR e.effective_on < %s GROUP BY l.account, l.currency ORDER BY 1, 2",
            [until, until],
        )
        return tuple(
            TrialRow(account, Money(debit, code), Money(credit, code), Money(debit - credit, code))
            for account, code, debit, credit in cursor.fetchall()
        )


def open_holds(*, account: int | None = None, accounts: Iterable[int] | None = None) -> tuple[OpenHold, ...]:
    """Holds not released, oldest first; of all accounts, of one, or of these."""
    wanted = [account] if account is not None else None if accounts is None else sorted(set(accounts))
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT p.account_id, h.kind, h.amount, h.currency, h.source, h.placed_at, h.about FROM ledger_hold h"
            " JOIN ledger_party p ON p.id = h.party_id WHERE h.released_at IS NULL"
            " AND (%s::bigint[] IS NULL OR p.account_id = ANY(%s)) ORDER BY h.placed_at, h.id",
            [wanted, wanted],
        )
        return tuple(
            OpenHold(owner, HoldKind(kind), Money(minor, code), source, placed_at, about)
            for owner, kind, minor, code, source, placed_at, about in cursor.fetchall()
        )


def entries(*, sources: Iterable[str]) -> dict[str, Entry]:
    """The entries booked under these sources; sources that are not booked are left out."""
    return {stored.entry.source: stored.entry for stored in reading.entries_by_source(list(sources))}


def journal() -> Iterator[Entry]:
    """Every entry in the order of the days they count; streamed. An erased party's sources read `erased/<number>`."""
    for stored in reading.entries_by_day():
        yield stored.entry


@dataclass(frozen=True, slots=True)
class JournalSize:
    """How much there is."""

    entries: int
    parties: int
    sealed_days: int


def size() -> JournalSize:
    """How many entries, parties and sealed days the journal has."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT (SELECT count(*) FROM ledger_entry), (SELECT count(*) FROM ledger_party),"
            " (SELECT count(*) FROM ledger_day_seal)"
        )
        return JournalSize(*cursor.fetchone())


def unsealed_days(*, until: date) -> list[date]:
    """The UTC days up to `until` that have entries and no seal, in order."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT (recorded_at AT TIME ZONE 'UTC')::date AS day FROM ledger_entry"
            " WHERE (recorded_at AT TIME ZONE 'UTC')::date <= %s"
            " AND (recorded_at AT TIME ZONE 'UTC')::date"
            "   > coalesce((SELECT max(day) FROM ledger_day_seal), '-infinity')"
            " ORDER BY day",
            [until],
        )
        return [day for (day,) in cursor.fetchall()]
