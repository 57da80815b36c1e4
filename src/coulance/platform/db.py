"""Small tools on the current Django connection: COPY, blocks of ids, advisory locks.

All three work inside the caller's transaction: what they do is undone when that transaction is.
"""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any, LiteralString, cast

from django.db import connection, transaction
from psycopg import sql


class UnableToCopyError(RuntimeError):
    """COPY was asked for outside a transaction, where half of the rows could stay behind."""


class UnableToLockError(RuntimeError):
    """An advisory lock was asked for outside a transaction, where it would be released at once."""


def _identifier(name: str) -> sql.Identifier:
    return sql.Identifier(*name.split("."))


def copy_rows(*, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> int:
    """Write rows by COPY within the current transaction; returns how many.

    Values are adapted by psycopg as in a query: None is NULL; wrap JSON in `psycopg.types.json.Jsonb`. Constraints and
    row triggers hold as for INSERT; Django's defaults don't apply, so name every column that has no database default.
    """
    if not connection.in_atomic_block:
        raise UnableToCopyError(f"copy_rows({table}) wants a transaction: call it inside transaction.atomic()")
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(
        _identifier(table), sql.SQL(", ").join(sql.Identifier(column) for column in columns)
    )
    count = 0
    # Django wraps what execute() raises, but not what COPY does: the wrapper makes refusals the same for callers.
    with connection.wrap_database_errors, connection.cursor() as cursor, cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row(row)
            count += 1
    return count


def copy_lines(*, table: str, columns: Sequence[str], lines: Iterable[str]) -> None:
    """Write rows by COPY from lines already in its text format: several times faster than `copy_rows` for many rows.

    A line holds its values with tabs between and a newline at its end; NULL is `\\N`, bytes are `\\x` and hex. Text
    that may hold a tab, newline or backslash goes through `copy_text` first. Lines go out in blocks of a thousand.
    """
    if not connection.in_atomic_block:
        raise UnableToCopyError(f"copy_lines({table}) wants a transaction: call it inside transaction.atomic()")
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(
        _identifier(table), sql.SQL(", ").join(sql.Identifier(column) for column in columns)
    )
    block: list[str] = []
    # Django wraps what execute() raises, but not what COPY does: the wrapper makes refusals the same for callers.
    with connection.wrap_database_errors, connection.cursor() as cursor, cursor.copy(statement) as copy:
        for line in lines:
            block.append(line)
            if len(block) == 1000:
                copy.write("".join(block))
                block.clear()
        copy.write("".join(block))


_COPY_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


def copy_text(text: str) -> str:
    """Text as `copy_lines` takes it: backslash, tab, newline and carriage return escaped.

    >>> copy_text("a\\tb") == "a" + chr(92) + "tb"
    True
    """
    return text.translate(_COPY_ESCAPES)


def next_ids(*, sequence: str, count: int) -> range:
    """Take `count` consecutive values of a sequence; the block is contiguous and nobody else's.

    The sequence of a Django BigAutoField is `<table>_id_seq`. Values are never handed out twice, but may be skipped:
    like any sequence this one is not gapless, and a rolled-back transaction does not give its block back.
    """
    if count < 0:
        raise ValueError(f"count must not be negative, and is {count}")
    if count == 0:
        return range(0)
    name = _identifier(sequence).as_string(None)
    with transaction.atomic(), connection.cursor() as cursor:
        # setval() is not safe against a concurrent nextval(), so the block is drawn one by one inside the server, and
        # drawn again in the rare case that somebody's nextval() fell between.
        while True:
            cursor.execute(
                "SELECT min(v), max(v) FROM (SELECT nextval(%s::regclass) AS v FROM generate_series(1, %s)) drawn",
                [name, count],
            )
            low, high = cast(tuple[int, int], cursor.fetchone())
            if high - low + 1 == count:
                return range(low, high + 1)


def lock_key(*key: str | int) -> int:
    """The signed 64-bit number that stands for a named lock: the first eight bytes of the SHA-256 of its parts."""
    digest = hashlib.sha256("\x1f".join(str(part) for part in key).encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


def advisory_lock(*key: str | int, wait: bool = True) -> bool:
    """Hold a named lock until the current transaction ends. With wait=False, answers whether it was free.

    Locks taken in one transaction should be taken in a fixed order by everyone, as with any lock.
    """
    if not connection.in_atomic_block:
        raise UnableToLockError(f"advisory_lock{key} wants a transaction: call it inside transaction.atomic()")
    statement: LiteralString = "SELECT pg_advisory_xact_lock(%s)" if wait else "SELECT pg_try_advisory_xact_lock(%s)"
    with connection.cursor() as cursor:
        cursor.execute(statement, [lock_key(*key)])
        row = cursor.fetchone()
    return True if wait else bool(row and row[0])
