"""Tables of the fair ways out: advice that was told, goodwill that was given, plans taken for one period.

Private to the room, like `models`. All are only added to: migration 0003 and its trigger see to that.
"""

from typing import ClassVar

from django.db import models
from django.db.models import Q


class Advised(models.Model):
    """A customer was told, unasked, that another plan would be cheaper. At most once a service and period."""

    service = models.ForeignKey("services.Service", on_delete=models.PROTECT, related_name="+", db_index=False)
    period_name = models.CharField(max_length=7)
    """The newest period that the advice looked at."""
    plan = models.CharField(max_length=200)
    saved = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    told_at = models.DateTimeField()
    told_by = models.CharField(max_length=100)

    class Meta:
        db_table = "overage_advised"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["service", "period_name"], name="advised_once"),
            models.CheckConstraint(condition=Q(saved__gt=0) & ~Q(plan=""), name="advised_saves"),
        ]


class Goodwill(models.Model):
    """What was given on a line of an invoice, by the credit note that gave it. Counts in the giver's budget of `month`.

    `month` is the calendar month of the provider's zone; `cost` what the line's use cost us, where that is known.
    """

    account = models.ForeignKey("customers.Account", on_delete=models.PROTECT, related_name="+")
    document = models.ForeignKey("invoicing.Document", on_delete=models.PROTECT, related_name="+")
    line_no = models.PositiveIntegerField()
    amount = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    cost = models.BigIntegerField(null=True)
    cause = models.CharField(max_length=20)
    reason = models.TextField()
    role = models.CharField(max_length=20)
    granted_by = models.CharField(max_length=100)
    granted_at = models.DateTimeField()
    month = models.CharField(max_length=7)
    credit_note = models.CharField(max_length=140, unique=True)
    explanation = models.JSONField()

    class Meta:
        db_table = "overage_goodwill"
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(amount__gt=0), name="goodwill_amount"),
            models.CheckConstraint(
                condition=~Q(reason="") & ~Q(cause="") & ~Q(granted_by="") & ~Q(credit_note=""),
                name="goodwill_says_why",
            ),
        ]
        indexes: ClassVar = [models.Index(fields=["granted_by", "month"], name="goodwill_budget")]


class PlanForPeriod(models.Model):
    """A larger plan that was taken for one period instead of its overage, once a service and period."""

    service = models.ForeignKey("services.Service", on_delete=models.PROTECT, related_name="+", db_index=False)
    period_name = models.CharField(max_length=7)
    plan = models.CharField(max_length=200)
    instead_of = models.CharField(max_length=140)
    """The number of the invoice with the overage."""
    credit_note = models.CharField(max_length=140, blank=True, default="", db_default="")
    """Empty when the overage was not issued yet: the difference took its place."""
    invoice = models.CharField(max_length=140, blank=True, default="", db_default="")
    """The number of the invoice with the difference; empty when the difference was nothing."""
    overage = models.BigIntegerField()
    difference = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    accepted_at = models.DateTimeField()
    accepted_by = models.CharField(max_length=100)
    reason = models.TextField()

    class Meta:
        db_table = "overage_plan_for_period"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["service", "period_name"], name="plan_for_period_once"),
            models.UniqueConstraint(
                fields=["credit_note"], condition=~Q(credit_note=""), name="plan_for_period_credited_once"
            ),
            models.CheckConstraint(
                condition=Q(difference__gte=0) & Q(difference__lt=models.F("overage")), name="plan_for_period_saves"
            ),
            models.CheckConstraint(condition=~Q(reason="") & ~Q(accepted_by=""), name="plan_for_period_says_why"),
        ]
