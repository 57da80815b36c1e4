"""What issued paper guarantees, whoever writes to the tables: it never changes, and it adds up.

All set-based: a run of a hundred thousand documents is checked by a few queries.
"""

from django.db import migrations

FORWARD = r"""
-- The snapshot is compressed already: let the server store it as it is.
ALTER TABLE invoicing_document_body ALTER COLUMN snapshot SET STORAGE EXTERNAL;

CREATE FUNCTION invoicing_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% of % is refused: what is issued stays as it is', TG_OP, TG_TABLE_NAME
    USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Correct an invoice by a credit note that names it.';
END $$;

-- Lines, tax, bodies and spans are written once. (Nothing of a draft is edited either: it is thrown away and made anew.)
CREATE TRIGGER document_line_refuse BEFORE UPDATE OR TRUNCATE ON invoicing_document_line
  FOR EACH STATEMENT EXECUTE FUNCTION invoicing_refuse();
CREATE TRIGGER document_tax_refuse BEFORE UPDATE OR TRUNCATE ON invoicing_document_tax
  FOR EACH STATEMENT EXECUTE FUNCTION invoicing_refuse();
CREATE TRIGGER document_body_refuse BEFORE UPDATE OR TRUNCATE ON invoicing_document_body
  FOR EACH STATEMENT EXECUTE FUNCTION invoicing_refuse();
CREATE TRIGGER billed_span_refuse BEFORE UPDATE OR TRUNCATE ON invoicing_billed_span
  FOR EACH STATEMENT EXECUTE FUNCTION invoicing_refuse();
CREATE TRIGGER settled_figure_refuse BEFORE UPDATE OR TRUNCATE ON invoicing_settled_figure
  FOR EACH STATEMENT EXECUTE FUNCTION invoicing_refuse();
CREATE TRIGGER document_refuse BEFORE TRUNCATE ON invoicing_document
  FOR EACH STATEMENT EXECUTE FUNCTION invoicing_refuse();

-- An issued document changes in one way: it is sent. It is never deleted.
CREATE FUNCTION invoicing_document_is_issued() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  sent invoicing_document := OLD;
BEGIN
  IF TG_OP = 'UPDATE' THEN
    sent.sent_at := NEW.sent_at;
    IF OLD.sent_at IS NULL AND NEW IS NOT DISTINCT FROM sent THEN
      RETURN NEW;
    END IF;
  END IF;
  RAISE EXCEPTION '% of document % is refused: what is issued stays as it is', TG_OP, OLD.number
    USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Correct an invoice by a credit note that names it.';
END $$;
CREATE TRIGGER document_is_issued_update BEFORE UPDATE ON invoicing_document
  FOR EACH ROW WHEN (OLD.state = 'issued') EXECUTE FUNCTION invoicing_document_is_issued();
CREATE TRIGGER document_is_issued_delete BEFORE DELETE ON invoicing_document
  FOR EACH ROW WHEN (OLD.state = 'issued') EXECUTE FUNCTION invoicing_document_is_issued();

-- Parts are added to, and removed from, drafts only. A document that is gone took its parts along.
CREATE FUNCTION invoicing_part_of_draft() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  stray bigint;
BEGIN
  SELECT r.document_id INTO stray FROM changed_rows r LEFT JOIN invoicing_document d ON d.id = r.document_id
   WHERE d.state = 'issued' OR (d.id IS NULL AND TG_OP = 'INSERT') LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION '% of % is refused: document % is issued or not there', TG_OP, TG_TABLE_NAME, stray
      USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Correct an invoice by a credit note that names it.';
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER document_line_added AFTER INSERT ON invoicing_document_line
  REFERENCING NEW TABLE AS changed_rows FOR EACH STATEMENT EXECUTE FUNCTION invoicing_part_of_draft();
CREATE TRIGGER document_line_removed AFTER DELETE ON invoicing_document_line
  REFERENCING OLD TABLE AS changed_rows FOR EACH STATEMENT EXECUTE FUNCTION invoicing_part_of_draft();
CREATE TRIGGER document_tax_added AFTER INSERT ON invoicing_document_tax
  REFERENCING NEW TABLE AS changed_rows FOR EACH STATEMENT EXECUTE FUNCTION invoicing_part_of_draft();
CREATE TRIGGER document_tax_removed AFTER DELETE ON invoicing_document_tax
  REFERENCING OLD TABLE AS changed_rows FOR EACH STATEMENT EXECUTE FUNCTION invoicing_part_of_draft();
CREATE TRIGGER document_body_added AFTER INSERT ON invoicing_document_body
  REFERENCING NEW TABLE AS changed_rows FOR EACH STATEMENT EXECUTE FUNCTION invoicing_part_of_draft();
CREATE TRIGGER document_body_removed AFTER DELETE ON invoicing_document_body
  REFERENCING OLD TABLE AS changed_rows FOR EACH STATEMENT EXECUTE FUNCTION invoicing_part_of_draft();
CREATE TRIGGER billed_span_added AFTER INSERT ON invoicing_billed_span
  REFERENCING NEW TABLE AS changed_rows FOR EACH STATEMENT EXECUTE FUNCTION invoicing_part_of_draft();
CREATE TRIGGER billed_span_removed AFTER DELETE ON invoicing_billed_span
  REFERENCING OLD TABLE AS changed_rows FOR EACH STATEMENT EXECUTE FUNCTION invoicing_part_of_draft();

-- Nothing is born issued: a document is written as a draft, and its issue is checked.
CREATE FUNCTION invoicing_document_is_born_draft() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT 1 FROM new_rows WHERE state <> 'draft') THEN
    RAISE EXCEPTION 'a document is written as a draft, and then issued' USING ERRCODE = 'check_violation';
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER document_is_born_draft AFTER INSERT ON invoicing_document
  REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION invoicing_document_is_born_draft();

-- Planned anew each time (EXECUTE), for the number of rows there are: a run issues tens of thousands at once, an
-- operator one. EXECUTE leaves FOUND alone, hence the test for null.
-- At issue, once for the whole statement: lines sum to net, tax to tax, what it books to zero with gross on the
-- customer, and credit notes take no more from a line than it had.
CREATE FUNCTION invoicing_issue_adds_up() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  stray bigint;
BEGIN
  EXECUTE $check$
  SELECT d.id FROM new_rows d JOIN old_rows o ON o.id = d.id AND o.state <> 'issued'
    LEFT JOIN (SELECT l.document_id, sum(l.net) AS net FROM invoicing_document_line l
                WHERE l.document_id IN (SELECT id FROM new_rows) GROUP BY 1) lines ON lines.document_id = d.id
    LEFT JOIN (SELECT t.document_id, sum(t.base) AS base, sum(t.tax) AS tax FROM invoicing_document_tax t
                WHERE t.document_id IN (SELECT id FROM new_rows) GROUP BY 1) taxes ON taxes.document_id = d.id
    LEFT JOIN invoicing_document_body b ON b.document_id = d.id
   WHERE d.state = 'issued' AND (
         coalesce(lines.net, 0) <> d.net OR coalesce(taxes.base, 0) <> d.net OR coalesce(taxes.tax, 0) <> d.tax
      OR b.document_id IS NULL
      OR (SELECT coalesce(sum(a), 0) FROM unnest(b.amounts) a) <> 0
      OR (d.kind <> 'usage_statement' AND d.gross <> (
            SELECT coalesce(sum(leg.amount), 0) FROM unnest(b.accounts, b.amounts) AS leg(account, amount)
             WHERE leg.account = 'receivable')))
   LIMIT 1
  $check$ INTO stray;
  IF stray IS NOT NULL THEN
    RAISE EXCEPTION 'document % does not add up: lines, tax, totals and journal must agree', stray
      USING ERRCODE = 'check_violation';
  END IF;
  EXECUTE $check$
  SELECT d.id FROM new_rows d JOIN old_rows o ON o.id = d.id AND o.state <> 'issued'
   WHERE d.kind = 'credit_note' AND d.state = 'issued' AND (
      NOT EXISTS (SELECT 1 FROM invoicing_document i
                   WHERE i.id = d.invoice_id AND i.state = 'issued' AND i.kind <> 'credit_note'
                     AND i.account_id = d.account_id AND i.currency = d.currency)
      OR EXISTS (SELECT 1 FROM invoicing_document_line l WHERE l.document_id = d.id AND NOT EXISTS (
                   SELECT 1 FROM invoicing_document_line w WHERE w.document_id = d.invoice_id AND w.no = l.credits_no))
      OR EXISTS (SELECT 1 FROM invoicing_document c
                   JOIN invoicing_document_line l ON l.document_id = c.id
                   JOIN invoicing_document_line w ON w.document_id = c.invoice_id AND w.no = l.credits_no
                  WHERE c.invoice_id = d.invoice_id AND c.state = 'issued'
                  GROUP BY w.document_id, w.no, w.net
                 HAVING (w.net >= 0 AND w.net + sum(l.net) < 0) OR (w.net < 0 AND w.net + sum(l.net) > 0)))
   LIMIT 1
  $check$ INTO stray;
  IF stray IS NOT NULL THEN
    RAISE EXCEPTION 'credit note % takes more than its invoice has, or names no issued invoice of this account', stray
      USING ERRCODE = 'check_violation';
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER issue_adds_up AFTER UPDATE ON invoicing_document
  REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
  FOR EACH STATEMENT EXECUTE FUNCTION invoicing_issue_adds_up();

-- Numbers only grow, and no state is forgotten.
CREATE FUNCTION invoicing_series_only_grows() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'DELETE' OR (NEW.series, NEW.year, NEW.first) IS DISTINCT FROM (OLD.series, OLD.year, OLD.first)
     OR NEW.last IS NULL OR NEW.last < OLD.last THEN
    RAISE EXCEPTION '% of invoicing_number_series is refused: a series only grows', TG_OP
      USING ERRCODE = 'object_not_in_prerequisite_state';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER series_only_grows BEFORE UPDATE OR DELETE ON invoicing_number_series
  FOR EACH ROW EXECUTE FUNCTION invoicing_series_only_grows();
CREATE TRIGGER series_refuse BEFORE TRUNCATE ON invoicing_number_series
  FOR EACH STATEMENT EXECUTE FUNCTION invoicing_refuse();
"""

