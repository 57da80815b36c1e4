"""How an account paid what it owed: read from documents and what was allocated to them."""

from datetime import date

from django.db import connection

_LATE = """
SELECT count(*) FROM (
  SELECT d.due_on,
         d.gross + coalesce((SELECT sum(c.gross) FROM invoicing_document c
                              WHERE c.invoice_id = d.id AND c.state = 'issued' AND c.kind = 'credit_note'), 0)
                 - coalesce(sum(a.amount), 0) AS open,
         max(a.effective_on) AS last
    FROM invoicing_document d
    LEFT JOIN payments_allocation a ON a.document_id = d.id AND a.reversed_on IS NULL AND NOT a.prepaid
   WHERE d.account_id = %s AND d.state = 'issued' AND d.kind IN ('base_invoice', 'overage_invoice')
     AND d.due_on >= %s AND d.due_on < %s
   GROUP BY d.id
) paid
WHERE CASE WHEN open > 0 THEN %s::date - due_on >= %s ELSE last - due_on >= %s END
"""


def paid_late(*, account: int, since: date, on: date, days: int) -> int:
    """How many invoices due in [since, on) were paid, or are unpaid, at least `days` days past their due day."""
    with connection.cursor() as cursor:
        cursor.execute(_LATE, [account, since, on, on, days, days])
        (count,) = cursor.fetchone()
    return int(count)
