"""Tables of the disputes room. Private to the room; what they guarantee beyond constraints is in migration 0002.

Rows are only added; a case is closed once. Money is in minor units. What is held is a hold of the ledger under
`dispute/<case>`: this room says how it came to be, the ledger that it is there.
"""

from typing import ClassVar

from django.db import models
from django.db.models import F, Q

from coulance_core.disputes import Grounds, Outcome, StepKind, Way

_CLOSING = [kind.value for kind in StepKind if kind.closes]


class Case(models.Model):
    """What an account contests of one debt. `net`, `tax` and `gross` are the contested part; `gross` is held.

    The debt is an invoice of ours (`document`), or one that was taken over (`opening`): that has no lines here and no
    tax of its own, so its contested part is all `net`.
    """

    account = models.ForeignKey("customers.Account", on_delete=models.PROTECT, related_name="+")
    document = models.ForeignKey("invoicing.Document", on_delete=models.PROTECT, related_name="+", null=True)
    opening = models.BigIntegerField(null=True, db_column="opening_id", db_index=True)
    """An item of payments, which is no room below this one: the database holds the reference (migration 0003)."""
    number = models.CharField(max_length=140)
    """The invoice's number, as people name it."""
    currency = models.CharField(max_length=3)
    net = models.BigIntegerField()
    tax = models.BigIntegerField()
    gross = models.BigIntegerField()
    grounds = models.CharField(max_length=20)
    reason = models.TextField()
    new_fact = models.TextField(default="", db_default="")
    """What is new, where the debt was contested before."""
    contact = models.CharField(max_length=200, default="", db_default="")
    """The contact (external id) who opened it, or whom it was opened for."""
    policy = models.JSONField()
    """The times that bind both sides, as they were when it was opened."""
    opened_at = models.DateTimeField()
    opened_by = models.CharField(max_length=100)
    closed_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "disputes_case"
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(grounds__in=[g.value for g in Grounds]), name="case_grounds"),
            models.CheckConstraint(
                condition=Q(net__gt=0, tax__gte=0, gross=F("net") + F("tax")), name="case_amounts_add_up"
            ),
            models.CheckConstraint(
                condition=Q(document__isnull=False, opening__isnull=True)
                | Q(document__isnull=True, opening__isnull=False, tax=0),
                name="case_of_one_debt",
            ),
            models.CheckConstraint(condition=Q(currency__regex=r"^[A-Z]{3}$"), name="case_currency"),
            models.CheckConstraint(condition=~Q(reason="") & ~Q(opened_by=""), name="case_says_why"),
            models.CheckConstraint(
                condition=Q(closed_at__isnull=True) | Q(closed_at__gte=F("opened_at")), name="case_closed_after"
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["opened_at", "id"], condition=Q(closed_at__isnull=True), name="case_open"),
        ]


class Part(models.Model):
    """What of one line is contested: named by `way`, and what that comes to before tax, with the arithmetic.

    Of a debt that was taken over there is one, on line 0: the debt as a whole, tax included.
    """

    case = models.ForeignKey(Case, on_delete=models.PROTECT, related_name="+", db_index=False)
    line_no = models.PositiveIntegerField()
    way = models.CharField(max_length=10)
    named = models.JSONField()
    """What was named: amount, quantity, days; and what is accepted."""
    net = models.BigIntegerField()
    explanation = models.JSONField()

    class Meta:
        db_table = "disputes_part"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["case", "line_no"], name="part_once_a_line"),
            models.CheckConstraint(condition=Q(way__in=[w.value for w in Way]), name="part_way"),
            models.CheckConstraint(condition=Q(net__gt=0), name="part_net"),
        ]


class Step(models.Model):
    """One thing that happened in a case, in order. Both sides see every one."""

    case = models.ForeignKey(Case, on_delete=models.PROTECT, related_name="+", db_index=False)
    no = models.PositiveIntegerField()
    kind = models.CharField(max_length=12)
    at = models.DateTimeField()
    by = models.CharField(max_length=100)
    text = models.TextField()
    outcome = models.CharField(max_length=12, default="", db_default="")
    detail = models.JSONField(default=dict)
    """By kind: what was credited and by which documents, the mediator and their reference, when a question reached."""
    messages = models.JSONField(default=list)
    """Keys of the messages that told of it: the evidence of when it arrived."""

    class Meta:
        db_table = "disputes_step"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["case", "no"], name="step_no"),
            models.UniqueConstraint(fields=["case"], condition=Q(kind__in=_CLOSING), name="step_closes_once"),
            models.CheckConstraint(condition=Q(kind__in=[k.value for k in StepKind]), name="step_kind"),
            models.CheckConstraint(condition=~Q(text="") & ~Q(by=""), name="step_says_what"),
            models.CheckConstraint(
                condition=Q(kind="decided", outcome__in=[o.value for o in Outcome])
                | (~Q(kind="decided") & Q(outcome="")),
                name="step_decision_has_outcome",
            ),
        ]


class File(models.Model):
    """A file that somebody added to a case. Only ever handed out as an attachment, to who may see the case."""

    case = models.ForeignKey(Case, on_delete=models.PROTECT, related_name="+")
    step_no = models.PositiveIntegerField()
    name = models.CharField(max_length=120)
    media_type = models.CharField(max_length=80)
    size = models.PositiveIntegerField()
    sha256 = models.CharField(max_length=64)
    content = models.BinaryField()
    added_at = models.DateTimeField()
    added_by = models.CharField(max_length=100)

    class Meta:
        db_table = "disputes_file"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["case", "sha256"], name="file_once"),
            models.CheckConstraint(condition=Q(size__gt=0, size__lte=10 * 1024 * 1024), name="file_size"),
            models.CheckConstraint(condition=Q(name__regex=r"^[A-Za-z0-9][A-Za-z0-9._ -]*$"), name="file_name_safe"),
            models.CheckConstraint(condition=Q(sha256__regex=r"^[0-9a-f]{64}$"), name="file_hash"),
        ]
