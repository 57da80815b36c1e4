"""Which executors are running, by their heartbeats."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("enforcement", "0002_guards")]

    operations = [
        migrations.CreateModel(
            name="Executor",
            fields=[
                ("name", models.CharField(max_length=100, primary_key=True, serialize=False)),
                ("started_at", models.DateTimeField()),
                ("beat_at", models.DateTimeField()),
            ],
            options={"db_table": "enforcement_executor"},
        ),
        migrations.AddIndex(
            model_name="act",
            index=models.Index(fields=["finished_at"], condition=models.Q(outcome="done"), name="act_done_by_time"),
        ),
    ]
