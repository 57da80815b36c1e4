"""Commands without `coulance up`: each may start the database, and none pulls it from under another."""

import subprocess
import sys
import time

import pytest

from tests.support.database import ROOT
from tests.support.instances import environment, new_home, ready_home, remains

pytestmark = pytest.mark.slow

WORK = """
import sys, time
from coulance.cli.session import working_database
with working_database():
    from django.db import connection
    print("in", flush=True)
    give_up = time.monotonic() + float(sys.argv[1])
    while time.monotonic() < give_up:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        time.sleep(0.02)
print("done", flush=True)
"""


def test_the_first_to_come_waits_for_the_last_to_leave() -> None:
    with ready_home() as home:
        running = []
        for lasts_s in ("0.5", "3"):
            one = subprocess.Popen(
                [sys.executable, "-c", WORK, lasts_s],
                env=environment(home),
                cwd=ROOT,
                stdout=subprocess.PIPE,
                text=True,
            )
            assert one.stdout is not None
            if not running:
                assert one.stdout.readline() == "in\n"  # it owns the server before the next one comes
            running.append(one)
        for one in running:
            out, _ = one.communicate(timeout=60)
            assert one.returncode == 0
            assert out.endswith("done\n")
        give_up = time.monotonic() + 10
        while remains(home):
            assert time.monotonic() < give_up
            time.sleep(0.05)


def test_many_at_once_on_a_new_instance_all_get_their_turn() -> None:
    # One makes the instance and migrates it; the others wait for that.
    with new_home() as home:
        running = [
            subprocess.Popen(
                [sys.executable, "-c", WORK, "0"], env=environment(home), cwd=ROOT, stdout=subprocess.DEVNULL
            )
            for _ in range(2)
        ]
        assert [one.wait(timeout=120) for one in running] == [0, 0]
