"""Auditing the journal from its first entry: what the guards promise, recomputed, for whoever doubts the guards.

Triggers stop mistakes; a person who may switch them off is stopped by the hashes. `check_ledger` recomputes every
hash, follows every chain, sums every entry and compares every sealed day.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.db import connection

from coulance.ledger import reading
from coulance_core.ledger import GENESIS, AccountCodeError, EntryError, entry_hash, seal_of, source_digest


@dataclass(frozen=True, slots=True)
class LedgerFault:
    """What is wrong, and where: `entry 17 (party 3, number 4)`, or `day 2026-11-01`."""

    where: str
    message: str

    def __str__(self) -> str:
        return f"{self.where}: {self.message}"


def check_ledger() -> Iterator[LedgerFault]:
    """Every fault of the journal, as it is found. Nothing is yielded for a sound one. Reads, never writes."""
    party_id, seq, previous = None, 0, GENESIS
    for stored in reading.entries_by_chain():
        where = f"entry {stored.id} (party {stored.party_id}, number {stored.seq})"
        if stored.party_id != party_id:
            party_id, seq, previous = stored.party_id, 0, GENESIS
        if stored.seq != seq + 1:
            yield LedgerFault(where, f"expected number {seq + 1} of its party: entries are missing or were moved")
        if stored.previous_hash != previous:
            yield LedgerFault(where, "does not name the hash of the entry before it: the chain was cut or forked")
        yield from _check_entry(stored, where)
        seq, previous = stored.seq, stored.hash
    yield from _check_seals()
    yield from _check_strays()


def _check_entry(stored: reading.StoredEntry, where: str) -> Iterator[LedgerFault]:
    if len(stored.legs) != stored.stated_postings:
        yield LedgerFault(where, f"says it has {stored.stated_postings} postings and has {len(stored.legs)}")
    try:
        entry = stored.entry
    except (EntryError, AccountCodeError, ValueError) as error:
        yield LedgerFault(where, f"is no proper entry: {error}")
        return
    computed = entry_hash(
        entry=entry,
        seq=stored.seq,
        source_hash=stored.source_hash,
        recorded_at=stored.recorded_at,
        reverses=stored.reverses_hash,
        previous=stored.previous_hash,
    )
    if computed != stored.hash:
        yield LedgerFault(where, "its content does not give its hash: it was changed, or its hash was forged")
    if stored.salt is not None and stored.source is not None:
        if source_digest(stored.salt, stored.source) != stored.source_hash:
            yield LedgerFault(where, f"its source {stored.source!r} does not give its source hash")
    elif stored.salt is not None:
        yield LedgerFault(where, "its source is gone though its party was not erased")


def _check_seals() -> Iterator[LedgerFault]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT day, entries, root, previous, seal FROM ledger_day_seal ORDER BY day")
        rows: list[Any] = cursor.fetchall()
    previous = GENESIS
    for day, entries, root, stated_previous, seal in rows:
        where = f"day {day.isoformat()}"
        computed = seal_of(day, reading.hashes_of_day(day), bytes(stated_previous))
        if bytes(stated_previous) != previous:
            yield LedgerFault(where, "its seal does not follow the one before it")
        if computed.entries != entries:
            yield LedgerFault(where, f"was sealed with {entries} entries and has {computed.entries}")
        if computed.root != bytes(root):
            yield LedgerFault(where, "its entries do not give the root it was sealed with")
        elif computed.seal != bytes(seal):
            yield LedgerFault(where, "its seal was forged")
        previous = bytes(seal)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT (recorded_at AT TIME ZONE 'UTC')::date AS day, count(*) FROM ledger_entry"
            " WHERE (recorded_at AT TIME ZONE 'UTC')::date < (SELECT max(day) FROM ledger_day_seal)"
            " AND (recorded_at AT TIME ZONE 'UTC')::date NOT IN (SELECT day FROM ledger_day_seal) GROUP BY 1 ORDER BY 1"
        )
        for day, count in cursor.fetchall():
            yield LedgerFault(f"day {day.isoformat()}", f"has {count} entries under later seals but no seal itself")


def _check_strays() -> Iterator[LedgerFault]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT p.entry_id, count(*) FROM ledger_posting p LEFT JOIN ledger_entry e ON e.id = p.entry_id"
            " WHERE e.id IS NULL GROUP BY p.entry_id ORDER BY p.entry_id"
        )
        rows: list[Any] = cursor.fetchall()
    for entry_id, count in rows:
        yield LedgerFault(f"entry {entry_id}", f"is gone, and {count} postings of it are left")
