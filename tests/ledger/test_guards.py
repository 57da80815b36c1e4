"""The journal under attack through raw SQL: whoever writes, it balances, stays as it is, and never forks."""

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction

from coulance.ledger.check import check_ledger
from coulance.ledger.operations import (
    UnableToEraseError,
    UnableToPostError,
    UnableToReverseError,
    UnableToSealError,
    erase_party,
    parties_for,
    post_entries,
    reverse_entry,
    seal_day,
)
from coulance.ledger.queries import balance, trial_balance, unsealed_days
from tests.ledger.books import AT, ON, book, invoice, make_accounts


def sql(statement: str, *parameters: Any) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement, parameters)


ENTRY = """
INSERT INTO ledger_entry (id, party_id, seq, kind, source, source_hash, effective_on, recorded_at, postings,
                          previous_hash, hash)
SELECT %(id)s, party_id, %(seq)s, 'adjustment', 'attack/' || %(id)s, '\\x00', '2026-11-01', '2026-11-01T12:00Z',
       %(postings)s, coalesce(%(previous)s, hash), sha256(%(id)s::text::bytea)
  FROM ledger_entry ORDER BY id LIMIT 1
"""
POSTING = "INSERT INTO ledger_posting (entry_id, no, account, amount, currency) VALUES (%s, %s, %s, %s, %s)"


