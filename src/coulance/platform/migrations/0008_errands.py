"""Errands: work that somebody asked for, and that can be watched."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("platform", "0007_checks_and_limits"),
    ]

    operations = [
        migrations.CreateModel(
            name="Errand",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("key", models.CharField(max_length=30, unique=True)),
                ("kind", models.CharField(max_length=40)),
                ("subject", models.CharField(max_length=100)),
                ("state", models.CharField(default="waiting", max_length=10)),
                ("done", models.PositiveIntegerField(default=0)),
                ("total", models.PositiveIntegerField(default=0)),
                ("parameters", models.JSONField(default=dict)),
                ("result", models.JSONField(null=True)),
                ("fault", models.TextField(db_default="", default="")),
                ("asked_by", models.TextField()),
                ("asked_at", models.DateTimeField()),
                ("started_at", models.DateTimeField(null=True)),
                ("ended_at", models.DateTimeField(null=True)),
            ],
            options={
                "db_table": "platform_errand",
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("state__in", ["waiting", "running", "done", "failed"])), name="errand_state"
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("state__in", ["waiting", "running"])),
                        fields=("kind", "subject"),
                        name="errand_once_at_a_time",
                    ),
                ],
            },
        ),
    ]
