"""kill -9 in the middle of ingest, of sealing, of compaction: done again, the totals are exact."""

from pathlib import Path

from coulance.usage import store
from tests.support.crashing import crash
from tests.support.database import WorkerDatabase


def test_killed_anywhere_and_started_again(committed_db: WorkerDatabase, tmp_path: Path) -> None:
    segments = {store.VARIABLE: str(tmp_path / "segments")}
    summary = crash("tests.usage.crasher", database=committed_db, step=17, **segments)
    assert summary["kills"] >= 8, summary
