"""Overage invoices that wait for their customer's choice before they are numbered: a new table, nothing else changes."""

import django.contrib.postgres.fields
import django.db.models.deletion
from django.db import migrations, models

FORWARD = """
-- What became of one that waited is told once.
CREATE FUNCTION invoicing_held_is_ended() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'what document % waited for was settled before', OLD.document_id
    USING ERRCODE = 'object_not_in_prerequisite_state';
END $$;
CREATE TRIGGER held_is_ended BEFORE UPDATE OR DELETE ON invoicing_held
  FOR EACH ROW WHEN (OLD.ended_at IS NOT NULL) EXECUTE FUNCTION invoicing_held_is_ended();
"""

BACKWARD = """
DROP TRIGGER held_is_ended ON invoicing_held;
DROP FUNCTION invoicing_held_is_ended;
"""


class Migration(migrations.Migration):
    dependencies = [("customers", "0001_initial"), ("invoicing", "0005_documents_by_day")]

    operations = [
        migrations.CreateModel(
            name="HeldDocument",
            fields=[
                ("document_id", models.BigIntegerField(primary_key=True, serialize=False)),
                ("why", models.TextField()),
                ("held_at", models.DateTimeField()),
                ("told_at", models.DateTimeField(null=True)),
                ("told", models.PositiveIntegerField(db_default=0, default=0)),
                ("until", models.DateTimeField(null=True)),
                ("ended_at", models.DateTimeField(null=True)),
                ("ended_by", models.CharField(db_default="", default="", max_length=100)),
                ("way", models.CharField(db_default="", default="", max_length=120)),
                ("reason", models.TextField(db_default="", default="")),
                (
                    "made",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=140), db_default=[], default=list, size=None
                    ),
                ),
                ("period_name", models.CharField(max_length=7)),
                ("gross", models.BigIntegerField()),
                ("currency", models.CharField(max_length=3)),
                (
                    "account",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="customers.account"
                    ),
                ),
            ],
            options={
                "db_table": "invoicing_held",
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("told_at__isnull", True), ("until__isnull", True))
                        | models.Q(("told_at__isnull", False), ("until__isnull", False)),
                        name="held_waits_once_told",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("ended_at__isnull", True), ("ended_by", ""), ("way", ""))
                        | models.Q(
                            ("ended_at__isnull", False),
                            models.Q(("ended_by", ""), _negated=True),
                            models.Q(("way", ""), _negated=True),
                        ),
                        name="held_ends_by_somebody",
                    ),
                ],
                "indexes": [
                    models.Index(condition=models.Q(("ended_at__isnull", True)), fields=["until"], name="held_open")
                ],
            },
        ),
        migrations.RunSQL(FORWARD, BACKWARD),
    ]
