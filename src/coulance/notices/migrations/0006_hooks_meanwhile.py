"""What the new channel asks of a table that grows: evidence is checked while others read and write."""

from django.contrib.postgres.operations import ValidateConstraint
from django.db import migrations


class Migration(migrations.Migration):
    """By itself, so that the lock of the one before is gone."""

    dependencies = [("notices", "0005_customers_hooks")]

    operations = [ValidateConstraint("evidence", "notices_evidence_way")]
