"""What the one before exchanged is checked while others read and write."""

from django.contrib.postgres.operations import ValidateConstraint
from django.db import migrations


class Migration(migrations.Migration):
    """By itself, so that no lock is held for long."""

    dependencies = [("overage", "0010_acknowledged_by_paying")]

    operations = [
        ValidateConstraint("acknowledgement", "acknowledgement_says_how"),
    ]
