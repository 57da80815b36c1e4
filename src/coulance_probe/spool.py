"""What was seen, on disk until the server has it: killed or cut off, nothing is lost and nothing is sent as new twice.

Each look has a number of its own (`seq`), given by the file and never again; the server leaves out numbers it has.
"""

import json
import sqlite3
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MOST = 5_000_000
"""Looks kept at most, some weeks of a busy agent; then the oldest go, and it is said how many."""


@dataclass(frozen=True, slots=True)
class Kept:
    """One look: its number, the check, when (microseconds since 1970 by this machine's clock), and what it saw."""

    seq: int
    check: int
    at: int
    up: bool
    ms: int
    why: str


class Spool:
    """A file of looks. Safe for threads; another process on the same file is refused."""

    def __init__(self, path: Path, most: int = MOST) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._most, self._trim_every = most, min(1000, most)
        self._lock = threading.Lock()
        self._base = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=1)
        try:
            for pragma in ("locking_mode = EXCLUSIVE", "journal_mode = WAL", "synchronous = FULL"):
                self._base.execute(f"PRAGMA {pragma}")
            self._base.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            raise SystemExit(f"{path}: another agent uses it ({error})") from error
        self._base.execute(
            "CREATE TABLE IF NOT EXISTS look (seq INTEGER PRIMARY KEY AUTOINCREMENT, service INTEGER NOT NULL, "
            "at INTEGER NOT NULL, up INTEGER NOT NULL, ms INTEGER NOT NULL, why TEXT NOT NULL)"
        )
        self._base.execute("CREATE TABLE IF NOT EXISTS said (name TEXT PRIMARY KEY, value TEXT NOT NULL)")
        self._base.execute("COMMIT")

    def keep(self, check: int, at: int, up: bool, ms: int, why: str) -> int:
        """Write a look down; on return it survives a crash. Returns its number."""
        with self._lock:
            cursor = self._base.execute(
                "INSERT INTO look (service, at, up, ms, why) VALUES (?, ?, ?, ?, ?)", (check, at, int(up), ms, why)
            )
            seq = int(cursor.lastrowid or 0)
            if seq % self._trim_every == 0:
                self._trim()
            return seq

    def _trim(self) -> None:
        (count,) = self._base.execute("SELECT count(*) FROM look").fetchone()
        if count > self._most:
            over = count - self._most
            self._base.execute("DELETE FROM look WHERE seq IN (SELECT seq FROM look ORDER BY seq LIMIT ?)", (over,))
            lost = int(self._said("lost") or 0) + over
            self._base.execute("INSERT OR REPLACE INTO said VALUES ('lost', ?)", (json.dumps(lost),))

    def oldest(self, most: int) -> list[Kept]:
        """The oldest looks that the server doesn't have yet."""
        with self._lock:
            rows = self._base.execute(
                "SELECT seq, service, at, up, ms, why FROM look ORDER BY seq LIMIT ?", (most,)
            ).fetchall()
        return [Kept(seq, check, at, bool(up), ms, why) for seq, check, at, up, ms, why in rows]

    def forget(self, seqs: Sequence[int]) -> None:
        """The server has them."""
        with self._lock:
            self._base.execute("BEGIN")
            self._base.executemany("DELETE FROM look WHERE seq = ?", [(seq,) for seq in seqs])
            self._base.execute("COMMIT")

    def __len__(self) -> int:
        with self._lock:
            (count,) = self._base.execute("SELECT count(*) FROM look").fetchone()
        return int(count)

    @property
    def lost(self) -> int:
        """Looks that were dropped because the file was full."""
        with self._lock:
            return int(self._said("lost") or 0)

    def remember(self, name: str, value: Any) -> None:
        """Keep a value for the next start: the checks, say, for one without the server."""
        with self._lock:
            self._base.execute("INSERT OR REPLACE INTO said VALUES (?, ?)", (name, json.dumps(value)))

    def recall(self, name: str) -> Any:
        """The value that was kept, or None."""
        with self._lock:
            return self._said(name)

    def _said(self, name: str) -> Any:
        row = self._base.execute("SELECT value FROM said WHERE name = ?", (name,)).fetchone()
        return None if row is None else json.loads(row[0])

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._base.close()
