"""Mail to the desk: who may say what on which ticket, once; what is held, and settled by a person."""

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from django.db import DatabaseError, connection, transaction
from django.test import Client

from coulance.cli import ticket as ticket_module
from coulance.contracts import mails, tickets
from coulance.contracts.errors import UnableToRecordError
from coulance.contracts.ticketing import NewEvent
from coulance.customers import operations as customers
from coulance.flows.contracts import maildir, mailing, tags, ticketing
from coulance.flows.contracts.mailing import Taken
from coulance.notices import queries as sent
from coulance.platform import alarms, clock
from coulance_core.sla.clocks import EventKind
from tests.contracts.desk import ACTOR, MAY, Desk, later

GENUINE = "Authentication-Results: mx.host.example; dmarc=pass header.from=host.example"


def events(taken: Taken) -> list[str]:
    """What happened to the ticket of a mail."""
    assert taken.mail.ticket is not None
    return [e.kind.value for e in tickets.ticket(taken.mail.ticket).events]


def fate(taken: Taken) -> tuple[str, str]:
    return taken.mail.state, taken.mail.why


def test_a_mail_opens_a_ticket_once_and_its_clock_began_at_our_server(desk: Desk) -> None:
    desk.agrees("k1", "care")
    line = "Received: from x by mx.host.example; Mon, 4 May 2026 07:00:00 +0000"
    first = desk.mails("It is down.", line, at=later(1), id_="m1")
    assert (first.new, first.mail.state, first.mail.arrived_by) == (True, "opened", "Received by mx.host.example")
    again = desk.mails("It is down.", line, at=later(2), id_="m1")
    assert (again.new, again.mail.id) == (False, first.mail.id)
    (ticket,) = tickets.tickets()
    assert (ticket.source, ticket.number, ticket.opened_at) == ("mail", str(first.mail.id), MAY)
    (one,) = tickets.standing([ticket], later(1.6))
    assert one.contract is not None
    assert one.clocks[0].due == one.clocks[0].since + 7200 * 10**6
    # Who wrote is told once, with the mark that answers find it by, and a machine's mark on it.
    (told,) = sent.messages(account=desk.account, about=f"ticket/{ticket.id}", limit=9)
    text = sent.text_of(message=told.message)
    assert text is not None
    assert f"[#{tags.tag(ticket.id)}] Down" == text.subject
    assert f"help+{tags.tag(ticket.id)}@host.example" in text.text


def test_answers_find_their_ticket_by_address_subject_and_what_they_answer(desk: Desk) -> None:
    desk.agrees("k1", "care")
    first = desk.mails(id_="m1")
    number = first.mail.ticket
    assert number is not None
    mark = tags.tag(number)
    by_address = desk.mails("1", to=f"Desk <help+{mark.upper()}@host.example>", at=later(1))
    by_subject = desk.mails("2", subject=f"Re: [#{mark}] Down", at=later(1))
    by_mail = desk.mails("3", "References: <x@y> <m1@x.example>", at=later(1), sender="dev@acme.example")
    delivery = sent.messages(account=desk.account, about=f"ticket/{number}", limit=1)[0]
    with connection.cursor() as cursor:
        cursor.execute("SELECT header_id FROM notices_delivery WHERE message_id = %s", [delivery.message])
        ours = cursor.fetchone()[0]
    by_ours = desk.mails("4", f"In-Reply-To: {ours}", at=later(1))
    assert [t.mail.ticket for t in (by_address, by_subject, by_mail, by_ours)] == [number] * 4
    assert events(by_ours) == ["opened"] + ["customer_wrote"] * 4
    forged = mark[:-1] + ("a" if mark[-1] != "a" else "b")
    assert desk.mails("5", subject=f"[#{forged}]", at=later(1)).mail.state == "opened", "a mark of theirs is no mark"


def test_what_a_machine_wrote_opens_nothing_and_ends_no_wait(desk: Desk) -> None:
    desk.agrees("k1", "care")
    first = desk.mails(id_="m1")
    number = first.mail.ticket
    desk.tells("7", ("opened", MAY))
    assert number is not None
    reply = ("In-Reply-To: <m1@x.example>",)
    for n, mark in enumerate(("Auto-Submitted: auto-replied", "Precedence: bulk", "X-Auto-Response-Suppress: OOF")):
        assert desk.mails(f"away {n}", mark, *reply, at=later(1)).mail.state == "noted"
    assert events(first) == ["opened"]
    assert desk.mails("away", "Auto-Submitted: auto-replied", at=later(1)).mail.state == "noted"
    assert fate(desk.mails("disk full", "Auto-Submitted: auto-generated", at=later(1)))[0] == "held"
    assert desk.mails("loop", sender="help@host.example", at=later(1)).mail.state == "noted"
    assert len(tickets.tickets()) == 2
    assert len(sent.messages(account=desk.account, about=f"ticket/{number}", limit=9)) == 1


