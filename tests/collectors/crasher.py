"""Collects from a server with a state, killed one place further each time: `python -m tests.collectors.crasher STEP`.

A child is killed at its n-th event, so also between fetch, readings and cursor, in the middle of catching up after an
outage and of a remote write; then a child does it all undisturbed. What is stored must be what was there to be read,
each sample once. Prints a JSON summary.
"""

import json
import os
import sys
import tempfile
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import django

# Only when run: pytest imports this module too, to look for doctests.
if __name__ == "__main__":
    django.setup()

from django.db import connection

from tests.collectors import protobuf as pb
from tests.collectors.fakes import FakePrometheus
from tests.support.crashing import child, go_through


def work(now: datetime) -> None:
    """Ask until nothing is behind, and take what was sent, twice as a sender does that heard no answer."""
    from coulance.catalog import queries as catalog
    from coulance.integrations.collectors import runner
    from coulance.integrations.prometheus import remote_write

    sent = catalog.catalog().collectors["nodes"]
    for body in bodies(int(now.timestamp())):
        for _ in range(2):
            remote_write.take(body=body, collector=sent, at=now)
    asked = runner.asked_collectors()["prom"]
    done = runner.go(asked, runner.targets_of(asked)[0], lambda: now)
    assert not done.error, done.error


def bodies(now: int) -> list[bytes]:
    """Five requests; in and out of a reading are in different ones."""
    halves = [
        ([("__name__", f"node_network_{way}_bytes_total"), ("device", "eth0"), ("instance", "sent:9100")],
         [(1000.0 * step, (now - 600 + 60 * step) * 1000)])
        for step in range(10) for way in ("receive", "transmit")
    ]  # fmt: skip
    return [pb.snappy(pb.request(halves[i::5])) for i in range(5)]


def reset() -> None:
    """Begin anew."""
    with connection.cursor() as cursor:
        cursor.execute(
            "TRUNCATE usage_batch, usage_blob, usage_state_page, usage_day_page, usage_counter_start,"
            " usage_collector_target, usage_half_readings, usage_quarantine"
        )


def check(wanted: dict[str, tuple[int, int, int]]) -> Callable[[], None]:
    def job() -> None:
        from coulance.usage import queries
        from coulance.usage.models import HalfReadings
        from tests.collectors.world import used

        for key, truth in wanted.items():
            assert used(key) == truth, (key, used(key), truth)
        assert HalfReadings.objects.count() == 0
        assert list(queries.verify()) == []

    return job


def main(step: int) -> None:
    from tests.collectors.test_asking import PROMETHEUS, scrapes
    from tests.collectors.test_remote_write import COLLECTOR
    from tests.collectors.world import NOW, house

    fake = FakePrometheus(token="Bearer s3cret-token")
    begin, later = int(NOW.timestamp()), NOW + timedelta(hours=1)
    scrapes(fake, begin - 1200, begin + 3600, every=60)
    rows = len([at for at in range(begin - 1200, begin + 3600, 60) if begin - 630 < at + 0.217 <= begin + 3570])
    # Sent are ten readings at each of the two instants; the second ten begin at 0 again: a reset, which counts nothing.
    truth = {"web1:eth0": (rows, (rows - 1) * 60_000, (rows - 1) * 60_000), "sent:eth0": (20, 18_000, 18_000)}
    os.environ["COULANCE_PROM"] = "s3cret-token"
    with fake.serving() as url, tempfile.TemporaryDirectory() as folder:
        text = PROMETHEUS.replace("URL", url).replace('window = "10 min"', 'window = "30 min"') + COLLECTOR

        def prepare() -> None:
            house(Path(folder), text, ["web1:eth0", "sent:eth0"])

        child(prepare)

        def begin() -> None:
            child(reset)
            child(lambda: work(NOW))  # the outage begins after this

        done = go_through(lambda: work(later), begin=begin, then=lambda event, died: child(check(truth)), step=step)
    print(json.dumps(done))


if __name__ == "__main__":
    main(int(sys.argv[1]))
