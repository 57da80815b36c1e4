"""Balances, statements, holds and exports: what is read back is what was booked."""

import shutil
import subprocess
from collections import defaultdict
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from beancount import loader
from beancount.core.data import Open, Transaction
from django.db import DatabaseError, connection, transaction

from coulance.ledger.exports import ExportFormat, account_name, export
from coulance.ledger.operations import UnableToHoldError, parties_for, place_hold, post_entries, release_hold
from coulance.ledger.queries import balance, balances, journal, open_holds, standing_of, statement, trial_balance
from coulance_core.kernel import Money
from coulance_core.ledger import Entry, EntryKind, HoldKind, Posting
from tests.ledger.books import AT, ON, invoice, make_accounts


def post(*entries: Entry) -> None:
    post_entries(entries=entries, at=AT)


def payment(party: bytes, source: str, amount: int, on: date) -> Entry:
    legs = (Posting("cash:bank", amount, "EUR"), Posting("receivable", -amount, "EUR"))
    return Entry(party, EntryKind.PAYMENT, source, on, legs)


def test_balances_statements_and_the_trial_balance(db: Any) -> None:
    one, other, silent = make_accounts(3)
    parties = parties_for(accounts=[one, other])
    later = ON + timedelta(days=10)
    post(
        invoice(parties[one], "document/1"),
        payment(parties[one], "receipt/1", 1000, later),
        invoice(parties[one], "document/2", 500, 105, on=later + timedelta(days=1)),
        invoice(parties[other], "document/3", 100, 21),
    )
    db.check_constraints()
    assert balances() == {one: {"EUR": Money(815, "EUR")}, other: {"EUR": Money(121, "EUR")}}
    assert balance(account=silent) == {}
    got = statement(account=one, start=later, end=later + timedelta(days=30), currency="EUR")
    assert (got.opening.minor, got.closing.minor) == (1210, 815)
    assert [(row.movement.source, row.balance.minor) for row in got.rows] == [("receipt/1", 210), ("document/2", 815)]
    trial = {row.account: row.balance.minor for row in trial_balance()}
    assert trial == {"receivable": 936, "revenue:base": -1600, "tax:NL-21": -336, "cash:bank": 1000}
    assert {row.account: row.balance.minor for row in trial_balance(until=later)}["receivable"] == 1331


def test_holds_are_placed_once_released_once_and_touch_no_entry(db: Any) -> None:
    (account,) = make_accounts(1)
    post(invoice(parties_for(accounts=[account])[account], "document/1"))
    before = trial_balance()
    for _ in range(2):  # idempotent by source
        place_hold(account=account, kind=HoldKind.DISPUTE, amount=Money(300, "EUR"), source="dispute/1", at=AT)
    place_hold(account=account, kind=HoldKind.IN_FLIGHT, amount=Money(100, "EUR"), source="flight/1", at=AT)
    assert standing_of(account=account, currency="EUR").demandable.minor == 810
    with pytest.raises(UnableToHoldError, match="something else"):
        place_hold(account=account, kind=HoldKind.DISPUTE, amount=Money(301, "EUR"), source="dispute/1", at=AT)
    with pytest.raises(UnableToHoldError, match="more than nothing"):
        place_hold(account=account, kind=HoldKind.DISPUTE, amount=Money(0, "EUR"), source="dispute/2", at=AT)
    release_hold(source="dispute/1", at=AT, why="decided for us")
    assert [hold.source for hold in open_holds(account=account)] == ["flight/1"]
    with pytest.raises(UnableToHoldError, match="no open hold"):
        release_hold(source="dispute/1", at=AT, why="again")
    with pytest.raises(UnableToHoldError, match="says why"):
        release_hold(source="flight/1", at=AT, why=" ")
    assert trial_balance() == before
    for statement_ in (
        "UPDATE ledger_hold SET amount = 1",
        "UPDATE ledger_hold SET released_at = NULL, released_why = ''",
        "DELETE FROM ledger_hold",
    ):
        with pytest.raises(DatabaseError, match="refused"), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement_)


