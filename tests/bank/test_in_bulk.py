"""Entries judged and booked many at once come to what they come to one by one."""

from collections.abc import Sequence
from typing import Any

import pytest
from django.db import connection, transaction

from coulance.flows import bank_import
from coulance.flows.bank_import import GivenFile, import_statements
from coulance.integrations.demo.bank import Payday
from coulance.payments import bank
from coulance.payments import queries as payments
from coulance.payments.operations import NewReceipt, PaymentsError
from coulance_core.invoicing.references import creditor_reference
from tests.bank.scene import brought, outcomes, pays, statement
from tests.bank.test_payday import AT, world
from tests.payments.till import customer, faults


def _came_to(made: Payday, chunk: int, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Everything that an import leaves, by what doesn't depend on the order of ids; taken back."""
    monkeypatch.setattr(bank_import, "CHUNK", chunk)
    with transaction.atomic():
        files = [GivenFile(f"{no}.xml", [one]) for no, one in enumerate(made.statements)]
        report = import_statements(files=files, apply=True, actor="test", at=AT)
        numbers = {
            row.id: (row.entry.bank_ref, row.entry.end_to_end_id, row.entry.amount)
            for row in bank.entries(states=("booked", "ignored", "suggested"))
        }
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT r.account_id, r.amount, r.received_on, r.reversed_on, a.opening_id, a.document_id, a.amount,"
                " a.effective_on, a.reversed_on FROM payments_receipt r"
                " LEFT JOIN payments_allocation a ON a.receipt_id = r.id ORDER BY 1, 2, 3, 4, 5, 6, 7, 8, 9"
            )
            booked = cursor.fetchall()
            cursor.execute("SELECT account_id, iban FROM payments_known_iban ORDER BY 1, 2")
            ibans = cursor.fetchall()
        found = {
            "judged": sorted((str(numbers[one.entry]), one.outcome, one.rule, one.flags) for one in report.judged),
            "booked": booked,
            "ibans": ibans,
            "open": payments.open_items(),
            "waiting": report.waiting,
            "faults": faults(),
        }
        transaction.set_rollback(True)
    return found


def test_a_month_at_once_comes_to_what_it_comes_to_entry_by_entry(db: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made = world()
    slowly = _came_to(made, 1, monkeypatch)
    at_once = _came_to(made, 500, monkeypatch)
    assert len(slowly["judged"]) > 50
    assert slowly["faults"] == []
    for what in slowly:
        assert at_once[what] == slowly[what], what


def test_one_at_fault_holds_up_no_other(db: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    anna = customer("anna")
    for name in "abcdefgh":
        anna.invoice(name, 121 * ord(name))
    book = bank_import.money.book_payments
    asked: list[int] = []

    def picky(*, receipts: Sequence[NewReceipt], **more: Any) -> Any:
        asked.append(len(receipts))
        done = book(receipts=receipts, **more)
        if any(one.amount.minor == 121 * ord("c") for one in receipts):
            raise PaymentsError("not this one")
        return done

    monkeypatch.setattr(bank_import.money, "book_payments", picky)
    told = [pays(121 * ord(name), structured_reference=creditor_reference(anna.numbers[name])) for name in "abcdefgh"]
    report = brought(statement(told))
    assert outcomes(report) == [*["booked reference"] * 2, "queued", *["booked reference"] * 5]
    assert asked == [8, 4, 2, 2, 1, 1, 4]
    (waiting,) = bank.entries(states=("suggested",))
    assert (waiting.entry.amount.minor, waiting.reason) == (121 * ord("c"), "not this one")
    assert list(anna.open().values()) == [121 * ord("c")]
    assert faults() == []
