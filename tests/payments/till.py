"""Customers for the payments tests: invoices issued for real, money booked, and what books and rows must agree on."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from uuid import uuid4

from django.db import connection, transaction

from coulance.invoicing import operations as invoicing
from coulance.payments import operations, queries
from coulance.payments.check import check_payments
from coulance_core.catalog.terms import NumberSeries
from coulance_core.invoicing import CreditRequest, CreditType, DocumentKind
from coulance_core.kernel import Money
from coulance_core.payments import Choice, Method
from tests.invoicing.paper import AT, ON, SERIES, draft, line, make_accounts

ACTOR = "operator:anna"
WHY = "as on the bank statement"
DAY = timedelta(days=1)
CREDIT: NumberSeries = SERIES["credit"]

__all__ = ["ACTOR", "AT", "DAY", "ON", "WHY", "Customer", "customer", "eur", "faults"]


def eur(cents: int) -> Money:
    """So many cents."""
    return Money(cents, "EUR")


@dataclass
class Customer:
    """An account with its documents by short names, and what tests do to it."""

    id: int
    ref: str
    numbers: dict[str, str]

    def invoice(self, name: str, gross: int, *, overage: bool = False, on: date = ON) -> str:
        """Issue an invoice of so many cents, tax included (21 %, so a multiple of 121); its ref."""
        net, rest = divmod(gross * 100, 121)
        assert not rest, "pick a gross that is whole without tax"
        kind = DocumentKind.OVERAGE_INVOICE if overage else DocumentKind.BASE_INVOICE
        lines = [line(net, "overage" if overage else "base")]
        with transaction.atomic():
            paper = draft(self.ref, lines, kind, issued_on=on)
            (document,) = invoicing.write_drafts(
                run=None, drafts=[invoicing.NewDocument(self.id, paper)], purpose=f"{self.ref}-{name}"
            )
            invoicing.issue_documents(ids=[document], series=SERIES, at=AT)
        with connection.cursor() as cursor:
            cursor.execute("SELECT number FROM invoicing_document WHERE id = %s", [document])
            self.numbers[name] = cursor.fetchone()[0]
        return f"document/{document}"

    def credit(self, name: str, net: int | None = None, on: date = ON) -> str:
        """Give a credit note on an invoice: of so many cents without tax, or all that is left; its number."""
        return invoicing.issue_credit_note(
            number=self.numbers[name],
            lines=None if net is None else [CreditRequest(1, eur(net))],
            credit_type=CreditType.PRICE_REDUCTION,
            reason="agreed",
            at=AT,
            issued_on=on,
            actor=ACTOR,
            series=CREDIT,
        )

    def debit(self, note: str, on: date = ON) -> str:
        """Take a credit note back; the debit note's number."""
        return invoicing.issue_debit_note(
            number=note, reason="it was wrong", at=AT, issued_on=on, actor=ACTOR, series=CREDIT
        )

    def pays(self, cents: int, *choice: str | Choice, on: date = ON, **more: Any) -> operations.Booked:
        """Book money that came in by bank."""
        given: dict[str, Any] = {"method": Method.BANK, "source_key": f"test/{uuid4()}", "at": AT, **more}
        with transaction.atomic():
            booked = book(
                account=self.id,
                amount=eur(cents),
                received_on=on,
                choice=choice,
                actor=ACTOR,
                reason=WHY,
                **given,
            )
        connection.check_constraints()  # as a commit would
        return booked

    def open(self, on: date | None = None) -> dict[str, int]:
        """What is open, in cents by ref."""
        found = queries.open_items(accounts=[self.id], on=on).get(self.id, ())
        return {item.ref: item.open.minor for item in found}

    def stands(self) -> tuple[int, int, int]:
        """Owed, unallocated and prepaid by the journal, in cents."""
        now = queries.balance(account=self.id, currency="EUR")
        return now.owed.minor, now.unallocated.minor, now.prepaid.minor


def book(*, actor: str, at: datetime, **given: Any) -> operations.Booked:
    """Book one receipt of these values."""
    return operations.book_receipt(receipt=operations.NewReceipt(**given), actor=actor, at=at)


def customer(prefix: str = "pay") -> Customer:
    """A new Dutch business that is billed in euros."""
    ((account, ref),) = make_accounts(1, f"{prefix}-{uuid4().hex[:8]}")
    return Customer(account, ref, {})


def faults() -> list[str]:
    """What the audit finds wrong, as text."""
    connection.check_constraints()
    return [str(fault) for fault in check_payments()]
