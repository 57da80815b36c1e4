"""An index for lists of documents, the newest first; made while others read and write."""

from django.db import migrations, models

from coulance.platform.concurrently import AddIndexMeanwhile


class Migration(migrations.Migration):
    atomic = False  # an index made concurrently can be in no transaction

    dependencies = [("invoicing", "0004_einvoices")]

    operations = [
        AddIndexMeanwhile("document", models.Index(fields=["issued_on", "id"], name="document_by_day")),
    ]
