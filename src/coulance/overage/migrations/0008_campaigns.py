"""Campaigns of invitations: two new tables."""

import django.db.models.deletion
from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    dependencies = [
        ("customers", "0001_initial"),
        ("services", "0003_billed_until"),
        ("overage", "0007_plan_before_the_bill"),
    ]

    operations = [
        migrations.CreateModel(
            name="Campaign",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=60, unique=True)),
                ("state", models.CharField(db_default="running", default="running", max_length=10)),
                ("per_hour", models.PositiveIntegerField()),
                ("started_at", models.DateTimeField()),
                ("started_by", models.CharField(max_length=100)),
                ("reason", models.TextField()),
            ],
            options={
                "db_table": "overage_campaign",
                "constraints": [
                    models.CheckConstraint(condition=Q(state__in=["running", "paused", "done"]), name="campaign_state"),
                    models.CheckConstraint(condition=Q(per_hour__gte=1) & ~Q(reason=""), name="campaign_says_why"),
                ],
            },
        ),
        migrations.CreateModel(
            name="Invitation",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("charge", models.CharField(max_length=80)),
                ("contact", models.CharField(max_length=100)),
                ("provisional", models.BigIntegerField(null=True)),
                ("message", models.CharField(blank=True, db_default="", default="", max_length=200)),
                ("queued_at", models.DateTimeField(null=True)),
                ("fault", models.TextField(blank=True, db_default="", default="")),
                (
                    "account",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="customers.account"
                    ),
                ),
                (
                    "campaign",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="overage.campaign"
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
                "db_table": "overage_invitation",
                "constraints": [
                    models.UniqueConstraint(fields=("campaign", "service", "charge"), name="invited_once"),
                    models.CheckConstraint(
                        condition=Q(queued_at__isnull=True) | ~Q(message="") | ~Q(fault=""), name="invited_or_why_not"
                    ),
                ],
                "indexes": [
                    models.Index(condition=Q(queued_at__isnull=True), fields=["campaign", "id"], name="invitation_due"),
                    models.Index(fields=["campaign", "queued_at"], name="invitation_pace"),
                ],
            },
        ),
    ]
