"""Tables of the sla room. Private to the room; what they guarantee beyond constraints is in migration 0002.

What was seen, said and credited is only added to. Instants inside evidence are microseconds since 1970, as core counts.
"""

from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q

from coulance_core.sla.paying import Pays

KINDS = ("http", "tcp", "icmp", "dns", "tls", "outside", "requests")
SAYS = ("outage", "maintenance", "exclusion", "up", "retracted")


class Agent(models.Model):
    """Somebody who looks: a probe agent (with the token it signs in by), or an outside source of evidence.

    `taken` are the numbers of looks that came in, as half-open ranges: exactly what is known twice.
    """

    name = models.CharField(max_length=100, unique=True)
    source = models.CharField(max_length=20)
    token_prefix = models.CharField(max_length=10, null=True, unique=True)
    taken = models.JSONField(default=list)
    lost = models.BigIntegerField(default=0, db_default=0)
    last_at = models.DateTimeField(null=True)
    made_at = models.DateTimeField()
    made_by = models.CharField(max_length=100)
    retired_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "sla_agent"


class Check(models.Model):
    """What is looked at of a service. `vantages` names agents; empty: every probe agent. `holds`: its source tells of
    changes only, so that what it said stays true until it says otherwise. Of `requests` its source counts requests and
    errors, in slots of `every_s`."""

    service = models.ForeignKey("services.Service", on_delete=models.PROTECT, related_name="+")
    kind = models.CharField(max_length=10)
    target = models.CharField(max_length=500)
    every_s = models.PositiveIntegerField(default=30, db_default=30)
    timeout_s = models.PositiveIntegerField(default=10, db_default=10)
    expect = models.JSONField(default=dict)
    vantages = ArrayField(models.CharField(max_length=100), default=list)
    holds = models.BooleanField(default=False, db_default=False)
    since = models.DateTimeField()
    until = models.DateTimeField(null=True)
    made_by = models.CharField(max_length=100)

    class Meta:
        db_table = "sla_check"
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(kind__in=KINDS), name="sla_check_kind"),
            models.CheckConstraint(condition=Q(until__isnull=True) | Q(until__gte=F("since")), name="sla_check_ends"),
            models.CheckConstraint(condition=Q(every_s__gt=0) & ~Q(target=""), name="sla_check_looks"),
        ]


class Batch(models.Model):
    """Looks that came in together, as compressed columns (check, instant, up, milliseconds)."""

    agent = models.ForeignKey(Agent, on_delete=models.PROTECT, related_name="+", db_index=False)
    digest = models.BinaryField()
    received_at = models.DateTimeField()
    first_at = models.BigIntegerField()
    last_at = models.BigIntegerField()
    rows = models.PositiveIntegerField()
    body = models.BinaryField()

    class Meta:
        db_table = "sla_batch"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["agent", "digest"], name="sla_batch_once"),
            models.CheckConstraint(condition=Q(rows__gt=0) & Q(last_at__gte=F("first_at")), name="sla_batch_rows"),
        ]
        indexes: ClassVar = [models.Index(fields=["first_at", "last_at"], name="sla_batch_time")]


class Track(models.Model):
    """What one agent saw of one check on one day (UTC), gathered out of its batches: columns of instant and up."""

    check_no = models.ForeignKey(Check, on_delete=models.PROTECT, related_name="+", db_index=False)
    agent = models.ForeignKey(Agent, on_delete=models.PROTECT, related_name="+", db_index=False)
    day = models.DateField()
    rows = models.PositiveIntegerField()
    body = models.BinaryField()

    class Meta:
        db_table = "sla_track"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["check_no", "day", "agent"], name="sla_track_once"),
        ]


class Rate(models.Model):
    """Requests and errors that one source counted of one check on one day (UTC), a slot each: columns of beginning,
    requests, errors."""

    check_no = models.ForeignKey(Check, on_delete=models.PROTECT, related_name="+", db_index=False)
    agent = models.ForeignKey(Agent, on_delete=models.PROTECT, related_name="+", db_index=False)
    day = models.DateField()
    rows = models.PositiveIntegerField()
    body = models.BinaryField()

    class Meta:
        db_table = "sla_rate"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["check_no", "day", "agent"], name="sla_rate_once"),
        ]


