"""Tables of the platform room: operators, sign-in links, API tokens, the audit log, alarms. Private to the room."""

from typing import ClassVar

from django.contrib.auth.models import AbstractUser
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now

from coulance.platform.roles import Role


class Operator(AbstractUser):
    """A person who runs this system for the provider, and the role that says what they may do."""

    role = models.TextField(default=Role.VIEWER.value, db_default=Role.VIEWER.value)

    class Meta(AbstractUser.Meta):
        db_table = "platform_operator"
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=models.Q(role__in=[role.value for role in Role]), name="operator_has_known_role"
            ),
        ]


class SignInPolicy(models.Model):
    """One row: whether a second factor is demanded; null lets it follow from the address."""

    id = models.SmallIntegerField(primary_key=True, default=1)
    second_factor = models.BooleanField(null=True)

    class Meta:
        db_table = "platform_sign_in_policy"
        constraints: ClassVar = [
            models.CheckConstraint(condition=models.Q(id=1), name="sign_in_policy_is_one"),
        ]


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


class Alarm(models.Model):
    """What a person should look at: open until cleared, at most one open row a key."""

    key = models.TextField()
    severity = models.CharField(max_length=8)
    what = models.TextField()
    raised_at = models.DateTimeField()
    seen_at = models.DateTimeField()
    times = models.IntegerField(default=1, db_default=1)
    cleared_at = models.DateTimeField(null=True)
    cleared_by = models.TextField(blank=True, default="", db_default="")
    told_at = models.DateTimeField(null=True)
    over_told_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "platform_alarm"
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["key"], condition=models.Q(cleared_at__isnull=True), name="alarm_is_open_once"
            ),
            models.CheckConstraint(condition=models.Q(severity__in=["warning", "critical"]), name="alarm_severity"),
            models.CheckConstraint(condition=~models.Q(key="") & ~models.Q(what=""), name="alarm_says_what"),
        ]
        indexes: ClassVar = [models.Index(fields=["-raised_at"], name="alarm_by_time")]


class WebhookEndpoint(models.Model):
    """Where events are sent. Its secrets are encrypted with a key of the instance (`at_rest`)."""

    key = models.CharField(max_length=20, unique=True)
    """How it is named outside: ep_ and ten hexadecimal digits."""
    url = models.TextField()
    description = models.TextField(db_default="", default="")
    events = ArrayField(models.TextField(), default=list)
    """Which events: names, or `invoice.*`; empty is all."""
    secret = models.BinaryField()
    old_secret = models.BinaryField(null=True)
    old_secret_until = models.DateTimeField(null=True)
    made_at = models.DateTimeField()
    made_by = models.TextField()
    version = models.PositiveIntegerField(default=1, db_default=1)
    """Grows with each change by a person, so that two who change it at once are told."""
    disabled_at = models.DateTimeField(null=True)
    disabled_why = models.TextField(db_default="", default="")
    failing_since = models.DateTimeField(null=True)

    class Meta:
        db_table = "platform_webhook_endpoint"
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=models.Q(old_secret__isnull=True) | models.Q(old_secret_until__isnull=False),
                name="webhook_old_secret_ends",
            ),
        ]


class WebhookEvent(models.Model):
    """Something that happened, as it is told: `body` is the very text that is signed and sent, each time."""

    key = models.CharField(max_length=40, unique=True)
    event = models.CharField(max_length=60)
    body = models.TextField()
    at = models.DateTimeField(db_index=True)

    class Meta:
        db_table = "platform_webhook_event"


class WebhookDelivery(models.Model):
    """An event on its way to one endpoint. `waiting` rows with `next_try` are what is left to send: the outbox."""

    endpoint = models.ForeignKey(WebhookEndpoint, on_delete=models.CASCADE, related_name="+", db_index=False)
    event = models.ForeignKey(WebhookEvent, on_delete=models.CASCADE, related_name="+")
    state = models.CharField(max_length=10, default="waiting")
    attempts = models.PositiveIntegerField(default=0)
    next_try = models.DateTimeField(null=True)
    last_try = models.DateTimeField(null=True)
    last_status = models.PositiveSmallIntegerField(null=True)
    last_fault = models.TextField(db_default="", default="")
    delivered_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "platform_webhook_delivery"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["endpoint", "event"], name="webhook_delivered_once"),
            models.CheckConstraint(
                condition=models.Q(state="waiting", next_try__isnull=False)
                | models.Q(state__in=["delivered", "failed"], next_try__isnull=True),
                name="webhook_delivery_state",
            ),
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["endpoint", "next_try"], condition=models.Q(state="waiting"), name="webhook_delivery_due"
            ),
        ]


class IdempotentCall(models.Model):
    """The answer that a request with an Idempotency-Key got, to be given again. Written with what the request did."""

    token = models.CharField(max_length=16)
    key = models.CharField(max_length=200)
    fingerprint = models.BinaryField(max_length=32)
    """SHA-256 of method, address and body."""
    at = models.DateTimeField(db_index=True)
    status = models.PositiveSmallIntegerField()
    headers = models.JSONField(default=dict)
    body = models.BinaryField()

    class Meta:
        db_table = "platform_idempotent_call"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["token", "key"], name="idempotency_key_once_a_token"),
        ]


class CheckResult(models.Model):
    """What the last run of an audit said: one row a check."""

    name = models.TextField(primary_key=True)
    ran_at = models.DateTimeField()
    took_ms = models.IntegerField()
    faults = models.IntegerField()
    first = models.TextField(blank=True, default="", db_default="")
    sound_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "platform_check_result"


class RateLimit(models.Model):
    """How far somebody has used up what they may do in a while: until when their bucket is spoken for. Unlogged."""

    key = models.TextField(primary_key=True)
    full_until = models.DateTimeField()

    class Meta:
        db_table = "platform_rate_limit"
        indexes: ClassVar = [models.Index(fields=["full_until"], name="rate_limit_by_end")]


class Errand(models.Model):
    """Work that somebody asked for and a job does: how far it is, and what came of it."""

    key = models.CharField(max_length=30, unique=True)
    kind = models.CharField(max_length=40)
    subject = models.CharField(max_length=100)
    state = models.CharField(max_length=10, default="waiting")
    done = models.PositiveIntegerField(default=0)
    total = models.PositiveIntegerField(default=0)
    parameters = models.JSONField(default=dict)
    result = models.JSONField(null=True)
    fault = models.TextField(default="", db_default="")
    asked_by = models.TextField()
    asked_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "platform_errand"
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=models.Q(state__in=["waiting", "running", "done", "failed"]), name="errand_state"
            ),
            models.UniqueConstraint(
                fields=["kind", "subject"],
                condition=models.Q(state__in=["waiting", "running"]),
                name="errand_once_at_a_time",
            ),
        ]
