"""Tables of the notices room. Private to the room; its guards are triggers, in migration 0002.

Evidence is only ever added. A delivery changes its state along `states.MAY_FOLLOW` and no other way.
"""

from typing import ClassVar

from django.db import models
from django.db.models import Func, Q
from django.db.models.functions import Now

from coulance.notices.states import State
from coulance_core.notices import Channel, EvidenceKind


class Message(models.Model):
    """What is said, to whom it may concern: one text in one language. Never changed once queued.

    `key` makes queueing idempotent; `about` says what it is about (`document/17`). An account may be absent: mail to
    the provider's own people.
    """

    key = models.CharField(max_length=160, unique=True)
    account = models.ForeignKey("customers.Account", on_delete=models.PROTECT, related_name="+", null=True)
    kind = models.CharField(max_length=20)
    about = models.CharField(max_length=120, blank=True, default="", db_default="")
    language = models.CharField(max_length=5)
    sender = models.CharField(max_length=254, blank=True, default="", db_default="")
    sender_name = models.CharField(max_length=200, blank=True, default="", db_default="")
    reply_to = models.CharField(max_length=254, blank=True, default="", db_default="")
    bounces_to = models.CharField(max_length=254, blank=True, default="", db_default="")
    """Where what can't be delivered comes back to (the envelope's sender); empty is the sender."""
    subject = models.TextField()
    text = models.TextField()
    html = models.TextField(blank=True, default="", db_default="")
    queued_at = models.DateTimeField()
    queued_by = models.CharField(max_length=100)
    reason = models.TextField(blank=True, default="", db_default="")

    class Meta:
        db_table = "notices_message"
        constraints: ClassVar = [
            models.CheckConstraint(condition=~Q(key="") & ~Q(text=""), name="notices_message_says_something"),
        ]
        indexes: ClassVar = [models.Index(fields=["about"], name="notices_message_by_about")]


class MessageFile(models.Model):
    """What is attached: bytes kept here, or (`kind` other than bytes) something rendered when it is sent."""

    message = models.ForeignKey(Message, on_delete=models.CASCADE, related_name="files")
    no = models.PositiveSmallIntegerField()
    kind = models.CharField(max_length=20)
    ref = models.CharField(max_length=120, blank=True, default="", db_default="")
    name = models.CharField(max_length=200, blank=True, default="", db_default="")
    media_type = models.CharField(max_length=100, blank=True, default="", db_default="")
    content = models.BinaryField(null=True)

    class Meta:
        db_table = "notices_message_file"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["message", "no"], name="notices_file_once"),
            models.CheckConstraint(
                condition=Q(kind="bytes", content__isnull=False) | (~Q(kind="bytes") & ~Q(ref="")),
                name="notices_file_has_content",
            ),
        ]


class Delivery(models.Model):
    """One message to one address. `header_id` is its Message-ID header, the same at every attempt.

    `copy`: the provider's own blind copy, which proves nothing. `claim` is the sender at work on it.
    """

    message = models.ForeignKey(Message, on_delete=models.PROTECT, related_name="deliveries")
    contact_ref = models.CharField(max_length=100, blank=True, default="", db_default="")
    name = models.CharField(max_length=200, blank=True, default="", db_default="")
    address = models.CharField(max_length=254)
    channel = models.CharField(max_length=10, default="email", db_default="email")
    """`email`; `sms`, whose address is a telephone number as in +31612345678; `webhook`, whose address is `hook:17`."""
    copy = models.BooleanField(default=False, db_default=False)
    state = models.CharField(max_length=10, default="waiting", db_default="waiting")
    header_id = models.CharField(max_length=320, unique=True)
    """Cannot be guessed, so that nobody who never had the mail can make up a bounce of it."""
    provider_ref = models.CharField(max_length=250, blank=True, default="", db_default="")
    attempts = models.PositiveIntegerField(default=0, db_default=0)
    first_attempt_at = models.DateTimeField(null=True)
    next_attempt_at = models.DateTimeField()
    claim = models.BigIntegerField(null=True)
    accepted_at = models.DateTimeField(null=True)
    changed_at = models.DateTimeField()
    answer = models.TextField(blank=True, default="", db_default="")
    """What was said last: by a server, a bounce, or us."""
    resend_of = models.ForeignKey("self", on_delete=models.PROTECT, related_name="+", null=True)

    class Meta:
        db_table = "notices_delivery"
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(state__in=[s.value for s in State]), name="notices_delivery_state"),
            models.CheckConstraint(
                condition=Q(state__in=["claimed", "sending"], claim__isnull=False)
                | (~Q(state__in=["claimed", "sending"]) & Q(claim__isnull=True)),
                name="notices_delivery_claim",
            ),
            models.CheckConstraint(
                condition=~Q(state="accepted") | Q(accepted_at__isnull=False), name="notices_delivery_accepted"
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["next_attempt_at", "id"], condition=Q(state="waiting"), name="notices_delivery_due"),
            models.Index(fields=["claim"], condition=Q(claim__isnull=False), name="notices_delivery_claimed"),
            models.Index(
                fields=["state", "changed_at"],
                condition=Q(state__in=["refused", "bounced", "held", "uncertain"]),
                name="notices_delivery_failed",
            ),
            models.Index(fields=["provider_ref"], condition=~Q(provider_ref=""), name="notices_delivery_by_ref"),
            models.Index(
                fields=["state", "next_attempt_at"],
                condition=Q(channel="sms", state__in=["waiting", "accepted"]),
                name="notices_texts_open",
            ),
        ]


