"""kill -9 anywhere in a closing, two closings at once, two workers: what is billed is what one quiet closing bills."""

from django.db import connections

from tests.closing.test_whole import disturb, fill
from tests.closing.world import World
from tests.support.crashing import crash
from tests.support.database import WorkerDatabase


def test_closed_in_any_way_the_documents_are_the_same(lasting: World, worker_database: WorkerDatabase) -> None:
    fill(lasting, 5)
    lasting.close("2026-08")
    disturb(lasting, 5)
    connections.close_all()
    summary = crash("tests.closing.crasher", worker_database.name, database=worker_database, step=67)
    assert summary["kills"] >= 5, summary
    assert summary["documents"] >= 15, summary
