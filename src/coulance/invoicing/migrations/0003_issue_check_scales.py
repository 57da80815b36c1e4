"""The check at issue, in time that grows with the number of documents and not with its square.

The first version joined the statement's old and new rows and two sums over all documents. The planner has no statistics
for those, took them for a few hundred rows, and compared every row with every other: 33,000 invoices cost 25 s. Here
the ids that become issued are found once, by hash, and each document's parts are looked up by index: no choice of plan
makes that quadratic.
"""

from django.db import migrations

FORWARD = r"""
-- At issue, once for the whole statement: lines sum to net, tax to tax, what it books to zero with gross on the
-- customer, and credit notes take no more from a line than it had. Planned anew each time (EXECUTE) with the ids at
-- hand, as a run issues tens of thousands at once and an operator one. EXECUTE leaves FOUND alone: test for null.
CREATE OR REPLACE FUNCTION invoicing_issue_adds_up() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  stray bigint;
  issued bigint[];
BEGIN
  -- EXCEPT is hashed, where a join of the two would be nested.
  issued := ARRAY(SELECT id FROM new_rows WHERE state = 'issued' EXCEPT SELECT id FROM old_rows WHERE state = 'issued');
  IF cardinality(issued) = 0 THEN
    RETURN NULL;
  END IF;
  EXECUTE $check$
  SELECT d.id FROM unnest($1) AS i(id) JOIN invoicing_document d ON d.id = i.id
    LEFT JOIN LATERAL (SELECT sum(l.net) AS net FROM invoicing_document_line l
                        WHERE l.document_id = d.id) lines ON true
    LEFT JOIN LATERAL (SELECT sum(t.base) AS base, sum(t.tax) AS tax FROM invoicing_document_tax t
                        WHERE t.document_id = d.id) taxes ON true
    LEFT JOIN invoicing_document_body b ON b.document_id = d.id
   WHERE coalesce(lines.net, 0) <> d.net OR coalesce(taxes.base, 0) <> d.net OR coalesce(taxes.tax, 0) <> d.tax
      OR b.document_id IS NULL
      OR (SELECT coalesce(sum(a), 0) FROM unnest(b.amounts) a) <> 0
      OR (d.kind <> 'usage_statement' AND d.gross <> (
            SELECT coalesce(sum(leg.amount), 0) FROM unnest(b.accounts, b.amounts) AS leg(account, amount)
             WHERE leg.account = 'receivable'))
   LIMIT 1
  $check$ INTO stray USING issued;
  IF stray IS NOT NULL THEN
    RAISE EXCEPTION 'document % does not add up: lines, tax, totals and journal must agree', stray
      USING ERRCODE = 'check_violation';
  END IF;
  -- Few documents of a run are credit notes: what follows starts from those.
  issued := ARRAY(SELECT d.id FROM unnest(issued) AS i(id) JOIN invoicing_document d ON d.id = i.id
                   WHERE d.kind = 'credit_note');
  IF cardinality(issued) = 0 THEN
    RETURN NULL;
  END IF;
  EXECUTE $check$
  SELECT d.id FROM unnest($1) AS i(id) JOIN invoicing_document d ON d.id = i.id
   WHERE NOT EXISTS (SELECT 1 FROM invoicing_document i
                      WHERE i.id = d.invoice_id AND i.state = 'issued' AND i.kind <> 'credit_note'
                        AND i.account_id = d.account_id AND i.currency = d.currency)
      OR EXISTS (SELECT 1 FROM invoicing_document_line l WHERE l.document_id = d.id AND NOT EXISTS (
                   SELECT 1 FROM invoicing_document_line w WHERE w.document_id = d.invoice_id AND w.no = l.credits_no))
      OR EXISTS (SELECT 1 FROM invoicing_document c
                   JOIN invoicing_document_line l ON l.document_id = c.id
                   JOIN invoicing_document_line w ON w.document_id = c.invoice_id AND w.no = l.credits_no
                  WHERE c.invoice_id = d.invoice_id AND c.state = 'issued'
                  GROUP BY w.document_id, w.no, w.net
                 HAVING (w.net >= 0 AND w.net + sum(l.net) < 0) OR (w.net < 0 AND w.net + sum(l.net) > 0))
   LIMIT 1
  $check$ INTO stray USING issued;
  IF stray IS NOT NULL THEN
    RAISE EXCEPTION 'credit note % takes more than its invoice has, or names no issued invoice of this account', stray
      USING ERRCODE = 'check_violation';
  END IF;
  RETURN NULL;
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("invoicing", "0002_guards")]

    # Backward the function stays: it checks the same.
    operations = [migrations.RunSQL(FORWARD, migrations.RunSQL.noop)]
