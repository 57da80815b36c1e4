"""`coulance payment`, `account` and `open-items` as a person types them; and the exports that accountants read."""

import csv
import io
import shutil
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from beancount import loader
from click.testing import CliRunner, Result

from coulance.catalog import queries as catalog
from coulance.cli import account, payment
from coulance.ledger.exports import ExportFormat, export
from coulance.ledger.queries import journal
from coulance.payments import queries
from coulance.platform import clock
from coulance_core.catalog.overage import OverageTerms
from tests.payments.test_statements import SELLER, busy
from tests.payments.till import AT, DAY, ON, Customer, customer, faults


@dataclass
class Desk:
    """A customer with two invoices, and their numbers."""

    one: Customer
    base: str
    overage: str


@pytest.fixture
def desk(db: Any, monkeypatch: pytest.MonkeyPatch) -> Desk:
    @contextmanager
    def here() -> Any:
        yield None

    monkeypatch.setattr(payment, "working_database", here)
    monkeypatch.setattr(account, "working_database", here)
    monkeypatch.setattr(clock, "now", lambda: AT + 20 * DAY)
    monkeypatch.setattr(catalog, "catalog", lambda: SimpleNamespace(provider=SELLER, overage=OverageTerms()))
    one = customer()
    one.invoice("o", 12100, overage=True)
    one.invoice("b", 24200)
    return Desk(one, one.numbers["b"], one.numbers["o"])


def pay(*arguments: str) -> Result:
    return CliRunner().invoke(payment.payment, list(arguments))


def out(answer: Result) -> str:
    assert answer.exception is None or isinstance(answer.exception, SystemExit), answer.exception
    return answer.output.replace("\u00a0", " ")


def test_a_payment_from_booking_to_bounce(desk: Desk) -> None:
    ref = desk.one.ref
    said = out(pay("book", ref, "300", "--on", "2026-11-20", "--key", "k1", "--reason", "by phone", "--explain"))
    receipt = queries.receipts(accounts=[desk.one.id])[0].id
    assert f"Receipt {receipt}: 300.00 EUR from {ref}" in said
    assert f"242.00 EUR to {desk.base} (paid)" in said
    assert f"58.00 EUR to {desk.overage} (63.00 EUR still open)" in said
    assert "payments.base_before_overage" in said
    assert "booked before" in out(pay("book", ref, "300", "--on", "2026-11-20", "--key", "k1", "--reason", "x"))
    moved = out(
        pay("allocate", str(receipt), "--anew", "--for", desk.overage, "--for", f"{desk.base}=100", "--reason", "asked")
    )
    assert f"121.00 EUR to {desk.overage} (paid)" in moved
    assert f"79.00 EUR of receipt {receipt} is left" in moved
    back = out(pay("refund", str(receipt), "79", "--iban", "NL91ABNA0417164300", "--reason", "too much"))
    assert "79.00 EUR out of" in back
    assert "to NL91ABNA0417164300" in back
    (refund,) = queries.refunds(receipts=[receipt])
    assert "or reclaim it" in str(pay("reverse", str(receipt), "--as", "bounced", "--reason", "R-message").exception)
    assert "Undone" in out(pay("reverse", f"refund/{refund.id}", "--as", "returned", "--reason", "account closed"))
    assert f"Undone: receipt/{receipt}" in out(pay("reverse", str(receipt), "--as", "bounced", "--reason", "R-message"))
    listed = out(pay("list", ref))
    assert listed.count("undone 2026-11-24") == 6  # the receipt, its four allocations (two were taken back), the refund
    assert desk.one.stands() == (36300, 0, 0)
    assert faults() == []


def test_write_off_draw_settle_and_check(desk: Desk) -> None:
    ref = desk.one.ref
    said = out(pay("writeoff", ref, "--for", f"{desk.overage}=21", "--reason", "goodwill", "--yes"))
    assert "coulance payment reverse" in said
    assert "21.00 EUR to" in said
    out(pay("book", ref, "50", "--prepaid", "--reason", "top-up"))
    assert "drawn from the prepaid balance" in out(pay("draw", ref, "30", "--for", desk.overage, "--reason", "asked"))
    desk.one.pays(24200, "document/0", beyond_choice=False, at=AT + 20 * DAY)
    settled = out(pay("settle"))
    assert ref in settled
    assert f"242.00 EUR to {desk.base} (paid)" in settled
    assert "Nothing to settle" in out(pay("settle", ref))
    assert "Payments are sound" in out(pay("check"))
    assert desk.one.stands() == (5000, 0, 0)


