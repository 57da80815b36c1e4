"""Tables of money that goes back to customers, and of what banks answered to files. Private to the room.

What they guarantee beyond constraints is in migration 0009.
"""

from typing import ClassVar

from django.db import models
from django.db.models import Q

from coulance_core.payments.paybacks import PaybackState


class PaybackRun(models.Model):
    """A file of credit transfers for the bank: made once, with its hash, handed over once."""

    reference = models.CharField(max_length=35, unique=True)
    """The message id of the file."""
    currency = models.CharField(max_length=3)
    form = models.CharField(max_length=20)
    debtor = models.JSONField()
    """Who pays, as the file says: name and IBAN."""
    count = models.PositiveIntegerField()
    total = models.BigIntegerField()
    file = models.BinaryField()
    file_hash = models.BinaryField(max_length=32)
    made_at = models.DateTimeField()
    made_by = models.CharField(max_length=100)
    handed_at = models.DateTimeField(null=True)
    handed_by = models.CharField(max_length=100, default="", db_default="")
    cancelled_at = models.DateTimeField(null=True)
    cancelled_by = models.CharField(max_length=100, default="", db_default="")
    cancelled_why = models.TextField(default="", db_default="")

    class Meta:
        db_table = "payments_payback_run"
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(count__gt=0, total__gt=0), name="payback_run_holds_something"),
            models.CheckConstraint(
                condition=Q(handed_at__isnull=True, handed_by="") | (Q(handed_at__isnull=False) & ~Q(handed_by="")),
                name="payback_run_handed_by_somebody",
            ),
            models.CheckConstraint(
                condition=Q(cancelled_at__isnull=True, cancelled_by="", cancelled_why="")
                | (Q(cancelled_at__isnull=False, handed_at__isnull=True) & ~Q(cancelled_why="") & ~Q(cancelled_by="")),
                name="payback_run_cancelled_before",
            ),
        ]


class Payback(models.Model):
    """Money of a receipt that is to go back to its customer, by bank or by the gateway it came by."""

    account = models.ForeignKey("customers.Account", on_delete=models.PROTECT, related_name="+")
    receipt = models.ForeignKey("payments.Receipt", on_delete=models.PROTECT, related_name="+")
    amount = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    way = models.CharField(max_length=10)
    """`bank`, or the gateway's name."""
    iban = models.CharField(max_length=34, default="", db_default="")
    """Where it goes; empty while nobody said."""
    holder = models.CharField(max_length=140)
    end_to_end_id = models.CharField(max_length=35, unique=True)
    state = models.CharField(max_length=10, default="asked", db_default="asked")
    source_key = models.CharField(max_length=200, unique=True)
    reason = models.TextField()
    asked_at = models.DateTimeField()
    asked_by = models.CharField(max_length=100)
    run = models.ForeignKey(PaybackRun, on_delete=models.PROTECT, related_name="+", null=True)
    refund = models.OneToOneField("payments.Refund", on_delete=models.PROTECT, related_name="+", null=True)
    """The refund in the books, from approval on."""
    bank_says = models.CharField(max_length=10, default="", db_default="")
    ended_on = models.DateField(null=True)
    why = models.TextField(default="", db_default="")
    changed_at = models.DateTimeField()

    class Meta:
        db_table = "payments_payback"
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(amount__gt=0), name="payback_amount"),
            models.CheckConstraint(condition=Q(way__in=["bank", "stripe", "mollie"]), name="payback_way"),
            models.CheckConstraint(condition=Q(state__in=[s.value for s in PaybackState]), name="payback_state"),
            models.CheckConstraint(
                condition=Q(state__in=["asked", "declined"]) | Q(refund__isnull=False), name="payback_is_booked"
            ),
            models.CheckConstraint(
                condition=~Q(state__in=["filed", "handed"]) | Q(run__isnull=False, way="bank"), name="payback_in_a_file"
            ),
            models.CheckConstraint(
                condition=Q(state__in=["asked", "declined"]) | ~Q(way="bank") | ~Q(iban=""),
                name="payback_goes_somewhere",
            ),
            models.CheckConstraint(condition=~Q(reason="") & ~Q(source_key=""), name="payback_says_why"),
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["asked_at"],
                name="payback_open",
                condition=Q(state__in=["asked", "approved", "filed", "handed"]),
            ),
        ]


class PaybackApproval(models.Model):
    """A person's yes to a payback; each once."""

    payback = models.ForeignKey(Payback, on_delete=models.PROTECT, related_name="+")
    by = models.CharField(max_length=100)
    reason = models.TextField()
    at = models.DateTimeField()

    class Meta:
        db_table = "payments_payback_approval"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["payback", "by"], name="payback_approval_once"),
            models.CheckConstraint(condition=~Q(by="") & ~Q(reason=""), name="payback_approval_says_why"),
        ]


class BankReport(models.Model):
    """What a bank answered to a file (pain.002), read once; `outcome` is what came of it, for people."""

    message = models.CharField(max_length=140)
    of = models.CharField(max_length=140)
    form = models.CharField(max_length=20)
    status = models.CharField(max_length=10, default="", db_default="")
    created_at = models.DateTimeField(null=True)
    file_name = models.CharField(max_length=200)
    fingerprint = models.BinaryField(max_length=32, unique=True)
    read_at = models.DateTimeField()
    read_by = models.CharField(max_length=100)
    outcome = models.JSONField()

    class Meta:
        db_table = "payments_bank_report"
