"""Mail through a real SMTP server: what it takes, puts off, refuses or drops, and what is written down of it."""

from datetime import timedelta
from email import policy
from email.parser import BytesParser
from hashlib import sha256
from typing import Any

import pytest

from coulance.notices import operations, outcomes, queries, sender
from coulance.notices.check import check_evidence
from coulance.notices.restored import hold_what_waits
from coulance.notices.states import State
from coulance.notices.transport import Answer, Outcome, read_transport
from tests.notices.post import MINUTE, NOON, kinds, only, queue, send
from tests.support.mail_server import MailServer

# address          state after one go   evidence after "queued"              dead?
OUTCOMES = """
anna@shop.example     accepted    attempted accepted                         no
unknown@shop.example  refused     refused                                    yes
blocked@shop.example  refused     refused                                    no
full@shop.example     waiting     deferred                                   no
spam@shop.example     refused     attempted refused                          no
later@shop.example    waiting     attempted deferred                         no
cut@shop.example      waiting     deferred                                   no
hush@shop.example     uncertain   attempted uncertain                        no
closing@shop.example  waiting     -                                          no
"""


@pytest.mark.parametrize("row", OUTCOMES.strip().splitlines(), ids=lambda r: r.split("@")[0])
def test_what_a_server_says_is_written_down(row: str, server: MailServer, account: int) -> None:
    address, state, *seen, dead = row.split()
    queue(account, address, key="m")
    send(server)
    found = only()
    evidence = kinds("m")
    if address.startswith("cut"):  # the last bytes may have left before the server was seen to have gone
        assert (found.state, evidence[1:]) in [
            (State.WAITING, ["deferred"]),
            (State.UNCERTAIN, ["attempted", "uncertain"]),
        ]
    else:
        assert found.state == state
        assert evidence == ["queued", *(kind for kind in seen if kind != "-")]
    assert bool(queries.dead_addresses()) == (dead == "yes")
    assert len(server.taken) == (address.startswith(("anna", "hush")))
    assert list(check_evidence()) == []


def test_the_bytes_that_the_server_got_are_the_ones_that_are_proven(server: MailServer, account: int) -> None:
    queue(account, "anna@shop.example", key="m")
    send(server)
    (taken,) = server.taken
    attempted = queries.evidence("m")[1]
    assert sha256(taken.data).hexdigest() == attempted.fact["sha256"]
    mail = BytesParser(policy=policy.default).parsebytes(taken.data)
    assert mail["Message-ID"] == only().header_id
    assert mail.get_body(("plain",)).get_content().replace("\r\n", "\n") == "Hello\n.\n..two dots\n"
    assert mail["To"] == "Anna <anna@shop.example>"
    assert mail["From"] == "Noordpool Hosting <billing@host.example>"
    assert "queued as 4F2C" in queries.evidence("m")[2].said


def test_a_mail_that_is_put_off_is_tried_again_with_growing_pauses_under_the_same_id(
    server: MailServer, account: int
) -> None:
    queue(account, "full@shop.example", key="m")
    at, pauses = NOON, []
    for _ in range(3):
        send(server, at=at)
        due = only().next_attempt_at
        pauses.append(due - at)
        send(server, at=due - timedelta(seconds=1))
        at = due
    assert pauses == [MINUTE, 5 * MINUTE, 15 * MINUTE]
    assert server.asked["full@shop.example"] == 3
    server.moods.clear()
    send(server, at=at)
    assert only().state is State.ACCEPTED
    assert kinds("m") == ["queued", "deferred", "deferred", "deferred", "attempted", "accepted"]


def test_after_five_days_it_is_given_up_and_the_address_is_not_blamed(server: MailServer, account: int) -> None:
    queue(account, "full@shop.example", key="m")
    send(server)
    send(server, at=NOON + timedelta(days=5))
    found = only()
    assert found.state is State.REFUSED
    assert "not taken in five days" in found.answer
    assert not queries.evidence("m")[-1].lasting
    assert queries.dead_addresses() == []


def test_a_server_that_cannot_be_reached_costs_nobody_an_attempt(server: MailServer, account: int) -> None:
    queue(account, "anna@shop.example", key="m")
    nowhere = read_transport("smtp://127.0.0.1:9?tls=none&connections=1")
    done = operations.send_due(transport=nowhere, clock=lambda: NOON)
    assert "can't be reached" in done.stopped
    assert (only().state, only().attempts) == (State.WAITING, 0)
    assert kinds("m") == ["queued"]
    assert send(server).count(State.ACCEPTED) == 1


