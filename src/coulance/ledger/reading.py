"""Reading journal rows as they lie, without trusting them. Private to the room."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.db import connection

from coulance_core.ledger import Entry, EntryKind, Posting

_ERASED = "erased"


@dataclass(frozen=True, slots=True)
class StoredEntry:
    """A row of the journal with its legs, in order. `entry` raises when the row is no proper entry."""

    id: int
    party_id: int
    pseudonym: bytes
    salt: bytes | None
    seq: int
    kind: str
    source: str | None
    source_hash: bytes
    effective_on: date
    recorded_at: datetime
    reverses_id: int | None
    reverses_hash: bytes
    reverses_source: str | None
    stated_postings: int
    previous_hash: bytes
    hash: bytes
    legs: tuple[tuple[str, int, str], ...]

    @property
    def entry(self) -> Entry:
        """As a checked value. An erased party's entries go by their number."""
        reverses = None
        if self.reverses_id is not None:
            reverses = self.reverses_source or f"{_ERASED}/{self.reverses_id}"
        return Entry(
            self.pseudonym,
            EntryKind(self.kind),
            self.source or f"{_ERASED}/{self.id}",
            self.effective_on,
            tuple(Posting(*leg) for leg in self.legs),
            reverses,
        )


_SELECT = """
SELECT e.id, e.party_id, p.pseudonym, p.salt, e.seq, e.kind, e.source, e.source_hash, e.effective_on, e.recorded_at,
       e.reverses_id, r.hash, r.source, e.postings, e.previous_hash, e.hash,
       legs.accounts, legs.amounts, legs.currencies
  FROM ledger_entry e
  JOIN ledger_party p ON p.id = e.party_id
  LEFT JOIN ledger_entry r ON r.id = e.reverses_id
  LEFT JOIN LATERAL (
    SELECT array_agg(account ORDER BY no) AS accounts, array_agg(amount ORDER BY no) AS amounts,
           array_agg(currency ORDER BY no) AS currencies
      FROM ledger_posting WHERE entry_id = e.id) legs ON true
"""


def _stored(row: Sequence[Any]) -> StoredEntry:
    accounts, amounts, currencies = row[16] or (), row[17] or (), row[18] or ()
    return StoredEntry(
        id=row[0],
        party_id=row[1],
        pseudonym=row[2].bytes,
        salt=None if row[3] is None else bytes(row[3]),
        seq=row[4],
        kind=row[5],
        source=row[6],
        source_hash=bytes(row[7]),
        effective_on=row[8],
        recorded_at=row[9],
        reverses_id=row[10],
        reverses_hash=b"" if row[11] is None else bytes(row[11]),
        reverses_source=row[12],
        stated_postings=row[13],
        previous_hash=bytes(row[14]),
        hash=bytes(row[15]),
        legs=tuple(zip(accounts, amounts, currencies, strict=True)),
    )


def entries_by_source(sources: Sequence[str]) -> list[StoredEntry]:
    """The entries booked under these sources, in no particular order."""
    with connection.cursor() as cursor:
        cursor.execute(_SELECT + " WHERE e.source = ANY(%s)", [list(sources)])
        return [_stored(row) for row in cursor.fetchall()]


def entries_by_chain() -> Iterator[StoredEntry]:
    """Every entry, party by party, in the order of their chains; streamed, so that a journal of any size fits."""
    yield from _stream(_SELECT + " ORDER BY e.party_id, e.seq")


def entries_of(*, party: int) -> Iterator[StoredEntry]:
    """A party's entries in the order of their chain; streamed."""
    yield from _stream(_SELECT + " WHERE e.party_id = %s ORDER BY e.seq", [party])


def entries_by_day() -> Iterator[StoredEntry]:
    """Every entry by the day it counts, then by number; streamed."""
    yield from _stream(_SELECT + " ORDER BY e.effective_on, e.id")


def hashes_of_day(day: date) -> list[bytes]:
    """The hashes of the entries recorded on a UTC day, in no particular order."""
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT hash FROM ledger_entry WHERE recorded_at >= %s AND recorded_at < %s",
            [start, start + timedelta(days=1)],
        )
        return [bytes(link) for (link,) in cursor.fetchall()]


def _stream(statement: str, values: Sequence[Any] = ()) -> Iterator[StoredEntry]:
    with connection.chunked_cursor() as cursor:
        cursor.execute(statement, values)
        while rows := cursor.fetchmany(2000):
            for row in rows:
                yield _stored(row)
