"""Documents by mail: planned, approved, scheduled, sent, come back and sent again; through a real SMTP server."""

import io
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pypdf
import pytest
from lxml import etree

from coulance.flows.sending import queueing, status
from coulance.invoicing import queries as invoicing
from coulance.notices import operations as notices
from coulance.notices import queries as sent
from coulance.notices.check import check_evidence
from coulance.notices.operations import Recipient
from coulance.platform import alarms
from tests.sending.town import CLOSED, MONTH, SENDING, approve, contact, deliver, mailed, numbers, town
from tests.support.mail_server import MailServer

pytestmark = pytest.mark.usefixtures("db", "store_here")
DAY = timedelta(days=1)
HOST = "Polder Hosting BV"


def test_a_reviewed_month_goes_out_once_it_is_approved(tmp_path: Path, server: MailServer) -> None:
    world = town(tmp_path)
    contact("c0", "anna@shop.example")
    contact("c1", "bob@winkel.example", language="nl-BE")
    contact("c2", "ops@else.example", roles=["technical"])
    world.close(MONTH)
    now = queueing.plan(period=MONTH)
    assert {one.document.buyer_ref for one in now.ready} == {"c0", "c1"}
    assert {(one.document.buyer_ref, one.why) for one in now.blocked} == {
        ("c2", "no contact with the role billing or owner has an e-mail address")
    }
    assert deliver(server).states == {}, "nothing goes before somebody approves"
    done = approve()
    assert (done.documents, len(done.blocked)) == (6, 3)
    deliver(server)
    assert mailed(server) == [
        ("anna@shop.example", f"Invoice B2026-0001 from {HOST}: €12.10, to be paid by 18 November 2026"),
        ("anna@shop.example", f"Overage invoice V2026-0001 from {HOST}: €5.08, to be paid by 18 November 2026"),
        ("anna@shop.example", "Usage statement U-2026-10-c0 from Polder Hosting BV"),
        ("bob@winkel.example", f"Factuur B2026-0002 van {HOST}: € 12,10, uiterlijk 18 november 2026"),
        ("bob@winkel.example", f"Factuur meerverbruik V2026-0002 van {HOST}: € 5,08, uiterlijk 18 november 2026"),
        ("bob@winkel.example", "Verbruiksoverzicht U-2026-10-c1 van Polder Hosting BV"),
    ]  # fmt: skip
    assert sum(one.recipient == "archive@polder.example" for one in server.taken) == 6
    assert {
        row.number: row.sent_at for row in invoicing.documents(account=None) if row.buyer_ref == "c0"
    } == dict.fromkeys(["B2026-0001", "V2026-0001", "U-2026-10-c0"], CLOSED)
    assert approve().documents == 0, "approving again queues nothing"
    assert queueing.plan(period=MONTH).before == 6
    assert list(check_evidence()) == []


def test_the_mail_carries_the_pdf_and_says_what_how_much_and_why(tmp_path: Path, server: MailServer) -> None:
    town(tmp_path, accounts=1).close(MONTH)
    contact("c0", "anna@shop.example")
    approve(numbers=["V2026-0001"])
    deliver(server)
    mail = next(one.mail for one in server.taken if one.recipient == "anna@shop.example")
    assert mail["Reply-To"] == "help@polder.example"
    text = mail.get_body(("plain",)).get_content().replace("\r\n", "\n")
    assert "C0-VPS used 142 GB of 100 GB included: 42 GB over at €0.10 per GB = €4.20." in text
    for row in ("Amount due  €5.08", "NL91 ABNA 0417 1643 00", "RF", "To be paid by 18 November 2026", "Hello Anna,"):
        assert row in text
    html = mail.get_body(("html",)).get_content()
    (link,) = re.findall(r'href="([^"]*)"', html)  # one link to contest it; nothing is loaded
    assert "/contest/" in link
    assert "http" not in html.replace("http-equiv", "").replace(link, "")
    assert "<img" not in html
    assert "prefers-color-scheme: dark" in html
    (attached,) = mail.iter_attachments()
    assert (attached.get_filename(), attached.get_content_type()) == ("V2026-0001.pdf", "application/pdf")
    assert "V2026-0001" in pypdf.PdfReader(io.BytesIO(attached.get_content())).pages[0].extract_text()