class Distrust(models.Model):
    """What an agent or source said from `since` up to `until` (None: for good) doesn't count: its token was taken."""

    agent = models.ForeignKey(Agent, on_delete=models.PROTECT, related_name="+")
    since = models.DateTimeField()
    until = models.DateTimeField(null=True)
    reason = models.TextField()
    at = models.DateTimeField()
    by = models.CharField(max_length=100)

    class Meta:
        db_table = "sla_distrust"
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(until__isnull=True) | Q(until__gt=F("since")), name="sla_distrust_ends"),
            models.CheckConstraint(condition=~Q(reason="") & ~Q(by=""), name="sla_distrust_says_why"),
        ]


class Entry(models.Model):
    """What an operator says of a service's time: an outage, announced maintenance, an exclusion with its evidence, that
    it was up; or that an earlier entry is taken back. `until` empty: it still goes on."""

    service = models.ForeignKey("services.Service", on_delete=models.PROTECT, related_name="+")
    says = models.CharField(max_length=12)
    since = models.DateTimeField()
    until = models.DateTimeField(null=True)
    announced_at = models.DateTimeField(null=True)
    reported_at = models.DateTimeField(null=True)
    kind = models.CharField(max_length=60, default="", db_default="")
    affected = models.CharField(max_length=20, default="1", db_default="1")
    words = models.TextField(default="", db_default="")
    """What customers read of it."""
    evidence = models.TextField(default="", db_default="")
    retracts = models.OneToOneField("self", on_delete=models.PROTECT, null=True, related_name="+")
    ends = models.OneToOneField("self", on_delete=models.PROTECT, null=True, related_name="+")
    """The entry that went on, which this one says over again with its end."""
    reason = models.TextField()
    at = models.DateTimeField()
    by = models.CharField(max_length=100)

    class Meta:
        db_table = "sla_entry"
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(says__in=SAYS), name="sla_entry_says"),
            models.CheckConstraint(condition=Q(until__isnull=True) | Q(until__gt=F("since")), name="sla_entry_ends"),
            models.CheckConstraint(
                condition=Q(says="retracted", retracts__isnull=False) | ~Q(says="retracted") & Q(retracts__isnull=True),
                name="sla_entry_retracts",
            ),
            models.CheckConstraint(
                condition=~Q(says="exclusion") | ~Q(kind="") & ~Q(evidence="") & Q(until__isnull=False),
                name="sla_entry_exclusion_has_evidence",
            ),
            models.CheckConstraint(condition=~Q(reason="") & ~Q(by=""), name="sla_entry_says_why"),
        ]
        indexes: ClassVar = [models.Index(fields=["service", "since"], name="sla_entry_time")]


class Counter(models.Model):
    """What a customer puts beside our evidence: their service was down then."""

    service = models.ForeignKey("services.Service", on_delete=models.PROTECT, related_name="+")
    account = models.ForeignKey("customers.Account", on_delete=models.PROTECT, related_name="+")
    since = models.DateTimeField()
    until = models.DateTimeField()
    words = models.TextField()
    at = models.DateTimeField()
    by = models.CharField(max_length=100)

    class Meta:
        db_table = "sla_counter"
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(until__gt=F("since")) & ~Q(words=""), name="sla_counter_says"),
        ]


class Decision(models.Model):
    """What was decided on counter-evidence, once; accepted, it made an entry."""

    counter = models.OneToOneField(Counter, on_delete=models.PROTECT, related_name="+")
    entry = models.OneToOneField(Entry, on_delete=models.PROTECT, null=True, related_name="+")
    accepted = models.BooleanField()
    reason = models.TextField()
    at = models.DateTimeField()
    by = models.CharField(max_length=100)

    class Meta:
        db_table = "sla_decision"
        constraints: ClassVar = [
            models.CheckConstraint(condition=~Q(reason="") & ~Q(by=""), name="sla_decision_says_why"),
            models.CheckConstraint(condition=Q(accepted=Q(entry__isnull=False)), name="sla_decision_acts"),
        ]


