"""Booking 100,000 entries of three postings, chained and proven, beside a journal guarded the usual way.

The rival has the same rows and the usual guard: a deferred constraint trigger on every posting that sums its entry, and
a foreign key; no hashes, no sequence, no refusal of changes. Both are written by COPY in one transaction.
"""

from datetime import UTC, date, datetime
from typing import Any

from benchmarks.harness import Result, timed
from benchmarks.server import database

ENTRIES = 100_000
AT = datetime(2026, 11, 1, 9, tzinfo=UTC)
ON = date(2026, 11, 1)

RIVAL = """
CREATE TABLE rival_entry (id bigint PRIMARY KEY, source text UNIQUE, effective_on date NOT NULL);
CREATE TABLE rival_posting (id bigserial PRIMARY KEY, entry_id bigint NOT NULL REFERENCES rival_entry
  DEFERRABLE INITIALLY DEFERRED, account text NOT NULL, amount bigint NOT NULL, currency char(3) NOT NULL);
CREATE INDEX ON rival_posting (entry_id);
CREATE FUNCTION rival_balanced() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT 1 FROM rival_posting WHERE entry_id = NEW.entry_id GROUP BY currency HAVING sum(amount) <> 0) THEN
    RAISE EXCEPTION 'entry % is not balanced', NEW.entry_id;
  END IF;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER rival_balanced AFTER INSERT ON rival_posting
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION rival_balanced();
"""


def run() -> list[Result]:
    """Measure both on one server, with fsync on."""
    with database():
        from django.db import connection, transaction

        from coulance.ledger.operations import parties_for, post_entries
        from coulance.ledger.queries import trial_balance
        from coulance_core.ledger import Entry, EntryKind, Posting

        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(RIVAL)
            cursor.execute(
                "INSERT INTO customers_account (external_id, name, kind, country, address, currency, zone, language)"
                " SELECT 'c-' || n, 'Customer', 'business', 'NL', '{}', 'EUR', 'UTC', 'en'"
                " FROM generate_series(1, %s) n RETURNING id",
                [ENTRIES],
            )
            accounts = [account for (account,) in cursor.fetchall()]
            parties = parties_for(accounts=accounts)
        legs = (
            Posting("receivable", 1210, "EUR"),
            Posting("revenue:base", -1000, "EUR"),
            Posting("tax:NL-21", -210, "EUR"),
        )
        with timed() as ours, transaction.atomic():
            entries = [Entry(parties[a], EntryKind.INVOICE, f"document/{a}", ON, legs) for a in accounts]
            post_entries(entries=entries, at=AT)
        assert {row.account: row.balance.minor for row in trial_balance()}["receivable"] == 1210 * ENTRIES
        with timed() as rival, transaction.atomic():
            _rival(accounts, legs)
    return [
        Result(
            "ledger: book 100k entries x 3, proven",
            ENTRIES / ours.seconds,
            "entries/s",
            "COPY, a trigger a posting",
            ENTRIES / rival.seconds,
            note=f"{ours.seconds:.1f} s with hash chain, goal 8 s",
        )
    ]


def _rival(accounts: list[int], legs: tuple[Any, ...]) -> None:
    from coulance.platform.db import copy_lines

    copy_lines(
        table="rival_entry",
        columns=("id", "source", "effective_on"),
        lines=[f"{account}\tdocument/{account}\t{ON}\n" for account in accounts],
    )
    copy_lines(
        table="rival_posting",
        columns=("entry_id", "account", "amount", "currency"),
        lines=[f"{account}\t{p.account}\t{p.amount}\t{p.currency}\n" for account in accounts for p in legs],
    )
