"""The demo's month of statements, imported from its files: what it comes to is what was made up, to the cent."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from coulance.flows.bank_import import GivenFile, import_statements
from coulance.integrations.bank.reading import read_bank_file
from coulance.integrations.demo.bank import Payday, payday, write_files
from coulance.ledger import queries as ledger
from coulance.payments import bank
from coulance.payments import queries as payments
from tests.payments.till import ON, customer, faults

AT = datetime(2026, 12, 20, 6, tzinfo=UTC)
FIRST = ON + timedelta(days=1)


def world() -> Payday:
    """Twenty customers, three invoices each, and a month in which they pay."""
    for number in range(20):
        one = customer(f"p{number}")
        for name in "abc":
            one.invoice(name, 1210 * (number + 1) + 121 * ord(name), on=ON)
    items = [item for found in payments.open_items().values() for item in found]
    return payday(items, seed=2027, first=FIRST)


def test_a_month_of_statements_reconciles_to_the_cent(db: Any, tmp_path: Path) -> None:
    made = world()
    assert set(made.ways) == {
        "reference",
        "number",
        "partial",
        "twice",
        "too much",
        "wrong reference",
        "batch",
        "returned",
        "never",
    }
    owed = {account: sum(item.open.minor for item in items) for account, items in payments.open_items().items()}
    paths = write_files(made, tmp_path, created_at=AT)
    files = [GivenFile(path.name, read_bank_file(path)) for path in paths]
    report = import_statements(files=files, apply=True, actor="demo", at=AT)
    assert not [note for note in report.notes if "not accounted" in note]
    waiting = bank.entries(states=("suggested", "new"))
    assert sum(row.entry.amount.minor for row in waiting) == made.queued
    assert sum(row.entry.amount.minor for row in bank.entries(states=("ignored",))) == made.aside
    # What stands of each customer is what they paid surely.
    for account, owing in owed.items():
        now = payments.balance(account=account, currency="EUR")
        assert now.owed.minor - now.unallocated.minor == owing - made.sure[account]
    # The bank account in the books has what the statements have, less what waits and what is not ours.
    books = {row.account: row.balance.minor for row in ledger.trial_balance()}
    assert books["cash:bank"] == made.total - made.queued - made.aside == sum(made.sure.values())
    (status,) = bank.status()
    assert status.closing == made.statements[-1].closing
    assert status.missing is not None
    assert status.missing.minor == 0
    assert faults() == []
    # All of it again, in the other order, changes nothing.
    again = import_statements(files=files[::-1], apply=True, actor="demo", at=AT)
    assert again.judged == []
    assert {row.account: row.balance.minor for row in ledger.trial_balance()} == books


def test_the_month_is_the_same_each_time() -> None:
    items = _items()
    assert payday(items, seed=1, first=FIRST).statements == payday(items[::-1], seed=1, first=FIRST).statements
    assert payday(items, seed=1, first=FIRST).statements != payday(items, seed=2, first=FIRST).statements


def _items() -> list[Any]:
    from tests.core.payments.test_matching import item

    return [item(f"B2026-{n:06d}", n % 7, f"{n + 10}.00") for n in range(60)]


@pytest.mark.data
def test_its_files_validate_against_the_schema(cases: Path, tmp_path: Path) -> None:
    schema = etree.XMLSchema(etree.parse(str(cases / "bank" / "camt" / "assets" / "camt.053.001.08.xsd")))
    made = payday(_items(), seed=3, first=date(2026, 11, 2))
    for path in write_files(made, tmp_path, created_at=AT):
        assert schema.validate(etree.parse(str(path))), schema.error_log
