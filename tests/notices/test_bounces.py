"""Mail that comes back, as reports in mailboxes and as a provider's events: what is believed, and what it changes."""

import json
import mailbox
from datetime import timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from coulance.notices import operations, queries
from coulance.notices.bounces import parse_report
from coulance.notices.check import check_evidence
from coulance.notices.states import State
from tests.notices.post import NOON, kinds, only, queue, send
from tests.support.mail_server import MailServer

LATER = NOON + timedelta(hours=20)


def report(
    header_id: str,
    *,
    address: str = "anna@shop.example",
    action: str = "failed",
    status: str = "5.1.1",
    said: str = "550 5.1.1 no such user",
    date: str = "Mon, 02 Nov 2026 15:00:00 +0000",
    original: str = "message/rfc822",
    kind: str = "multipart/report",
) -> bytes:
    """A delivery report (RFC 3464) as servers write them."""
    return f"""From: MAILER-DAEMON@mx.shop.example
Subject: Delivery Status Notification
Message-ID: <report-{action}-{status}-{header_id.strip("<>")}>
Date: {date}
MIME-Version: 1.0
Content-Type: {kind}; report-type=delivery-status; boundary="=b"

--=b
Content-Type: text/plain

Your message could not be delivered.
--=b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.shop.example
Arrival-Date: Mon, 02 Nov 2026 12:00:01 +0000

Final-Recipient: rfc822; {address}
Action: {action}
Status: {status}
Diagnostic-Code: smtp; {said}

--=b
Content-Type: {original}

From: billing@host.example
Message-ID: {header_id}
Subject: Invoice 17

Hello
--=b--
""".encode()


# What the report says                                     -> state      last evidence   dead?  counted as
REPORTS = """
action=failed status=5.1.1                                    bounced    bounced         yes    bounced
action=failed status=5.1.1 original=text/rfc822-headers       bounced    bounced         yes    bounced
action=failed status=5.2.2 said=552~mailbox~full              bounced    bounced         no     bounced
action=failed status=4.4.7 said=expired                       bounced    bounced         no     bounced
action=failed status=5.7.1 said=550~5.7.1~blocked             bounced    bounced         no     bounced
action=failed status=5.1.1 address=fred@else.example          bounced    bounced         no     bounced
action=delayed status=4.4.1                                   accepted   deferred        no     delayed
action=delivered status=2.0.0                                 accepted   delivered       no     delivered
action=relayed status=2.0.0                                   accepted   accepted        no     no_reports
kind=multipart/mixed                                          accepted   accepted        no     no_reports
header_id=<guessed@host.example>                              accepted   accepted        no     not_ours
"""


@pytest.mark.parametrize("row", REPORTS.strip().splitlines(), ids=lambda row: " ".join(row.split()[:-4]))
def test_what_reports_change(row: str, server: MailServer, account: int, tmp_path: Path) -> None:
    *said, state, last, dead, counted = row.split()
    queue(account, "anna@shop.example", key="m")
    send(server)
    values = dict(one.replace("~", " ").split("=", 1) for one in said)
    path = tmp_path / "report.eml"
    path.write_bytes(report(values.pop("header_id", only().header_id), **values))
    read = operations.read_bounces(path=path, at=LATER)
    assert getattr(read, counted) == 1, read
    assert (only().state, kinds("m")[-1]) == (state, last)
    assert bool(queries.dead_addresses()) == (dead == "yes")
    length = len(kinds("m"))
    again = operations.read_bounces(path=path, at=LATER)
    assert len(kinds("m")) == length, "the same report twice is one piece of evidence"
    assert again.known_before == (counted in ("bounced", "delayed", "delivered"))
    assert list(check_evidence()) == []


def test_every_mail_of_a_mailbox_is_read(server: MailServer, account: int, tmp_path: Path) -> None:
    for name in ("anna", "ben", "cas"):
        queue(account, f"{name}@shop.example", key=name)
    send(server)
    reports = [report(row.header_id, address=row.address) for row in queries.messages()]
    box = mailbox.mbox(tmp_path / "mbox", create=True)
    letter = EmailMessage()
    letter.set_content("When is my invoice due?")
    for one in (*reports, letter.as_bytes()):
        box.add(one)
    box.close()
    dirs = mailbox.Maildir(tmp_path / "maildir", create=True)
    for one in reports:
        dirs.add(one)
    read = operations.read_bounces(path=tmp_path / "mbox", at=LATER)
    assert (read.bounced, read.no_reports) == (3, 1)
    assert operations.read_bounces(path=tmp_path / "maildir", at=LATER).known_before == 3
    assert {row.state for row in queries.messages()} == {State.BOUNCED}
    for path in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(operations.UnableToReadBouncesError):
            operations.read_bounces(path=path, at=LATER)


