"""A payment may acknowledge what ran up, where the terms say so; the next migration checks what is there."""

from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    """By itself, so that no lock is held for long."""

    dependencies = [("overage", "0009_invited_for_all")]

    operations = [
        migrations.RemoveConstraint("acknowledgement", "acknowledgement_says_how"),
        AddConstraintNotValid(
            "acknowledgement",
            models.CheckConstraint(
                condition=Q(
                    ("how__in", ["portal", "link", "operator", "payment"]),
                    Q(("contact", ""), _negated=True),
                    Q(("meter", ""), _negated=True),
                ),
                name="acknowledgement_says_how",
            ),
        ),
    ]
