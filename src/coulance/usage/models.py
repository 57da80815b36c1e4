"""Tables of the usage room: batches, blobs, counter pages, the manifest of segments, quarantine. Private to the room.

The hot path reads and writes them in SQL of its own (`ingest.py`); the models give the tables their shape and let the
rest of the room query them.
"""

from typing import ClassVar

from django.db import models
from django.db.models import F, Q


class Batch(models.Model):
    """A batch that was accepted: its answer, by which a resend is answered. Its id is the revision of its samples."""

    id = models.BigIntegerField(primary_key=True)
    source = models.TextField()
    key = models.TextField()
    digest = models.BinaryField(max_length=32)
    recorded_at = models.DateTimeField()
    rows = models.IntegerField()
    answer = models.JSONField()

    class Meta:
        db_table = "usage_batch"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["source", "key"], name="usage_batch_once"),
            models.CheckConstraint(condition=~Q(source="") & ~Q(key=""), name="usage_batch_is_named"),
            models.CheckConstraint(condition=Q(rows__gte=0), name="usage_batch_rows"),
        ]
        indexes: ClassVar = [models.Index(fields=["recorded_at"], name="usage_batch_recorded")]


class Blob(models.Model):
    """The samples of one batch that are not sealed into a segment yet, as columns (see `blobs.py`)."""

    id = models.BigIntegerField(primary_key=True)
    rows = models.IntegerField()
    series_min = models.BigIntegerField()
    series_max = models.BigIntegerField()
    at_min = models.BigIntegerField()
    at_max = models.BigIntegerField()
    data = models.BinaryField()

    class Meta:
        db_table = "usage_blob"
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(rows__gt=0), name="usage_blob_not_empty"),
            models.CheckConstraint(
                condition=Q(series_min__lte=F("series_max")) & Q(at_min__lte=F("at_max")), name="usage_blob_bounds"
            ),
        ]


class StatePage(models.Model):
    """For a page of series: the high-water mark and the last reading of each (see `pages.py`). Locked to ingest.

    The database checks the length of `data`, here and in the day pages (migration 0001).
    """

    page = models.IntegerField(primary_key=True)
    data = models.BinaryField()

    class Meta:
        db_table = "usage_state_page"
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(page__gte=0), name="usage_state_page_number"),
        ]


class DayPage(models.Model):
    """For a page of series and a civil day: count, sums and last revision of each (see `pages.py`)."""

    pk = models.CompositePrimaryKey("page", "day")
    page = models.IntegerField()
    day = models.IntegerField()
    revision = models.BigIntegerField()
    data = models.BinaryField()

    class Meta:
        db_table = "usage_day_page"
        constraints: ClassVar = [models.CheckConstraint(condition=Q(page__gte=0), name="usage_day_page_number")]


class SegmentState(models.TextChoices):
    """What a manifest row says of its file."""

    LIVE = "live"
    """Read."""
    SUPERSEDED = "superseded"
    """Its samples are in a larger segment; kept for older backups that still name it."""
    EXPIRED = "expired"
    """Its month is past what is kept; the file waits for its deletion like a superseded one."""
    DELETED = "deleted"
    """The file is gone; the row stays as the record of it."""


class Segment(models.Model):
    """The manifest: one immutable Parquet file of samples of one UTC month."""

    path = models.TextField(unique=True)
    month = models.DateField()
    level = models.SmallIntegerField()
    rows = models.BigIntegerField()
    size = models.BigIntegerField()
    sha256 = models.BinaryField(max_length=32)
    series_min = models.BigIntegerField()
    series_max = models.BigIntegerField()
    at_min = models.BigIntegerField()
    at_max = models.BigIntegerField()
    revision_min = models.BigIntegerField()
    revision_max = models.BigIntegerField()
    state = models.CharField(max_length=10, choices=SegmentState.choices, default=SegmentState.LIVE)
    sealed_at = models.DateTimeField()
    left_at = models.DateTimeField(null=True)
    delete_after = models.DateTimeField(null=True)
    deleted_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "usage_segment"
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(state__in=SegmentState.values), name="usage_segment_state"),
            models.CheckConstraint(condition=Q(rows__gt=0) & Q(size__gt=0), name="usage_segment_not_empty"),
            models.CheckConstraint(
                condition=Q(state=SegmentState.LIVE, left_at__isnull=True, delete_after__isnull=True)
                | Q(~Q(state=SegmentState.LIVE), left_at__isnull=False, delete_after__isnull=False),
                name="usage_segment_leaves_with_a_date",
            ),
            models.CheckConstraint(
                condition=Q(state=SegmentState.DELETED, deleted_at__isnull=False)
                | Q(~Q(state=SegmentState.DELETED), deleted_at__isnull=True),
                name="usage_segment_deleted_with_a_date",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["month"], condition=Q(state="live"), name="usage_segment_live"),
        ]