def test_a_report_settles_what_was_uncertain(server: MailServer, account: int, tmp_path: Path) -> None:
    queue(account, "hush@shop.example", key="taken")
    queue(account, "hush+2@shop.example", key="back")
    send(server)
    assert {row.state for row in queries.messages()} == {State.UNCERTAIN}
    by_key = {row.key: row for row in queries.messages()}
    for key, action in (("taken", "delivered"), ("back", "failed")):
        path = tmp_path / key
        path.write_bytes(report(by_key[key].header_id, address=by_key[key].address, action=action))
        operations.read_bounces(path=path, at=LATER)
    assert {row.key: row.state.value for row in queries.messages()} == {"taken": "accepted", "back": "bounced"}


def test_a_report_dated_in_the_future_is_dated_when_it_was_read(
    account: int, server: MailServer, tmp_path: Path
) -> None:
    queue(account, "anna@shop.example", key="m")
    send(server)
    path = tmp_path / "x"
    path.write_bytes(report(only().header_id).replace(b"Mon, 02 Nov 2026 12:00:01", b"Mon, 02 Nov 2099 12:00:01"))
    operations.read_bounces(path=path, at=LATER)
    assert queries.evidence("m")[-1].at == LATER


@pytest.mark.parametrize(
    "raw",
    [b"", b"\x00\xff\xfe", b"Content-Type: multipart/report\n\n", report("<x>").replace(b"Action: failed", b"Action:"),
     report("<x>")[:400], report("<x>").replace(b"message/delivery-status", b"message/rfc822")],
)  # fmt: skip
def test_what_is_broken_is_no_report(raw: bytes) -> None:
    assert [one for one in parse_report(raw) if one.action] == []


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Posts an event as Postmark does, to the address with this secret."""
    monkeypatch.setenv("COULANCE_MAIL", "anymail+postmark://key@")
    monkeypatch.setenv("COULANCE_MAIL_WEBHOOK", "the-secret-part")

    def post(event: dict[str, Any], secret: str = "the-secret-part") -> int:
        return Client().post(
            f"/hooks/mail/{secret}", data=json.dumps(event), content_type="application/json"
        ).status_code  # fmt: skip

    return post


# what Postmark tells                                                     -> state     last evidence  dead?
EVENTS = """
{"RecordType":"Delivery","DeliveredAt":"2026-11-02T12:00:05Z"}               accepted  delivered      no
{"RecordType":"Bounce","Type":"HardBounce","BouncedAt":"2026-11-02T12:10:00Z"} bounced bounced        yes
{"RecordType":"Bounce","Type":"Transient","BouncedAt":"2026-11-02T12:10:00Z"} accepted deferred       no
{"RecordType":"SpamComplaint","Type":"SpamComplaint","BouncedAt":"2026-11-02T12:10:00Z"} accepted complained yes
{"RecordType":"Open","ReceivedAt":"2026-11-02T12:10:00Z"}                    accepted  opened         no
{"RecordType":"Click","ReceivedAt":"2026-11-02T12:10:00Z"}                   accepted  accepted       no
"""


@pytest.mark.parametrize("row", EVENTS.strip().splitlines(), ids=lambda row: row.split('"')[3] + row.split('"')[7])
def test_a_providers_events_become_evidence(row: str, hook: Any, server: MailServer, account: int) -> None:
    text, state, last, dead = row.split()
    queue(account, "anna@shop.example", key="m")
    send(server)
    event = json.loads(text) | {
        "MessageID": "pm-1", "Recipient": "anna@shop.example", "Email": "anna@shop.example",
        "Metadata": {"delivery": str(only().id)},
    }  # fmt: skip
    assert hook(event) == 200
    assert hook(event) == 200
    assert (only().state, kinds("m")[-1]) == (state, last)
    assert kinds("m").count(last) == 1
    assert bool(queries.dead_addresses()) == (dead == "yes")
    assert list(check_evidence()) == []


def test_an_event_without_the_secret_or_of_anothers_mail_changes_nothing(
    hook: Any, server: MailServer, account: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue(account, "anna@shop.example", key="m")
    send(server)
    event = {
        "RecordType": "Bounce", "Type": "HardBounce", "BouncedAt": "2026-11-02T12:10:00Z", "MessageID": "x",
        "Email": "anna@shop.example", "Metadata": {"delivery": str(only().id)},
    }  # fmt: skip
    assert hook(event, secret="guess") == 404
    assert hook([1]) == 400  # type: ignore[arg-type]
    assert hook(event | {"Email": "eve@else.example"}) == 200
    assert hook(event | {"Metadata": {"delivery": "999999"}}) == 200
    monkeypatch.setenv("COULANCE_MAIL", server.url)
    assert hook(event) == 404, "nobody tells events where no provider is used"
    assert (only().state, kinds("m")[-1]) == (State.ACCEPTED, "accepted")