class Chain(models.Model):
    """An account's chain of evidence: its pseudonym, the salt of what is personal in it, and where it ends.

    The one chain without an account is of mail to the provider's own people.
    """

    account = models.ForeignKey("customers.Account", on_delete=models.PROTECT, related_name="+", null=True)
    pseudonym = models.UUIDField(unique=True, db_default=Func(function="gen_random_uuid"))
    salt = models.BinaryField(
        max_length=16, null=True, db_default=Func(Func(function="gen_random_uuid"), function="uuid_send")
    )
    length = models.PositiveIntegerField(default=0, db_default=0)
    head = models.BinaryField(max_length=32)

    class Meta:
        db_table = "notices_chain"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["account"], name="notices_chain_once", nulls_distinct=False),
        ]


class Evidence(models.Model):
    """A thing that became known about a message, chained to the one before of its account.

    `fact` holds no person; `personal` (addresses, a server's words) may be erased, with the chain's salt. `source`
    names where it came from when that may tell it twice (a bounce, a provider's event).
    """

    chain = models.ForeignKey(Chain, on_delete=models.PROTECT, related_name="+", db_index=False)
    seq = models.PositiveIntegerField()
    message = models.ForeignKey(Message, on_delete=models.PROTECT, related_name="+")
    delivery = models.ForeignKey(Delivery, on_delete=models.PROTECT, related_name="+", null=True)
    kind = models.CharField(max_length=20)
    channel = models.CharField(max_length=10, default="email", db_default="email")
    lasting = models.BooleanField(default=True, db_default=True)
    at = models.DateTimeField()
    recorded_at = models.DateTimeField()
    fact = models.JSONField(default=dict)
    personal = models.JSONField(null=True)
    personal_hash = models.BinaryField(max_length=32)
    source = models.CharField(max_length=200, null=True, unique=True)
    previous_hash = models.BinaryField(max_length=32)
    hash = models.BinaryField(max_length=32)

    class Meta:
        db_table = "notices_evidence"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["chain", "seq"], name="notices_evidence_once"),
            models.CheckConstraint(condition=Q(kind__in=[k.value for k in EvidenceKind]), name="notices_evidence_kind"),
            models.CheckConstraint(condition=Q(channel__in=[c.value for c in Channel]), name="notices_evidence_way"),
            models.CheckConstraint(condition=Q(seq__gte=1), name="notices_evidence_seq"),
        ]


class Verification(models.Model):
    """Since when an address of an account is known to reach somebody there, and how that became known."""

    account = models.ForeignKey("customers.Account", on_delete=models.PROTECT, related_name="+", db_index=False)
    address = models.CharField(max_length=254)
    at = models.DateTimeField()
    how = models.CharField(max_length=60)
    actor = models.CharField(max_length=100)
    recorded_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "notices_verification"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["account", "address"], name="notices_verified_once"),
            models.CheckConstraint(condition=~Q(how=""), name="notices_verified_somehow"),
        ]


class DeadAddress(models.Model):
    """An address that is written to no more: it bounced for good, or called a mail spam. Until somebody releases it."""

    address = models.CharField(max_length=254)
    since = models.DateTimeField()
    why = models.TextField()
    delivery = models.ForeignKey(Delivery, on_delete=models.PROTECT, related_name="+", null=True, db_index=False)
    released_at = models.DateTimeField(null=True)
    released_by = models.CharField(max_length=100, blank=True, default="", db_default="")
    release_reason = models.TextField(blank=True, default="", db_default="")

    class Meta:
        db_table = "notices_dead_address"
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["address"], condition=Q(released_at__isnull=True), name="notices_dead_once"
            ),
            models.CheckConstraint(
                condition=Q(released_at__isnull=True) | (~Q(released_by="") & ~Q(release_reason="")),
                name="notices_release_says_why",
            ),
        ]


class Hook(models.Model):
    """A contact's own webhook: a machine of theirs that is told of warnings. Its deliveries' address is `hook:ID`.

    It counts once it `verified` itself: it answered a challenge with what only the holder of its secret can compute.
    """

    account = models.ForeignKey("customers.Account", on_delete=models.PROTECT, related_name="+", db_index=False)
    contact = models.CharField(max_length=100)
    url = models.CharField(max_length=2000)
    secret_sealed = models.BinaryField()
    made_at = models.DateTimeField()
    made_by = models.CharField(max_length=100)
    tried_at = models.DateTimeField(null=True)
    verified_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    ended_by = models.CharField(max_length=100, blank=True, default="", db_default="")
    ended_why = models.CharField(max_length=200, blank=True, default="", db_default="")

    class Meta:
        db_table = "notices_hook"
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["account", "contact"], condition=Q(ended_at__isnull=True), name="notices_one_hook_a_contact"
            ),
            models.CheckConstraint(
                condition=Q(ended_at__isnull=True) | (~Q(ended_by="") & ~Q(ended_why="")), name="notices_hook_ends"
            ),
            models.CheckConstraint(condition=~Q(url="") & ~Q(contact=""), name="notices_hook_goes_somewhere"),
        ]


class PhoneCode(models.Model):
    """A code that was sent to a telephone, to learn that somebody of the account holds it. Kept as a salted hash."""

    account = models.ForeignKey("customers.Account", on_delete=models.PROTECT, related_name="+", db_index=False)
    phone = models.CharField(max_length=20)
    code_hash = models.BinaryField(max_length=32)
    salt = models.BinaryField(max_length=16)
    sent_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    attempts = models.PositiveSmallIntegerField(default=0, db_default=0)
    used_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "notices_phone_code"
        constraints: ClassVar = [models.CheckConstraint(condition=Q(attempts__lte=5), name="notices_code_tries")]
        indexes: ClassVar = [models.Index(fields=["account", "phone", "sent_at"], name="notices_code_by_phone")]
