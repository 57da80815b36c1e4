"""The table of people to be called. Private to the room; Django finds it through `models`."""

from typing import ClassVar

from django.db import models
from django.db.models import Q


class PhoneTask(models.Model):
    """Somebody of an account should be called about a meter's period, since nothing else has reached them."""

    account = models.ForeignKey("customers.Account", on_delete=models.PROTECT, related_name="+", db_index=False)
    meter = models.CharField(max_length=200)
    service = models.BigIntegerField()
    charge = models.CharField(max_length=200)
    period_name = models.CharField(max_length=7)
    why = models.CharField(max_length=20)
    opened_at = models.DateTimeField()
    due_at = models.DateTimeField()
    """Not before: nobody is called at night, and not again within the hour."""
    attempts = models.PositiveIntegerField(default=0, db_default=0)
    last_attempt_at = models.DateTimeField(null=True)
    closed_at = models.DateTimeField(null=True)
    closed_by = models.CharField(max_length=100, blank=True, default="", db_default="")
    outcome = models.CharField(max_length=20, blank=True, default="", db_default="")
    """Of the last attempt; once closed, how it ended."""
    note = models.TextField(blank=True, default="", db_default="")

    class Meta:
        db_table = "overage_phone_task"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["account", "meter", "period_name"], name="phone_task_once"),
            models.CheckConstraint(condition=Q(why__in=["unreached", "unanswered"]), name="phone_task_why"),
            models.CheckConstraint(
                condition=Q(closed_at__isnull=True, closed_by="")
                | (
                    Q(closed_at__isnull=False, outcome__in=["reached", "answered", "over", "unreachable"])
                    & ~Q(closed_by="")
                ),
                name="phone_task_says_how",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["due_at"], condition=Q(closed_at__isnull=True), name="phone_task_open")
        ]
