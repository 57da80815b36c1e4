"""COPY, blocks of ids, advisory locks, and the two database fixtures themselves."""

import threading
from typing import Any

import pytest
from django.db import connection, transaction

from coulance.platform import db as tools
from tests.support.database import WorkerDatabase


def _make_table() -> None:
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE probe (id bigserial PRIMARY KEY, word text, n bigint CHECK (n >= 0))")


def _rows() -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT word, n FROM probe ORDER BY id")
        return cursor.fetchall()


def test_copy_writes_rows_of_awkward_text(db: Any) -> None:
    _make_table()
    rows = [("tab\tnewline\nbackslash\\N", 1), (None, 2), ("", 3), ("ünï", None)]
    assert tools.copy_rows(table="probe", columns=["word", "n"], rows=rows) == 4
    assert _rows() == rows


def test_copy_is_undone_with_its_transaction(committed_db: WorkerDatabase) -> None:
    _make_table()
    with transaction.atomic():
        tools.copy_rows(table="probe", columns=["word", "n"], rows=[("a", 1)])
        transaction.set_rollback(True)
    assert _rows() == []


def test_copy_outside_a_transaction_is_refused(committed_db: WorkerDatabase) -> None:
    with pytest.raises(tools.UnableToCopyError):
        tools.copy_rows(table="probe", columns=["word"], rows=[("a",)])


def test_blocks_of_ids_are_contiguous_and_nobody_elses(committed_db: WorkerDatabase) -> None:
    _make_table()
    taken: list[int] = []

    def take() -> None:
        for _ in range(20):
            block = tools.next_ids(sequence="probe_id_seq", count=7)
            assert len(block) == 7
            taken.extend(block)
        connection.close()

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == len(set(taken)) == 4 * 20 * 7
    assert tools.next_ids(sequence="probe_id_seq", count=0) == range(0)


def test_advisory_lock_excludes_until_the_transaction_ends(committed_db: WorkerDatabase) -> None:
    answers: list[bool] = []

    def ask() -> None:
        with transaction.atomic():
            answers.append(tools.advisory_lock("close", "2026-10", wait=False))
        connection.close()

    def in_thread() -> None:
        thread = threading.Thread(target=ask)
        thread.start()
        thread.join()

    with transaction.atomic():
        assert tools.advisory_lock("close", "2026-10")
        in_thread()
    in_thread()
    assert answers == [False, True]


def test_committed_database_is_as_migrated_again(worker_database: WorkerDatabase) -> None:
    with worker_database.connect() as direct:
        assert direct.execute("SELECT to_regclass('probe')").fetchone() == (None,)
