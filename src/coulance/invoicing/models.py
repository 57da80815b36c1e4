"""Tables of the invoicing room. Private to the room; what they guarantee beyond constraints is in migration 0002.

Drafts may be thrown away; what is issued never changes. Money is in minor units, exact numbers are text as `show`
writes them.
"""

from typing import ClassVar

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import ArrayField, DateRangeField, RangeOperators
from django.db import models
from django.db.models import F, Func, Q, Value

from coulance_core.invoicing import CreditType, DocumentKind, DocumentState


class BillingRun(models.Model):
    """A close of a period for a purpose: computed chunk by chunk, then numbered and booked at once, which closes it."""

    period = models.CharField(max_length=7)
    purpose = models.CharField(max_length=60, default="close")
    state = models.CharField(max_length=10, default="open")
    opened_at = models.DateTimeField()
    opened_by = models.CharField(max_length=100)
    closed_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "invoicing_run"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["period", "purpose"], name="run_once"),
            models.CheckConstraint(condition=Q(period__regex=r"^\d{4}-(0[1-9]|1[0-2])$"), name="run_period"),
            models.CheckConstraint(
                condition=Q(state="open", closed_at__isnull=True) | Q(state="closed", closed_at__isnull=False),
                name="run_state",
            ),
        ]


class RunChunk(models.Model):
    """Accounts that are computed and committed together."""

    run = models.ForeignKey(BillingRun, on_delete=models.CASCADE, related_name="+", db_index=False)
    no = models.PositiveIntegerField()
    accounts = ArrayField(models.BigIntegerField())
    done_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "invoicing_run_chunk"
        constraints: ClassVar = [models.UniqueConstraint(fields=["run", "no"], name="chunk_once")]


class ParkedAccount(models.Model):
    """An account that a run could not bill, and why. Resolved when a later run of the period bills it."""

    run = models.ForeignKey(BillingRun, on_delete=models.CASCADE, related_name="+")
    account = models.ForeignKey("customers.Account", on_delete=models.PROTECT, related_name="+")
    reason = models.CharField(max_length=60)
    detail = models.TextField()
    parked_at = models.DateTimeField()
    resolved_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "invoicing_parked_account"
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["run", "account"], condition=Q(resolved_at__isnull=True), name="parked_once"
            ),
            models.CheckConstraint(condition=~Q(reason=""), name="parked_says_why"),
        ]


class Document(models.Model):
    """An invoice, note or usage statement. Its content is in `DocumentBody`; these columns are for asking."""

    kind = models.CharField(max_length=20)
    state = models.CharField(max_length=10, default="draft", db_default="draft")
    account = models.ForeignKey("customers.Account", on_delete=models.PROTECT, related_name="+")
    buyer_ref = models.CharField(max_length=100)
    """The customer's external id when this was made; it orders numbering."""
    run = models.ForeignKey(BillingRun, on_delete=models.PROTECT, related_name="+", null=True)
    purpose = models.CharField(max_length=60, default="", db_default="")
    period_name = models.CharField(max_length=7)
    period_start = models.DateTimeField()
    period_end = models.DateTimeField()
    series = models.CharField(max_length=20, default="", db_default="")
    """The number series it takes its number from; a usage statement has none."""
    series_year = models.PositiveSmallIntegerField(null=True)
    series_no = models.PositiveBigIntegerField(null=True)
    number = models.CharField(max_length=140, null=True, unique=True)
    issued_on = models.DateField()
    due_on = models.DateField()
    tax_point = models.DateField()
    issued_at = models.DateTimeField(null=True)
    currency = models.CharField(max_length=3)
    net = models.BigIntegerField()
    tax = models.BigIntegerField()
    gross = models.BigIntegerField()
    tax_rounding = models.CharField(max_length=20)
    credit_type = models.CharField(max_length=20, default="", db_default="")
    invoice = models.ForeignKey("self", on_delete=models.PROTECT, related_name="+", null=True)
    sent_at = models.DateTimeField(null=True)
    """When it was first sent. The one column that may change after issue."""

    class Meta:
        db_table = "invoicing_document"
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(kind__in=[k.value for k in DocumentKind]), name="document_kind"),
            models.CheckConstraint(condition=Q(state__in=[s.value for s in DocumentState]), name="document_state"),
            models.CheckConstraint(condition=Q(gross=F("net") + F("tax")), name="document_gross"),
            models.CheckConstraint(
                condition=Q(state="issued", number__isnull=False, issued_at__isnull=False)
                | (~Q(state="issued") & Q(number__isnull=True, series_no__isnull=True, issued_at__isnull=True)),
                name="document_number_is_issue",
            ),
            models.CheckConstraint(
                condition=Q(series="", series_no__isnull=True)
                | (~Q(series="") & (~Q(state="issued") | Q(series_no__isnull=False, series_year__isnull=False))),
                name="document_number_has_place",
            ),
            models.CheckConstraint(
                condition=Q(kind="credit_note", invoice__isnull=False, credit_type__in=[t.value for t in CreditType])
                | Q(
                    kind="debit_note",
                    invoice__isnull=False,
                    credit_type__in=[t.value for t in CreditType],
                    purpose__startswith="reverses/",
                )
                | (~Q(kind__in=["credit_note", "debit_note"]) & Q(invoice__isnull=True, credit_type="")),
                name="document_credit_names_invoice",
            ),
            models.CheckConstraint(
                condition=Q(kind="credit_note", gross__lt=0) | (~Q(kind="credit_note") & Q(gross__gte=0)),
                name="document_sign",
            ),
            models.UniqueConstraint(fields=["series", "series_year", "series_no"], name="document_number_once"),
            models.UniqueConstraint(
                fields=["account", "kind", "period_name", "purpose"],
                condition=~Q(kind="credit_note"),
                name="document_billed_once",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["period_name", "kind"], name="document_by_period"),
            models.Index(fields=["issued_on", "id"], name="document_by_day"),
        ]


