"""Tables of campaigns: invitations to existing customers to say how far overage may go. Private to the room."""

from typing import ClassVar

from django.db import models
from django.db.models import Q


class Campaign(models.Model):
    """A batch of invitations, sent no faster than `per_hour`."""

    name = models.CharField(max_length=60, unique=True)
    state = models.CharField(max_length=10, default="running", db_default="running")
    per_hour = models.PositiveIntegerField()
    started_at = models.DateTimeField()
    started_by = models.CharField(max_length=100)
    reason = models.TextField()

    class Meta:
        db_table = "overage_campaign"
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(state__in=["running", "paused", "done"]), name="campaign_state"),
            models.CheckConstraint(condition=Q(per_hour__gte=1) & ~Q(reason=""), name="campaign_says_why"),
        ]


class Invitation(models.Model):
    """One contact's invitation about one charge, or pool, or (without a service) about a limit for everything.

    Of a pool `service` is the first that draws on it, and `charge` its meter. `message` is the key of the mail, once it
    is queued.
    """

    campaign = models.ForeignKey(Campaign, on_delete=models.CASCADE, related_name="+")
    account = models.ForeignKey("customers.Account", on_delete=models.PROTECT, related_name="+")
    service = models.ForeignKey("services.Service", on_delete=models.PROTECT, related_name="+", null=True)
    charge = models.CharField(max_length=80)
    contact = models.CharField(max_length=100)
    provisional = models.BigIntegerField(null=True)
    """The consent that keeps a customer running who always paid for more, until they answer."""
    message = models.CharField(max_length=200, blank=True, default="", db_default="")
    queued_at = models.DateTimeField(null=True)
    fault = models.TextField(blank=True, default="", db_default="")

    class Meta:
        db_table = "overage_invitation"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["campaign", "service", "charge"], name="invited_once"),
            models.UniqueConstraint(
                fields=["campaign", "account"], condition=Q(service__isnull=True), name="invited_once_for_all"
            ),
            models.CheckConstraint(condition=Q(service__isnull=False) | Q(charge=""), name="invited_about_something"),
            models.CheckConstraint(
                condition=Q(queued_at__isnull=True) | ~Q(message="") | ~Q(fault=""), name="invited_or_why_not"
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["campaign", "id"], name="invitation_due", condition=Q(queued_at__isnull=True)),
            models.Index(fields=["campaign", "queued_at"], name="invitation_pace"),
        ]
