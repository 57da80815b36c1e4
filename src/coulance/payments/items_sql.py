"""The statement that tells what is open of items. Private to the room; `queries` is the way in."""

# ruff: noqa: S608 - put together here of constants; values go in as parameters.

from typing import Final

# Parameters: accounts (null: all), on (null: now), all (settled items too).
_CREDITS: Final = """c.state = 'issued' AND c.kind = 'credit_note'
     AND (%(on)s::date IS NULL OR c.issued_on <= %(on)s)"""
_PAYS: Final = """NOT a.prepaid
     AND CASE WHEN %(on)s::date IS NULL THEN a.reversed_on IS NULL
              ELSE a.effective_on <= %(on)s AND (a.reversed_on IS NULL OR a.reversed_on > %(on)s) END"""
_ALL_SUMS: Final = f"""credited AS (
  SELECT c.invoice_id AS id, sum(c.gross) AS gross FROM invoicing_document c WHERE {_CREDITS} GROUP BY 1
), paid AS (
  SELECT a.document_id, a.opening_id, sum(a.amount) AS amount FROM payments_allocation a WHERE {_PAYS} GROUP BY 1, 2
), """
_ALL_OF_DOCUMENT: Final = """LEFT JOIN credited ON credited.id = d.id
  LEFT JOIN paid ON paid.document_id = d.id"""
_ALL_OF_OPENING: Final = "LEFT JOIN paid ON paid.opening_id = o.id"
_EACH_OF_DOCUMENT: Final = f"""LEFT JOIN LATERAL (
    SELECT sum(c.gross) AS gross FROM invoicing_document c WHERE c.invoice_id = d.id AND {_CREDITS}) credited ON true
  LEFT JOIN LATERAL (
    SELECT sum(a.amount) AS amount FROM payments_allocation a WHERE a.document_id = d.id AND {_PAYS}) paid ON true"""
_EACH_OF_OPENING: Final = f"""LEFT JOIN LATERAL (
    SELECT sum(a.amount) AS amount FROM payments_allocation a WHERE a.opening_id = o.id AND {_PAYS}) paid ON true"""


def _statement(sums: str, of_document: str, of_opening: str) -> str:
    return f"""
WITH {sums}held AS (
  SELECT h.about, sum(h.amount) AS amount FROM ledger_hold h JOIN ledger_party p ON p.id = h.party_id
   WHERE h.kind = 'dispute' AND h.about <> ''
     AND (%(accounts)s::bigint[] IS NULL OR p.account_id = ANY(%(accounts)s))
     AND CASE WHEN %(on)s::date IS NULL THEN h.released_at IS NULL
              ELSE (h.placed_at AT TIME ZONE 'UTC')::date <= %(on)s
                   AND (h.released_at IS NULL OR (h.released_at AT TIME ZONE 'UTC')::date > %(on)s) END
   GROUP BY 1
)
SELECT 'document/' || d.id AS ref, d.account_id,
       CASE WHEN 'base_invoice' IN (d.kind, about.kind) THEN 'base'
            WHEN 'fee_invoice' IN (d.kind, about.kind) THEN 'costs'
            WHEN 'interest_invoice' IN (d.kind, about.kind) THEN 'interest'
            ELSE 'overage' END AS kind, d.number, d.issued_on, d.due_on, d.gross, d.currency,
       (d.gross + coalesce(credited.gross, 0) - coalesce(paid.amount, 0))::bigint AS open, d.issued_on AS since,
       CASE WHEN held.amount > 0 THEN
         least(held.amount, d.gross + coalesce(credited.gross, 0) - coalesce(paid.amount, 0)) END::bigint AS held
  FROM invoicing_document d {of_document}
  LEFT JOIN held ON held.about = 'document/' || d.id LEFT JOIN invoicing_document about ON about.id = d.invoice_id
 WHERE d.state = 'issued'
   AND d.kind IN ('base_invoice', 'overage_invoice', 'debit_note', 'fee_invoice', 'interest_invoice')
   AND (%(accounts)s::bigint[] IS NULL OR d.account_id = ANY(%(accounts)s))
   AND (%(on)s::date IS NULL OR d.issued_on <= %(on)s)
   AND (%(all)s OR d.gross + coalesce(credited.gross, 0) - coalesce(paid.amount, 0) <> 0)
UNION ALL
SELECT 'opening/' || o.id, o.account_id, o.kind, o.number, o.issued_on, o.due_on, o.gross, o.currency,
       (o.open - coalesce(paid.amount, 0))::bigint, o.taken_on,
       CASE WHEN held.amount > 0 THEN least(held.amount, o.open - coalesce(paid.amount, 0)) END::bigint
  FROM payments_opening_item o {of_opening}
  LEFT JOIN held ON held.about = 'opening/' || o.id
 WHERE (%(accounts)s::bigint[] IS NULL OR o.account_id = ANY(%(accounts)s))
   AND CASE WHEN %(on)s::date IS NULL THEN o.reversed_on IS NULL
            ELSE o.taken_on <= %(on)s AND (o.reversed_on IS NULL OR o.reversed_on > %(on)s) END
   AND (%(all)s OR o.open - coalesce(paid.amount, 0) <> 0)
ORDER BY 2, 6, 5, 4, 1
"""


OF_ALL: Final = _statement(_ALL_SUMS, _ALL_OF_DOCUMENT, _ALL_OF_OPENING)
"""The items of all accounts: what was paid and credited is summed once."""
OF_ACCOUNTS: Final = _statement("", _EACH_OF_DOCUMENT, _EACH_OF_OPENING)
"""The items of some: looked up item by item through indexes, which costs the same whatever the planner knows of tables
that just grew. Summed first, it has joined by trying every pair, as it took a thousand payments for one."""

_CLAIMS: Final = "('base_invoice', 'overage_invoice', 'debit_note', 'fee_invoice', 'interest_invoice')"
_OPEN: Final = f"""
SELECT d.account_id, d.currency, d.gross + coalesce(credited.gross, 0) - coalesce(paid.amount, 0) AS open, d.due_on
  FROM invoicing_document d {_ALL_OF_DOCUMENT}
 WHERE d.state = 'issued' AND d.kind IN {_CLAIMS}
   AND d.gross + coalesce(credited.gross, 0) - coalesce(paid.amount, 0) > 0
UNION ALL
SELECT o.account_id, o.currency, o.open - coalesce(paid.amount, 0), o.due_on
  FROM payments_opening_item o {_ALL_OF_OPENING}
 WHERE o.reversed_on IS NULL AND o.open - coalesce(paid.amount, 0) > 0"""
OPEN_COLUMNS: Final = f"""WITH {_ALL_SUMS} items AS ({_OPEN})
SELECT account_id::int8, open::int8, due_on FROM items"""
"""Account, what is open and the printed due day of every debt, in no order. Parameter: on (null: now)."""
OPEN_BY_AGE: Final = f"""WITH {_ALL_SUMS} items AS ({_OPEN})
SELECT currency, CASE WHEN due_on >= %(today)s THEN 0 WHEN due_on >= %(today)s - 30 THEN 1
                      WHEN due_on >= %(today)s - 60 THEN 2 WHEN due_on >= %(today)s - 90 THEN 3 ELSE 4 END,
       sum(open)::bigint FROM items GROUP BY 1, 2"""
"""What is open by currency and age: not due, to 30 days late, to 60, to 90, more. Parameters: on, today."""
