"""`coulance send` and `coulance mail` as a person types them, and what the doctor says."""

from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from coulance.cli import mail as mail_command
from coulance.cli import send as send_command
from coulance.cli.mail_findings import mail_findings
from coulance.notices import queries
from coulance.platform import clock
from tests.sending.test_documents import report
from tests.sending.town import CLOSED, MONTH, contact, mailed, town
from tests.support.mail_server import MailServer

pytestmark = pytest.mark.usefixtures("db", "store_here")


@pytest.fixture
def typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A month with two customers, one of whom nobody can write to; runs a command: its status and output."""

    @contextmanager
    def here(**_: Any) -> Any:
        yield None

    for module in (send_command, mail_command):
        monkeypatch.setattr(module, "working_database", here)
    monkeypatch.setattr(clock, "now", lambda: CLOSED)
    monkeypatch.delenv("COULANCE_MAIL", raising=False)
    world = town(tmp_path, accounts=2)
    contact("c0", "anna@shop.example")
    world.close(MONTH)

    def run(line: str, **more: Any) -> tuple[int, str]:
        name, *arguments = line.split(" ")
        command: click.Command = send_command.send if name == "send" else mail_command.mail
        answer = CliRunner().invoke(command, [one.replace("~", " ") for one in arguments], **more)
        fault = f"{answer.exception}" if answer.exception and not isinstance(answer.exception, SystemExit) else ""
        return answer.exit_code, answer.output + fault

    return run


def _said() -> dict[str, str]:
    return {finding.topic: f"{finding.state} {finding.seen}" for finding in mail_findings(at=CLOSED)}


def test_a_month_from_list_to_mail(typed: Any, server: MailServer, monkeypatch: pytest.MonkeyPatch) -> None:
    _, listed = typed(f"send list {MONTH}")
    assert "B2026-0001  12.10 EUR  c0  to Anna <anna@shop.example>" in listed
    assert "can't be sent  B2026-0002  c1: the account has no contacts" in listed
    assert "3 ready, 3 can't be sent, 0 queued or sent before." in listed
    assert typed(f"send approve {MONTH}", input="n\n")[0] == 1
    assert queries.messages() == []
    _, approved = typed(f"send approve {MONTH}", input="y\n")
    assert "Send 3 documents to 1 addresses (3 can't be sent: coulance send list)?" in approved
    assert "3 documents are queued (3 messages)." in approved
    assert _said()["mail"] == "warn no mail server is set; 3 messages wait"
    status, said = typed("mail flush")
    assert (status, "no mail server is set" in said) == (1, True)
    monkeypatch.setenv("COULANCE_MAIL", server.url)
    status, said = typed("mail flush")
    assert (status, said) == (0, "6 accepted\n")
    assert len(mailed(server)) == 3
    assert "delivery" in typed("send status B2026-0001")[1]
    assert "accepted  250 2.0.0 queued as 4F2C" in typed("send status B2026-0001")[1]
    assert typed("mail check") == (0, "The evidence is whole.\n")
    assert list(_said()) == ["mail"]


def test_from_bounce_to_resend(typed: Any, server: MailServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("COULANCE_MAIL", server.url)
    typed("send approve B2026-0001 --yes")
    typed("mail flush")
    (row,) = queries.messages()
    path = tmp_path / "bounce.eml"
    path.write_bytes(report(row.header_id, row.address))
    assert "1 came back, 0 delayed" in typed(f"mail bounces {path}")[1]
    assert "B2026-0001  bounced  delivery" in typed("send status")[1]
    assert "B2026-0001 did not arrive: bounced at anna@shop.example" in _said()["undelivered"]
    assert "anna@shop.example  since 2026-11-04" in typed("mail dead")[1]
    status, said = typed("send resend B2026-0001 --reason lost")
    assert (status, "refuses mail" in said) == (1, True)
    assert typed("send resend B2026-0001 --to new@shop.example --reason moved")[0] == 0
    typed("mail flush")
    assert "0 documents did not arrive everywhere; 0 messages wait" in typed("send status")[1]
    assert "are due" in typed("mail dead --release anna@shop.example --reason back")[1]
    assert "Every address takes mail" in typed("mail dead")[1]
    assert "verified" in typed("mail verify c0 new@shop.example --how they~answered")[1]


def test_uncertain_and_test_mails(typed: Any, server: MailServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COULANCE_MAIL", server.url)
    assert typed("mail test me@host.example") == (0, "accepted: 250 2.0.0 queued as 4F2C\n")
    status, said = typed("mail test unknown@host.example")
    assert (status, "5.1.1" in said) == (1, True)
    server.moods["anna"] = "hush"
    typed("send approve B2026-0001 --yes")
    typed("mail flush")
    (row,) = queries.messages(kind="document")
    assert "1 messages were handed over and never confirmed" in _said()["mail unsure"]
    assert typed(f"send resolve {row.id} --reason x")[0] == 2
    assert typed(f"send resolve {row.id} --arrived --reason seen") == (0, f"Delivery {row.id}: arrived.\n")
    status, said = typed(f"send resolve {row.id} --again --reason more")
    assert (status, "only one that is held or uncertain" in said) == (1, True)
    monkeypatch.setenv("COULANCE_MAIL", "smtp://127.0.0.1:9?tls=none")
    status, said = typed("mail test you@host.example")
    assert (status, "can't be reached" in said) == (1, True)
    monkeypatch.setenv("COULANCE_MAIL", "pigeon://x")
    assert _said()["mail"].startswith("fault the secret `mail`: it begins with pigeon:")
