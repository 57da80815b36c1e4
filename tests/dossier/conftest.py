"""A customer with a history."""

from datetime import date
from typing import Any

import pytest

from tests.closing.conftest import store_here  # noqa: F401 - a fixture
from tests.disputes.conftest import court  # noqa: F401 - a fixture


@pytest.fixture
def history(court: Any) -> Any:  # noqa: F811
    """The overage invoice was mailed and taken in, a part of it is contested, a part paid; days are sealed."""
    from coulance.customers import terms
    from coulance.flows import payments as money
    from coulance.flows.sending import queueing
    from coulance.ledger import operations as ledger
    from coulance.notices import queries as sent
    from coulance.payments.operations import NewReceipt
    from coulance_core.payments import Method
    from tests.disputes.court import accept, eur, later, part
    from tests.dossier.making import AT

    terms.add_terms(
        version="2026-01", language="en", title="General terms", text="1. What is due is paid by its day.\n",
        valid_from=date(2026, 1, 1), actor="cli:root", at=later(-30),
    )  # fmt: skip
    terms.accept_terms(
        account=court.account, version="2026-01", language="en", contact="boss", how="paper", actor="operator:anna",
        at=later(-29), said="folder 7",
    )  # fmt: skip
    queueing.approve(numbers=[court.number], actor="operator:anna", reason="monthly", at=later(-1))
    for row in sent.messages(account=court.account, limit=10):
        accept(row.id, later(-0.9))
    court.opens(part("50.00"))
    paid = NewReceipt(
        account=court.account, amount=eur("20.00"), received_on=date(2026, 8, 3), method=Method.BANK, source_key="t/1",
        reason="as on the statement", choice=tuple(money.choices(account=court.account, named=[(court.number, None)])),
    )  # fmt: skip
    money.book_payments(receipts=[paid], actor="operator:anna", at=later(40))
    ledger.seal_until(day=date(2026, 7, 31), at=AT)
    return court
