"""Whatever lines come, what the database holds adds up: lines, tax, totals, snapshot and journal."""

from typing import Any

from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coulance.invoicing.check import check_documents
from coulance.invoicing.operations import NewDocument, assign_numbers, issue_credit_note, open_run, write_drafts
from coulance.invoicing.queries import documents
from coulance.ledger.check import check_ledger
from coulance.ledger.queries import balances, trial_balance
from coulance_core.invoicing import CreditType, DocumentDraft
from tests.core.invoicing.samples import documents as random_documents
from tests.invoicing.paper import AT, ON, SERIES, make_accounts


@given(st.lists(random_documents(), min_size=1, max_size=5), st.booleans())
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_sum_of_lines_is_total_is_ledger_in_the_database(db: Any, drafts: list[DocumentDraft], credited: bool) -> None:
    with transaction.atomic():
        accounts = [account for account, _ in make_accounts(len(drafts))]
        run = open_run(period="2026-10", at=AT, actor="test").id
        write_drafts(run=run, drafts=[NewDocument(a, d) for a, d in zip(accounts, drafts, strict=True)])
        numbered = assign_numbers(run=run, series=SERIES, at=AT)
        assert numbered.documents == len(drafts)
        if credited:
            for row in documents(state="issued"):
                if row.gross.minor:
                    issue_credit_note(
                        number=row.number or "",
                        lines=None,
                        credit_type=CreditType.CORRECTION,
                        reason="All wrong",
                        at=AT,
                        issued_on=ON,
                        actor="test",
                        series=SERIES["credit"],
                    )
        db.check_constraints()
        assert [str(fault) for fault in check_documents()] == []
        assert [str(fault) for fault in check_ledger()] == []
        sums: dict[str, int] = {}
        for line in trial_balance():
            sums[line.balance.currency] = sums.get(line.balance.currency, 0) + line.balance.minor
        assert not any(sums.values())
        owed = balances()
        for account, draft in zip(accounts, drafts, strict=True):
            expected = 0 if credited else draft.totals.gross.minor
            assert owed.get(account, {}).get(draft.currency, draft.totals.gross - draft.totals.gross).minor == expected
        transaction.set_rollback(True)
