"""The ledger's pure part: entries balance or do not exist, chains break when touched, roots prove membership."""

from datetime import UTC, date, datetime, timedelta, timezone
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coulance_core.kernel import CurrencyMismatchError, Money, PeriodError
from coulance_core.ledger import (
    GENESIS,
    AccountCodeError,
    Entry,
    EntryError,
    EntryKind,
    HoldKind,
    Movement,
    Posting,
    check_code,
    combine,
    entry_hash,
    fold,
    merkle_proof,
    merkle_root,
    proves,
    reversal,
    seal_of,
    source_digest,
    standing,
    statement,
    tax,
)

PARTY = bytes(range(16))
ON = date(2026, 11, 1)
AT = datetime(2026, 11, 1, 3, 4, 5, 678901, tzinfo=UTC)

accounts = st.sampled_from(["receivable", "revenue:base", "revenue:overage", "tax:NL-21", "carried", "cash:bank"])
currencies = st.sampled_from(["EUR", "JPY", "KWD"])
amounts = st.integers(-(10**15), 10**15).filter(bool)


@st.composite
def balanced(draw: st.DrawFn) -> tuple[Posting, ...]:
    """Random postings, closed off by one that balances each currency."""
    postings = draw(st.lists(st.builds(Posting, accounts, amounts, currencies), min_size=1, max_size=6))
    sums: dict[str, int] = {}
    for posting in postings:
        sums[posting.currency] = sums.get(posting.currency, 0) + posting.amount
    postings += [Posting("rounding", -left, code) for code, left in sums.items() if left]
    return tuple(postings) if len(postings) > 1 else (*postings, Posting("rounding", -postings[0].amount, "EUR"))


def entry(postings: tuple[Posting, ...], source: str = "document/1") -> Entry:
    return Entry(PARTY, EntryKind.INVOICE, source, ON, postings)


@given(balanced(), st.data())
def test_balanced_stands_and_any_changed_amount_is_refused(postings: tuple[Posting, ...], data: st.DataObject) -> None:
    made = entry(postings)
    per_currency: dict[str, int] = {}
    for (_, code), amount in fold([made]).items():
        per_currency[code] = per_currency.get(code, 0) + amount
    assert set(per_currency.values()) == {0}
    at = data.draw(st.integers(0, len(postings) - 1))
    by = data.draw(amounts.filter(lambda n: n != -postings[at].amount))
    spoilt = Posting(postings[at].account, postings[at].amount + by, postings[at].currency)
    with pytest.raises(EntryError, match="does not balance"):
        entry((*postings[:at], spoilt, *postings[at + 1 :]))


@given(balanced())
def test_a_reversal_undoes_exactly(postings: tuple[Posting, ...]) -> None:
    made = entry(postings)
    undone = reversal(made, source="reversal/1", effective_on=ON)
    assert not any(fold([made, undone]).values())
    assert undone.reverses == made.source
    with pytest.raises(EntryError, match="is a reversal"):
        reversal(undone, source="reversal/2", effective_on=ON)


