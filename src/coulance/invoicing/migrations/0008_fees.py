"""What being late costs is invoiced by documents of their own: costs of collecting, and interest.

The constraint is exchanged without holding anybody up: added unchecked, then what is there is checked against it.
"""

from django.db import migrations

EXCHANGE = """
ALTER TABLE invoicing_document DROP CONSTRAINT IF EXISTS document_kind,
  ADD CONSTRAINT document_kind CHECK (kind IN ('base_invoice', 'overage_invoice', 'credit_note', 'debit_note',
    'fee_invoice', 'interest_invoice', 'usage_statement')) NOT VALID;
"""


class Migration(migrations.Migration):
    atomic = False  # each step by itself, so that none is held while the next one reads the table

    dependencies = [("invoicing", "0007_debit_notes")]

    operations = [
        migrations.RunSQL(EXCHANGE, migrations.RunSQL.noop),
        migrations.RunSQL("ALTER TABLE invoicing_document VALIDATE CONSTRAINT document_kind;", migrations.RunSQL.noop),
    ]