@pytest.mark.parametrize(
    ("attach", "names"),
    [
        ('["ubl"]', ["V2026-0001.pdf", "V2026-0001-ubl.xml"]),
        ('["factur_x"]', ["V2026-0001.pdf"]),
        ('["ubl", "cii"]', ["V2026-0001.pdf", "V2026-0001-cii.xml", "V2026-0001-ubl.xml"]),
    ],
)
def test_e_invoices_go_along(attach: str, names: list[str], tmp_path: Path, server: MailServer) -> None:
    world = town(tmp_path, accounts=1, sending=SENDING + f"attach = {attach}\n", use=142)
    world.close(MONTH)
    contact("c0", "anna@shop.example")
    try:
        approve(numbers=["V2026-0001"])
    except queueing.UnableToSendDocumentsError as fault:
        pytest.fail(str(fault))
    deliver(server)
    found = status.deliveries_of(document=invoicing.document(number="V2026-0001").row.id)
    assert [row.state for row in found] == ["accepted"], found
    mail = next(one.mail for one in server.taken if one.recipient == "anna@shop.example")
    files = {part.get_filename(): part.get_content() for part in mail.iter_attachments()}
    assert sorted(files) == sorted(names)
    for name, content in files.items():
        if name.endswith(".xml"):
            assert b"V2026-0001" in etree.tostring(
                etree.fromstring(content if isinstance(content, bytes) else content.encode())
            )
    if "factur_x" in attach:
        pdf = pypdf.PdfReader(io.BytesIO(files["V2026-0001.pdf"]))
        assert "factur-x.xml" in pdf.attachments


