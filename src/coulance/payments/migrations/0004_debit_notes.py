"""A debit note is a debt of its own: money goes to it, and it does not open the invoice again that it is about."""

from django.db import migrations

FORWARD = r"""
DO $$
DECLARE
  was text := pg_get_functiondef('payments_check_allocation()'::regprocedure);
  becomes text := replace(was, $q$d.kind IN ('base_invoice', 'overage_invoice')$q$,
                          $q$d.kind IN ('base_invoice', 'overage_invoice', 'debit_note')$q$);
BEGIN
  IF was = becomes THEN
    RAISE EXCEPTION 'payments_check_allocation is not as this migration knows it';
  END IF;
  EXECUTE becomes;
  was := pg_get_functiondef('payments_open_of(bigint, bigint)'::regprocedure);
  becomes := replace(was, $q$WHERE c.invoice_id = document AND c.state = 'issued'$q$,
                     $q$WHERE c.invoice_id = document AND c.state = 'issued' AND c.kind = 'credit_note'$q$);
  IF was = becomes THEN
    RAISE EXCEPTION 'payments_open_of is not as this migration knows it';
  END IF;
  EXECUTE becomes;
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("payments", "0003_write_offs_are_whole"), ("invoicing", "0007_debit_notes")]

    # Backward the functions stay: without debit notes they say the same.
    operations = [migrations.RunSQL(FORWARD, migrations.RunSQL.noop)]
