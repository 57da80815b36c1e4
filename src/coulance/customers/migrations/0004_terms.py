"""General terms by version and language, and which account agreed to which: kept as they were, chained."""

import django.db.models.deletion
from django.db import migrations, models

FORWARD = r"""
CREATE FUNCTION customers_terms_stay() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  -- A person is erased by emptying what is personal of an acceptance; its hash stays, and so does the chain.
  IF TG_OP = 'UPDATE' AND TG_TABLE_NAME = 'customers_terms_acceptance' THEN
    IF NEW.personal IS NULL AND NEW.salt IS NULL
       AND (to_jsonb(NEW) - 'personal' - 'salt') = (to_jsonb(OLD) - 'personal' - 'salt') THEN
      RETURN NEW;
    END IF;
  END IF;
  RAISE EXCEPTION '% of % is refused: what was agreed to stays', TG_OP, TG_TABLE_NAME
    USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Add another version, or another acceptance.';
END $$;
CREATE TRIGGER terms_document_stays BEFORE UPDATE OR DELETE ON customers_terms_document
  FOR EACH ROW EXECUTE FUNCTION customers_terms_stay();
CREATE TRIGGER terms_acceptance_stays BEFORE UPDATE OR DELETE ON customers_terms_acceptance
  FOR EACH ROW EXECUTE FUNCTION customers_terms_stay();

CREATE FUNCTION customers_terms_fit() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  last customers_terms_acceptance;
BEGIN
  IF TG_TABLE_NAME = 'customers_terms_document' THEN
    IF NEW.sha256 <> encode(sha256(convert_to(NEW.text, 'UTF8')), 'hex') THEN
      RAISE EXCEPTION 'the hash is not that of the text of %', NEW.version USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
  END IF;
  SELECT * INTO last FROM customers_terms_acceptance WHERE account_id = NEW.account_id ORDER BY seq DESC LIMIT 1;
  IF NEW.seq <> coalesce(last.seq, 0) + 1 OR NEW.previous <> coalesce(last.hash, repeat('00', 32))
     OR NEW.personal IS NULL OR NEW.salt IS NULL THEN
    RAISE EXCEPTION 'acceptance % of account % does not follow the one before it', NEW.seq, NEW.account_id
      USING ERRCODE = 'check_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER terms_document_fits BEFORE INSERT ON customers_terms_document
  FOR EACH ROW EXECUTE FUNCTION customers_terms_fit();
CREATE TRIGGER terms_acceptance_fits BEFORE INSERT ON customers_terms_acceptance
  FOR EACH ROW EXECUTE FUNCTION customers_terms_fit();
"""

BACKWARD = """
DROP TRIGGER terms_document_stays ON customers_terms_document;
DROP TRIGGER terms_acceptance_stays ON customers_terms_acceptance;
DROP TRIGGER terms_document_fits ON customers_terms_document;
DROP TRIGGER terms_acceptance_fits ON customers_terms_acceptance;
DROP FUNCTION customers_terms_stay, customers_terms_fit;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("customers", "0003_groups"),
    ]

    operations = [
        migrations.CreateModel(
            name="TermsDocument",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("version", models.CharField(max_length=40)),
                ("language", models.CharField(max_length=5)),
                ("title", models.CharField(max_length=200)),
                ("text", models.TextField()),
                ("sha256", models.CharField(max_length=64)),
                ("valid_from", models.DateField()),
                ("added_at", models.DateTimeField()),
                ("added_by", models.CharField(max_length=100)),
            ],
            options={
                "db_table": "customers_terms_document",
                "constraints": [
                    models.UniqueConstraint(fields=("version", "language"), name="terms_once_a_language"),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("version__regex", "^[A-Za-z0-9][A-Za-z0-9._-]*$"),
                            models.Q(("title", ""), _negated=True),
                            models.Q(("text", ""), _negated=True),
                        ),
                        name="terms_are_named",
                    ),
                    models.CheckConstraint(condition=models.Q(("sha256__regex", "^[0-9a-f]{64}$")), name="terms_hash"),
                ],
            },
        ),
        migrations.CreateModel(
            name="TermsAcceptance",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("seq", models.PositiveIntegerField()),
                ("how", models.CharField(max_length=20)),
                ("at", models.DateTimeField()),
                ("recorded_at", models.DateTimeField()),
                ("personal", models.JSONField(null=True)),
                ("salt", models.BinaryField(max_length=32, null=True)),
                ("personal_hash", models.CharField(max_length=64)),
                ("previous", models.CharField(max_length=64)),
                ("hash", models.CharField(max_length=64)),
                (
                    "account",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="customers.account",
                    ),
                ),
                (
                    "document",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="customers.termsdocument"
                    ),
                ),
            ],
            options={
                "db_table": "customers_terms_acceptance",
                "constraints": [
                    models.UniqueConstraint(fields=("account", "seq"), name="terms_accepted_in_order"),
                    models.CheckConstraint(
                        condition=models.Q(("how__in", ["portal", "order", "paper", "taken_over"])),
                        name="terms_accepted_how",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("recorded_at__gte", models.F("at"))), name="terms_accepted_before"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("hash__regex", "^[0-9a-f]{64}$"),
                            ("personal_hash__regex", "^[0-9a-f]{64}$"),
                            ("previous__regex", "^[0-9a-f]{64}$"),
                        ),
                        name="terms_acceptance_hashes",
                    ),
                ],
            },
        ),
        migrations.RunSQL(FORWARD, BACKWARD),
    ]