def test_a_document_whose_e_invoice_is_not_valid_is_held_with_the_reason(
    tmp_path: Path, server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    town(tmp_path, accounts=1, sending=SENDING + 'attach = ["ubl"]\n').close(MONTH)
    contact("c0", "anna@shop.example")
    from coulance.invoicing import einvoice

    def refuse(xml: bytes, number: str) -> bytes:
        raise einvoice.EInvoiceInvalidError(number, message="BR-CO-15 fails")

    monkeypatch.setattr(einvoice, "checked", refuse)
    approve(numbers=["V2026-0001"])
    deliver(server)
    (one,) = status.undelivered_documents()
    assert (one.document.number, one.failed[0].state, one.reached_nobody) == ("V2026-0001", "held", True)
    assert "BR-CO-15 fails" in one.failed[0].answer
    assert mailed(server) == []
    monkeypatch.undo()
    notices.send_again(delivery=one.failed[0].id, actor="operator:anna", reason="the rule is mended", at=CLOSED)
    deliver(server)
    assert len(mailed(server)) == 1


def test_each_reads_in_their_own_language(tmp_path: Path, server: MailServer) -> None:
    town(tmp_path, accounts=1).close(MONTH)
    for address, language in (
        ("a@x.example", "nl"),
        ("b@x.example", "en"),
        ("c@x.example", "nl-BE"),
        ("d@x.example", "pl"),
    ):
        contact("c0", address, language=language)
    approve(numbers=["B2026-0001"])
    deliver(server)
    assert {address: subject.split()[0] for address, subject in mailed(server)} == {
        "a@x.example": "Factuur", "b@x.example": "Invoice", "c@x.example": "Factuur", "d@x.example": "Invoice",
    }  # fmt: skip
    copies = [one for one in server.taken if one.recipient == "archive@polder.example"]
    assert len(copies) == 1, "the archive gets one of them"


# day and time (UTC)   mode        goes?
SCHEDULE = """
2026-11-04T06:30       scheduled   0
2026-11-04T07:59       scheduled   0
2026-11-04T08:00       scheduled   9
2026-11-05T08:00       scheduled   9
2026-11-05T08:00       reviewed    0
"""


@pytest.mark.parametrize("row", SCHEDULE.strip().splitlines(), ids=lambda row: "-".join(row.split()[:2]))
def test_what_goes_by_schedule_goes_at_its_hour_and_once(row: str, tmp_path: Path, server: MailServer) -> None:
    when, mode, goes = row.split()
    own = SENDING + f'mode = "{mode}"\nhour = 9\nscheduled_from = 2026-11-01\n'
    world = town(tmp_path, sending=own)
    for n in range(3):
        contact(f"c{n}", f"p{n}@shop.example")
    world.close(MONTH)  # at six UTC, seven in Amsterdam
    at = datetime.fromisoformat(when).replace(tzinfo=UTC)
    done = queueing.send_scheduled(at=at)
    assert (done.documents if done else 0) == int(goes)
    again = queueing.send_scheduled(at=at)
    assert not again or again.documents == 0


def test_documents_from_before_the_schedule_began_wait_for_a_person(tmp_path: Path) -> None:
    world = town(tmp_path, sending=SENDING + 'mode = "scheduled"\nscheduled_from = 2026-11-05\n')
    contact("c0", "anna@shop.example")
    world.close(MONTH)
    done = queueing.send_scheduled(at=CLOSED + 30 * DAY)
    assert done is not None
    assert done.documents == 0


def report(header_id: str, address: str, *, status: str = "5.1.1", action: str = "failed") -> bytes:
    """A delivery report as a server writes it."""
    return f"""From: MAILER-DAEMON@mx.shop.example
To: billing@polder.example
Subject: Undelivered mail
Message-ID: <{action}{status}.{header_id.strip("<>")}.report@mx.shop.example>
Date: Wed, 04 Nov 2026 09:00:00 +0000
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="b"

--b
Content-Type: text/plain

Sorry.

--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.shop.example

Final-Recipient: rfc822; {address}
Action: {action}
Status: {status}
Diagnostic-Code: smtp; 550 {status} no such user
Last-Attempt-Date: Wed, 04 Nov 2026 08:59:00 +0000

--b
Content-Type: text/rfc822-headers

Message-ID: {header_id}
Subject: Invoice

--b--
""".encode()


def test_a_bounced_invoice_is_not_a_delivered_one(tmp_path: Path, server: MailServer) -> None:
    town(tmp_path, accounts=1).close(MONTH)
    contact("c0", "anna@shop.example")
    approve(numbers=["B2026-0001"])
    deliver(server)
    document = invoicing.document(number="B2026-0001").row
    (row,) = status.deliveries_of(document=document.id)
    notices.verify_address(
        account=document.account, address="Anna@Shop.example", how="signed up with it", actor="cli", at=CLOSED
    )
    assert status.undelivered_documents() == []
    assert sent.judgement(row.key, at=CLOSED + DAY).delivered == CLOSED
    path = tmp_path / "bounce.eml"
    path.write_bytes(report(row.header_id, "anna@shop.example"))
    read = notices.read_bounces(path=path, at=CLOSED + DAY)
    assert (read.bounced, read.known_before) == (1, 0)
    assert sent.judgement(row.key, at=CLOSED + DAY).delivered is None
    assert sent.judgement(row.key, at=CLOSED + DAY, known_by=CLOSED).delivered == CLOSED, "as it was believed then"
    (undelivered,) = status.undelivered_documents()
    assert (undelivered.document.number, undelivered.reached_nobody) == ("B2026-0001", True)
    assert [alarm.key for alarm in alarms.open_alarms()] == ["sending.undelivered"]
    again = notices.read_bounces(path=path, at=CLOSED + DAY)
    assert (again.bounced, again.known_before) == (0, 1)
    # The address is dead, so that sending it to the contact again can't be; a mended address it can.
    with pytest.raises(queueing.UnableToSendDocumentsError, match="refuses mail"):
        queueing.resend(number="B2026-0001", actor="operator:anna", reason="came back", at=CLOSED + DAY)
    queueing.resend(
        number="B2026-0001", actor="operator:anna", reason="they told us the new one", at=CLOSED + DAY,
        to=[Recipient("anna@new.example", "Anna")],
    )  # fmt: skip
    deliver(server, at=CLOSED + DAY)
    assert status.undelivered_documents() == []
    assert status.clear_when_well(at=CLOSED + DAY)
    assert [one for one, _ in mailed(server)] == ["anna@new.example", "anna@shop.example"]
    assert invoicing.document(number="B2026-0001").row.sent_at == CLOSED, "the first time stands"
    assert list(check_evidence()) == []


def test_sending_again_wants_a_reason_and_a_settled_past(tmp_path: Path, server: MailServer) -> None:
    town(tmp_path, accounts=1).close(MONTH)
    contact("c0", "hush@shop.example")
    ask: dict[str, Any] = {"number": "B2026-0001", "actor": "operator:anna", "at": CLOSED}
    approve(numbers=["B2026-0001"])
    with pytest.raises(queueing.UnableToSendDocumentsError, match="say why"):
        queueing.resend(**ask, reason="")
    with pytest.raises(queueing.UnableToSendDocumentsError, match="still on its way"):
        queueing.resend(**ask, reason="lost")
    deliver(server)
    with pytest.raises(queueing.UnableToSendDocumentsError, match="perhaps"):
        queueing.resend(**ask, reason="lost")
    queueing.resend(**ask, reason="lost", anew=True)
    server.moods.clear()
    deliver(server)
    assert len(mailed(server)) == 2
    with pytest.raises(queueing.UnableToSendDocumentsError, match="before"):
        approve(numbers=["B2026-0001"])
    with pytest.raises(queueing.UnableToSendDocumentsError, match="no document"):
        approve(numbers=["B1999-0001"])


def test_without_an_address_to_send_from_nothing_is_queued(tmp_path: Path) -> None:
    from tests.closing.world import World

    world = World(tmp_path).provider()
    world.account("c0").service("c0-vps", "vps", "2026-10-01", account="c0", meter="traffic").use(
        "c0-vps", {"2026-10-05": 1}
    )
    contact("c0", "anna@shop.example")
    world.close(MONTH)
    with pytest.raises(queueing.UnableToSendDocumentsError, match="address to send from"):
        approve()
    assert sent.messages() == []
    assert numbers("base_invoice") == ["B2026-0001"]
