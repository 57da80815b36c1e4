"""What the audits said last, and how often somebody tried. The latter is worth nothing after a crash: unlogged."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("platform", "0006_sign_in_policy"),
    ]

    operations = [
        migrations.CreateModel(
            name="CheckResult",
            fields=[
                ("name", models.TextField(primary_key=True, serialize=False)),
                ("ran_at", models.DateTimeField()),
                ("took_ms", models.IntegerField()),
                ("faults", models.IntegerField()),
                ("first", models.TextField(blank=True, db_default="", default="")),
                ("sound_at", models.DateTimeField(null=True)),
            ],
            options={
                "db_table": "platform_check_result",
            },
        ),
        migrations.CreateModel(
            name="RateLimit",
            fields=[
                ("key", models.TextField(primary_key=True, serialize=False)),
                ("full_until", models.DateTimeField()),
            ],
            options={
                "db_table": "platform_rate_limit",
                "indexes": [models.Index(fields=["full_until"], name="rate_limit_by_end")],
            },
        ),
        migrations.RunSQL("ALTER TABLE platform_rate_limit SET UNLOGGED", "ALTER TABLE platform_rate_limit SET LOGGED"),
    ]