def test_who_is_no_contact_says_nothing_and_one_of_us_only_where_found_genuine(desk: Desk) -> None:
    desk.agrees("k1", "care")
    first = desk.mails(id_="m1")
    mark = tags.tag(first.mail.ticket or 0)
    desk.world.account("beta")
    customers.put_contact(
        account="beta", external_id="eve", name="Eve", email="eve@beta.example", roles=["owner"], may_incur_cost=True,
        language="en", channels=["email"],
    )  # fmt: skip
    about: dict[str, Any] = {"subject": f"[#{mark}]", "at": later(1)}
    held = [
        desk.mails("a", sender="eve@beta.example", **about),  # knows the mark, is another customer's
        desk.mails("b", sender="who@else.example", at=later(1)),
        desk.mails("c", sender="anna@host.example", to="boss@acme.example, help@host.example", **about),
        desk.mails("d", GENUINE.replace("dmarc=pass", "dmarc=fail"), sender="anna@host.example", **about),
        desk.mails("e", GENUINE, sender="anna@host.example", at=later(1)),
        desk.mails("f" * 10, "From: boss@acme.example", at=later(1)),
    ]
    assert [t.mail.state for t in held] == ["held"] * 6
    assert events(first) == ["opened"]
    aside = desk.mails("g", GENUINE, sender="anna@host.example", to="bob@host.example", **about)
    assert fate(aside) == ("noted", "one of us wrote it, and not to the customer")
    answer = desk.mails("h", GENUINE, sender="Anna@host.example", to="boss@acme.example", **about)
    assert events(answer) == ["opened", "answered"]
    (alarm,) = [a for a in alarms.open_alarms() if a.key == "tickets.held"]
    assert "waits for a person" in alarm.what


def test_a_person_settles_what_is_held_and_the_clock_begins_when_it_came(desk: Desk) -> None:
    desk.agrees("k1", "care").agrees("k2", "care")
    several = desk.mails(at=later(0))
    assert "several contracts promise" in several.mail.why
    stranger = desk.mails("mine too", sender="new@acme.example", at=later(0.5))
    with pytest.raises(UnableToRecordError, match="whose ticket"):
        mailing.settle(mail=several.mail.id, as_="opened", reason="x", actor=ACTOR, at=later(3))
    with pytest.raises(UnableToRecordError, match="say why"):
        mailing.settle(mail=several.mail.id, as_="refused", reason=" ", actor=ACTOR, at=later(3))
    done = mailing.settle(
        mail=several.mail.id, as_="opened", contract="k2", reason="it is k2's", actor=ACTOR, at=later(3)
    )
    row = tickets.ticket(done.ticket or 0)
    assert (row.opened_at, row.contract) == (MAY, desk.id("k2"))
    mailing.settle(
        mail=stranger.mail.id, as_="wrote", ticket=row.id, reason="their new colleague", actor=ACTOR, at=later(3)
    )
    assert [(e.kind.value, e.at) for e in tickets.ticket(row.id).events][1] == (
        "customer_wrote", int(later(0.5).timestamp() * 10**6),
    )  # fmt: skip
    with pytest.raises(UnableToRecordError, match="isn't held"):
        mailing.settle(mail=stranger.mail.id, as_="refused", reason="twice", actor=ACTOR, at=later(4))
    assert [a.key for a in alarms.open_alarms()] == []