class Agreement(models.Model):
    """Which terms a service has from a day on, in place of its plan's; empty: none. The newest of a day counts.

    `made_of`: an application of several services, as core writes a composite; they are judged together."""

    service = models.ForeignKey("services.Service", on_delete=models.PROTECT, related_name="+")
    terms = models.CharField(max_length=80, blank=True)
    made_of = models.CharField(max_length=500, blank=True, default="", db_default="")
    valid_from = models.DateField()
    reason = models.TextField()
    at = models.DateTimeField()
    by = models.CharField(max_length=100)

    class Meta:
        db_table = "sla_agreement"
        constraints: ClassVar = [
            models.CheckConstraint(condition=~Q(reason="") & ~Q(by=""), name="sla_agreement_says_why"),
        ]


class Shown(models.Model):
    """Under which name and group a service stands on the public status page. Not there: not public."""

    service = models.OneToOneField("services.Service", on_delete=models.PROTECT, related_name="+")
    group = models.CharField(max_length=100)
    label = models.CharField(max_length=100)

    class Meta:
        db_table = "sla_shown"


class Preference(models.Model):
    """How an account wants its credits paid; the newest counts."""

    account = models.ForeignKey("customers.Account", on_delete=models.PROTECT, related_name="+")
    way = models.CharField(max_length=12)
    at = models.DateTimeField()
    by = models.CharField(max_length=100)

    class Meta:
        db_table = "sla_preference"
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(way__in=[w.value for w in Pays]), name="sla_preference_way"),
        ]


class Measure(models.Model):
    """What a service's period came to, as measured from all evidence known at `at`; a later one that differs is a next
    `no`. `terms` are those that judged it, whole: they judge every later one of that period too. `so_far`: the period
    wasn't over, or its evidence not settled; what it owes is owed, and more may come."""

    service = models.ForeignKey("services.Service", on_delete=models.PROTECT, related_name="+", db_index=False)
    account = models.ForeignKey("customers.Account", on_delete=models.PROTECT, related_name="+")
    period_name = models.CharField(max_length=7)
    start = models.DateTimeField()
    end = models.DateTimeField()
    no = models.PositiveIntegerField()
    terms_version = models.CharField(max_length=100)
    terms = models.JSONField()
    downtime = models.BigIntegerField()
    unknown = models.BigIntegerField()
    availability = models.CharField(max_length=40)
    outages = models.JSONField()
    fee = models.BigIntegerField()
    amount = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    explanation = models.JSONField()
    so_far = models.BooleanField(default=False, db_default=False)
    at = models.DateTimeField()

    class Meta:
        db_table = "sla_measure"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["service", "period_name", "no"], name="sla_measure_once"),
            models.CheckConstraint(
                condition=Q(amount__gte=0, downtime__gte=0, unknown__gte=0, end__gt=F("start"), no__gte=1),
                name="sla_measure_sane",
            ),
        ]


class Credit(models.Model):
    """What is credited by a measure, above what earlier ones of that service and period credited."""

    measure = models.OneToOneField(Measure, on_delete=models.PROTECT, related_name="+")
    amount = models.BigIntegerField()
    at = models.DateTimeField()
    by = models.CharField(max_length=100)

    class Meta:
        db_table = "sla_credit"
        constraints: ClassVar = [models.CheckConstraint(condition=Q(amount__gt=0), name="sla_credit_amount")]


class Payout(models.Model):
    """How a credit was paid: by which credit note, and where what that left over went."""

    credit = models.ForeignKey(Credit, on_delete=models.PROTECT, related_name="+", db_index=False)
    number = models.CharField(max_length=140)
    amount = models.BigIntegerField()
    way = models.CharField(max_length=12)
    at = models.DateTimeField()
    by = models.CharField(max_length=100)

    class Meta:
        db_table = "sla_payout"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["credit", "number"], name="sla_payout_once"),
            models.CheckConstraint(
                condition=Q(amount__gt=0, way__in=[w.value for w in Pays]) & ~Q(number=""), name="sla_payout_amount"
            ),
        ]


class Claimed(models.Model):
    """That a credit was claimed of a supplier for a month, or won't be (amount zero), and where that is shown."""

    supplier = models.CharField(max_length=200)
    terms = models.CharField(max_length=100)
    period_name = models.CharField(max_length=7)
    amount = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    reference = models.CharField(max_length=500)
    at = models.DateTimeField()
    by = models.CharField(max_length=100)

    class Meta:
        db_table = "sla_claimed"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["supplier", "terms", "period_name"], name="sla_claimed_once"),
            models.CheckConstraint(condition=Q(amount__gte=0) & ~Q(reference=""), name="sla_claimed_says_where"),
        ]