BAD = [
    (("book", "{ref}", "12.345", "--reason", "x"), "finer than its minor unit"),
    (("book", "{ref}", "0", "--reason", "x"), "more than nothing"),
    (("book", "{ref}", "5", "--reason", " "), "say why"),
    (("book", "{ref}", "5", "--for", "B9999", "--reason", "x"), "nothing is open under 'B9999'"),
    (("book", "nobody", "5", "--reason", "x"), "no account 'nobody'"),
    (("allocate", "999", "--reason", "x"), "no receipt 999"),
    (("reverse", "invoice/1", "--reason", "x"), "expected a receipt's number"),
    (("refund", "cash", "5", "--reason", "x"), "expected a receipt's number or credit:ACCOUNT"),
    (("writeoff", "{ref}", "--reason", "x"), "name what is given up"),
]


@pytest.mark.parametrize(("arguments", "said"), BAD, ids=[" ".join(b[0][:3]) for b in BAD])
def test_what_cant_be_is_said_in_words(desk: Desk, arguments: tuple[str, ...], said: str) -> None:
    answer = pay(*(text.format(ref=desk.one.ref) for text in arguments))
    assert answer.exit_code != 0
    assert said in answer.output + str(answer.exception)
    assert queries.receipts(accounts=[desk.one.id]) == []


def test_a_statement_as_text_and_pdf(desk: Desk, tmp_path: Path) -> None:
    desk.one.pays(24200, on=ON + DAY)
    given = ["statement", desk.one.ref, "--from", "2026-11-01", "--to", "2026-11-30"]
    said = out(CliRunner().invoke(account.account, given))
    assert "Payment received" in said
    assert "set against " + desk.base in said
    assert said.splitlines()[-1].split("€")[-1] == "121.00"
    target = tmp_path / "statement.pdf"
    out(CliRunner().invoke(account.account, [*given, "--pdf", str(target), "--language", "nl"]))
    assert target.read_bytes().startswith(b"%PDF-")


def test_open_items_as_table_and_csv(desk: Desk) -> None:
    late = "2026-12-01"
    table = out(CliRunner().invoke(account.open_items, ["--on", late]))
    assert [row.split()[0] for row in table.splitlines()] == ["EUR", desk.one.ref[:20], "all"]
    assert table.splitlines()[-1].split()[-1] == "363.00"
    rows = list(csv.DictReader(io.StringIO(out(CliRunner().invoke(account.open_items, ["--on", late, "--csv"])))))
    assert {row["number"]: (row["kind"], row["open"], row["days_late"]) for row in rows} == {
        desk.base: ("base", "242.00", "13"),
        desk.overage: ("overage", "121.00", "13"),
    }


def test_beancount_and_hledger_read_the_books_of_a_busy_month(db: Any, tmp_path: Path) -> None:
    busy()
    entries = list(journal())
    text = "\n".join(export(entries, to=ExportFormat.BEANCOUNT))
    _, errors, _ = loader.load_string(text)
    assert errors == []
    for account_name in (
        "Liabilities:Unallocated",
        "Liabilities:Prepaid",
        "Expenses:Bad-debt",
        "Equity:Equity:Opening",
    ):
        assert account_name in text
    if shutil.which("hledger") is None:
        pytest.skip("hledger is not installed (Debian: hledger)")
    file = tmp_path / "coulance.journal"
    file.write_text("\n".join(export(entries, to=ExportFormat.HLEDGER)))
    done = subprocess.run(
        ["hledger", "-f", str(file), "balance", "-N", "--flat", "Liabilities:Unallocated", "Expenses:Bad-debt"],
        capture_output=True,
        text=True,
        check=True,
    )
    sums = {line.split()[-1]: line.split()[0] for line in done.stdout.splitlines()}
    assert sums == {"Liabilities:Unallocated": "-50.50", "Expenses:Bad-debt": "2.00"}