def test_a_flood_is_held_and_what_was_solved_opens_again_for_a_while(desk: Desk) -> None:
    desk.agrees("k1", "care")
    first = desk.mails("1", id_="m1")
    number = first.mail.ticket or 0
    desk.mails("2")
    desk.mails("3")
    assert "within an hour" in desk.mails("4").mail.why
    assert desk.mails("5", at=later(1.1)).mail.state == "opened"
    row = tickets.ticket(number)
    ticketing.receive(
        ticketing.Incoming("mail", row.number, events=[NewEvent("s", later(2), EventKind.SOLVED)]),
        actor=ACTOR, at=later(2),
    )  # fmt: skip
    again = desk.mails("not yet", "In-Reply-To: <m1@x.example>", at=later(5))
    assert events(again) == ["opened", "solved", "reopened", "customer_wrote"]
    ticketing.receive(
        ticketing.Incoming("mail", row.number, events=[NewEvent("t", later(6), EventKind.SOLVED)]),
        actor=ACTOR, at=later(6),
    )  # fmt: skip
    late = desk.mails("another thing", "In-Reply-To: <m1@x.example>", at=later(6) + timedelta(days=15))
    assert (late.mail.state, late.mail.ticket != number) == ("opened", True)
    assert mails.mail(first.mail.id).words == "1"
    desk.runs(later(6) + timedelta(days=91))
    assert mails.mail(first.mail.id).words is None
    for statement in ("UPDATE contracts_mail SET sender = 'x'", "DELETE FROM contracts_mail"):
        with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)


def test_by_pipe_by_maildir_and_by_a_provider(desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from contextlib import nullcontext

    desk.agrees("k1", "care")
    monkeypatch.setattr(ticket_module, "working_database", nullcontext)
    monkeypatch.setattr(clock, "now", lambda: later(1))
    raw = b"From: boss@acme.example\nSubject: Down\nMessage-ID: <p1@x.example>\n\nDown.\n"
    typed = CliRunner().invoke(ticket_module.ticket, ["mail"], input=raw)
    assert (typed.exit_code, ": opened; came 08:00 UTC, when it was handed over" in typed.output) == (0, True)
    for part in ("new", "cur", "tmp"):
        (tmp_path / part).mkdir()
    (tmp_path / "new" / "1.a").write_bytes(raw)
    (tmp_path / "new" / "2.b").write_bytes(raw.replace(b"p1@", b"p2@"))
    os.utime(tmp_path / "new" / "2.b", (later(0.5).timestamp(),) * 2)
    assert maildir.take_all(tmp_path, clock=clock.now) == 2
    assert sorted(p.name for p in (tmp_path / "cur").iterdir()) == ["1.a:2,S", "2.b:2,S"]
    assert sorted(t.opened_at for t in tickets.tickets()) == [later(0.5), later(1)]
    for name, value in (("WEBHOOK", "s3cret"), ("PROVIDER", "postmark")):
        monkeypatch.setenv(f"COULANCE_TICKET_MAIL_{name}", value)
    body: dict[str, Any] = {
        "FromFull": {"Email": "boss@acme.example", "Name": "Boss", "MailboxHash": ""}, "Subject": "Down again",
        "ToFull": [{"Email": "help@host.example", "Name": "", "MailboxHash": ""}], "CcFull": [], "BccFull": [],
        "MessageID": "22c74902", "Date": "Mon, 4 May 2026 09:00:00 +0200", "TextBody": "See it.", "HtmlBody": "",
        "OriginalRecipient": "help@host.example", "Attachments": [],
        "Headers": [{"Name": "Message-ID", "Value": "<p3@x.example>"}],
    }  # fmt: skip
    client = Client()
    assert client.post("/hooks/inbound/guess", body, content_type="application/json").status_code == 404
    assert client.post("/hooks/inbound/s3cret", body, content_type="application/json").status_code == 200
    assert client.post("/hooks/inbound/s3cret", body, content_type="application/json").status_code == 200
    assert client.post("/hooks/inbound/s3cret", b"[1", content_type="application/json").status_code == 400
    assert [t.subject for t in tickets.tickets()].count("Down again") == 1
    held = CliRunner().invoke(ticket_module.ticket, ["mail"], input=b"From: who@else.example\n\nhi")
    assert "held: its sender is nobody's contact" in held.output
    number = held.output.split()[1].rstrip(":")
    assert "nobody's contact" in CliRunner().invoke(ticket_module.ticket, ["held"]).output
    assert "hi" in CliRunner().invoke(ticket_module.ticket, ["held", number]).output
    asked = ["settle", number, "--as", "refused", "--reason", "spam"]
    assert f"mail {number}: refused." in CliRunner().invoke(ticket_module.ticket, asked).output
    said = CliRunner().invoke(ticket_module.ticket, ["tell", "mail", tickets.tickets()[0].number, "solved"])
    assert "solved." in said.output
    assert CliRunner().invoke(ticket_module.ticket, ["mail", "--maildir", str(tmp_path / "new")]).exit_code == 75
