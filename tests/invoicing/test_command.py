"""`coulance ledger` as a person types it."""

from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from beancount import loader
from click.testing import CliRunner, Result
from django.db import connection

from coulance.cli import ledger as command
from coulance.platform import clock
from tests.invoicing.paper import AT, draft, issue, line, make_accounts


@pytest.fixture
def books(committed_db: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    @contextmanager
    def here() -> Any:
        yield None

    monkeypatch.setattr(command, "working_database", here)
    monkeypatch.setattr(clock, "now", lambda: AT + timedelta(days=1))
    ((account, ref),) = make_accounts(1)
    assert draft(ref, [line(1000)]).totals.gross.minor == 1210
    issue(account, ref, [line(1000)])
    return ref


def run(*arguments: str) -> Result:
    return CliRunner().invoke(command.ledger, list(arguments))


def test_check_says_that_the_books_are_sound_and_what_is_wrong_when_they_are_not(books: str) -> None:
    answer = run("check")
    assert (answer.exit_code, answer.output) == (
        0,
        "The books are sound: 1 entries of 1 accounts, 0 days sealed, every issued document numbered and booked.\n",
    )
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        cursor.execute("UPDATE ledger_posting SET amount = amount * 2")
        cursor.execute("SET session_replication_role = origin")
    answer = run("check", "--at-most", "1")
    assert answer.exit_code == 1
    assert "number 1): its content does not give its hash" in answer.output
    assert "... and 1 more" in answer.output
    assert "2 fault(s) in the books" in answer.output


def test_balance_of_one_customer_and_of_all(books: str) -> None:
    assert run("balance", books).output == f"{books} owes 12.10 EUR\n"
    assert [row.split() for row in run("balance").output.splitlines()] == [
        ["receivable", "12.10", "EUR"],
        ["revenue:overage", "-10.00", "EUR"],
        ["tax:NL-21", "-2.10", "EUR"],
    ]
    assert run("balance", "--until", "2026-01-01").output == ""


def test_export_to_a_file_and_to_the_screen(books: str, tmp_path: Path) -> None:
    file = tmp_path / "books.beancount"
    assert run("export", "--format", "beancount", "-o", str(file)).exit_code == 0
    _, errors, _ = loader.load_file(str(file))
    assert errors == []
    assert run("export", "--format", "beancount").output == file.read_text()
    assert "document/1" in run("export", "--format", "hledger").output
    assert run("export", "--format", "excel").exit_code == 2
    assert [entry.name for entry in tmp_path.iterdir()] == ["books.beancount"]


def test_days_that_are_over_are_sealed_once(books: str) -> None:
    answer = run("seal")
    assert answer.output.startswith("2026-11-04  1 entries  ")
    assert len(answer.output.split()[3]) == 64
    assert run("seal").output == "No day up to 2026-11-04 is left to seal.\n"
    assert "1 days sealed" in run("check").output