@pytest.mark.parametrize(
    ("account", "amount", "code", "message"),
    [
        ("receivable", 0, "EUR", "zero"),
        ("receivable", 2**62, "EUR", "2\\^62"),
        ("receivable", 1.0, "EUR", "whole number"),
        ("receivable", True, "EUR", "whole number"),
        ("receivable", 1, "XYZ", "unknown currency"),
        ("loot", 1, "EUR", "unknown account family"),
        ("Revenue:base", 1, "EUR", "malformed"),
        ("revenue:a b", 1, "EUR", "malformed"),
        ("revenue:" + "x" * 80, 1, "EUR", "malformed"),
    ],
)
def test_malformed_postings_are_refused(account: str, amount: int, code: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Posting(account, amount, code)


@pytest.mark.parametrize(
    ("party", "source", "count", "kind", "message"),
    [
        (b"short", "document/1", 2, EntryKind.INVOICE, "16 bytes"),
        (PARTY, "two words", 2, EntryKind.INVOICE, "printable"),
        (PARTY, "", 2, EntryKind.INVOICE, "printable"),
        (PARTY, "document/1", 1, EntryKind.INVOICE, "two or more"),
        (PARTY, "document/1", 2, EntryKind.REVERSAL, "names the entry"),
    ],
)
def test_malformed_entries_are_refused(party: bytes, source: str, count: int, kind: EntryKind, message: str) -> None:
    legs = (Posting("receivable", 5, "EUR"), Posting("revenue:base", -5, "EUR"))
    with pytest.raises(EntryError, match=message):
        Entry(party, kind, source, ON, legs[:count])


def test_codes_hold_any_tax_code_without_collision() -> None:
    codes = ["NL-21", "NL 21", "NL_21", "NL/21", "ñ", "-21", "x-21"]
    assert len({tax(code) for code in codes}) == len(codes)
    with pytest.raises(AccountCodeError):
        check_code("tax:\n")


def chain(entries: list[Entry], salt: bytes = b"s" * 16) -> list[bytes]:
    hashes: list[bytes] = []
    for seq, item in enumerate(entries, 1):
        digest = source_digest(salt, item.source)
        previous = hashes[-1] if hashes else GENESIS
        hashes.append(entry_hash(entry=item, seq=seq, source_hash=digest, recorded_at=AT, previous=previous))
    return hashes


def test_the_published_form_of_the_hash_does_not_drift() -> None:
    legs = (
        Posting("receivable", 1210, "EUR"),
        Posting("revenue:base", -1000, "EUR"),
        Posting("tax:NL-21", -210, "EUR"),
    )
    by_hand = (
        "coulance.entry/1\nparty 000102030405060708090a0b0c0d0e0f\nseq 1\nkind invoice\n"
        f"source {sha256(b's' * 16 + bytes(1) + b'document/1').hexdigest()}\neffective 2026-11-01\n"
        f"recorded 2026-11-01T03:04:05.678901Z\nreverses \nprevious {'00' * 32}\n"
        "receivable 1210 EUR\nrevenue:base -1000 EUR\ntax:NL-21 -210 EUR\n"
    )
    assert chain([entry(legs)]) == [sha256(by_hand.encode()).digest()]


@given(st.lists(balanced(), min_size=2, max_size=5), st.data())
def test_touching_an_entry_changes_every_later_hash(many: list[tuple[Posting, ...]], data: st.DataObject) -> None:
    entries = [entry(postings, f"document/{i}") for i, postings in enumerate(many)]
    at = data.draw(st.integers(0, len(entries) - 1))
    touched = list(entries)
    touched[at] = entry(entries[at].postings, "document/other")
    before, after = chain(entries), chain(touched)
    assert before[:at] == after[:at]
    assert all(a != b for a, b in zip(before[at:], after[at:], strict=True))


def test_instants_hash_alike_in_any_zone_and_naive_ones_are_refused() -> None:
    legs = entry((Posting("receivable", 5, "EUR"), Posting("revenue:base", -5, "EUR")))
    there = AT.astimezone(timezone(timedelta(hours=9)))
    one, other = (
        entry_hash(entry=legs, seq=1, source_hash=b"", recorded_at=when, previous=GENESIS) for when in (AT, there)
    )
    assert one == other
    with pytest.raises(PeriodError):
        entry_hash(entry=legs, seq=1, source_hash=b"", recorded_at=AT.replace(tzinfo=None), previous=GENESIS)


def rfc6962(leaves: list[bytes]) -> bytes:
    """The RFC's recursive definition, as an independent oracle for the iterative one."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return sha256(b"\x00" + leaves[0]).digest()
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return sha256(b"\x01" + rfc6962(leaves[:split]) + rfc6962(leaves[split:])).digest()


@given(st.lists(st.binary(min_size=32, max_size=32), max_size=40))
def test_the_merkle_root_is_the_rfcs_and_every_leaf_is_provable(leaves: list[bytes]) -> None:
    root = merkle_root(leaves)
    assert root == rfc6962(leaves)
    for index, leaf in enumerate(leaves):
        path = merkle_proof(leaves, index)
        assert proves(leaf, path, root)
        assert not proves(bytes(31) + b"\x01" if leaf != bytes(31) + b"\x01" else bytes(32), path, root)
    with pytest.raises(IndexError):
        merkle_proof(leaves, len(leaves))


def test_a_days_seal_depends_on_content_and_on_the_day_before_not_on_order() -> None:
    hashes = [sha256(bytes([i])).digest() for i in range(7)]
    seal = seal_of(ON, hashes, GENESIS)
    assert seal == seal_of(ON, hashes[::-1], GENESIS)
    assert seal.seal != seal_of(ON, hashes[:-1], GENESIS).seal
    assert seal.seal != seal_of(ON, hashes, seal.seal).seal
    assert seal.entries == 7


@given(
    st.lists(st.tuples(st.integers(0, 90), st.integers(-1000, 1000)), max_size=20),
    st.integers(0, 90),
    st.integers(0, 30),
)
def test_a_statement_adds_up(rows: list[tuple[int, int]], start: int, length: int) -> None:
    day = date(2026, 1, 1)
    moves = [Movement(day + timedelta(d), EntryKind.INVOICE, f"s{i}", Money(a, "EUR")) for i, (d, a) in enumerate(rows)]
    first, last = day + timedelta(start), day + timedelta(start + length)
    made = statement(moves, start=first, end=last, currency="EUR")
    assert made.opening.minor == sum(a for d, a in rows if d < start)
    assert made.closing.minor == sum(a for d, a in rows if d < start + length)
    running = made.opening
    for row in made.rows:
        running += row.movement.amount
        assert row.balance == running
    assert running == made.closing


def test_holds_lower_what_may_be_demanded_and_never_the_books() -> None:
    owed = Money(1000, "EUR")
    judged = standing(owed, [(HoldKind.DISPUTE, Money(300, "EUR")), (HoldKind.IN_FLIGHT, Money(200, "EUR"))])
    assert (judged.owed.minor, judged.disputed.minor, judged.in_flight.minor) == (1000, 300, 200)
    assert judged.demandable.minor == 500
    with pytest.raises(CurrencyMismatchError):
        standing(owed, [(HoldKind.DISPUTE, Money(1, "USD"))])


@given(st.lists(st.tuples(accounts, st.integers(-5, 5), currencies), max_size=10))
def test_combine_keeps_the_sums(parts: list[tuple[str, int, str]]) -> None:
    merged = combine(parts)
    assert len({(p.account, p.currency) for p in merged}) == len(merged)
    for posting in merged:
        assert posting.amount == sum(a for acc, a, cur in parts if (acc, cur) == (posting.account, posting.currency))
