"""Costs of collecting and interest are credited like any invoice: they too may turn out wrong."""

from django.db import migrations

EXCHANGE = """
DO $$
DECLARE
  was text := pg_get_functiondef('invoicing_issue_adds_up()'::regprocedure);
  becomes text := replace(was, $q$i.kind IN ('base_invoice', 'overage_invoice')$q$,
    $q$i.kind IN ('base_invoice', 'overage_invoice', 'fee_invoice', 'interest_invoice')$q$);
BEGIN
  IF position($q$'fee_invoice', 'interest_invoice')$q$ IN becomes) = 0 THEN
    RAISE EXCEPTION 'invoicing_issue_adds_up is not as this migration knows it';
  END IF;
  EXECUTE becomes;
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("invoicing", "0008_fees")]

    operations = [migrations.RunSQL(EXCHANGE, migrations.RunSQL.noop)]
