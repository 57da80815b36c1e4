"""Tables of the enforcement room. Private to the room; what they guarantee beyond constraints is in migration 0002."""

from typing import ClassVar

from django.db import models
from django.db.models import Q

from coulance_core.enforcement.restrictions import Action, Source


class Restriction(models.Model):
    """One restriction of one service: by whom, for which cause, since when, and when it was lifted. Never deleted."""

    service = models.ForeignKey("services.Service", on_delete=models.PROTECT, related_name="+")
    source = models.CharField(max_length=20)
    ref = models.CharField(max_length=200)
    """What caused it. The same cause places it once."""
    reason = models.TextField()
    action = models.CharField(max_length=20)
    rate_bps = models.BigIntegerField(null=True)
    address = models.CharField(max_length=45, blank=True, default="", db_default="")
    observe = models.BooleanField(default=False, db_default=False)
    """Recorded only: what would have been done."""
    placed_at = models.DateTimeField()
    placed_by = models.CharField(max_length=100)
    lifted_at = models.DateTimeField(null=True)
    lifted_by = models.CharField(max_length=100, blank=True, default="", db_default="")
    lift_reason = models.TextField(blank=True, default="", db_default="")

    class Meta:
        db_table = "enforcement_restriction"
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(source__in=[s.value for s in Source]), name="restriction_source"),
            models.CheckConstraint(condition=Q(action__in=[a.value for a in Action]), name="restriction_action"),
            models.CheckConstraint(
                condition=~Q(ref="") & ~Q(reason="") & ~Q(placed_by=""), name="restriction_says_why"
            ),
            models.CheckConstraint(
                condition=Q(action="throttle", rate_bps__gt=0) | (~Q(action="throttle") & Q(rate_bps__isnull=True)),
                name="restriction_rate",
            ),
            models.CheckConstraint(
                condition=(Q(action="blackhole") & ~Q(address="")) | (~Q(action="blackhole") & Q(address="")),
                name="restriction_address",
            ),
            models.CheckConstraint(
                condition=Q(lifted_at__isnull=True, lifted_by="", lift_reason="")
                | (Q(lifted_at__isnull=False) & ~Q(lifted_by="") & ~Q(lift_reason="")),
                name="restriction_lift_says_why",
            ),
            models.UniqueConstraint(
                fields=["service", "source", "ref", "action", "address", "observe"],
                condition=Q(lifted_at__isnull=True),
                name="restriction_once_a_cause",
            ),
        ]


class Target(models.Model):
    """Where a service's network is reached: which driver, and the identity that must be read back there first."""

    service = models.ForeignKey("services.Service", on_delete=models.PROTECT, related_name="+")
    driver = models.CharField(max_length=60)
    identity = models.CharField(max_length=200)
    parameters = models.JSONField(default=dict)

    class Meta:
        db_table = "enforcement_target"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["service", "driver"], name="target_once"),
            models.CheckConstraint(condition=~Q(identity="") & ~Q(driver=""), name="target_is_named"),
        ]


class Work(models.Model):
    """A service whose real state may not be what the register says. One row a service, until it was seen to be right.

    `version` counts changes of the register: work that was begun before a change is not done by it.
    """

    service = models.OneToOneField("services.Service", on_delete=models.PROTECT, related_name="+", primary_key=True)
    version = models.BigIntegerField(default=1)
    since = models.DateTimeField()
    routine = models.BooleanField(default=False, db_default=False)
    """A regular look, and no change of the register: finding what should be is not worth a record."""
    attempts = models.PositiveIntegerField(default=0, db_default=0)
    next_try = models.DateTimeField()
    claimed_at = models.DateTimeField(null=True)
    claimed_by = models.CharField(max_length=100, blank=True, default="", db_default="")

    class Meta:
        db_table = "enforcement_work"
        indexes: ClassVar = [
            models.Index(fields=["next_try"], name="work_by_next_try"),
            models.Index(fields=["routine", "next_try"], name="work_by_urgency"),
        ]


class Act(models.Model):
    """What was found and done at one target, with the proof. Only added to."""

    service = models.ForeignKey("services.Service", on_delete=models.PROTECT, related_name="+")
    driver = models.CharField(max_length=60)
    version = models.BigIntegerField()
    outcome = models.CharField(max_length=20)
    decided_at = models.DateTimeField()
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField()
    identity = models.CharField(max_length=200, blank=True, default="", db_default="")
    """As read back from the target."""
    desired = models.JSONField()
    before = models.JSONField(null=True)
    after = models.JSONField(null=True)
    proof = models.TextField(blank=True, default="", db_default="")
    fault = models.TextField(blank=True, default="", db_default="")

    class Meta:
        db_table = "enforcement_act"
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(outcome__in=["done", "unchanged", "refused", "failed"]), name="act_outcome"
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["service", "-id"], name="act_by_service"),
            models.Index(fields=["finished_at"], condition=Q(outcome="done"), name="act_done_by_time"),
        ]


class Executor(models.Model):
    """A running executor, by its name; its heart beats every few seconds, and it goes when it is stopped."""

    name = models.CharField(max_length=100, primary_key=True)
    started_at = models.DateTimeField()
    beat_at = models.DateTimeField()

    class Meta:
        db_table = "enforcement_executor"
