"""A provider's bank account for tests: customers with invoices, and statements made of short descriptions."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from coulance.flows import bank_import
from coulance.flows.bank_import import GivenFile, ImportReport
from coulance.payments import queries as payments
from coulance_core.kernel import Money
from coulance_core.payments.bank import BankEntry, BankStatement, StatementKind

OURS = "NL20INGB0001234567"
DAY = date(2026, 11, 20)
AT = datetime(2026, 11, 21, 6, 0, tzinfo=UTC)
ACT: Any = {"actor": "operator:anna", "reason": "as the customer says", "at": AT}


def pays(cents: int, text: str = "", **more: Any) -> BankEntry:
    """An entry of the day."""
    return replace(BankEntry(DAY, Money(cents, "EUR"), value_on=DAY, remittance=text), **more)


def statement(entries: Sequence[BankEntry], number: int = 1, opening: int = 100_000, **more: Any) -> BankStatement:
    """A day's statement: its closing balance is what its entries make it."""
    made = BankStatement(
        OURS,
        "EUR",
        tuple(entries),
        number=str(number),
        opening=Money(opening, "EUR"),
        closing=Money(opening + sum(entry.amount.minor for entry in entries), "EUR"),
        opened_on=DAY - timedelta(days=1),
        closed_on=DAY,
        form="camt.053.001.08",
        place=f"made: statement {number}",
    )
    return replace(made, **more)


def notification(entries: Sequence[BankEntry], number: int = 1) -> BankStatement:
    """A notification: entries in detail, without balances."""
    told = statement(entries, number, kind=StatementKind.NOTIFICATION, form="camt.054.001.08")
    return replace(told, opening=None, closing=None, opened_on=None, closed_on=None)


def brought(*statements: BankStatement, apply: bool = True) -> ImportReport:
    """Import statements as one file."""
    files = [GivenFile("made.xml", statements)]
    return bank_import.import_statements(files=files, apply=apply, actor="cli:test", at=AT)


def outcomes(report: ImportReport) -> list[str]:
    """Each entry's outcome and rule, in the order they were judged."""
    return [f"{one.outcome} {one.rule}".strip() for one in report.judged]


def receipts(account: int) -> list[int]:
    """The account's receipts that stand, in cents."""
    return sorted(one.amount.minor for one in payments.receipts(accounts=[account]) if one.reversed_on is None)
