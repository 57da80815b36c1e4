"""What is due in the order it is taken: decisions before regular looks. Without it every claim sorts all that waits."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("enforcement", "0003_executor")]

    operations = [
        migrations.AddIndex(
            model_name="work",
            index=models.Index(fields=["routine", "next_try"], name="work_by_urgency"),
        ),
    ]
