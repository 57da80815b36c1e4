"""kill -9 anywhere in an import, and two imports at once: what is booked is what one quiet import books."""

import json
import os
import subprocess
import sys

from django.db import connections

from tests.payments.till import customer
from tests.support.database import ROOT, WorkerDatabase


def test_killed_anywhere_and_imported_again_everything_is_booked_once(committed_db: WorkerDatabase) -> None:
    for name in ("anna", "ben"):
        one = customer(name)
        for number in range(4):
            one.invoice(str(number), 12100)
    connections.close_all()
    done = subprocess.run(
        [sys.executable, "-m", "tests.bank.crasher", committed_db.name, os.environ.get("COULANCE_CRASH_STEP", "29")],
        cwd=ROOT,
        env={
            **os.environ,
            "DATABASE_URL": committed_db.url,
            "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)]),
            "DJANGO_SETTINGS_MODULE": "coulance.config.settings",
        },
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    summary = json.loads(done.stdout)
    assert summary["kills"] >= 5, summary
    assert summary["receipts"] == 8, summary