class DocumentBody(models.Model):
    """A document's content: the snapshot (JSON, compressed), and what issuing it books."""

    document = models.OneToOneField(
        Document, on_delete=models.CASCADE, related_name="+", primary_key=True, db_constraint=False
    )
    snapshot = models.BinaryField()
    accounts = ArrayField(models.CharField(max_length=64))
    amounts = ArrayField(models.BigIntegerField())

    class Meta:
        db_table = "invoicing_document_body"


class DocumentLine(models.Model):
    """A line as columns, for sums and look-ups; its words and explanation are in the snapshot."""

    pk = models.CompositePrimaryKey("document_id", "no")
    document = models.ForeignKey(
        Document, on_delete=models.CASCADE, related_name="+", db_constraint=False, db_index=False
    )
    no = models.PositiveIntegerField()
    kind = models.CharField(max_length=20)
    service = models.ForeignKey(
        "services.Service", on_delete=models.PROTECT, related_name="+", null=True, db_constraint=False
    )
    pool = models.CharField(max_length=60)
    charge = models.CharField(max_length=80)
    plan_version = models.CharField(max_length=80)
    description = models.TextField()
    period_start = models.DateTimeField()
    period_end = models.DateTimeField()
    quantity = models.TextField()
    unit = models.CharField(max_length=20)
    unit_price = models.TextField(null=True)
    net = models.BigIntegerField()
    tax_code = models.CharField(max_length=60)
    tax_rate = models.CharField(max_length=40)
    account = models.CharField(max_length=64)
    settled = models.CharField(max_length=120)
    carried = models.ForeignKey(
        "invoicing.CarriedLine", on_delete=models.PROTECT, related_name="+", null=True, db_index=False
    )
    credits_no = models.PositiveIntegerField(null=True)

    class Meta:
        db_table = "invoicing_document_line"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["carried"], name="line_bills_carried_once"),
        ]


class DocumentTax(models.Model):
    """The tax of one code on a document."""

    pk = models.CompositePrimaryKey("document_id", "code")
    document = models.ForeignKey(
        Document, on_delete=models.CASCADE, related_name="+", db_constraint=False, db_index=False
    )
    code = models.CharField(max_length=60)
    kind = models.CharField(max_length=20)
    country = models.CharField(max_length=2)
    rate = models.CharField(max_length=40)
    base = models.BigIntegerField()
    tax = models.BigIntegerField()
    reason = models.TextField()

    class Meta:
        db_table = "invoicing_document_tax"


