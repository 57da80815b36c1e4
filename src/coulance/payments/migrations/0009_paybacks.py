"""Money that goes back by bank, what banks answer to files, and agreements and top-ups by mandate.

What holds of collections is proven of the rows there in 0010, without a lock.
"""

import django.db.models.deletion
from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("customers", "0002_contact_keys"),
        ("payments", "0008_fees_are_debts"),
    ]

    operations = [
        migrations.CreateModel(
            name="BankReport",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("message", models.CharField(max_length=140)),
                ("of", models.CharField(max_length=140)),
                ("form", models.CharField(max_length=20)),
                ("status", models.CharField(db_default="", default="", max_length=10)),
                ("created_at", models.DateTimeField(null=True)),
                ("file_name", models.CharField(max_length=200)),
                ("fingerprint", models.BinaryField(max_length=32, unique=True)),
                ("read_at", models.DateTimeField()),
                ("read_by", models.CharField(max_length=100)),
                ("outcome", models.JSONField()),
            ],
            options={
                "db_table": "payments_bank_report",
            },
        ),
        migrations.CreateModel(
            name="Payback",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("amount", models.BigIntegerField()),
                ("currency", models.CharField(max_length=3)),
                ("way", models.CharField(max_length=10)),
                ("iban", models.CharField(db_default="", default="", max_length=34)),
                ("holder", models.CharField(max_length=140)),
                ("end_to_end_id", models.CharField(max_length=35, unique=True)),
                ("state", models.CharField(db_default="asked", default="asked", max_length=10)),
                ("source_key", models.CharField(max_length=200, unique=True)),
                ("reason", models.TextField()),
                ("asked_at", models.DateTimeField()),
                ("asked_by", models.CharField(max_length=100)),
                ("bank_says", models.CharField(db_default="", default="", max_length=10)),
                ("ended_on", models.DateField(null=True)),
                ("why", models.TextField(db_default="", default="")),
                ("changed_at", models.DateTimeField()),
            ],
            options={
                "db_table": "payments_payback",
            },
        ),
        migrations.CreateModel(
            name="PaybackApproval",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("by", models.CharField(max_length=100)),
                ("reason", models.TextField()),
                ("at", models.DateTimeField()),
            ],
            options={
                "db_table": "payments_payback_approval",
            },
        ),
        migrations.CreateModel(
            name="PaybackRun",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("reference", models.CharField(max_length=35, unique=True)),
                ("currency", models.CharField(max_length=3)),
                ("form", models.CharField(max_length=20)),
                ("debtor", models.JSONField()),
                ("count", models.PositiveIntegerField()),
                ("total", models.BigIntegerField()),
                ("file", models.BinaryField()),
                ("file_hash", models.BinaryField(max_length=32)),
                ("made_at", models.DateTimeField()),
                ("made_by", models.CharField(max_length=100)),
                ("handed_at", models.DateTimeField(null=True)),
                ("handed_by", models.CharField(db_default="", default="", max_length=100)),
                ("cancelled_at", models.DateTimeField(null=True)),
                ("cancelled_by", models.CharField(db_default="", default="", max_length=100)),
                ("cancelled_why", models.TextField(db_default="", default="")),
            ],
            options={
                "db_table": "payments_payback_run",
            },
        ),
        migrations.AddField(
            model_name="agreement",
            name="mandate",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+", to="payments.mandate"
            ),
        ),
        migrations.AddField(
            model_name="collection",
            name="bank_said_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name="collection",
            name="bank_says",
            field=models.CharField(db_default="", default="", max_length=10),
        ),
        migrations.AddField(
            model_name="collection",
            name="basis",
            field=models.CharField(db_default="", default="", max_length=60),
        ),
        migrations.AddField(
            model_name="collection",
            name="purpose",
            field=models.CharField(db_default="debts", default="debts", max_length=12),
        ),
        migrations.AlterField(
            model_name="agreement",
            name="stored",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+", to="payments.storedmethod"
            ),
        ),
        migrations.AddConstraint(
            model_name="agreement",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("mandate__isnull", True), ("stored__isnull", False)),
                    models.Q(("mandate__isnull", False), ("stored__isnull", True)),
                    _connector="OR",
                ),
                name="agreement_by_one_means",
            ),
        ),
        AddConstraintNotValid(
            model_name="collection",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("purpose", "debts"),
                    models.Q(
                        ("purpose__in", ("debts", "instalment", "top_up")), models.Q(("basis", ""), _negated=True)
                    ),
                    _connector="OR",
                ),
                name="collection_purpose",
            ),
        ),
        migrations.AddField(
            model_name="payback",
            name="account",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="+", to="customers.account"
            ),
        ),
        migrations.AddField(
            model_name="payback",
            name="receipt",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="+", to="payments.receipt"
            ),
        ),
        migrations.AddField(
            model_name="payback",
            name="refund",
            field=models.OneToOneField(
                null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+", to="payments.refund"
            ),
        ),
        migrations.AddField(
            model_name="paybackapproval",
            name="payback",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="+", to="payments.payback"
            ),
        ),
        migrations.AddConstraint(
            model_name="paybackrun",
            constraint=models.CheckConstraint(
                condition=models.Q(("count__gt", 0), ("total__gt", 0)), name="payback_run_holds_something"
            ),
        ),
        migrations.AddConstraint(
            model_name="paybackrun",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("handed_at__isnull", True), ("handed_by", "")),
                    models.Q(("handed_at__isnull", False), models.Q(("handed_by", ""), _negated=True)),
                    _connector="OR",
                ),
                name="payback_run_handed_by_somebody",
            ),
        ),
        migrations.AddConstraint(
            model_name="paybackrun",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("cancelled_at__isnull", True), ("cancelled_by", ""), ("cancelled_why", "")),
                    models.Q(
                        ("cancelled_at__isnull", False),
                        ("handed_at__isnull", True),
                        models.Q(("cancelled_why", ""), _negated=True),
                        models.Q(("cancelled_by", ""), _negated=True),
                    ),
                    _connector="OR",
                ),
                name="payback_run_cancelled_before",
            ),
        ),
        migrations.AddField(
            model_name="payback",
            name="run",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+", to="payments.paybackrun"
            ),
        ),
        migrations.AddConstraint(
            model_name="paybackapproval",
            constraint=models.UniqueConstraint(fields=("payback", "by"), name="payback_approval_once"),
        ),
        migrations.AddConstraint(
            model_name="paybackapproval",
            constraint=models.CheckConstraint(
                condition=models.Q(models.Q(("by", ""), _negated=True), models.Q(("reason", ""), _negated=True)),
                name="payback_approval_says_why",
            ),
        ),
        migrations.AddIndex(
            model_name="payback",
            index=models.Index(
                condition=models.Q(("state__in", ["asked", "approved", "filed", "handed"])),
                fields=["asked_at"],
                name="payback_open",
            ),
        ),
        migrations.AddConstraint(
            model_name="payback",
            constraint=models.CheckConstraint(condition=models.Q(("amount__gt", 0)), name="payback_amount"),
        ),
        migrations.AddConstraint(
            model_name="payback",
            constraint=models.CheckConstraint(
                condition=models.Q(("way__in", ["bank", "stripe", "mollie"])), name="payback_way"
            ),
        ),
        migrations.AddConstraint(
            model_name="payback",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("state__in", ["asked", "approved", "filed", "handed", "paid", "failed", "declined"])
                ),
                name="payback_state",
            ),
        ),
        migrations.AddConstraint(
            model_name="payback",
            constraint=models.CheckConstraint(
                condition=models.Q(("state__in", ["asked", "declined"]), ("refund__isnull", False), _connector="OR"),
                name="payback_is_booked",
            ),
        ),
        migrations.AddConstraint(
            model_name="payback",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("state__in", ["filed", "handed"]), _negated=True),
                    models.Q(("run__isnull", False), ("way", "bank")),
                    _connector="OR",
                ),
                name="payback_in_a_file",
            ),
        ),
        migrations.AddConstraint(
            model_name="payback",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("state__in", ["asked", "declined"]),
                    models.Q(("way", "bank"), _negated=True),
                    models.Q(("iban", ""), _negated=True),
                    _connector="OR",
                ),
                name="payback_goes_somewhere",
            ),
        ),
        migrations.AddConstraint(
            model_name="payback",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("reason", ""), _negated=True), models.Q(("source_key", ""), _negated=True)
                ),
                name="payback_says_why",
            ),
        ),
    ]
