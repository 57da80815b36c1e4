"""Passwords and second factors of contacts: a new table."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("customers", "0001_initial")]

    operations = [
        migrations.CreateModel(
            name="ContactKey",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("contact", models.CharField(max_length=100)),
                ("password", models.CharField(blank=True, db_default="", default="", max_length=128)),
                ("totp_sealed", models.BinaryField(null=True)),
                ("totp_step", models.BigIntegerField(db_default=0, default=0)),
                ("changed_at", models.DateTimeField()),
                (
                    "account",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="customers.account"
                    ),
                ),
            ],
            options={
                "db_table": "customers_contact_key",
                "constraints": [models.UniqueConstraint(fields=("account", "contact"), name="contact_has_one_key")],
            },
        ),
    ]