class BilledSpan(models.Model):
    """Days of a service that a base line charged, or gave back: what the next run needs to know (rating's BilledSpan).

    Never changed; rows of a draft go with it.
    """

    document = models.ForeignKey(Document, on_delete=models.CASCADE, related_name="+", db_constraint=False)
    line_no = models.PositiveIntegerField()
    service = models.ForeignKey("services.Service", on_delete=models.PROTECT, related_name="+", db_constraint=False)
    key = models.CharField(max_length=80)
    plan = models.CharField(max_length=60)
    terms = models.CharField(max_length=120)
    name = models.TextField()
    tax_class = models.CharField(max_length=60)
    fee = models.TextField()
    proration = models.CharField(max_length=20)
    start = models.DateField()
    end = models.DateField()
    cycle_start = models.DateField()
    cycle_end = models.DateField()
    net = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    credit = models.BooleanField()

    class Meta:
        db_table = "invoicing_billed_span"
        constraints: ClassVar = [models.CheckConstraint(condition=Q(end__gt=F("start")), name="span_has_days")]


class BilledDays(models.Model):
    """The days of a lane (a service's base fee, or one of its commitments) that are charged now and not given back.

    Kept beside `BilledSpan` for one purpose: the database refuses to charge a day twice, whatever a program thinks.
    """

    lane = models.BigIntegerField(db_index=True)
    service_id = models.BigIntegerField()
    days = DateRangeField()

    class Meta:
        db_table = "invoicing_billed_days"
        constraints: ClassVar = [
            # The lane as a range of one number, so that plain GiST compares it without the btree_gist extension.
            ExclusionConstraint(
                name="a_day_is_charged_once",
                expressions=[
                    (Func(F("lane"), F("lane"), Value("[]"), function="int8range"), RangeOperators.OVERLAPS),
                    ("days", RangeOperators.OVERLAPS),
                ],
            ),
        ]


class CarriedLine(models.Model):
    """A small amount that waits for a later invoice: the line as priced, and where it was billed at last."""

    run = models.ForeignKey(BillingRun, on_delete=models.PROTECT, related_name="+", null=True)
    account = models.ForeignKey("customers.Account", on_delete=models.PROTECT, related_name="+")
    period_name = models.CharField(max_length=7)
    purpose = models.CharField(max_length=60)
    no = models.PositiveIntegerField()
    line = models.JSONField()
    amount = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    bill_by = models.DateField()
    booked = models.BooleanField()
    """Whether carrying it is booked as earned (where prices are without tax)."""
    effective_on = models.DateField()
    confirmed = models.BooleanField(default=False, db_default=False)
    """Set when its run is closed; until then it goes when the run's drafts go."""

    class Meta:
        db_table = "invoicing_carried_line"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["account", "period_name", "purpose", "no"], name="carried_once"),
            models.CheckConstraint(condition=~Q(amount=0), name="carried_is_something"),
        ]


class SettledFigure(models.Model):
    """A figure that a document rests on: what was used of a charge in a period, as known then.

    Late samples show as a difference between `watermark` and the sample store's; a new settlement is a new revision.
    """

    run = models.ForeignKey(BillingRun, on_delete=models.PROTECT, related_name="+", null=True)
    account = models.ForeignKey("customers.Account", on_delete=models.PROTECT, related_name="+", db_index=False)
    service = models.ForeignKey(
        "services.Service", on_delete=models.PROTECT, related_name="+", null=True, db_constraint=False
    )
    pool = models.CharField(max_length=60)
    charge = models.CharField(max_length=80)
    period_name = models.CharField(max_length=7)
    revision = models.PositiveIntegerField()
    quantity = models.TextField()
    unit = models.CharField(max_length=20)
    n = models.BigIntegerField()
    seen = models.BigIntegerField()
    expected = models.BigIntegerField()
    net = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    watermark = models.TextField()
    detail = models.JSONField()

    class Meta:
        db_table = "invoicing_settled_figure"
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["account", "service", "pool", "charge", "period_name", "revision"],
                name="settled_once",
                nulls_distinct=False,
            ),
            models.CheckConstraint(condition=Q(revision__gte=1), name="settled_revision"),
        ]


