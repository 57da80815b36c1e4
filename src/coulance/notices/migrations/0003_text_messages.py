"""Text messages beside mail, and codes by which a telephone is verified.

The constraint is exchanged without holding anybody up: the next migration checks it against what is there.
"""

import django.db.models.deletion
from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("customers", "0001_initial"),
        ("notices", "0002_guards"),
    ]

    operations = [
        migrations.AddField(
            model_name="delivery",
            name="channel",
            field=models.CharField(db_default="email", default="email", max_length=10),
        ),
        migrations.RemoveConstraint(model_name="message", name="notices_message_says_something"),
        AddConstraintNotValid(
            model_name="message",
            constraint=models.CheckConstraint(
                condition=models.Q(models.Q(("key", ""), _negated=True), models.Q(("text", ""), _negated=True)),
                name="notices_message_says_something",
            ),
        ),
        migrations.CreateModel(
            name="PhoneCode",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("phone", models.CharField(max_length=20)),
                ("code_hash", models.BinaryField(max_length=32)),
                ("salt", models.BinaryField(max_length=16)),
                ("sent_at", models.DateTimeField()),
                ("expires_at", models.DateTimeField()),
                ("attempts", models.PositiveSmallIntegerField(db_default=0, default=0)),
                ("used_at", models.DateTimeField(null=True)),
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
                "db_table": "notices_phone_code",
                "indexes": [models.Index(fields=["account", "phone", "sent_at"], name="notices_code_by_phone")],
                "constraints": [
                    models.CheckConstraint(condition=models.Q(("attempts__lte", 5)), name="notices_code_tries")
                ],
            },
        ),
    ]
