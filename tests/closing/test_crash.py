"""kill -9 anywhere in a closing, two closings at once, two workers: what is billed is what one quiet closing bills."""

import json
import os
import subprocess
import sys

from django.db import connections

from tests.closing.test_whole import disturb, fill
from tests.closing.world import World
from tests.support.database import ROOT, WorkerDatabase


def test_closed_in_any_way_the_documents_are_the_same(lasting: World, worker_database: WorkerDatabase) -> None:
    fill(lasting, 5)
    lasting.close("2026-08")
    disturb(lasting, 5)
    connections.close_all()
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "tests.closing.crasher",
            worker_database.name,
            os.environ.get("COULANCE_CRASH_STEP", "67"),
        ],
        cwd=ROOT,
        env={
            **os.environ,
            "DATABASE_URL": worker_database.url,
            "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)]),
            "DJANGO_SETTINGS_MODULE": "coulance.config.settings",
        },
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    summary = json.loads(done.stdout)
    assert summary["kills"] >= 5, summary
    assert summary["documents"] >= 15, summary
