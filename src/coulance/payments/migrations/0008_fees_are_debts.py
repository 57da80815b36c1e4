"""Costs and interest are invoiced by documents of their own, to which money goes as to any other."""

from django.db import migrations

FORWARD = r"""
DO $$
DECLARE
  was text := pg_get_functiondef('payments_check_allocation()'::regprocedure);
  becomes text := replace(was, $q$d.kind IN ('base_invoice', 'overage_invoice', 'debit_note')$q$,
                          $q$d.kind IN ('base_invoice', 'overage_invoice', 'debit_note', 'fee_invoice',
                                        'interest_invoice')$q$);
BEGIN
  IF was = becomes THEN
    RAISE EXCEPTION 'payments_check_allocation is not as this migration knows it';
  END IF;
  EXECUTE becomes;
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("payments", "0007_reclaims")]

    # Backward the function stays: without such documents it says the same.
    operations = [migrations.RunSQL(FORWARD, migrations.RunSQL.noop)]
