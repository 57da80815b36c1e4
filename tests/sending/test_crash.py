"""kill -9 anywhere between booking, outbox and mail server: no document is mailed twice, and none is forgotten."""

from collections import Counter
from pathlib import Path

import pytest
from django.db import connections

from tests.sending.town import MONTH, contact, town
from tests.support.crashing import crash
from tests.support.database import WorkerDatabase
from tests.support.mail_server import MailServer


@pytest.mark.parametrize(("what", "step"), [("mail", 17), ("all", 97)])
def test_killed_anywhere_each_is_mailed_once_or_shown_as_uncertain(
    what: str, step: int, committed_db: WorkerDatabase, store_here: Path, tmp_path: Path, server: MailServer
) -> None:
    world = town(tmp_path, accounts=1, sending='[sending]\nfrom = "billing@polder.example"\n')
    contact("c0", "anna@shop.example")
    if what == "mail":
        world.close(MONTH)
    connections.close_all()
    goes = crash("tests.sending.crasher", committed_db.name, server.port, what, database=committed_db, step=step)
    taken = server.counts()
    seen: Counter[str] = Counter()
    for one in goes:
        assert one["faults"] == [], one
        assert len(one["rows"]) == 3, f"killed at event {one['event']}: a document was forgotten, or queued twice"
        assert len({about for _, _, about in one["rows"]}) == 3
        for header_id, state, _ in one["rows"]:
            seen[f"{state} {taken[header_id]}"] += 1
            assert taken[header_id] == 1 if state == "accepted" else (state, taken[header_id]) in {
                ("uncertain", 0), ("uncertain", 1)
            }, f"killed at event {one['event']}: {state}, and the server has it {taken[header_id]} times"  # fmt: skip
        uncertain = sum(state == "uncertain" for _, state, _ in one["rows"])
        assert uncertain <= 1
        assert one["sent"] == 3 - uncertain
    assert sum(one["died"] for one in goes) >= 3
    if what == "mail":
        # The one window that SMTP leaves was hit: the server had it, and we died before we could write that down.
        assert seen["uncertain 1"] >= 1, seen
