"""Tables of the platform room: operators, their sign-in links, API tokens, and the audit log. Private to the room."""

from typing import ClassVar

from django.contrib.auth.models import AbstractUser
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now


class Operator(AbstractUser):
    """A person who runs this system for the provider. A table of our own, so that it can grow (second factor)."""

    class Meta(AbstractUser.Meta):
        db_table = "platform_operator"


class SignInLink(models.Model):
    """A link that signs an operator in once. Only the hash of its secret is kept."""

    operator = models.ForeignKey(Operator, on_delete=models.CASCADE, related_name="sign_in_links")
    secret_hash = models.BinaryField(max_length=32, unique=True)
    made_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "platform_sign_in_link"
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=models.Q(expires_at__gt=models.F("made_at")), name="sign_in_link_expires_after_made"
            ),
        ]


class ApiToken(models.Model):
    """A key to the API: what it may do, until when. Only the hash of its secret is kept; the prefix is shown."""

    name = models.TextField()
    prefix = models.CharField(max_length=16, unique=True)
    secret_hash = models.BinaryField(max_length=32)
    scopes = ArrayField(models.TextField())
    made_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)
    last_used_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "platform_api_token"
        constraints: ClassVar = [
            models.CheckConstraint(condition=~models.Q(name=""), name="api_token_has_name"),
            models.CheckConstraint(condition=models.Q(scopes__len__gt=0), name="api_token_has_scope"),
            models.CheckConstraint(
                condition=models.Q(expires_at__isnull=True) | models.Q(expires_at__gt=models.F("made_at")),
                name="api_token_expires_after_made",
            ),
        ]


class AuditEvent(models.Model):
    """Who did what to what, and why. Append-only: a trigger refuses UPDATE, DELETE and TRUNCATE."""

    at = models.DateTimeField()
    recorded_at = models.DateTimeField(db_default=Now())
    actor = models.TextField()
    act = models.TextField()
    subject = models.TextField()
    reason = models.TextField(blank=True, default="")
    detail = models.JSONField(default=dict)

    class Meta:
        db_table = "platform_audit_event"
        indexes: ClassVar = [
            models.Index(fields=["subject", "at"], name="audit_by_subject"),
            models.Index(fields=["at"], name="audit_by_time"),
        ]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=~models.Q(actor="") & ~models.Q(act="") & ~models.Q(subject=""), name="audit_is_complete"
            ),
        ]
