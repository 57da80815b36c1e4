"""`coulance bank` as a person types it: shown first, then booked; the queue; decisions and their undoing."""

import json
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from coulance.cli import bank as command
from coulance.integrations.bank.writing import camt
from coulance.payments import bank
from coulance.platform import clock
from tests.bank.scene import AT, pays, statement
from tests.payments.till import Customer, customer


@pytest.fixture
def anna(db: Any, monkeypatch: pytest.MonkeyPatch) -> Customer:
    @contextmanager
    def here() -> Any:
        yield None

    monkeypatch.setattr(command, "working_database", here)
    monkeypatch.setattr(clock, "now", lambda: AT)
    one = customer("anna")
    one.invoice("a", 12100)
    return one


def run(*arguments: str, fails: bool = False) -> str:
    answer = CliRunner().invoke(command.bank, list(arguments))
    assert (answer.exit_code != 0) is fails, (answer.output, answer.exception)
    return " ".join(answer.output.replace("\u00a0", " ").split())


def given(folder: Path, *entries: Any) -> str:
    path = folder / "day.xml"
    path.write_bytes(camt([statement(entries)], message_id="M1", created_at=AT))
    return str(path)


def test_shown_then_booked_then_decided(anna: Customer, tmp_path: Path) -> None:
    path = given(tmp_path, pays(12100, f"nota {anna.numbers['a']}"), pays(500, "cadeau"))
    shown = run("import", path)
    assert "1 booked, 1 for the queue. Nothing is written yet; to write it, add --apply." in shown
    assert anna.stands() == (12100, 0, 0)
    assert "1 in the queue: coulance bank queue" in run("import", path, "--apply")
    assert anna.stands() == (0, 0, 0)
    assert "is there already" in run("import", path, "--apply")
    told = json.loads(run("queue", "--json"))
    assert [one["text"] for one in told] == ["cadeau"]
    entry = str(told[0]["entry"])
    assert "cadeau" in run("queue")
    assert "booked" in run("assign", entry, anna.ref, "--reason", "they called")
    assert anna.stands() == (0, 500, 0)
    assert "waits in the queue again" in run("reopen", entry, "--reason", "wrong Anna")
    assert "is set aside" in run("ignore", entry, "--reason", "a gift")
    assert run("queue") == "The queue is empty."
    assert "all explained" in run("status")
    assert anna.stands() == (0, 0, 0)


def test_as_json_for_scripts(anna: Customer, tmp_path: Path) -> None:
    path = given(tmp_path, pays(12000, f"nota {anna.numbers['a']}"))
    told = json.loads(run("import", path, "--apply", "--json"))
    assert told["applied"] is True
    (one,) = told["entries"]
    assert (one["outcome"], one["rule"], one["amount"], one["flags"]) == ("booked", "number", "120.00", ["partial"])


def test_a_file_that_is_refused_holds_up_the_others(anna: Customer, tmp_path: Path) -> None:
    good = given(tmp_path, pays(12100, anna.numbers["a"]))
    bad = tmp_path / "bad.sta"
    bad.write_text("nothing")
    said = run("import", good, str(bad), "--apply", fails=True)
    assert "bad.sta: neither MT940" in said
    assert "1 of 2 file(s) can't be read; nothing is imported" in said
    assert bank.status() == []


def test_a_missing_statement_ends_with_one(anna: Customer, tmp_path: Path) -> None:
    first = given(tmp_path, pays(100, "a"))
    run("import", first, "--apply")
    third = tmp_path / "third.xml"
    third.write_bytes(camt([statement([pays(100, "b")], 3, 200_000)], message_id="M3", created_at=AT))
    assert "is not accounted for" in run("import", str(third), "--apply")
    assert "is not explained" in run("status", fails=True)


def test_what_needs_a_target_says_so(anna: Customer) -> None:
    assert "name an account" in run("assign", "1", "--reason", "x", fails=True)


def test_what_a_bank_answers_is_read_beside_its_statements(anna: Customer, tmp_path: Path) -> None:
    from tests.rails.answers import pain002

    answer = tmp_path / "answer.xml"
    answer.write_bytes(pain002("SOMEBODY-1", status="ACCP"))
    path = given(tmp_path, pays(12100, f"nota {anna.numbers['a']}"))
    shown = run("import", path, str(answer))
    assert "answer.xml: R1 answers to SOMEBODY-1 note: answer.xml: line 4" in shown
    assert "no file of ours Nothing is done yet; to do it, add --apply." in shown
    told = json.loads(run("import", str(answer), "--apply", "--json"))
    assert [(one["answers_to"], one["again"]) for one in told["answers"]] == [("SOMEBODY-1", False)]
    assert "read before" in run("import", str(answer), "--apply")
    answer.write_bytes(answer.read_bytes()[:-30])
    assert "answer.xml: line 5: not well-formed XML" in run("import", str(answer), fails=True)
