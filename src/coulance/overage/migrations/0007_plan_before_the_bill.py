"""A plan for a period may take the place of overage that was never issued: then there is no credit note."""

from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    dependencies = [("overage", "0006_running")]

    operations = [
        migrations.AlterField(
            model_name="planforperiod",
            name="credit_note",
            field=models.CharField(blank=True, db_default="", default="", max_length=140),
        ),
        migrations.AddConstraint(
            model_name="planforperiod",
            constraint=models.UniqueConstraint(
                condition=~Q(credit_note=""), fields=("credit_note",), name="plan_for_period_credited_once"
            ),
        ),
    ]