class Horizon(models.Model):
    """The one row that says from when on samples are kept; before it, segments have expired."""

    id = models.SmallIntegerField(primary_key=True)
    kept_from = models.BigIntegerField()

    class Meta:
        db_table = "usage_horizon"
        constraints: ClassVar = [models.CheckConstraint(condition=Q(id=1), name="usage_horizon_is_one")]


class CounterStart(models.Model):
    """Evidence that a series' counter began again: it counts from zero since `at` (boot, agent start)."""

    pk = models.CompositePrimaryKey("series_id", "at")
    series_id = models.BigIntegerField()
    at = models.BigIntegerField()
    batch = models.BigIntegerField()

    class Meta:
        db_table = "usage_counter_start"


class QuarantineState(models.TextChoices):
    """What became of quarantined samples."""

    WAITING = "waiting"
    REPLAYED = "replayed"
    DISCARDED = "discarded"


class Quarantined(models.Model):
    """Samples of one batch for one series key that nobody has assigned yet; as sent, so unscaled (Arrow stream)."""

    batch = models.BigIntegerField()
    source = models.TextField()
    recorded_at = models.DateTimeField()
    reason = models.TextField()
    series_key = models.TextField()
    rows = models.IntegerField()
    at_min = models.BigIntegerField()
    at_max = models.BigIntegerField()
    data = models.BinaryField()
    state = models.CharField(max_length=10, choices=QuarantineState.choices, default=QuarantineState.WAITING)
    settled_at = models.DateTimeField(null=True)
    note = models.TextField(blank=True, default="")

    class Meta:
        db_table = "usage_quarantine"
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(state__in=QuarantineState.values), name="usage_quarantine_state"),
            models.CheckConstraint(
                condition=Q(state=QuarantineState.WAITING, settled_at__isnull=True)
                | Q(~Q(state=QuarantineState.WAITING), settled_at__isnull=False),
                name="usage_quarantine_settles_with_a_date",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["series_key"], condition=Q(state="waiting"), name="usage_quarantine_waiting"),
        ]


class CollectorTarget(models.Model):
    """What a collector asks, or who sends to it: how far it got, how it goes, and when it is asked again."""

    collector = models.CharField(max_length=60)
    target = models.CharField(max_length=200)
    kind = models.CharField(max_length=40)
    version = models.BigIntegerField(default=0, db_default=0)
    """Goes up with each write; who read another one may not move the cursor."""
    cursor = models.BigIntegerField(null=True)
    """Everything up to this instant (epoch seconds) was fetched and is committed."""
    state = models.JSONField(default=dict, db_default=models.Value({}, models.JSONField()))
    attempted_at = models.DateTimeField(null=True)
    succeeded_at = models.DateTimeField(null=True)
    failed_at = models.DateTimeField(null=True)
    error = models.TextField(default="", db_default="")
    failures = models.IntegerField(default=0, db_default=0)
    next_at = models.DateTimeField(null=True)
    taken = models.BigIntegerField(default=0, db_default=0)
    refused = models.BigIntegerField(default=0, db_default=0)
    unpaired = models.BigIntegerField(default=0, db_default=0)
    notes = models.JSONField(default=list, db_default=models.Value([], models.JSONField()))

    class Meta:
        db_table = "usage_collector_target"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["collector", "target"], name="usage_collector_target_once"),
            models.CheckConstraint(condition=Q(failures__gte=0), name="usage_collector_failures"),
        ]


class HalfReadings(models.Model):
    """Readings of one direction that came without the other (remote write splits them over connections); they wait."""

    collector = models.CharField(max_length=60)
    recorded_at = models.DateTimeField()
    rows = models.IntegerField()
    at_min = models.BigIntegerField()
    at_max = models.BigIntegerField()
    data = models.BinaryField()

    class Meta:
        db_table = "usage_half_readings"
        indexes: ClassVar = [models.Index(fields=["collector", "at_min"], name="usage_half_waiting")]
