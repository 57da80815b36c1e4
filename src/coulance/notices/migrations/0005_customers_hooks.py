"""Contacts' own webhooks, and their channel among the evidence; the next migration checks that against what is there."""

import django.db.models.deletion
from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    """A table, and a constraint that is exchanged without holding anybody up."""

    dependencies = [("notices", "0004_texts_meanwhile")]

    operations = [
        migrations.RemoveConstraint(model_name="evidence", name="notices_evidence_way"),
        AddConstraintNotValid(
            model_name="evidence",
            constraint=models.CheckConstraint(
                condition=Q(("channel__in", ["email", "sms", "post", "portal", "webhook"])),
                name="notices_evidence_way",
            ),
        ),
        migrations.CreateModel(
            name="Hook",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("contact", models.CharField(max_length=100)),
                ("url", models.CharField(max_length=2000)),
                ("secret_sealed", models.BinaryField()),
                ("made_at", models.DateTimeField()),
                ("made_by", models.CharField(max_length=100)),
                ("tried_at", models.DateTimeField(null=True)),
                ("verified_at", models.DateTimeField(null=True)),
                ("ended_at", models.DateTimeField(null=True)),
                ("ended_by", models.CharField(blank=True, db_default="", default="", max_length=100)),
                ("ended_why", models.CharField(blank=True, db_default="", default="", max_length=200)),
                (
                    "account",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="customers.account",
                    ),
                ),
            ],
            options={
                "db_table": "notices_hook",
                "constraints": [
                    models.UniqueConstraint(
                        condition=Q(("ended_at__isnull", True)),
                        fields=("account", "contact"),
                        name="notices_one_hook_a_contact",
                    ),
                    models.CheckConstraint(
                        condition=Q(
                            ("ended_at__isnull", True),
                            Q(Q(("ended_by", ""), _negated=True), Q(("ended_why", ""), _negated=True)),
                            _connector="OR",
                        ),
                        name="notices_hook_ends",
                    ),
                    models.CheckConstraint(
                        condition=Q(Q(("url", ""), _negated=True), Q(("contact", ""), _negated=True)),
                        name="notices_hook_goes_somewhere",
                    ),
                ],
            },
        ),
    ]