BACKWARD = """
DROP TRIGGER document_line_refuse ON invoicing_document_line;
DROP TRIGGER document_tax_refuse ON invoicing_document_tax;
DROP TRIGGER document_body_refuse ON invoicing_document_body;
DROP TRIGGER billed_span_refuse ON invoicing_billed_span;
DROP TRIGGER settled_figure_refuse ON invoicing_settled_figure;
DROP TRIGGER document_refuse ON invoicing_document;
DROP TRIGGER document_is_issued_update ON invoicing_document;
DROP TRIGGER document_is_issued_delete ON invoicing_document;
DROP TRIGGER document_line_added ON invoicing_document_line;
DROP TRIGGER document_line_removed ON invoicing_document_line;
DROP TRIGGER document_tax_added ON invoicing_document_tax;
DROP TRIGGER document_tax_removed ON invoicing_document_tax;
DROP TRIGGER document_body_added ON invoicing_document_body;
DROP TRIGGER document_body_removed ON invoicing_document_body;
DROP TRIGGER billed_span_added ON invoicing_billed_span;
DROP TRIGGER billed_span_removed ON invoicing_billed_span;
DROP TRIGGER document_is_born_draft ON invoicing_document;
DROP TRIGGER issue_adds_up ON invoicing_document;
DROP TRIGGER series_only_grows ON invoicing_number_series;
DROP TRIGGER series_refuse ON invoicing_number_series;
DROP FUNCTION invoicing_refuse, invoicing_document_is_issued, invoicing_part_of_draft,
  invoicing_document_is_born_draft, invoicing_issue_adds_up, invoicing_series_only_grows;
"""


class Migration(migrations.Migration):
    dependencies = [("invoicing", "0001_initial")]

    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