def test_a_password_is_never_shown_in_what_is_said_of_a_transport() -> None:
    transport = read_transport("smtp://me:s%2Fecret@127.0.0.1:1?tls=none")
    assert "secret" not in f"{transport!r} {transport.shown}"
    for url in (
        "smtp://me:hidden@:x",
        "ftp://me:hidden@host",
        "smtp://me:hidden@host?tls=maybe",
        "anymail+pigeon://hidden@",
    ):
        with pytest.raises(operations.UnableToReadTransportError) as refused:
            read_transport(url)
        assert "hidden" not in str(refused.value)


def test_what_is_uncertain_is_never_sent_again_by_itself(server: MailServer, account: int) -> None:
    queue(account, "hush@shop.example", key="m")
    send(server)
    for days in (1, 6, 30):
        send(server, at=NOON + timedelta(days=days))
    assert len(server.taken) == 1
    assert only().state is State.UNCERTAIN
    with pytest.raises(operations.UnableToChangeDeliveryError):
        operations.send_again(delivery=only().id, actor="operator:anna", reason=" ", at=NOON)
    operations.settle_as_arrived(delivery=only().id, actor="operator:anna", reason="seen in the server's log", at=NOON)
    assert only().state is State.ACCEPTED
    assert kinds("m")[-1] == "accepted"


def test_an_operator_may_have_an_uncertain_one_sent_again(server: MailServer, account: int) -> None:
    queue(account, "hush@shop.example", key="m")
    send(server)
    server.moods.clear()
    operations.send_again(delivery=only().id, actor="operator:anna", reason="their server lost it", at=NOON + MINUTE)
    send(server, at=NOON + MINUTE)
    assert only().state is State.ACCEPTED
    assert set(server.counts().values()) == {2}, "the same Message-ID, so that a server may drop the double"


def test_queueing_again_under_a_key_changes_nothing(server: MailServer, account: int) -> None:
    first = queue(account, "anna@shop.example", key="m")
    assert queue(account, "other@shop.example", key="m", subject="Else") == first
    send(server)
    assert [one.recipient for one in server.taken] == ["anna@shop.example"]


def test_each_recipient_has_a_mail_of_their_own_and_blind_copies_show_the_customers(
    server: MailServer, account: int
) -> None:
    queue(
        account, "anna@shop.example", "ben@shop.example", "ANNA@shop.example", key="m", copies=["archive@host.example"]
    )
    send(server)
    sent = {one.recipient: one.mail for one in server.taken}
    assert sorted(sent) == ["anna@shop.example", "archive@host.example", "ben@shop.example"]
    assert sent["ben@shop.example"]["To"] == "Anna <ben@shop.example>"
    assert "anna@shop.example" in sent["archive@host.example"]["To"]
    assert "archive" not in "".join(str(sent["anna@shop.example"]))
    assert len({str(mail["Message-ID"]) for mail in sent.values()}) == 3
    assert server.connections == 1


HOSTILE = "Invoice\r\nBcc: victim@else.example\r\n\r\nBody"


def test_no_name_or_subject_becomes_a_header(server: MailServer, account: int) -> None:
    queue(
        account, "anna@shop.example", key="m", subject=HOSTILE, sender_name=HOSTILE,
        to=[operations.Recipient("anna@shop.example", HOSTILE + "\u2028X: y")],
        attachments=[operations.Attachment(name=HOSTILE + "é.pdf", media_type="application/pdf", content=b"%PDF")],
    )  # fmt: skip
    send(server)
    (taken,) = server.taken
    mail = taken.mail
    assert "Bcc" not in mail
    assert "X" not in mail
    assert mail["Subject"] == "Invoice Bcc: victim@else.example Body"
    (attached,) = mail.iter_attachments()
    assert attached.get_filename() == "Invoice Bcc: victim@else.example Bodyé.pdf"
    assert [line for line in taken.data.split(b"\r\n") if line.lower().startswith(b"bcc:")] == []


