from django.db import migrations, models


class Migration(migrations.Migration):
    """Services taken over from elsewhere are billed from where the other system stopped, not from their start."""

    dependencies = [("services", "0002_series_stamp")]

    operations = [
        migrations.AddField(
            model_name="service",
            name="billed_until",
            field=models.DateField(null=True),
        ),
    ]
