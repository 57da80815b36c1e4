"""kill -9 between fetch, commit and cursor, and within a remote write: nothing is lost, nothing counts twice."""

from pathlib import Path

from coulance.usage import store
from tests.support.crashing import crash
from tests.support.database import WorkerDatabase


def test_killed_anywhere_and_started_again(committed_db: WorkerDatabase, tmp_path: Path) -> None:
    segments = {store.VARIABLE: str(tmp_path / "segments")}
    summary = crash("tests.collectors.crasher", database=committed_db, step=43, **segments)
    assert summary["kills"] >= 4, summary
