"""Invitations to one limit for a whole account: they are about no one service."""

import django.db.models.deletion
from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    """The table is as long as campaigns were: nothing else waits for it."""

    dependencies = [("overage", "0008_campaigns")]

    operations = [
        migrations.AlterField(
            "invitation",
            "service",
            models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+", to="services.service"
            ),
        ),
        migrations.AddConstraint(
            "invitation",
            models.UniqueConstraint(
                condition=Q(service__isnull=True), fields=["campaign", "account"], name="invited_once_for_all"
            ),
        ),
        migrations.AddConstraint(
            "invitation",
            models.CheckConstraint(condition=Q(service__isnull=False) | Q(charge=""), name="invited_about_something"),
        ),
    ]
