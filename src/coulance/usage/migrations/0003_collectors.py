"""State of collectors by target, and halves of readings that wait for their other half."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("usage", "0002_pages_and_revisions"),
    ]

    operations = [
        migrations.CreateModel(
            name="CollectorTarget",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("collector", models.CharField(max_length=60)),
                ("target", models.CharField(max_length=200)),
                ("kind", models.CharField(max_length=40)),
                ("version", models.BigIntegerField(db_default=0, default=0)),
                ("cursor", models.BigIntegerField(null=True)),
                ("state", models.JSONField(db_default=models.Value({}, models.JSONField()), default=dict)),
                ("attempted_at", models.DateTimeField(null=True)),
                ("succeeded_at", models.DateTimeField(null=True)),
                ("failed_at", models.DateTimeField(null=True)),
                ("error", models.TextField(db_default="", default="")),
                ("failures", models.IntegerField(db_default=0, default=0)),
                ("next_at", models.DateTimeField(null=True)),
                ("taken", models.BigIntegerField(db_default=0, default=0)),
                ("refused", models.BigIntegerField(db_default=0, default=0)),
                ("unpaired", models.BigIntegerField(db_default=0, default=0)),
                ("notes", models.JSONField(db_default=models.Value([], models.JSONField()), default=list)),
            ],
            options={
                "db_table": "usage_collector_target",
                "constraints": [
                    models.UniqueConstraint(fields=("collector", "target"), name="usage_collector_target_once"),
                    models.CheckConstraint(condition=models.Q(("failures__gte", 0)), name="usage_collector_failures"),
                ],
            },
        ),
        migrations.CreateModel(
            name="HalfReadings",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("collector", models.CharField(max_length=60)),
                ("recorded_at", models.DateTimeField()),
                ("rows", models.IntegerField()),
                ("at_min", models.BigIntegerField()),
                ("at_max", models.BigIntegerField()),
                ("data", models.BinaryField()),
            ],
            options={
                "db_table": "usage_half_readings",
                "indexes": [models.Index(fields=["collector", "at_min"], name="usage_half_waiting")],
            },
        ),
    ]
