"""Debit notes: a kind of document that takes one credit note back and mirrors it, once.

Constraints are exchanged without holding anybody up: the new ones are added unchecked, and what is there is checked
against them while others read and write.
"""

from django.db import migrations, models

from coulance_core.invoicing import CreditType, DocumentKind

TYPES = [kind.value for kind in CreditType]
KIND = models.Q(kind__in=[kind.value for kind in DocumentKind])
NAMES = (
    models.Q(kind="credit_note", invoice__isnull=False, credit_type__in=TYPES)
    | models.Q(kind="debit_note", invoice__isnull=False, credit_type__in=TYPES, purpose__startswith="reverses/")
    | (~models.Q(kind__in=["credit_note", "debit_note"]) & models.Q(invoice__isnull=True, credit_type=""))
)

EXCHANGE = """
ALTER TABLE invoicing_document DROP CONSTRAINT IF EXISTS document_kind,
  DROP CONSTRAINT IF EXISTS document_credit_names_invoice,
  ADD CONSTRAINT document_kind CHECK (kind IN ('base_invoice', 'overage_invoice', 'credit_note', 'debit_note',
    'usage_statement')) NOT VALID,
  ADD CONSTRAINT document_credit_names_invoice CHECK (
    CASE kind WHEN 'credit_note' THEN invoice_id IS NOT NULL AND credit_type IN ('price_reduction', 'damages',
                                                                                 'correction')
              WHEN 'debit_note' THEN invoice_id IS NOT NULL AND credit_type IN ('price_reduction', 'damages',
                                                                                'correction')
                                     AND purpose LIKE 'reverses/%'
              ELSE invoice_id IS NULL AND credit_type = '' END) NOT VALID;
"""
CHECKED = """
ALTER TABLE invoicing_document VALIDATE CONSTRAINT document_kind;
ALTER TABLE invoicing_document VALIDATE CONSTRAINT document_credit_names_invoice;
"""

MIRRORS = r"""
-- A debit note, at issue, mirrors the credit note that it takes back: the same invoice, and every line, tax and total of
-- it with the other sign. That there is one at most, its purpose sees to (document_billed_once).
CREATE OR REPLACE FUNCTION invoicing_debit_mirrors() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  d invoicing_document;
  c invoicing_document;
BEGIN
  FOR d IN SELECT n.* FROM new_rows n JOIN old_rows o ON o.id = n.id AND o.state <> 'issued'
            WHERE n.kind = 'debit_note' AND n.state = 'issued' LOOP
    SELECT * INTO c FROM invoicing_document
     WHERE 'reverses/' || id = d.purpose AND invoice_id = d.invoice_id AND kind = 'credit_note' AND state = 'issued';
    IF (c.account_id, c.currency, c.credit_type, -c.net, -c.tax, -c.gross)
       IS DISTINCT FROM (d.account_id, d.currency, d.credit_type, d.net, d.tax, d.gross)
       OR EXISTS (SELECT no, -net, tax_code, account, credits_no FROM invoicing_document_line WHERE document_id = c.id
                  EXCEPT
                  SELECT no, net, tax_code, account, credits_no FROM invoicing_document_line WHERE document_id = d.id)
       OR (SELECT count(*) FROM invoicing_document_line WHERE document_id = c.id)
          <> (SELECT count(*) FROM invoicing_document_line WHERE document_id = d.id)
       OR EXISTS (SELECT code, -base, -tax FROM invoicing_document_tax WHERE document_id = c.id
                  EXCEPT SELECT code, base, tax FROM invoicing_document_tax WHERE document_id = d.id) THEN
      RAISE EXCEPTION 'debit note % does not mirror the credit note that it takes back', d.id
        USING ERRCODE = 'check_violation';
    END IF;
  END LOOP;
  RETURN NULL;
END $$;
DROP TRIGGER IF EXISTS debit_mirrors ON invoicing_document;
CREATE TRIGGER debit_mirrors AFTER UPDATE ON invoicing_document
  REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
  FOR EACH STATEMENT EXECUTE FUNCTION invoicing_debit_mirrors();

-- Only invoices are credited: a debit note stands for what its credit note took, and that is the invoice's again.
DO $$
DECLARE
  was text := pg_get_functiondef('invoicing_issue_adds_up()'::regprocedure);
  becomes text := replace(was, $q$i.kind <> 'credit_note'$q$, $q$i.kind IN ('base_invoice', 'overage_invoice')$q$);
BEGIN
  IF position($q$i.kind IN ('base_invoice', 'overage_invoice')$q$ IN becomes) = 0 THEN
    RAISE EXCEPTION 'invoicing_issue_adds_up is not as this migration knows it';
  END IF;
  EXECUTE becomes;
END $$;
"""
GONE = """
DROP TRIGGER debit_mirrors ON invoicing_document;
DROP FUNCTION invoicing_debit_mirrors();
"""


class Migration(migrations.Migration):
    atomic = False  # each step by itself, so that none is held while the next one reads the table

    dependencies = [("invoicing", "0006_held")]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL(EXCHANGE, migrations.RunSQL.noop),
                migrations.RunSQL(CHECKED, migrations.RunSQL.noop),
            ],
            state_operations=[
                migrations.RemoveConstraint("document", "document_kind"),
                migrations.RemoveConstraint("document", "document_credit_names_invoice"),
                migrations.AddConstraint("document", models.CheckConstraint(condition=KIND, name="document_kind")),
                migrations.AddConstraint(
                    "document", models.CheckConstraint(condition=NAMES, name="document_credit_names_invoice")
                ),
            ],
        ),
        migrations.RunSQL(MIRRORS, GONE),
    ]