class NumberSeriesState(models.Model):
    """The last number given out of a series in a year (year 0: a series that never starts again)."""

    series = models.CharField(max_length=20)
    year = models.PositiveSmallIntegerField()
    first = models.PositiveBigIntegerField()
    last = models.PositiveBigIntegerField(null=True)

    class Meta:
        db_table = "invoicing_number_series"
        constraints: ClassVar = [models.UniqueConstraint(fields=["series", "year"], name="series_once")]


class EInvoiceAddress(models.Model):
    """Where and how an account wants its e-invoices; what is empty is derived or left out."""

    account = models.OneToOneField("customers.Account", on_delete=models.CASCADE, related_name="+", primary_key=True)
    scheme = models.CharField(max_length=4)
    """Electronic address scheme (EAS), such as 0106."""
    identifier = models.CharField(max_length=100)
    reference = models.CharField(max_length=100)
    registration = models.CharField(max_length=60)

    class Meta:
        db_table = "invoicing_einvoice_address"
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(scheme="", identifier="") | (~Q(scheme="") & ~Q(identifier="")),
                name="einvoice_address_whole",
            ),
        ]


class Transmission(models.Model):
    """A document's way through the Peppol network: what was sent, and what the access point says became of it."""

    document = models.OneToOneField(
        Document, on_delete=models.PROTECT, related_name="+", primary_key=True, db_constraint=False
    )
    number = models.CharField(max_length=100, unique=True)
    state = models.CharField(max_length=10)
    receiver = models.CharField(max_length=110)
    xml = models.TextField()
    sha256 = models.CharField(max_length=64)
    submission = models.CharField(max_length=200)
    """The access point's own key of it; empty until it has one."""
    attempts = models.PositiveIntegerField()
    """Requests since the state last changed."""
    detail = models.TextField()
    queued_at = models.DateTimeField()
    changed_at = models.DateTimeField()
    next_at = models.DateTimeField(null=True)
    """When to go on with it; null once nothing more is to be done."""

    class Meta:
        db_table = "invoicing_transmission"
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(state__in=["queued", "submitted", "delivered", "refused", "stuck", "cancelled"]),
                name="transmission_state",
            ),
            models.CheckConstraint(condition=~Q(state="submitted") | ~Q(submission=""), name="transmission_submitted"),
            models.CheckConstraint(
                condition=Q(state__in=["queued", "submitted"], next_at__isnull=False)
                | (~Q(state__in=["queued", "submitted"]) & Q(next_at__isnull=True)),
                name="transmission_goes_on",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["next_at"], name="transmission_due", condition=Q(next_at__isnull=False))
        ]


class HeldDocument(models.Model):
    """An overage invoice that waits, unnumbered, for its customer's choice; and what became of it.

    `document_id` is its draft's, which may be gone once a choice replaced it; `made` are the numbers that came of it.
    """

    document_id = models.BigIntegerField(primary_key=True)
    account = models.ForeignKey("customers.Account", on_delete=models.PROTECT, related_name="+")
    period_name = models.CharField(max_length=7)
    gross = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    why = models.TextField()
    held_at = models.DateTimeField()
    told_at = models.DateTimeField(null=True)
    """When its customer was asked; the wait begins then."""
    told = models.PositiveIntegerField(default=0, db_default=0)
    """How many people were asked by mail."""
    until = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    ended_by = models.CharField(max_length=100, default="", db_default="")
    way = models.CharField(max_length=120, default="", db_default="")
    reason = models.TextField(default="", db_default="")
    made = ArrayField(models.CharField(max_length=140), default=list, db_default=[])

    class Meta:
        db_table = "invoicing_held"
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(told_at__isnull=True, until__isnull=True) | Q(told_at__isnull=False, until__isnull=False),
                name="held_waits_once_told",
            ),
            models.CheckConstraint(
                condition=Q(ended_at__isnull=True, ended_by="", way="")
                | (Q(ended_at__isnull=False) & ~Q(ended_by="") & ~Q(way="")),
                name="held_ends_by_somebody",
            ),
        ]
        indexes: ClassVar = [models.Index(fields=["until"], name="held_open", condition=Q(ended_at__isnull=True))]