@pytest.mark.parametrize(
    ("address", "sent_to"),
    [("post@bücher.example", "post@xn--bcher-kva.example"), (" Ann.O'Neil@Shop.example ", "Ann.O'Neil@Shop.example")],
)
def test_international_names_and_domains_travel(address: str, sent_to: str, server: MailServer, account: int) -> None:
    queue(
        account,
        address,
        key="m",
        subject="Rechnung für Zoë 株式会社",
        to=[operations.Recipient(address, "Zoë Łęcka 株")],
    )
    send(server)
    (taken,) = server.taken
    assert taken.recipient == sent_to
    assert taken.data.isascii()
    assert taken.mail["Subject"] == "Rechnung für Zoë 株式会社"
    assert "Zoë Łęcka 株" in taken.mail["To"]


@pytest.mark.parametrize(
    "address",
    ["anna", "anna@shop", "a b@shop.example", "anna@shop.example\nBcc: x@y.example", "änna@shop.example", "@x.example"],
)
def test_what_is_no_address_is_refused_before_anything_is_written(address: str, account: int) -> None:
    with pytest.raises(operations.UnableToQueueError, match="e-mail address"):
        queue(account, address, key="m")
    assert queries.messages() == []


def test_a_dead_address_is_held_until_it_is_released(server: MailServer, account: int) -> None:
    queue(account, "unknown@shop.example", key="first")
    send(server)
    queue(account, "Unknown@shop.example", key="second")
    send(server)
    held = only(state="held")
    assert "refuses mail: 550" in held.answer
    assert server.asked.total() == 1
    server.moods.clear()
    assert operations.release_address(
        address="unknown@shop.example", actor="operator:anna", reason="they made the mailbox", at=NOON
    ) == 1  # fmt: skip
    send(server)
    assert queries.messages(state="accepted")[0].id == held.id
    assert queries.dead_addresses() == []


def test_a_mail_whose_attachment_cannot_be_made_is_held_and_the_others_go(server: MailServer, account: int) -> None:
    queue(
        account,
        "anna@shop.example",
        key="bad",
        attachments=[operations.Attachment(kind="unheard", ref="1")],
        kind="operations",
    )
    queue(account, "ben@shop.example", key="good")
    send(server)
    assert {row.key: row.state for row in queries.messages()} == {"bad": State.HELD, "good": State.ACCEPTED}
    assert "nothing here renders" in only(state="held").answer


def test_what_a_dead_sender_only_claimed_is_due_again_and_what_it_was_sending_is_uncertain(account: int) -> None:
    queue(account, "anna@shop.example", key="claimed")
    queue(account, "ben@shop.example", key="sending")
    ids = sender.claim_due(claim=77, most=10, at=NOON)
    claimed, sending = outcomes.known(ids)
    assert outcomes.begin_sending(sending, claim=77, at=NOON, fact={})
    assert sender.clear_up(at=NOON) == (1, 1)
    assert {row.key: row.state.value for row in queries.messages()} == {"claimed": "waiting", "sending": "uncertain"}
    # The sender was only believed dead, and now hears the answer: it counts. What it claimed is no longer its.
    late = outcomes.answered(sending, Answer(Outcome.ACCEPTED, "250 OK"), claim=77, at=NOON)
    assert late is State.ACCEPTED
    assert not outcomes.begin_sending(claimed, claim=77, at=NOON, fact={})
    assert list(check_evidence()) == []


def test_several_lanes_send_each_mail_once(committed_db: Any, server: MailServer) -> None:
    from coulance.customers import operations as customers

    owner = customers.create_account(
        external_id="C-1", name="X", kind="business", country="NL", currency="EUR", zone="UTC", language="en"
    )
    for i in range(30):
        queue(owner, f"p{i}@shop.example", key=f"m{i}")
    lanes = read_transport(server.url.replace("connections=1", "connections=3"))
    done = operations.send_due(transport=lanes, clock=lambda: NOON)
    assert done.count(State.ACCEPTED) == 30
    assert set(server.counts().values()) == {1}
    assert len(server.taken) == 30
    assert 1 < server.connections <= 3
    assert list(check_evidence()) == []


def test_what_waited_in_a_backup_is_held_after_a_restore_until_somebody_says_so(
    server: MailServer, account: int
) -> None:
    queue(account, "anna@shop.example", key="m")
    assert hold_what_waits(why="restored from a backup", at=NOON) == 1
    assert hold_what_waits(why="restored from a backup", at=NOON) == 0
    send(server)
    assert server.taken == []
    (held,) = queries.messages(state=State.HELD)
    assert held.answer == "restored from a backup"
    operations.send_again(delivery=held.id, actor="operator:anna", reason="it never left", at=NOON)
    send(server)
    assert only().state == State.ACCEPTED
    assert list(check_evidence()) == []
