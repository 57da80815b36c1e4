"""Webhooks out (endpoints, events, deliveries), and the answers kept by Idempotency-Key."""

import django.contrib.postgres.fields
import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("platform", "0004_alarms"),
    ]

    operations = [
        migrations.CreateModel(
            name="WebhookEvent",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("key", models.CharField(max_length=40, unique=True)),
                ("event", models.CharField(max_length=60)),
                ("body", models.TextField()),
                ("at", models.DateTimeField(db_index=True)),
            ],
            options={
                "db_table": "platform_webhook_event",
            },
        ),
        migrations.CreateModel(
            name="IdempotentCall",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("token", models.CharField(max_length=16)),
                ("key", models.CharField(max_length=200)),
                ("fingerprint", models.BinaryField(max_length=32)),
                ("at", models.DateTimeField(db_index=True)),
                ("status", models.PositiveSmallIntegerField()),
                ("headers", models.JSONField(default=dict)),
                ("body", models.BinaryField()),
            ],
            options={
                "db_table": "platform_idempotent_call",
                "constraints": [models.UniqueConstraint(fields=("token", "key"), name="idempotency_key_once_a_token")],
            },
        ),
        migrations.CreateModel(
            name="WebhookEndpoint",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("key", models.CharField(max_length=20, unique=True)),
                ("url", models.TextField()),
                ("description", models.TextField(db_default="", default="")),
                (
                    "events",
                    django.contrib.postgres.fields.ArrayField(base_field=models.TextField(), default=list, size=None),
                ),
                ("secret", models.BinaryField()),
                ("old_secret", models.BinaryField(null=True)),
                ("old_secret_until", models.DateTimeField(null=True)),
                ("made_at", models.DateTimeField()),
                ("made_by", models.TextField()),
                ("version", models.PositiveIntegerField(db_default=1, default=1)),
                ("disabled_at", models.DateTimeField(null=True)),
                ("disabled_why", models.TextField(db_default="", default="")),
                ("failing_since", models.DateTimeField(null=True)),
            ],
            options={
                "db_table": "platform_webhook_endpoint",
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            ("old_secret__isnull", True), ("old_secret_until__isnull", False), _connector="OR"
                        ),
                        name="webhook_old_secret_ends",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="WebhookDelivery",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("state", models.CharField(default="waiting", max_length=10)),
                ("attempts", models.PositiveIntegerField(default=0)),
                ("next_try", models.DateTimeField(null=True)),
                ("last_try", models.DateTimeField(null=True)),
                ("last_status", models.PositiveSmallIntegerField(null=True)),
                ("last_fault", models.TextField(db_default="", default="")),
                ("delivered_at", models.DateTimeField(null=True)),
                (
                    "endpoint",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="platform.webhookendpoint",
                    ),
                ),
                (
                    "event",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="platform.webhookevent"
                    ),
                ),
            ],
            options={
                "db_table": "platform_webhook_delivery",
                "indexes": [
                    models.Index(
                        condition=models.Q(("state", "waiting")),
                        fields=["endpoint", "next_try"],
                        name="webhook_delivery_due",
                    )
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("endpoint", "event"), name="webhook_delivered_once"),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("next_try__isnull", False), ("state", "waiting")),
                            models.Q(("next_try__isnull", True), ("state__in", ["delivered", "failed"])),
                            _connector="OR",
                        ),
                        name="webhook_delivery_state",
                    ),
                ],
            },
        ),
    ]
