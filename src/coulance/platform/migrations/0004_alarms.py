"""Alarms: what operators should look at, open until cleared."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("platform", "0003_operator_role"),
    ]

    operations = [
        migrations.CreateModel(
            name="Alarm",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("key", models.TextField()),
                ("severity", models.CharField(max_length=8)),
                ("what", models.TextField()),
                ("raised_at", models.DateTimeField()),
                ("seen_at", models.DateTimeField()),
                ("times", models.IntegerField(db_default=1, default=1)),
                ("cleared_at", models.DateTimeField(null=True)),
                ("cleared_by", models.TextField(blank=True, db_default="", default="")),
                ("told_at", models.DateTimeField(null=True)),
                ("over_told_at", models.DateTimeField(null=True)),
            ],
            options={
                "db_table": "platform_alarm",
                "indexes": [models.Index(fields=["-raised_at"], name="alarm_by_time")],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("cleared_at__isnull", True)), fields=("key",), name="alarm_is_open_once"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("severity__in", ["warning", "critical"])), name="alarm_severity"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(models.Q(("key", ""), _negated=True), models.Q(("what", ""), _negated=True)),
                        name="alarm_says_what",
                    ),
                ],
            },
        ),
    ]
