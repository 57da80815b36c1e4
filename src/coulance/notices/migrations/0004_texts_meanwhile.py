"""What text messages ask of tables that grow: messages checked, and deliveries indexed, while others read and write."""

from django.contrib.postgres.operations import ValidateConstraint
from django.db import migrations, models

from coulance.platform.concurrently import AddIndexMeanwhile


class Migration(migrations.Migration):
    atomic = False  # an index made concurrently can be in no transaction

    dependencies = [("notices", "0003_text_messages")]

    operations = [
        ValidateConstraint("message", "notices_message_says_something"),
        AddIndexMeanwhile(
            "delivery",
            models.Index(
                condition=models.Q(("channel", "sms"), ("state__in", ["waiting", "accepted"])),
                fields=["state", "next_attempt_at"],
                name="notices_texts_open",
            ),
        ),
    ]
