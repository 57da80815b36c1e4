"""Batches that a statement books as one sum, and the payments that a notification tells of them."""

from datetime import datetime

from django.db import connection

from coulance.payments.bank.reading import as_json, fetch
from coulance.payments.booking import require_transaction


def explain_batches(*, at: datetime, actor: str) -> int:
    """Join batches that a statement books as one sum with the payments that a notification tells of them.

    Where the payments of a batch (same account, and the same batch or bank's reference) sum to the entry, the payments
    are freed to be judged and the sum is set aside; when the sum was booked as one already, the payments are. Nothing
    else of a notification ever moves the books. Gives how many sums were explained.
    """
    require_transaction("explain_batches")
    told = fetch(
        "SELECT EXISTS (SELECT 1 FROM payments_bank_entry e JOIN payments_bank_statement s ON s.id = e.statement_id"
        " WHERE e.state = 'new' AND s.format LIKE %s)",
        ["camt.054%"],
    )
    if told == [(False,)]:
        return 0  # without a notification's payments nothing is to be joined, however many entries wait
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE payments_bank_entry e SET state = 'ignored', decided_at = %s, decided_by = %s,"
            " reason = 'the statement has it' FROM payments_bank_statement s"
            " WHERE s.id = e.statement_id AND e.state = 'new' AND s.format LIKE %s AND e.bank_ref <> ''"
            " AND NOT jsonb_exists(e.match, 'explains') AND EXISTS (SELECT 1 FROM payments_bank_entry o"
            "  JOIN payments_bank_statement t ON t.id = o.statement_id WHERE o.bank_account_id = e.bank_account_id"
            "  AND t.format NOT LIKE %s AND o.booked_on = e.booked_on AND o.amount = e.amount"
            "  AND o.bank_ref = e.bank_ref AND NOT jsonb_exists(o.match, 'batch_count'))",
            [at, actor, "camt.054%", "camt.054%"],
        )
    sums = fetch(
        "SELECT e.id, e.bank_account_id, e.amount, e.batch, e.bank_ref, e.state FROM payments_bank_entry e"
        " JOIN payments_bank_statement s ON s.id = e.statement_id WHERE jsonb_exists(e.match, 'batch_count')"
        " AND s.format NOT LIKE %s AND (e.state IN ('new', 'suggested')"
        "   OR (e.state = 'booked' AND NOT jsonb_exists(e.match, 'told_late')))"
        " ORDER BY e.id FOR UPDATE OF e",
        ["camt.054%"],
    )
    explained = 0
    for whole, account, amount, batch, bank_ref, state in sums:
        parts = fetch(
            "SELECT e.id, e.amount FROM payments_bank_entry e JOIN payments_bank_statement s ON s.id = e.statement_id"
            " WHERE e.bank_account_id = %s AND s.format LIKE %s AND e.state = 'new'"
            " AND NOT jsonb_exists(e.match, 'explains')"
            " AND ((%s <> '' AND e.batch = %s) OR (%s <> '' AND (e.bank_ref = %s OR e.batch = %s)))"
            " ORDER BY e.id FOR UPDATE OF e",
            [account, "camt.054%", batch, batch, bank_ref, bank_ref, bank_ref],
        )
        if not parts or sum(part for _, part in parts) != amount:
            continue
        ids = [number for number, _ in parts]
        with connection.cursor() as cursor:
            if state == "booked":
                cursor.execute(
                    "UPDATE payments_bank_entry SET state = 'ignored', decided_at = %s, decided_by = %s, reason = %s"
                    " WHERE id = ANY(%s)",
                    [at, actor, f"its batch was booked as one sum: bank entry {whole}", ids],
                )
                cursor.execute(
                    "UPDATE payments_bank_entry SET match = match || %s::jsonb WHERE id = %s",
                    [as_json({"told_late": ids}), whole],
                )
                continue
            cursor.execute(
                "UPDATE payments_bank_entry SET match = match || %s::jsonb WHERE id = ANY(%s)",
                [as_json({"explains": whole}), ids],
            )
            cursor.execute(
                "UPDATE payments_bank_entry SET state = 'ignored', decided_at = %s, decided_by = %s, reason = %s,"
                " match = %s::jsonb WHERE id = %s",
                [
                    at,
                    actor,
                    f"a batch: its {len(ids)} payments came by notification",
                    as_json({"batch_count": len(ids), "parts": ids}),
                    whole,
                ],
            )
        explained += 1
    return explained