def attack(
    *legs: tuple[int, str, int, str],
    seq: int = 2,
    postings: int = 2,
    previous: bytes | None = None,
    early: bool = False,
) -> None:
    """Write an entry after the first one by hand, with these legs, and commit."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(ENTRY, {"id": 1000, "seq": seq, "postings": postings, "previous": previous})
        for leg in legs:
            cursor.execute(POSTING, (1000, *leg))
        if early:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            cursor.execute(POSTING, (1000, 3, "cash:stolen", 500, "EUR"))


FIRST = "(SELECT id FROM ledger_entry WHERE source = 'document/1')"
GOOD = ((1, "receivable", 5, "EUR"), (2, "revenue:base", -5, "EUR"))


@pytest.fixture
def booked(committed_db: Any) -> int:
    (account,) = make_accounts(1)
    book(account, "document/1")
    return account


def test_a_good_entry_by_hand_is_taken_and_the_audit_finds_its_forged_hash(booked: int) -> None:
    attack(*GOOD)
    messages = [str(fault) for fault in check_ledger()]
    assert any("entry 1000" in message and "does not give its hash" in message for message in messages)
    assert any("does not give its source hash" in message for message in messages)


@pytest.mark.parametrize(
    ("do", "message"),
    [
        (lambda: attack((1, "receivable", 5, "EUR"), (2, "revenue:base", -4, "EUR")), "sum to zero"),
        (lambda: attack((1, "receivable", 5, "EUR"), (2, "revenue:base", -5, "USD")), "sum to zero"),
        (lambda: attack(), "has 2 postings and has 0"),
        (lambda: attack(GOOD[0]), "has 2 postings and has 1"),
        (lambda: attack((1, "receivable", 5, "EUR"), postings=1), "ledger_entry_two_postings"),
        (lambda: attack((1, "receivable", 0, "EUR"), (2, "revenue:base", 0, "EUR")), "ledger_posting_amount"),
        (lambda: attack(*GOOD, (3, "cash:stolen", 5, "EUR")), "no place"),
        (lambda: attack(*GOOD, early=True), "no place"),
        (lambda: attack(*GOOD, seq=1), "ledger_entry_no_fork"),
        (lambda: attack(*GOOD, seq=3), "does not follow"),
        (lambda: attack(*GOOD, previous=b"\x01" * 32), "does not follow"),
        (lambda: sql(POSTING.replace("(%s", f"({FIRST}", 1), 4, "cash:stolen", 5, "EUR"), "no place"),
        (lambda: sql(POSTING, 77, 1, "cash:stolen", 5, "EUR"), "no place"),
        (lambda: sql("UPDATE ledger_posting SET amount = amount + 1"), "refused"),
        (lambda: sql("UPDATE ledger_posting SET account = 'cash:stolen' WHERE no = 2"), "refused"),
        (lambda: sql("DELETE FROM ledger_posting"), "refused"),
        (lambda: sql("TRUNCATE ledger_posting"), "refused"),
        (lambda: sql("UPDATE ledger_entry SET effective_on = '2020-01-01'"), "refused"),
        (lambda: sql("UPDATE ledger_entry SET source = NULL"), "refused"),
        (lambda: sql("UPDATE ledger_entry SET postings = 9, xact = pg_current_xact_id()"), "refused"),
        (lambda: sql("DELETE FROM ledger_entry"), "refused"),
        (lambda: sql("TRUNCATE ledger_entry CASCADE"), "refused"),
        (lambda: sql("DELETE FROM ledger_party"), "refused"),
        (lambda: sql("UPDATE ledger_party SET salt = '\\x00'"), "refused"),
    ],
)
def test_the_database_refuses(booked: int, do: Callable[[], None], message: str) -> None:
    before = trial_balance()
    with pytest.raises(DatabaseError, match=message):
        do()
    assert trial_balance() == before
    assert list(check_ledger()) == []


def test_an_entry_cannot_claim_a_transaction_to_come(booked: int) -> None:
    claim = ENTRY.replace("hash)\n", "hash, xact)\n", 1).replace("::bytea)", "::bytea), '9999999'::xid8")

    def write() -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            # Legs of this transaction have no place in it; let them in, to see that the entry itself falls too.
            cursor.execute("ALTER TABLE ledger_posting DISABLE TRIGGER ledger_posting_has_place")
            cursor.execute(claim, {"id": 1000, "seq": 2, "postings": 2, "previous": None})
            for leg in GOOD:
                cursor.execute(POSTING, (1000, *leg))
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")

    with pytest.raises(DatabaseError, match="another transaction"):
        write()


def test_what_a_superuser_does_behind_the_guards_is_found(booked: int) -> None:
    book(booked, "document/2", "document/3")
    with connection.cursor() as cursor:
        cursor.execute("SELECT id FROM ledger_entry ORDER BY source")
        ids = [0, *(entry for (entry,) in cursor.fetchall())]  # {1} is the entry of document/1
    cases = {
        "UPDATE ledger_posting SET amount = amount * 2 WHERE entry_id = {2}": "does not give its hash",
        "UPDATE ledger_posting SET amount = amount + 1 WHERE entry_id = {2} AND no = 1": "is no proper entry",
        "DELETE FROM ledger_entry WHERE id = {2}": "entries are missing",
        "DELETE FROM ledger_posting WHERE entry_id = {3}": "says it has 3 postings and has 0",
        "UPDATE ledger_entry SET recorded_at = recorded_at + interval '1 day' WHERE id = {1}": "does not give its hash",
        "UPDATE ledger_entry SET previous_hash = hash WHERE id = {3}": "does not name the hash",
        "UPDATE ledger_entry SET source = 'document/9' WHERE id = {1}": "does not give its source hash",
    }
    for statement, message in cases.items():
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL session_replication_role = replica")
            cursor.execute(statement.format(*ids))
            assert any(message in str(fault) for fault in check_ledger()), statement
            transaction.set_rollback(True)
    assert list(check_ledger()) == []


def test_sealed_days_take_nothing_more_and_show_what_was_changed(booked: int) -> None:
    with transaction.atomic():
        seal = seal_day(day=ON, at=AT + timedelta(days=1))
    assert seal.entries == 1
    with pytest.raises(DatabaseError, match="sealed up to 2026-11-01"):
        book(booked, "document/late")
    book(booked, "document/next", at=AT + timedelta(days=1))
    assert unsealed_days(until=ON + timedelta(days=9)) == [ON + timedelta(days=1)]
    with pytest.raises(UnableToSealError, match="not sealed"), transaction.atomic():
        seal_day(day=ON + timedelta(days=2), at=AT + timedelta(days=3))
    with pytest.raises(UnableToSealError, match="not over"), transaction.atomic():
        seal_day(day=ON + timedelta(days=1), at=AT + timedelta(days=1))
    with pytest.raises(UnableToSealError, match="sealed up to"), transaction.atomic():
        seal_day(day=ON, at=AT + timedelta(days=3))
    with transaction.atomic():
        second = seal_day(day=ON + timedelta(days=1), at=AT + timedelta(days=2))
    assert second.previous == seal.seal
    assert list(check_ledger()) == []
    for statement in (
        "UPDATE ledger_day_seal SET entries = 0",
        "DELETE FROM ledger_day_seal",
        "TRUNCATE ledger_day_seal",
    ):
        with pytest.raises(DatabaseError, match="refused"):
            sql(statement)
    with transaction.atomic(), connection.cursor() as cursor:
        # Someone rewrites an entry and its hash consistently, with the guards off: the seal still tells.
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute("UPDATE ledger_entry SET hash = sha256('forged') WHERE source = 'document/1'")
        assert any("root" in fault.message for fault in check_ledger() if fault.where == "day 2026-11-01")
        cursor.execute("DELETE FROM ledger_day_seal WHERE day = '2026-11-01'")
        messages = {fault.where: fault.message for fault in check_ledger()}
        assert "no seal itself" in messages["day 2026-11-01"]
        assert "does not follow the one before" in messages["day 2026-11-02"]
        cursor.execute("UPDATE ledger_day_seal SET seal = sha256('forged'), entries = 7")
        assert {"its seal was forged", "was sealed with 7 entries and has 1"} <= {f.message for f in check_ledger()}
        transaction.set_rollback(True)


def test_two_writers_on_one_account_queue_and_never_fork(booked: int) -> None:
    failures: list[BaseException] = []

    def write(worker: int) -> None:
        try:
            for n in range(15):
                book(booked, f"document/w{worker}-{n}")
        except BaseException as error:
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=write, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert list(check_ledger()) == []
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*), max(seq) FROM ledger_entry")
        assert cursor.fetchone() == (46, 46)
    assert balance(account=booked)["EUR"].minor == 46 * 1210


def test_a_crash_before_commit_leaves_nothing(booked: int) -> None:
    party = _party(booked)

    def write_and_fail() -> None:
        with transaction.atomic():
            post_entries(entries=[invoice(party, "document/2")], at=AT)
            raise RuntimeError("power")

    with pytest.raises(RuntimeError, match="power"):
        write_and_fail()
    assert balance(account=booked)["EUR"].minor == 1210
    assert list(check_ledger()) == []


def _party(account: int) -> bytes:
    with transaction.atomic():
        return parties_for(accounts=[account])[account]


def test_reversal_is_the_one_correction_and_comes_once(booked: int) -> None:
    with transaction.atomic():
        undone = reverse_entry(source="document/1", effective_on=ON, at=AT)
    assert undone.source == "reversal/document/1"
    assert balance(account=booked)["EUR"].minor == 0
    for source, message in (
        ("document/1", "reversed before"),
        ("document/x", "no entry"),
        (undone.source, "is a reversal"),
    ):
        with pytest.raises(UnableToReverseError, match=message), transaction.atomic():
            reverse_entry(source=source, effective_on=ON, at=AT)
    assert list(check_ledger()) == []


def test_a_reversal_by_hand_must_mirror(booked: int) -> None:
    statement = (
        ENTRY.replace("postings,\n", "postings, reverses_id,\n", 1)
        .replace("%(postings)s,", "%(postings)s, id,")
        .replace("'adjustment'", "'reversal'")
    )

    def write(*legs: tuple[int, str, int, str]) -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement, {"id": 1000, "seq": 2, "postings": 3, "previous": None})
            for leg in legs:
                cursor.execute(POSTING, (1000, *leg))

    with pytest.raises(DatabaseError, match="mirror"):
        write((1, "receivable", -1210, "EUR"), (2, "revenue:base", 1000, "EUR"), (3, "tax:NL-9", 210, "EUR"))
    with pytest.raises(DatabaseError, match="mirror"):
        write((1, "receivable", -10, "EUR"), (2, "revenue:base", 5, "EUR"), (3, "tax:NL-21", 5, "EUR"))


def test_posting_is_idempotent_by_source_and_refuses_other_content(booked: int) -> None:
    party = _party(booked)
    with transaction.atomic():
        again = post_entries(entries=[invoice(party, "document/1"), invoice(party, "document/2")], at=AT)
    assert (again.posted, again.already) == (1, 1)
    with pytest.raises(UnableToPostError, match="other content"), transaction.atomic():
        post_entries(entries=[invoice(party, "document/1", net=999)], at=AT)
    with pytest.raises(UnableToPostError, match="twice in one batch"), transaction.atomic():
        post_entries(entries=[invoice(party, "document/3"), invoice(party, "document/3")], at=AT)
    with pytest.raises(UnableToPostError, match="does not exist"), transaction.atomic():
        post_entries(entries=[invoice(bytes(16), "document/3")], at=AT)
    with pytest.raises(UnableToPostError, match="transaction"):
        post_entries(entries=[invoice(party, "document/3")], at=AT)
    with pytest.raises(UnableToPostError, match="no such account"), transaction.atomic():
        parties_for(accounts=[booked, 10**9])


def test_an_erased_person_leaves_a_sound_chain_that_leads_nowhere(booked: int) -> None:
    with transaction.atomic():
        erase_party(account=booked, at=AT)
    with connection.cursor() as cursor:
        cursor.execute("SELECT account_id, salt FROM ledger_party")
        assert cursor.fetchone() == (None, None)
        cursor.execute("SELECT count(*) FROM ledger_entry WHERE source IS NOT NULL")
        assert cursor.fetchone() == (0,)
    assert list(check_ledger()) == []
    assert balance(account=booked) == {}
    with pytest.raises(UnableToPostError, match="were erased"):
        book(booked, "document/after")
    assert sum(row.balance.minor for row in trial_balance()) == 0
    with pytest.raises(UnableToEraseError, match="no books"), transaction.atomic():
        erase_party(account=booked, at=AT)
