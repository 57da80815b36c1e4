"""A hold says what it is an amount of, so that whoever divides money over debts can leave that part alone."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("ledger", "0002_guards")]

    operations = [
        migrations.AddField(
            model_name="hold",
            name="about",
            field=models.CharField(db_default="", default="", max_length=120),
        ),
        migrations.AddIndex(
            model_name="hold",
            index=models.Index(
                condition=models.Q(("released_at__isnull", True)), fields=["party", "about"], name="ledger_hold_open"
            ),
        ),
    ]
