"""The tables of promises: who looks at what, what was seen and said, what was measured, credited and paid."""

import django.contrib.postgres.fields
import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("customers", "0002_contact_keys"),
        ("services", "0004_agreed_price"),
    ]

    operations = [
        migrations.CreateModel(
            name="Agent",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=100, unique=True)),
                ("source", models.CharField(max_length=20)),
                ("token_prefix", models.CharField(max_length=10, null=True, unique=True)),
                ("taken", models.JSONField(default=list)),
                ("lost", models.BigIntegerField(db_default=0, default=0)),
                ("last_at", models.DateTimeField(null=True)),
                ("made_at", models.DateTimeField()),
                ("made_by", models.CharField(max_length=100)),
                ("retired_at", models.DateTimeField(null=True)),
            ],
            options={
                "db_table": "sla_agent",
            },
        ),
        migrations.CreateModel(
            name="Check",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("kind", models.CharField(max_length=10)),
                ("target", models.CharField(max_length=500)),
                ("every_s", models.PositiveIntegerField(db_default=30, default=30)),
                ("timeout_s", models.PositiveIntegerField(db_default=10, default=10)),
                ("expect", models.JSONField(default=dict)),
                (
                    "vantages",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=100), default=list, size=None
                    ),
                ),
                ("holds", models.BooleanField(db_default=False, default=False)),
                ("since", models.DateTimeField()),
                ("until", models.DateTimeField(null=True)),
                ("made_by", models.CharField(max_length=100)),
                (
                    "service",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="services.service"
                    ),
                ),
            ],
            options={
                "db_table": "sla_check",
            },
        ),
        migrations.CreateModel(
            name="Counter",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("since", models.DateTimeField()),
                ("until", models.DateTimeField()),
                ("words", models.TextField()),
                ("at", models.DateTimeField()),
                ("by", models.CharField(max_length=100)),
                (
                    "account",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="customers.account"
                    ),
                ),
                (
                    "service",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="services.service"
                    ),
                ),
            ],
            options={
                "db_table": "sla_counter",
            },
        ),
        migrations.CreateModel(
            name="Entry",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("says", models.CharField(max_length=12)),
                ("since", models.DateTimeField()),
                ("until", models.DateTimeField(null=True)),
                ("announced_at", models.DateTimeField(null=True)),
                ("reported_at", models.DateTimeField(null=True)),
                ("kind", models.CharField(db_default="", default="", max_length=60)),
                ("affected", models.CharField(db_default="1", default="1", max_length=20)),
                ("words", models.TextField(db_default="", default="")),
                ("evidence", models.TextField(db_default="", default="")),
                ("reason", models.TextField()),
                ("at", models.DateTimeField()),
                ("by", models.CharField(max_length=100)),
                (
                    "ends",
                    models.OneToOneField(
                        null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+", to="sla.entry"
                    ),
                ),
                (
                    "retracts",
                    models.OneToOneField(
                        null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+", to="sla.entry"
                    ),
                ),
                (
                    "service",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="services.service"
                    ),
                ),
            ],
            options={
                "db_table": "sla_entry",
            },
        ),
        migrations.CreateModel(
            name="Decision",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("accepted", models.BooleanField()),
                ("reason", models.TextField()),
                ("at", models.DateTimeField()),
                ("by", models.CharField(max_length=100)),
                (
                    "counter",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="sla.counter"
                    ),
                ),
                (
                    "entry",
                    models.OneToOneField(
                        null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+", to="sla.entry"
                    ),
                ),
            ],
            options={
                "db_table": "sla_decision",
            },
        ),
        migrations.CreateModel(
            name="Measure",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("period_name", models.CharField(max_length=7)),
                ("start", models.DateTimeField()),
                ("end", models.DateTimeField()),
                ("no", models.PositiveIntegerField()),
                ("terms_version", models.CharField(max_length=100)),
                ("terms", models.JSONField()),
                ("downtime", models.BigIntegerField()),
                ("unknown", models.BigIntegerField()),
                ("availability", models.CharField(max_length=40)),
                ("outages", models.JSONField()),
                ("fee", models.BigIntegerField()),
                ("amount", models.BigIntegerField()),
                ("currency", models.CharField(max_length=3)),
                ("explanation", models.JSONField()),
                ("at", models.DateTimeField()),
                (
                    "account",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="customers.account"
                    ),
                ),
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
                "db_table": "sla_measure",
            },
        ),
        migrations.CreateModel(
            name="Credit",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("amount", models.BigIntegerField()),
                ("at", models.DateTimeField()),
                ("by", models.CharField(max_length=100)),
                (
                    "measure",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="sla.measure"
                    ),
                ),
            ],
            options={
                "db_table": "sla_credit",
            },
        ),
        migrations.CreateModel(
            name="Payout",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("number", models.CharField(max_length=140)),
                ("amount", models.BigIntegerField()),
                ("way", models.CharField(max_length=12)),
                ("at", models.DateTimeField()),
                ("by", models.CharField(max_length=100)),
                (
                    "credit",
                    models.ForeignKey(
                        db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name="+", to="sla.credit"
                    ),
                ),
            ],
            options={
                "db_table": "sla_payout",
            },
        ),
        migrations.CreateModel(
            name="Preference",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("way", models.CharField(max_length=12)),
                ("at", models.DateTimeField()),
                ("by", models.CharField(max_length=100)),
                (
                    "account",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="customers.account"
                    ),
                ),
            ],
            options={
                "db_table": "sla_preference",
            },
        ),
        migrations.CreateModel(
            name="Shown",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("group", models.CharField(max_length=100)),
                ("label", models.CharField(max_length=100)),
                (
                    "service",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="services.service"
                    ),
                ),
            ],
            options={
                "db_table": "sla_shown",
            },
        ),
        migrations.CreateModel(
            name="Track",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("day", models.DateField()),
                ("rows", models.PositiveIntegerField()),
                ("body", models.BinaryField()),
                (
                    "agent",
                    models.ForeignKey(
                        db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name="+", to="sla.agent"
                    ),
                ),
                (
                    "check_no",
                    models.ForeignKey(
                        db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name="+", to="sla.check"
                    ),
                ),
            ],
            options={
                "db_table": "sla_track",
            },
        ),
        migrations.CreateModel(
            name="Agreement",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("terms", models.CharField(blank=True, max_length=80)),
                ("valid_from", models.DateField()),
                ("reason", models.TextField()),
                ("at", models.DateTimeField()),
                ("by", models.CharField(max_length=100)),
                (
                    "service",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="services.service"
                    ),
                ),
            ],
            options={
                "db_table": "sla_agreement",
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("reason", ""), _negated=True), models.Q(("by", ""), _negated=True)
                        ),
                        name="sla_agreement_says_why",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Batch",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("digest", models.BinaryField()),
                ("received_at", models.DateTimeField()),
                ("first_at", models.BigIntegerField()),
                ("last_at", models.BigIntegerField()),
                ("rows", models.PositiveIntegerField()),
                ("body", models.BinaryField()),
                (
                    "agent",
                    models.ForeignKey(
                        db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name="+", to="sla.agent"
                    ),
                ),
            ],
            options={
                "db_table": "sla_batch",
                "indexes": [models.Index(fields=["first_at", "last_at"], name="sla_batch_time")],
                "constraints": [
                    models.UniqueConstraint(fields=("agent", "digest"), name="sla_batch_once"),
                    models.CheckConstraint(
                        condition=models.Q(("rows__gt", 0), ("last_at__gte", models.F("first_at"))),
                        name="sla_batch_rows",
                    ),
                ],
            },
        ),
        migrations.AddConstraint(
            model_name="check",
            constraint=models.CheckConstraint(
                condition=models.Q(("kind__in", ("http", "tcp", "icmp", "dns", "tls", "outside"))),
                name="sla_check_kind",
            ),
        ),
        migrations.AddConstraint(
            model_name="check",
            constraint=models.CheckConstraint(
                condition=models.Q(("until__isnull", True), ("until__gte", models.F("since")), _connector="OR"),
                name="sla_check_ends",
            ),
        ),
        migrations.AddConstraint(
            model_name="check",
            constraint=models.CheckConstraint(
                condition=models.Q(("every_s__gt", 0), models.Q(("target", ""), _negated=True)), name="sla_check_looks"
            ),
        ),
        migrations.AddConstraint(
            model_name="counter",
            constraint=models.CheckConstraint(
                condition=models.Q(("until__gt", models.F("since")), models.Q(("words", ""), _negated=True)),
                name="sla_counter_says",
            ),
        ),
        migrations.AddIndex(
            model_name="entry",
            index=models.Index(fields=["service", "since"], name="sla_entry_time"),
        ),
        migrations.AddConstraint(
            model_name="entry",
            constraint=models.CheckConstraint(
                condition=models.Q(("says__in", ("outage", "maintenance", "exclusion", "up", "retracted"))),
                name="sla_entry_says",
            ),
        ),
        migrations.AddConstraint(
            model_name="entry",
            constraint=models.CheckConstraint(
                condition=models.Q(("until__isnull", True), ("until__gt", models.F("since")), _connector="OR"),
                name="sla_entry_ends",
            ),
        ),
        migrations.AddConstraint(
            model_name="entry",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("retracts__isnull", False), ("says", "retracted")),
                    models.Q(models.Q(("says", "retracted"), _negated=True), ("retracts__isnull", True)),
                    _connector="OR",
                ),
                name="sla_entry_retracts",
            ),
        ),
        migrations.AddConstraint(
            model_name="entry",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("says", "exclusion"), _negated=True),
                    models.Q(
                        models.Q(("kind", ""), _negated=True),
                        models.Q(("evidence", ""), _negated=True),
                        ("until__isnull", False),
                    ),
                    _connector="OR",
                ),
                name="sla_entry_exclusion_has_evidence",
            ),
        ),
        migrations.AddConstraint(
            model_name="entry",
            constraint=models.CheckConstraint(
                condition=models.Q(models.Q(("reason", ""), _negated=True), models.Q(("by", ""), _negated=True)),
                name="sla_entry_says_why",
            ),
        ),
        migrations.AddConstraint(
            model_name="decision",
            constraint=models.CheckConstraint(
                condition=models.Q(models.Q(("reason", ""), _negated=True), models.Q(("by", ""), _negated=True)),
                name="sla_decision_says_why",
            ),
        ),
        migrations.AddConstraint(
            model_name="decision",
            constraint=models.CheckConstraint(
                condition=models.Q(("accepted", models.Q(("entry__isnull", False)))), name="sla_decision_acts"
            ),
        ),
        migrations.AddConstraint(
            model_name="measure",
            constraint=models.UniqueConstraint(fields=("service", "period_name", "no"), name="sla_measure_once"),
        ),
        migrations.AddConstraint(
            model_name="measure",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("amount__gte", 0),
                    ("downtime__gte", 0),
                    ("end__gt", models.F("start")),
                    ("no__gte", 1),
                    ("unknown__gte", 0),
                ),
                name="sla_measure_sane",
            ),
        ),
        migrations.AddConstraint(
            model_name="credit",
            constraint=models.CheckConstraint(condition=models.Q(("amount__gt", 0)), name="sla_credit_amount"),
        ),
        migrations.AddConstraint(
            model_name="payout",
            constraint=models.UniqueConstraint(fields=("credit", "number"), name="sla_payout_once"),
        ),
        migrations.AddConstraint(
            model_name="payout",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("amount__gt", 0),
                    ("way__in", ["invoice", "wallet", "money_back"]),
                    models.Q(("number", ""), _negated=True),
                ),
                name="sla_payout_amount",
            ),
        ),
        migrations.AddConstraint(
            model_name="preference",
            constraint=models.CheckConstraint(
                condition=models.Q(("way__in", ["invoice", "wallet", "money_back"])), name="sla_preference_way"
            ),
        ),
        migrations.AddConstraint(
            model_name="track",
            constraint=models.UniqueConstraint(fields=("check_no", "day", "agent"), name="sla_track_once"),
        ),
    ]
