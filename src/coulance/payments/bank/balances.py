"""Each of the provider's accounts by its statements: what is stored of it, and what is missing."""

from dataclasses import dataclass
from datetime import date

from coulance.payments.bank.reading import fetch
from coulance_core.kernel import Money
from coulance_core.payments.bank import BankStatement, fingerprints


@dataclass(frozen=True, slots=True)
class AccountStatus:
    """One of the provider's accounts by its statements: `missing` is what the entries known don't explain."""

    iban: str
    currency: str
    statements: int
    entries: int
    first_on: date | None
    last_on: date | None
    closing: Money | None
    missing: Money | None


def known_marks(*, statement: BankStatement) -> frozenset[bytes]:
    """The fingerprints of a statement's entries that are stored already."""
    marks = [mark for _, mark in fingerprints(statement)]
    return frozenset(
        bytes(mark)
        for (mark,) in fetch(
            "SELECT e.fingerprint FROM payments_bank_entry e JOIN payments_bank_account b ON b.id = e.bank_account_id"
            " WHERE b.iban = %s AND b.currency = %s AND e.fingerprint = ANY(%s)",
            [statement.account[:60], statement.currency, marks],
        )
    )


def status() -> list[AccountStatus]:
    """Each bank account by its statements: the first opening balance and all entries since give the last closing one.

    Entries of notifications are not counted: a statement has their sum.
    """
    out = []
    for iban, code, statements, entries_, first, last, opening, closing, moved in fetch(
        "WITH s AS (SELECT * FROM payments_bank_statement WHERE opening IS NOT NULL AND closing IS NOT NULL)"
        " SELECT b.iban, b.currency, (SELECT count(*) FROM s WHERE s.bank_account_id = b.id),"
        " (SELECT count(*) FROM payments_bank_entry e JOIN s ON s.id = e.statement_id WHERE e.bank_account_id = b.id),"
        " (SELECT min(opened_on) FROM s WHERE s.bank_account_id = b.id),"
        " (SELECT max(closed_on) FROM s WHERE s.bank_account_id = b.id),"
        " (SELECT opening FROM s WHERE s.bank_account_id = b.id ORDER BY opened_on, closed_on, id LIMIT 1),"
        " (SELECT closing FROM s WHERE s.bank_account_id = b.id"
        "   ORDER BY closed_on DESC, opened_on DESC, id DESC LIMIT 1),"
        " (SELECT coalesce(sum(e.amount), 0)::bigint FROM payments_bank_entry e JOIN s ON s.id = e.statement_id"
        "   WHERE e.bank_account_id = b.id)"
        " FROM payments_bank_account b ORDER BY b.iban, b.currency",
        [],
    ):
        missing = None if opening is None else Money(closing - opening - moved, code)
        now = None if closing is None else Money(closing, code)
        out.append(AccountStatus(iban, code, statements, entries_, first, last, now, missing))
    return out
