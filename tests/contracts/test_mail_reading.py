"""Mail to the desk: what it says, whatever bytes it is made of; when it came, and by whose word."""

import time
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coulance.contracts.mail_reading import MOST_BYTES, MOST_WORDS, ReadMail, read_mail
from coulance_core.catalog.reading import Table
from coulance_core.contracts.mail_terms import MailTerms, read_mail_terms

NOW = datetime(2026, 5, 4, 9, 5, tzinfo=UTC)
TERMS = MailTerms("help@host.example", ("mx.host.example",), authenticated_by="mx.host.example")
RECEIVED = "from x.example (x.example [192.0.2.1]) by mx.host.example (Postfix) with ESMTPS id 1; {}"


def written(*more: str, body: str = "It is down.\n", sender: str = "Boss <boss@acme.example>") -> bytes:
    """A mail as it lies in a mailbox, with further headers on top."""
    head = [*more, f"From: {sender}", "To: help@host.example", "Message-ID: <a1@acme.example>", "Subject: Down"]
    return ("\r\n".join(head) + "\r\n\r\n" + body).encode()


def read(raw: bytes, terms: MailTerms = TERMS) -> ReadMail:
    return read_mail(raw, terms, at=NOW)


def test_a_plain_mail() -> None:
    found = read(written("In-Reply-To: <t2@host.example>", "References: <t1@host.example> <t2@host.example>"))
    assert (found.sender, found.subject, found.words) == ("boss@acme.example", "Down", "It is down.")
    assert found.references == ("<t2@host.example>", "<t1@host.example>")
    assert (found.machine, found.fault, found.genuine, found.to) == ("", "", None, ("help@host.example",))
    assert read(b"From boss Mon May  4\n" + written()).key == found.key, "an mbox's own line is no header"


def at(text: str) -> str:
    return "Received: " + RECEIVED.format(text)


ARRIVALS = [
    ("our server's line", [at("Mon, 4 May 2026 09:01:00 +0000")], "09:01", "Received by mx.host.example"),
    ("none", [], "09:05", "when it was handed over"),
    ("a forged one below it", [at("Mon, 4 May 2026 09:01:00 +0000"), at("Mon, 4 May 2026 01:00:00 +0000")],
     "09:01", "Received by mx.host.example"),
    ("another's on top", ["Received: from a by evil.example; Mon, 4 May 2026 01:00:00 +0000"], "09:05", "handed"),
    ("a name in a comment, and one in the greeting",
     ["Received: from by mx.host.example (by mx.host.example) by evil.example; Mon, 4 May 2026 01:00:00 +0000"],
     "09:05", "handed"),
    ("from the future", [at("Mon, 4 May 2026 19:01:00 +0000")], "09:05", "handed"),
    ("a clock some minutes ahead", [at("Mon, 4 May 2026 09:07:00 +0000")], "09:05", "Received by"),
    ("from last year", [at("Sun, 4 May 2025 09:01:00 +0000")], "09:05", "handed"),
    ("no time", [at("yesterday")], "09:05", "handed"),
]  # fmt: skip


@pytest.mark.parametrize(("what", "lines", "expected", "by"), ARRIVALS)
def test_when_it_came(what: str, lines: list[str], expected: str, by: str) -> None:
    found = read(written(*lines))
    assert (f"{found.arrived_at:%H:%M}", by in found.arrived_by) == (expected, True), what


def test_with_two_servers_of_ours_the_first_of_them_counts() -> None:
    terms = MailTerms("help@host.example", ("mx.host.example", "store.host.example"), hops=2)
    inner = "Received: from mx.host.example by store.host.example; Mon, 4 May 2026 09:04:00 +0000"
    outer = at("Mon, 4 May 2026 09:02:00 +0000")
    assert read(written(inner, outer, at("Mon, 4 May 2026 01:00:00 +0000")), terms).arrived_at.minute == 2
    assert read(written(inner), terms).arrived_at == NOW, "a line is missing: nobody knows which is whose"


MACHINES = [
    "Auto-Submitted: auto-replied (vacation)", "X-Auto-Response-Suppress: All", "Precedence: bulk", "Precedence: junk",
    "X-Autoreply: yes", "Return-Path: <>", "List-Id: <news.acme.example>", "Content-Type: multipart/report",
]  # fmt: skip


@pytest.mark.parametrize("header", MACHINES)
def test_what_a_machine_wrote(header: str) -> None:
    assert read(written(header)).machine
    assert not read(written("Auto-Submitted: no", "Return-Path: <boss@acme.example>")).machine
    assert read(written(sender="MAILER-DAEMON@x.example")).machine


GENUINE = [
    ("mx.host.example; dmarc=pass header.from=acme.example", True),
    ("mx.host.example 1; spf=pass smtp.mailfrom=x; dkim=pass header.d=acme.example", True),
    ("mx.host.example; dkim=pass header.d=evil.example", False),
    ("mx.host.example; dmarc=fail header.from=acme.example", False),
    ("mx.host.example; auth=pass smtp.auth=boss@acme.example", True),
    ("mx.host.example; auth=pass smtp.auth=other@acme.example", False),
    ("evil.example; dmarc=pass header.from=acme.example", None),
    ("mx.host.example; none (dmarc=pass)", False),
]


@pytest.mark.parametrize(("line", "expected"), GENUINE)
def test_whether_our_server_found_it_genuine(line: str, expected: bool | None) -> None:
    forged = "Authentication-Results: mx.host.example; dmarc=pass header.from=acme.example"
    assert read(written("Authentication-Results: " + line)).genuine is expected
    if expected is not None:  # what stands below ours is the sender's
        assert read(written("Authentication-Results: " + line, forged)).genuine is expected


