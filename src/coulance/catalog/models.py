"""Tables of the catalog room: revisions of the provider file and the plan versions they published. Private."""

from typing import ClassVar

from django.db import models


class Revision(models.Model):
    """One applied provider file, as it was: never changed, never deleted (a trigger refuses both)."""

    digest = models.CharField(max_length=64)
    """SHA-256 over the names and texts of its files."""
    root = models.TextField()
    sources = models.JSONField()
    """The texts by file name, as [[name, text], ...], the root first."""
    settings = models.JSONField()
    """What has no versions of its own, as core's codec writes it: provider, meters, tax, series, and plans sold."""
    actor = models.TextField()
    applied_at = models.DateTimeField()
    changes = models.JSONField(default=list)
    """What it changed, one sentence each."""

    class Meta:
        db_table = "catalog_revision"
        constraints: ClassVar = [
            models.CheckConstraint(condition=models.Q(digest__regex=r"^[0-9a-f]{64}$"), name="revision_has_digest"),
            models.CheckConstraint(condition=~models.Q(actor=""), name="revision_has_actor"),
        ]


class PlanVersion(models.Model):
    """A plan's published version: its terms and the revision that published it. Never changed, never deleted."""

    revision = models.ForeignKey(Revision, on_delete=models.PROTECT, related_name="+")
    plan = models.CharField(max_length=60)
    valid_from = models.DateField()
    digest = models.CharField(max_length=64)
    """SHA-256 over its terms without its texts: what may not change once it is published."""
    terms = models.JSONField()

    class Meta:
        db_table = "catalog_planversion"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["plan", "valid_from"], name="planversion_once_a_day"),
            models.CheckConstraint(condition=models.Q(digest__regex=r"^[0-9a-f]{64}$"), name="planversion_has_digest"),
        ]


class PoolVersion(models.Model):
    """A pool's published version. Never changed, never deleted."""

    revision = models.ForeignKey(Revision, on_delete=models.PROTECT, related_name="+")
    pool = models.CharField(max_length=60)
    valid_from = models.DateField()
    digest = models.CharField(max_length=64)
    terms = models.JSONField()

    class Meta:
        db_table = "catalog_poolversion"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["pool", "valid_from"], name="poolversion_once_a_day"),
            models.CheckConstraint(condition=models.Q(digest__regex=r"^[0-9a-f]{64}$"), name="poolversion_has_digest"),
        ]
