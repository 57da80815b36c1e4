"""Advice that was told, goodwill that was given, plans taken for one period; only ever added to."""

import django.db.models.deletion
from django.db import migrations, models

TABLES = ("overage_advised", "overage_goodwill", "overage_plan_for_period")
FORWARD = "".join(
    f"CREATE TRIGGER {table}_refuse BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}"
    " FOR EACH STATEMENT EXECUTE FUNCTION overage_refuse();"
    for table in TABLES
)
BACKWARD = "".join(f"DROP TRIGGER {table}_refuse ON {table};" for table in TABLES)


class Migration(migrations.Migration):
    dependencies = [
        ("customers", "0001_initial"),
        ("invoicing", "0004_einvoices"),
        ("overage", "0003_armed"),
        ("services", "0003_billed_until"),
    ]

    operations = [
        migrations.CreateModel(
            name="Advised",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("period_name", models.CharField(max_length=7)),
                ("plan", models.CharField(max_length=200)),
                ("saved", models.BigIntegerField()),
                ("currency", models.CharField(max_length=3)),
                ("told_at", models.DateTimeField()),
                ("told_by", models.CharField(max_length=100)),
                (
                    "service",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="services.service",
                    ),
                ),
            ],
            options={
                "db_table": "overage_advised",
                "constraints": [
                    models.UniqueConstraint(fields=("service", "period_name"), name="advised_once"),
                    models.CheckConstraint(
                        condition=models.Q(("saved__gt", 0), models.Q(("plan", ""), _negated=True)),
                        name="advised_saves",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Goodwill",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("line_no", models.PositiveIntegerField()),
                ("amount", models.BigIntegerField()),
                ("currency", models.CharField(max_length=3)),
                ("cost", models.BigIntegerField(null=True)),
                ("cause", models.CharField(max_length=20)),
                ("reason", models.TextField()),
                ("role", models.CharField(max_length=20)),
                ("granted_by", models.CharField(max_length=100)),
                ("granted_at", models.DateTimeField()),
                ("month", models.CharField(max_length=7)),
                ("credit_note", models.CharField(max_length=140, unique=True)),
                ("explanation", models.JSONField()),
                (
                    "account",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="customers.account"
                    ),
                ),
                (
                    "document",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="invoicing.document"
                    ),
                ),
            ],
            options={
                "db_table": "overage_goodwill",
                "indexes": [models.Index(fields=["granted_by", "month"], name="goodwill_budget")],
                "constraints": [
                    models.CheckConstraint(condition=models.Q(("amount__gt", 0)), name="goodwill_amount"),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("reason", ""), _negated=True),
                            models.Q(("cause", ""), _negated=True),
                            models.Q(("granted_by", ""), _negated=True),
                            models.Q(("credit_note", ""), _negated=True),
                        ),
                        name="goodwill_says_why",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="PlanForPeriod",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("period_name", models.CharField(max_length=7)),
                ("plan", models.CharField(max_length=200)),
                ("instead_of", models.CharField(max_length=140)),
                ("credit_note", models.CharField(max_length=140, unique=True)),
                ("invoice", models.CharField(blank=True, db_default="", default="", max_length=140)),
                ("overage", models.BigIntegerField()),
                ("difference", models.BigIntegerField()),
                ("currency", models.CharField(max_length=3)),
                ("accepted_at", models.DateTimeField()),
                ("accepted_by", models.CharField(max_length=100)),
                ("reason", models.TextField()),
                (
                    "service",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="services.service",
                    ),
                ),
            ],
            options={
                "db_table": "overage_plan_for_period",
                "constraints": [
                    models.UniqueConstraint(fields=("service", "period_name"), name="plan_for_period_once"),
                    models.CheckConstraint(
                        condition=models.Q(("difference__gte", 0), ("difference__lt", models.F("overage"))),
                        name="plan_for_period_saves",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("reason", ""), _negated=True), models.Q(("accepted_by", ""), _negated=True)
                        ),
                        name="plan_for_period_says_why",
                    ),
                ],
            },
        ),
        migrations.RunSQL(FORWARD, BACKWARD),
    ]