def test_a_header_can_not_smuggle_another_in() -> None:
    sneaky = "Subject: =?utf-8?q?Hi=0D=0ABcc:_all=40acme.example=00?="
    raw = written().replace(b"Subject: Down", sneaky.encode())
    assert read(raw).subject == "Hi Bcc: all@acme.example"
    assert read(written(sender='"boss@acme.example" <evil@evil.example>')).sender == "evil@evil.example"
    assert read(written("From: other@acme.example")).fault == "it names no sender, or several"
    assert read(written(sender="a@b.example, c@d.example")).fault


def test_charsets_that_lie_html_and_attachments() -> None:
    latin = written("Content-Type: text/plain; charset=no-such-thing", body="caf\u00e9\n")
    assert read(latin).words == "caf\u00e9"
    assert read(latin.replace(b"no-such-thing", b"us-ascii")).words == "caf\u00e9"
    html = written("Content-Type: text/html", body="<style>p{}</style><p>It&nbsp;is <b>down</b><script>x()</script>")
    assert read(html).words == "It is down"
    made = EmailMessage()
    made["From"], made["Message-ID"] = "boss@acme.example", "<a2@acme.example>"
    made.set_content("See the picture.")
    made.add_attachment(b"\0" * 3000, maintype="image", subtype="png", filename="../../a\u202egnp.png")
    found = read(made.as_bytes())
    assert (found.words, [(a.name, a.kind) for a in found.attached]) == (
        "See the picture.", [("../../a gnp.png", "image/png")],
    )  # fmt: skip
    assert 2900 < found.attached[0].size < 3200


def test_mail_made_to_hurt_is_held_and_quickly() -> None:
    def nested(deep: int) -> bytes:
        parts = "".join(f'Content-Type: multipart/mixed; boundary="{n}"\r\n\r\n--{n}\r\n' for n in range(deep))
        return written("X-Nested: yes").replace(b"\r\n\r\n", b"\r\n" + parts.encode(), 1)

    hurting = [
        written(body="x" * (MOST_BYTES + 1)),
        written(*(f"X-{n}: y" for n in range(500))),
        written("X-Long: " + "y" * 20_000),
        b"x" * 300_000,
        b"",
        nested(5000), nested(190),
        written("Content-Type: multipart/mixed; boundary=b", body="--b\r\nContent-Type: text/plain\r\n\r\n" * 5000),
        written("To: " + "(" * 9000), written("To: " + "a@b.example," * 900), written("Cc: " + '"' * 11_000),
        written("References: " + "<a@b>" * 2000), written("Content-Type: text/plain; " + "a*0=b;" * 1500),
        # Ten headers within their bound that hold no address, and a part that says too much of itself.
        written(*("Delivered-To: " + "a" * 11_900 for _ in range(10))),
        written("Content-Type: multipart/mixed; boundary=b",
                body="--b\r\nContent-Type: text/plain; " + ";".join(f"a*{n}=x" for n in range(9000)) + "\r\n\r\nhi"),
    ]  # fmt: skip
    for raw in hurting:
        began = time.process_time()
        found = read(raw)
        assert time.process_time() - began < 2, raw[:80]
        assert len(found.words) <= MOST_WORDS
        assert len(found.references) <= 50
    assert all(read(raw).fault for raw in (*hurting[:6], hurting[-1]))


@settings(max_examples=60)
@given(
    st.binary(max_size=400),
    st.lists(st.sampled_from([b"From: a@b.example\r\n", b"Content-Type: multipart/mixed; boundary=x\r\n", b"\r\n",
             b"\r\n--x\r\n", b"Subject: =?utf-8?b?//79?=\r\n", b"From: =?x?q?a?= <\r\n",
             b"Content-Transfer-Encoding: base64\r\n",
             b"Received: by mx.host.example; x\r\n"]), max_size=9),
)  # fmt: skip
def test_no_bytes_break_it(noise: bytes, parts: list[bytes]) -> None:
    for raw in (b"".join(parts) + noise, noise + b"".join(parts)):
        found = read(raw)
        for text in (found.subject, found.sender, found.message_id, *found.to, *(a.name for a in found.attached)):
            assert text.isprintable()
        assert "\0" not in found.words
        found.words.encode()  # no lone halves of a pair: the database takes them not
        assert found == read(raw)


def test_it_is_known_again_whatever_way_it_came() -> None:
    bare = written().replace(b"Message-ID: <a1@acme.example>\r\n", b"")
    assert read(bare).key == read(b"Received: by a; x\r\n" + bare).key != read(bare.replace(b"down", b"up")).key
    assert read(written()).key == read(written("Received: by a; x", body="other")).key
    assert read(written()).key != read(written(sender="evil@evil.example")).key, "nobody takes another's place"
    assert timedelta(0) == read(written()).arrived_at - NOW


def test_terms_of_mail() -> None:
    t = Table({"address": "help+x@host.example", "agents": ["@host.example"], "hops": 0, "hosts": ["a b"]})
    assert read_mail_terms(t) is None
    assert [f.field for f in t.faults] == ["address", "hosts[0]", "hops", "authenticated_by"]
    assert MailTerms("a@b.example", agents=("@host.example", "Sam@x.example")).is_agent("sam@x.EXAMPLE")
    assert not MailTerms("a@b.example", agents=("@host.example",)).is_agent("sam@evilhost.example")
