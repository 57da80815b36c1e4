"""Mail written to a directory: whole files, evidence as of any sending, and nothing half-written."""

from email import message_from_bytes, policy
from hashlib import sha256
from pathlib import Path

import pytest

from coulance.notices import operations, queries
from coulance.notices.states import State
from coulance.notices.transport import read_transport
from tests.notices.post import NOON, kinds, only, queue


def test_a_mail_becomes_a_file_with_evidence_of_its_bytes(account: int, tmp_path: Path) -> None:
    queue(account, "anna@shop.example", "o/b@shop.example", key="m")
    folder = tmp_path / "mail of today"
    way = read_transport(f"file://{str(folder).replace(' ', '%20')}?connections=1")
    done = operations.send_due(transport=way, clock=lambda: NOON)
    assert (done.stopped, done.count(State.ACCEPTED)) == ("", 2)
    files = sorted(folder.iterdir())
    assert [file.name[7:-13] for file in files] == ["anna@shop.example", "o_b@shop.example"]
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
    rows = {row.address: row for row in queries.messages()}
    mail = message_from_bytes(files[0].read_bytes(), policy=policy.default)
    assert (mail["To"], mail["Message-ID"]) == ("Anna <anna@shop.example>", rows["anna@shop.example"].header_id)
    assert "went to nobody" in rows["anna@shop.example"].answer
    assert set(kinds("m")) == {"queued", "attempted", "accepted"}
    attempted = next(
        p for p in queries.evidence_of(delivery=rows["anna@shop.example"].id) if p.kind.value == "attempted"
    )
    assert attempted.fact["sha256"] == sha256(files[0].read_bytes()).hexdigest()


def test_a_directory_that_cannot_be_used_costs_nobody_an_attempt(account: int, tmp_path: Path) -> None:
    queue(account, "anna@shop.example", key="m")
    (tmp_path / "taken").write_text("no directory")
    way = read_transport(f"file://{tmp_path}/taken")
    assert "can't take mail" in operations.send_due(transport=way, clock=lambda: NOON).stopped
    assert (only().state, only().attempts) == (State.WAITING, 0)


@pytest.mark.parametrize("url", ["file://", "file:///", "file://host/mail", "file:mail", "file:///mail?tls=none"])
def test_what_names_no_directory_is_refused(url: str) -> None:
    with pytest.raises(operations.UnableToReadTransportError, match="file:///var/lib/coulance/mail"):
        read_transport(url)
