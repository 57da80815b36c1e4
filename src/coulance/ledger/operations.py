"""Writing the journal. Every function runs inside the caller's transaction, so that books and facts commit together."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

from django.db import connection, transaction

from coulance.customers import queries as customers
from coulance.ledger import queries, reading
from coulance.platform.db import copy_lines, copy_text, next_ids
from coulance_core.kernel import Money, require_aware
from coulance_core.ledger import (
    GENESIS,
    DaySeal,
    Entry,
    EntryKind,
    HoldKind,
    entry_hash,
    reversal,
    seal_of,
    source_digest,
    utc_day,
)


class LedgerOperationError(RuntimeError):
    """The journal refused an operation; subclasses say which."""


class UnableToPostError(LedgerOperationError):
    """Entries that cannot be booked: no transaction, an unknown party, or a source booked before with other content."""


class UnableToReverseError(LedgerOperationError):
    """There is no such entry, it is itself a reversal, or it was reversed before."""


class UnableToHoldError(LedgerOperationError):
    """A hold that cannot be placed or released."""


class UnableToSealError(LedgerOperationError):
    """A day that cannot be sealed: not over yet, sealed already, or an earlier day is still open."""


class UnableToEraseError(LedgerOperationError):
    """An account without a party, or with holds still open."""


@dataclass(frozen=True, slots=True)
class PostedEntries:
    """How many entries were booked now, and how many had been booked before, with the same content."""

    posted: int
    already: int


def _require_transaction(what: str) -> None:
    if not connection.in_atomic_block:
        raise UnableToPostError(f"{what} wants a transaction: call it inside transaction.atomic()")


def parties_for(*, accounts: Iterable[int]) -> dict[int, bytes]:
    """The pseudonym of each account (customers' database ids), made where there is none yet.

    Raises `UnableToPostError` naming accounts that do not exist, or were erased.
    """
    wanted = sorted(set(accounts))
    _require_transaction("parties_for")
    found = _parties(wanted)
    missing = [account for account in wanted if account not in found]
    if not missing:
        return found
    # Sorted by id: two writers make parties in one order, and cannot lock each other out.
    new = customers.accounts(missing)
    if len(new) != len(missing):
        unknown = sorted(set(missing) - {row.id for row in new})
        raise UnableToPostError(f"no such account: {', '.join(map(str, unknown[:5]))}")
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO ledger_party (account_id, pseudonym) SELECT * FROM unnest(%s::bigint[], %s::uuid[])"
            " ON CONFLICT DO NOTHING",
            [[row.id for row in new], [row.pseudonym for row in new]],
        )
    found |= _parties(missing)
    for account in missing:
        if account not in found:  # its pseudonym is there, and leads to nobody any more
            raise UnableToPostError(f"the books of account {account} were erased: nothing more is booked for it")
    return found


def lock_accounts(*, accounts: Iterable[int]) -> dict[int, bytes]:
    """The pseudonym of each account, its books locked until the transaction ends: nobody else books for it meanwhile.

    Whoever decides by what is booked takes this lock first, and then reads. In the order of the parties' ids, as
    `post_entries` takes it, so that two writers queue and never lock each other out.
    """
    found = parties_for(accounts=accounts)
    _lock_parties(set(found.values()))
    return found


def _parties(accounts: Sequence[int]) -> dict[int, bytes]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT account_id, pseudonym FROM ledger_party WHERE account_id = ANY(%s)", [list(accounts)])
        return {account: pseudonym.bytes for account, pseudonym in cursor.fetchall()}


def post_entries(*, entries: Sequence[Entry], at: datetime) -> PostedEntries:
    """Book entries, in the order given within each party, recorded at `at`.

    Idempotent by source: an entry that is there with the same content is counted, not booked again; with other
    content it raises. Parties are locked in the order of their ids until the transaction ends, so that two writers
    queue for an account and never fork its chain. Balances are proven by the database at commit.
    """
    _require_transaction("post_entries")
    at = require_aware(at)
    if not entries:
        return PostedEntries(0, 0)
    parties = _lock_parties({entry.party for entry in entries})
    fresh, already = _not_yet_booked(entries)
    if not fresh:
        return PostedEntries(0, already)
    heads = _heads([party_id for party_id, _ in parties.values()])
    reversed_by_source = _reversed({entry.reverses for entry in fresh if entry.reverses is not None})
    ids = next_ids(sequence="ledger_entry_id_seq", count=len(fresh))
    entry_lines: list[str] = []
    posting_lines: list[str] = []
    recorded = at.isoformat()
    for entry_id, entry in zip(ids, fresh, strict=True):
        party_id, salt = parties[entry.party]
        seq, previous = heads.get(party_id, (0, GENESIS))
        seq += 1
        source_hash = source_digest(salt, entry.source)
        target_id, target_hash = reversed_by_source.get(entry.reverses or "", (None, b""))
        if entry.reverses is not None and target_id is None:
            raise UnableToReverseError(f"{entry.source}: no entry {entry.reverses} to reverse")
        link = entry_hash(
            entry=entry, seq=seq, source_hash=source_hash, recorded_at=at, reverses=target_hash, previous=previous
        )
        heads[party_id] = seq, link
        entry_lines.append(
            f"{entry_id}\t{party_id}\t{seq}\t{entry.kind.value}\t{copy_text(entry.source)}\t\\\\x{source_hash.hex()}\t"
            f"{entry.effective_on.isoformat()}\t{recorded}\t{target_id or NULL}\t{len(entry.postings)}\t"
            f"\\\\x{previous.hex()}\t\\\\x{link.hex()}\n"
        )
        posting_lines.extend(
            [
                f"{entry_id}\t{no}\t{posting.account}\t{posting.amount}\t{posting.currency}\n"
                for no, posting in enumerate(entry.postings, 1)
            ]
        )
    copy_lines(table="ledger_entry", columns=_ENTRY_COLUMNS, lines=entry_lines)
    copy_lines(table="ledger_posting", columns=_POSTING_COLUMNS, lines=posting_lines)
    return PostedEntries(len(fresh), already)


NULL = "\\N"
_ENTRY_COLUMNS = (
    "id",
    "party_id",
    "seq",
    "kind",
    "source",
    "source_hash",
    "effective_on",
    "recorded_at",
    "reverses_id",
    "postings",
    "previous_hash",
    "hash",
)
_POSTING_COLUMNS = ("entry_id", "no", "account", "amount", "currency")


def _lock_parties(pseudonyms: Iterable[bytes]) -> dict[bytes, tuple[int, bytes]]:
    wanted = [UUID(bytes=pseudonym) for pseudonym in pseudonyms]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id, pseudonym, salt FROM ledger_party WHERE pseudonym = ANY(%s) ORDER BY id FOR NO KEY UPDATE",
            [wanted],
        )
        rows = cursor.fetchall()
    found = {pseudonym.bytes: (party_id, salt) for party_id, pseudonym, salt in rows}
    if len(found) != len(wanted):
        raise UnableToPostError(f"{len(wanted) - len(found)} entries name a party that does not exist: see parties_for")
    erased = [party_id for party_id, salt in found.values() if salt is None]
    if erased:
        raise UnableToPostError(f"party {erased[0]} was erased: nothing more is booked for it")
    return {pseudonym: (party_id, bytes(salt)) for pseudonym, (party_id, salt) in found.items()}


def _not_yet_booked(entries: Sequence[Entry]) -> tuple[list[Entry], int]:
    by_source = {entry.source: entry for entry in entries}
    if len(by_source) != len(entries):
        raise UnableToPostError("one source twice in one batch: each entry needs its own")
    with connection.cursor() as cursor:
        cursor.execute("SELECT source FROM ledger_entry WHERE source = ANY(%s)", [list(by_source)])
        booked = [source for (source,) in cursor.fetchall()]
    if not booked:
        return list(entries), 0
    for stored in reading.entries_by_source(booked):
        if stored.entry != by_source[stored.entry.source]:
            raise UnableToPostError(
                f"{stored.entry.source} is booked already, with other content: reverse it and book under a new source"
            )
    there = set(booked)
    return [entry for entry in entries if entry.source not in there], len(there)


def _heads(party_ids: Sequence[int]) -> dict[int, tuple[int, bytes]]:
    # One index look-up a party, after the lock: what others committed while we waited is seen.
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT p.id, h.seq, h.hash FROM unnest(%s::bigint[]) AS p(id) CROSS JOIN LATERAL ("
            " SELECT seq, hash FROM ledger_entry e WHERE e.party_id = p.id ORDER BY seq DESC LIMIT 1) h",
            [list(party_ids)],
        )
        return {party_id: (seq, bytes(link)) for party_id, seq, link in cursor.fetchall()}


def _reversed(sources: Iterable[str]) -> dict[str, tuple[int, bytes]]:
    wanted = list(sources)
    if not wanted:
        return {}
    with connection.cursor() as cursor:
        cursor.execute("SELECT source, id, hash FROM ledger_entry WHERE source = ANY(%s)", [wanted])
        return {source: (entry_id, bytes(link)) for source, entry_id, link in cursor.fetchall()}


def reverse_entry(*, source: str, effective_on: date, at: datetime) -> Entry:
    """Undo the entry booked under `source` by its mirror image; returns the reversal (source `reversal/<source>`).

    Raises `UnableToReverseError` when there is none, it is a reversal, or it was reversed before.
    """
    _require_transaction("reverse_entry")
    stored = next(iter(reading.entries_by_source([source])), None)
    if stored is None:
        raise UnableToReverseError(f"there is no entry {source!r}")
    if stored.entry.kind is EntryKind.REVERSAL:
        raise UnableToReverseError(f"{source} is a reversal: book a new entry instead")
    undo = reversal(stored.entry, source=f"reversal/{source}", effective_on=effective_on)
    _lock_parties({undo.party})  # before asking whether it was reversed: two at once must not both think it was not
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT r.source FROM ledger_entry r JOIN ledger_entry e ON r.reverses_id = e.id WHERE e.source = %s",
            [source],
        )
        before = cursor.fetchone()
    if before is not None:
        raise UnableToReverseError(f"{source} was reversed before, by {before[0]}")
    post_entries(entries=[undo], at=at)
    return undo


def place_hold(*, account: int, kind: HoldKind, amount: Money, source: str, at: datetime, about: str = "") -> None:
    """Set an amount of an account aside: disputed, or a payment under way. Idempotent by source.

    `about` is the debt it is an amount of, as payments refers to it ("document/7"); without one, of the account. Raises
    `UnableToHoldError` for an amount of zero or less, or a source that holds something else.
    """
    if amount.minor <= 0:
        raise UnableToHoldError(f"a hold is of more than nothing, not {amount}")
    _require_transaction("place_hold")
    parties_for(accounts=[account])
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO ledger_hold (party_id, kind, amount, currency, source, about, placed_at)"
            " SELECT id, %s, %s, %s, %s, %s, %s FROM ledger_party WHERE account_id = %s"
            " ON CONFLICT (source) DO NOTHING",
            [HoldKind(kind).value, amount.minor, amount.currency, source, about, require_aware(at), account],
        )
        if cursor.rowcount:
            return
        cursor.execute(
            "SELECT 1 FROM ledger_hold h JOIN ledger_party p ON p.id = h.party_id"
            " WHERE source = %s AND kind = %s AND amount = %s AND currency = %s AND about = %s AND account_id = %s",
            [source, HoldKind(kind).value, amount.minor, amount.currency, about, account],
        )
        if cursor.fetchone() is None:
            raise UnableToHoldError(f"{source} holds something else already: release it, and use a new source")


def release_hold(*, source: str, at: datetime, why: str) -> None:
    """Release a hold, once, saying why. Raises `UnableToHoldError` when it is not there or was released before."""
    if not why.strip():
        raise UnableToHoldError("a release says why")
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE ledger_hold SET released_at = %s, released_why = %s WHERE source = %s AND released_at IS NULL",
            [require_aware(at), why.strip()[:200], source],
        )
        if not cursor.rowcount:
            raise UnableToHoldError(f"there is no open hold {source!r}")


def seal_day(*, day: date, at: datetime) -> DaySeal:
    """Seal a UTC day that is over: nothing more is recorded in it, and its Merkle root is chained to the day before.

    Waits for writers at work, and makes later ones wait a moment. Raises `UnableToSealError`.
    """
    _require_transaction("seal_day")
    if utc_day(at) <= day:
        raise UnableToSealError(f"{day} is not over yet")
    with connection.cursor() as cursor:
        # SHARE waits for every transaction that has inserted entries, and holds new ones off until we commit; the
        # insert trigger of those then sees the seal.
        cursor.execute("LOCK TABLE ledger_entry IN SHARE MODE")
        cursor.execute("SELECT day, seal FROM ledger_day_seal ORDER BY day DESC LIMIT 1")
        last = cursor.fetchone()
        if last is not None and last[0] >= day:
            raise UnableToSealError(f"the journal is sealed up to {last[0]}, and {day} with it")
        cursor.execute(
            "SELECT min((recorded_at AT TIME ZONE 'UTC')::date) FROM ledger_entry WHERE recorded_at >= %s",
            [_day_after(last[0]) if last else datetime(1, 1, 1, tzinfo=UTC)],
        )
        (earliest,) = cursor.fetchone()
        if earliest is not None and earliest < day:
            raise UnableToSealError(f"{earliest} has entries and is not sealed: seal it first")
        seal = seal_of(day, reading.hashes_of_day(day), bytes(last[1]) if last else GENESIS)
        cursor.execute(
            "INSERT INTO ledger_day_seal (day, entries, root, previous, seal, sealed_at)"
            " VALUES (%s, %s, %s, %s, %s, %s)",
            [day, seal.entries, seal.root, seal.previous, seal.seal, require_aware(at)],
        )
    return seal


def seal_until(*, day: date, at: datetime) -> list[DaySeal]:
    """Seal every day up to `day` that has entries and is not sealed, each in a transaction of its own, oldest first."""
    sealed = []
    for open_day in queries.unsealed_days(until=day):
        with transaction.atomic():
            sealed.append(seal_day(day=open_day, at=at))
    return sealed


def _day_after(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1)


def erase_party(*, account: int, at: datetime) -> None:
    """Erase the person behind a party: the link to the account, the salt, and the sources of its entries.

    Amounts and hashes stay, as the law on books asks; nothing leads from them to a person any more. Raises
    `UnableToEraseError` while holds are open or when the account has no party.
    """
    _require_transaction("erase_party")
    with connection.cursor() as cursor:
        cursor.execute("SELECT id FROM ledger_party WHERE account_id = %s FOR UPDATE", [account])
        row = cursor.fetchone()
        if row is None:
            raise UnableToEraseError(f"account {account} has no books")
        cursor.execute("SELECT count(*) FROM ledger_hold WHERE party_id = %s AND released_at IS NULL", [row[0]])
        (open_holds,) = cursor.fetchone()
        if open_holds:
            raise UnableToEraseError(f"account {account} has {open_holds} open holds: decide them first")
        cursor.execute(
            "UPDATE ledger_party SET account_id = NULL, salt = NULL, erased_at = %s WHERE id = %s",
            [require_aware(at), row[0]],
        )
        cursor.execute("UPDATE ledger_entry SET source = NULL WHERE party_id = %s", [row[0]])