def mixed(db: Any) -> dict[tuple[str, str], Decimal]:
    """Book entries in currencies with no, two and three decimals and odd account codes; the balances by export name."""
    accounts = make_accounts(2)
    parties = parties_for(accounts=accounts)
    a, b = (parties[account] for account in accounts)

    def legs(*amounts: tuple[str, int, str]) -> tuple[Posting, ...]:
        return tuple(Posting(*amount) for amount in amounts)

    entries = [
        invoice(a, "document/1"),
        invoice(b, "document/2", 999, 1),
        Entry(
            a,
            EntryKind.INVOICE,
            'odd/"quotes";|\\back',
            ON + timedelta(days=3),
            legs(
                ("receivable", 12345, "KWD"),
                ("revenue:overage", -12345, "KWD"),
                ("receivable", 700, "JPY"),
                ("tax:reverse_20charge", -700, "JPY"),
            ),
        ),
        Entry(b, EntryKind.WRITE_OFF, "x/1", date(2026, 12, 1), legs(("rounding", 1, "EUR"), ("tax:a", -1, "EUR"))),
        Entry(b, EntryKind.WRITE_OFF, "x/2", date(2026, 12, 1), legs(("tax:A", 2, "EUR"), ("tax:Ab", -2, "EUR"))),
        Entry(b, EntryKind.WRITE_OFF, "x/3", date(2026, 12, 1), legs(("tax:ab", 3, "EUR"), ("carried", -3, "EUR"))),
    ]
    post(*entries)
    db.check_constraints()
    out: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for entry in entries:
        for posting in entry.postings:
            name = account_name(posting.account, entry.party)
            out[name, posting.currency] += Decimal(Money(posting.amount, posting.currency).decimal())
    return dict(out)


def test_beancount_accepts_the_export_and_agrees(db: Any) -> None:
    expected = mixed(db)
    text = "\n".join(export(journal(), to=ExportFormat.BEANCOUNT)) + "\n"
    entries, errors, _ = loader.load_string(text)
    assert errors == []
    got: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for entry in entries:
        if isinstance(entry, Transaction):
            for posting in entry.postings:
                got[posting.account, posting.units.currency] += posting.units.number
    assert dict(got) == expected
    assert sum(isinstance(entry, Transaction) for entry in entries) == 6
    assert {entry.account for entry in entries if isinstance(entry, Open)} == {name for name, _ in expected}


def test_hledger_accepts_the_export_and_agrees(db: Any, tmp_path: Path) -> None:
    if shutil.which("hledger") is None:
        pytest.skip("hledger is not installed (Debian: apt install hledger)")
    expected = mixed(db)
    file = tmp_path / "journal.hledger"
    file.write_text("\n".join(export(journal(), to=ExportFormat.HLEDGER)) + "\n", encoding="utf-8")

    def hledger(*arguments: str) -> str:
        return subprocess.run(
            ["hledger", "-f", file, *arguments], check=True, stdout=subprocess.PIPE, text=True, env={"LANG": "C.UTF-8"}
        ).stdout

    hledger("check")
    got: dict[tuple[str, str], Decimal] = {}
    for row in hledger("balance", "--flat", "--empty", "-N", "--layout=bare", "-O", "csv").splitlines()[1:]:
        name, code, amount = (cell.strip('"') for cell in row.split(","))
        if Decimal(amount):
            got[name, code] = Decimal(amount)
    assert got == {key: amount for key, amount in expected.items() if amount}
    assert len(hledger("print").split("2026-12-01 *")) == 4


def test_an_empty_journal_exports_to_something_valid(db: Any) -> None:
    for form in ExportFormat:
        assert list(export(journal(), to=form))
    _, errors, _ = loader.load_string("\n".join(export(journal(), to=ExportFormat.BEANCOUNT)) + "\n")
    assert errors == []
