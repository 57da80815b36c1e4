"""kill -9 in the middle of ingest, of sealing, of compaction: done again, the totals are exact."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from coulance.usage import store
from tests.support.database import ROOT


def test_killed_anywhere_and_started_again(committed_db: Any, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.usage.crasher", os.environ.get("COULANCE_CRASH_STEP", "17")],
        cwd=ROOT,
        env={
            **os.environ,
            "DATABASE_URL": committed_db.url if isinstance(committed_db.url, str) else committed_db.url(),
            store.VARIABLE: str(tmp_path / "segments"),
            "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)]),
            "DJANGO_SETTINGS_MODULE": "coulance.config.settings",
        },
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    summary = json.loads(done.stdout)
    assert summary["kills"] >= 8
