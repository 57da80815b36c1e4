"""Contacts may have a zone of their own."""

from django.db import migrations, models


class Migration(migrations.Migration):
    """A column with a default, which no row has to be written for."""

    dependencies = [("customers", "0004_terms")]

    operations = [
        migrations.AddField("contact", "zone", models.CharField(blank=True, db_default="", default="", max_length=64)),
    ]
