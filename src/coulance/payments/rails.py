"""Tables of the rails that money comes by: collections from mandates, payments at gateways, and what claims a debt.

Private to the room, as `models` is, which imports them. What they guarantee beyond constraints is in migration 0004.
"""

from typing import ClassVar

from django.db import models
from django.db.models import F, Q

from coulance_core.payments import MandateSequence, Scheme
from coulance_core.payments.direct_debit import CollectionState

GATEWAY_STATES = ("made", "open", "pending", "paid", "failed", "expired", "cancelled", "refused")
PURPOSES = ("pay", "auto_pay", "top_up", "auto_top_up")
AGREEMENTS = ("auto_pay", "auto_top_up")
COLLECTED_FOR = ("debts", "instalment", "top_up")


class CollectionRun(models.Model):
    """A file of collections for the bank, of one scheme: made once, with its hash, handed over once."""

    reference = models.CharField(max_length=35, unique=True)
    """The message id of the file."""
    scheme = models.CharField(max_length=10)
    currency = models.CharField(max_length=3)
    form = models.CharField(max_length=20)
    creditor = models.JSONField()
    """Who collects, as the file says: name, IBAN, BIC, creditor id."""
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
        db_table = "payments_collection_run"
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(scheme__in=[s.value for s in Scheme]), name="run_scheme"),
            models.CheckConstraint(condition=Q(count__gt=0, total__gt=0), name="run_holds_something"),
            models.CheckConstraint(
                condition=Q(handed_at__isnull=True, handed_by="") | (Q(handed_at__isnull=False) & ~Q(handed_by="")),
                name="run_handed_by_somebody",
            ),
            models.CheckConstraint(
                condition=Q(cancelled_at__isnull=True, cancelled_by="", cancelled_why="")
                | (Q(cancelled_at__isnull=False, handed_at__isnull=True) & ~Q(cancelled_why="") & ~Q(cancelled_by="")),
                name="run_cancelled_before_it_went",
            ),
        ]


class Collection(models.Model):
    """One collection from a mandate: announced, put in a file, handed over, collected, perhaps returned."""

    account = models.ForeignKey("customers.Account", on_delete=models.PROTECT, related_name="+")
    mandate = models.ForeignKey("payments.Mandate", on_delete=models.PROTECT, related_name="+")
    amount = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    collect_on = models.DateField()
    end_to_end_id = models.CharField(max_length=35, unique=True)
    state = models.CharField(max_length=10, default="planned", db_default="planned")
    sequence = models.CharField(max_length=10, default="", db_default="")
    """What the file says of the mandate: first, recurring; known when the file is made."""
    run = models.ForeignKey(CollectionRun, on_delete=models.PROTECT, related_name="+", null=True)
    receipt = models.OneToOneField("payments.Receipt", on_delete=models.PROTECT, related_name="+", null=True)
    message_key = models.CharField(max_length=160)
    """The message that announces it."""
    attempt = models.PositiveSmallIntegerField(default=1, db_default=1)
    retry_of = models.OneToOneField("self", on_delete=models.PROTECT, related_name="+", null=True)
    final_on = models.DateField(null=True)
    """Once handed over: the day after which it counts as under way no more."""
    return_code = models.CharField(max_length=10, default="", db_default="")
    ended_on = models.DateField(null=True)
    """The day it was collected, returned, refused or cancelled."""
    why = models.TextField(default="", db_default="")
    purpose = models.CharField(max_length=12, default="debts", db_default="debts")
    """What it brings money for: debts, an instalment of a plan over debts, the balance."""
    basis = models.CharField(max_length=60, default="", db_default="")
    """What it rests on besides the mandate: `plan/7`, `agreement/5`."""
    bank_says = models.CharField(max_length=10, default="", db_default="")
    """What the bank last answered of it (pain.002): ACCP, PDNG, RJCT."""
    bank_said_at = models.DateTimeField(null=True)
    planned_at = models.DateTimeField()
    planned_by = models.CharField(max_length=100)
    changed_at = models.DateTimeField()

    class Meta:
        db_table = "payments_collection"
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(amount__gt=0), name="collection_amount"),
            models.CheckConstraint(
                condition=Q(state__in=[state.value for state in CollectionState]), name="collection_state"
            ),
            models.CheckConstraint(
                condition=Q(sequence__in=["", *(s.value for s in MandateSequence)]), name="collection_sequence"
            ),
            models.CheckConstraint(
                condition=Q(state__in=["planned", "cancelled"])
                | Q(run__isnull=False, state__in=["filed", "refused"])
                | Q(run__isnull=False, final_on__isnull=False),
                name="collection_in_a_file",
            ),
            models.CheckConstraint(
                condition=Q(receipt__isnull=False) | ~Q(state="collected"), name="collection_collected_has_receipt"
            ),
            models.CheckConstraint(
                condition=Q(purpose="debts") | (Q(purpose__in=COLLECTED_FOR) & ~Q(basis="")), name="collection_purpose"
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["collect_on"], name="collection_open", condition=Q(state__in=["planned", "filed"])),
            models.Index(fields=["run"], name="collection_by_run", condition=Q(run__isnull=False)),
        ]


class StoredMethod(models.Model):
    """A way to pay that a customer let us charge: known at a gateway, with what they agreed to."""

    account = models.ForeignKey("customers.Account", on_delete=models.PROTECT, related_name="+")
    gateway = models.CharField(max_length=20)
    customer_ref = models.CharField(max_length=100)
    method_ref = models.CharField(max_length=100, default="", db_default="")
    """Empty where only the customer is known there: nothing can be charged yet."""
    label = models.CharField(max_length=100, default="", db_default="")
    text = models.TextField(default="", db_default="")
    text_hash = models.BinaryField(max_length=32, null=True)
    given_by = models.CharField(max_length=100, default="", db_default="")
    given_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    ended_by = models.CharField(max_length=100, default="", db_default="")
    ended_why = models.TextField(default="", db_default="")

    class Meta:
        db_table = "payments_stored_method"
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["account", "gateway"], condition=Q(method_ref=""), name="stored_method_customer_once"
            ),
            models.UniqueConstraint(
                fields=["gateway", "method_ref"],
                condition=~Q(method_ref="") & Q(ended_at__isnull=True),
                name="stored_method_once",
            ),
            models.CheckConstraint(
                condition=Q(method_ref="") | (Q(text_hash__isnull=False) & ~Q(text="") & ~Q(given_by="")),
                name="stored_method_was_agreed",
            ),
            models.CheckConstraint(
                condition=Q(ended_at__isnull=True, ended_by="", ended_why="")
                | (Q(ended_at__gte=F("given_at")) & ~Q(ended_by="") & ~Q(ended_why="")),
                name="stored_method_ended_whole",
            ),
        ]


class GatewayPayment(models.Model):
    """A payment at a gateway: written before the gateway is asked, under the key that it is asked with."""

    account = models.ForeignKey("customers.Account", on_delete=models.PROTECT, related_name="+")
    gateway = models.CharField(max_length=20)
    purpose = models.CharField(max_length=12)
    amount = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    key = models.CharField(max_length=64, unique=True)
    state = models.CharField(max_length=10, default="made", db_default="made")
    refs = models.JSONField(default=list)
    """Its names there."""
    url = models.TextField(default="", db_default="")
    choice = models.JSONField(default=list)
    """What it is for: [ref, minor units or null], in order."""
    stored = models.ForeignKey(StoredMethod, on_delete=models.PROTECT, related_name="+", null=True)
    """The method that is charged; none for a page."""
    keep_text = models.TextField(default="", db_default="")
    """What the payer agreed to when they let the method be kept; empty when not."""
    description = models.CharField(max_length=200)
    receipt = models.OneToOneField("payments.Receipt", on_delete=models.PROTECT, related_name="+", null=True)
    method = models.CharField(max_length=100, default="", db_default="")
    failure = models.TextField(default="", db_default="")
    final_on = models.DateField(null=True)
    attempts = models.PositiveSmallIntegerField(default=0, db_default=0)
    made_at = models.DateTimeField()
    made_by = models.CharField(max_length=100)
    changed_at = models.DateTimeField()

    class Meta:
        db_table = "payments_gateway_payment"
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(amount__gt=0), name="gateway_payment_amount"),
            models.CheckConstraint(condition=Q(state__in=GATEWAY_STATES), name="gateway_payment_state"),
            models.CheckConstraint(condition=Q(purpose__in=PURPOSES), name="gateway_payment_purpose"),
            models.CheckConstraint(
                condition=Q(receipt__isnull=False) | ~Q(state="paid"), name="gateway_payment_paid_has_receipt"
            ),
            models.CheckConstraint(
                condition=Q(final_on__isnull=False) | ~Q(state="pending"), name="gateway_payment_pending_ends"
            ),
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["changed_at"], name="gateway_payment_open", condition=Q(state__in=["made", "open", "pending"])
            ),
        ]


class Claim(models.Model):
    """What of a debt a collection or a charge is about to bring: while it lives, nothing else is collected for it."""

    account = models.ForeignKey("customers.Account", on_delete=models.PROTECT, related_name="+")
    document = models.ForeignKey("invoicing.Document", on_delete=models.PROTECT, related_name="+", null=True)
    opening = models.ForeignKey("payments.OpeningItem", on_delete=models.PROTECT, related_name="+", null=True)
    amount = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    collection = models.ForeignKey(Collection, on_delete=models.PROTECT, related_name="+", null=True)
    payment = models.ForeignKey(GatewayPayment, on_delete=models.PROTECT, related_name="+", null=True)
    since = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "payments_claim"
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(amount__gt=0), name="claim_amount"),
            models.CheckConstraint(
                condition=Q(document__isnull=False, opening__isnull=True)
                | Q(document__isnull=True, opening__isnull=False),
                name="claim_of_one_debt",
            ),
            models.CheckConstraint(
                condition=Q(collection__isnull=False, payment__isnull=True)
                | Q(collection__isnull=True, payment__isnull=False),
                name="claim_by_one_means",
            ),
            models.UniqueConstraint(
                fields=["document"], condition=Q(ended_at__isnull=True), name="claim_of_document_once"
            ),
            models.UniqueConstraint(
                fields=["opening"], condition=Q(ended_at__isnull=True), name="claim_of_opening_once"
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["account"], name="claim_live", condition=Q(ended_at__isnull=True)),
        ]


class GatewayEvent(models.Model):
    """What a gateway told, as it came: kept whole, done once, and done again whenever somebody asks."""

    gateway = models.CharField(max_length=20)
    event_id = models.CharField(max_length=200)
    kind = models.CharField(max_length=100)
    refs = models.JSONField()
    body = models.BinaryField()
    received_at = models.DateTimeField()
    done_at = models.DateTimeField(null=True)
    outcome = models.CharField(max_length=300, default="", db_default="")
    attempts = models.PositiveSmallIntegerField(default=0, db_default=0)

    class Meta:
        db_table = "payments_gateway_event"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["gateway", "event_id"], name="gateway_event_once"),
        ]
        indexes: ClassVar = [
            models.Index(fields=["received_at"], name="gateway_event_to_do", condition=Q(done_at__isnull=True)),
        ]


class GatewayRefund(models.Model):
    """A refund asked of a gateway, written before it is asked; booked when the gateway has it."""

    payment = models.ForeignKey(GatewayPayment, on_delete=models.PROTECT, related_name="+")
    amount = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    key = models.CharField(max_length=64, unique=True)
    ref = models.CharField(max_length=100, default="", db_default="")
    refund = models.OneToOneField("payments.Refund", on_delete=models.PROTECT, related_name="+")
    state = models.CharField(max_length=10, default="made", db_default="made")
    reason = models.TextField()
    made_at = models.DateTimeField()
    made_by = models.CharField(max_length=100)

    class Meta:
        db_table = "payments_gateway_refund"
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(amount__gt=0), name="gateway_refund_amount"),
            models.CheckConstraint(condition=Q(state__in=["made", "done", "failed"]), name="gateway_refund_state"),
        ]


class GatewayDispute(models.Model):
    """A chargeback: what the payer's bank took back, and how our books followed; `back` is the receipt when we won."""

    payment = models.ForeignKey(GatewayPayment, on_delete=models.PROTECT, related_name="+")
    ref = models.CharField(max_length=100)
    amount = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    happened_on = models.DateField()
    reason = models.CharField(max_length=200, default="", db_default="")
    undone = models.ForeignKey("payments.Receipt", on_delete=models.PROTECT, related_name="+")
    rest = models.ForeignKey("payments.Receipt", on_delete=models.PROTECT, related_name="+", null=True)
    """What of the payment was not taken back, booked again."""
    back = models.ForeignKey("payments.Receipt", on_delete=models.PROTECT, related_name="+", null=True)
    recorded_at = models.DateTimeField()

    class Meta:
        db_table = "payments_gateway_dispute"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["payment", "ref"], name="gateway_dispute_once"),
            models.CheckConstraint(condition=Q(amount__gt=0), name="gateway_dispute_amount"),
        ]


class GatewayPayout(models.Model):
    """What a gateway paid out to our bank: what it settles less what it kept. In the journal as `payout/<id>`."""

    gateway = models.CharField(max_length=20)
    ref = models.CharField(max_length=100)
    net = models.BigIntegerField()
    fees = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    arrived_on = models.DateField()
    bank_reference = models.CharField(max_length=140, default="", db_default="")
    lines = models.JSONField()
    """[name, kind, gross, fee] of each payment, refund and chargeback in it, in minor units."""
    strange = models.JSONField(default=list)
    """Lines that no payment here has."""
    recorded_at = models.DateTimeField()

    class Meta:
        db_table = "payments_gateway_payout"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["gateway", "ref"], name="gateway_payout_once"),
        ]


class Agreement(models.Model):
    """What a customer agreed to be charged by itself: their invoices when due, or their balance when low.

    Only ever ended; another is made for other terms.
    """

    account = models.ForeignKey("customers.Account", on_delete=models.PROTECT, related_name="+")
    kind = models.CharField(max_length=12)
    stored = models.ForeignKey(StoredMethod, on_delete=models.PROTECT, related_name="+", null=True)
    """What is charged: a way to pay at a gateway, or a mandate."""
    mandate = models.ForeignKey("payments.Mandate", on_delete=models.PROTECT, related_name="+", null=True)
    currency = models.CharField(max_length=3)
    most_each = models.BigIntegerField(null=True)
    """The most that is charged at once."""
    most_a_month = models.BigIntegerField(null=True)
    below = models.BigIntegerField(null=True)
    """The balance below which it is topped up."""
    amount = models.BigIntegerField(null=True)
    """By how much."""
    text = models.TextField()
    text_hash = models.BinaryField(max_length=32)
    given_by = models.CharField(max_length=100)
    given_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    ended_by = models.CharField(max_length=100, default="", db_default="")
    ended_why = models.TextField(default="", db_default="")

    class Meta:
        db_table = "payments_agreement"
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(kind__in=AGREEMENTS), name="agreement_kind"),
            models.CheckConstraint(
                condition=Q(kind="auto_pay", below__isnull=True, amount__isnull=True)
                | Q(kind="auto_top_up", below__gt=0, amount__gt=0, most_a_month__isnull=False),
                name="agreement_terms",
            ),
            models.UniqueConstraint(
                fields=["account", "kind"], condition=Q(ended_at__isnull=True), name="agreement_one_in_force"
            ),
            models.CheckConstraint(
                condition=Q(stored__isnull=False, mandate__isnull=True) | Q(stored__isnull=True, mandate__isnull=False),
                name="agreement_by_one_means",
            ),
            models.CheckConstraint(
                condition=Q(ended_at__isnull=True, ended_by="", ended_why="")
                | (Q(ended_at__gte=F("given_at")) & ~Q(ended_by="") & ~Q(ended_why="")),
                name="agreement_ended_whole",
            ),
        ]


class Announcement(models.Model):
    """A charge by agreement that was announced: what will be charged, from when on. Charged once it has been told."""

    agreement = models.ForeignKey(Agreement, on_delete=models.PROTECT, related_name="+")
    document = models.ForeignKey("invoicing.Document", on_delete=models.PROTECT, related_name="+", null=True)
    opening = models.ForeignKey("payments.OpeningItem", on_delete=models.PROTECT, related_name="+", null=True)
    amount = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    charge_on = models.DateField()
    message_key = models.CharField(max_length=160, unique=True)
    made_at = models.DateTimeField()
    payment = models.OneToOneField(GatewayPayment, on_delete=models.PROTECT, related_name="+", null=True)
    ended_at = models.DateTimeField(null=True)
    why = models.CharField(max_length=200, default="", db_default="")

    class Meta:
        db_table = "payments_announcement"
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(amount__gt=0), name="announcement_amount"),
            models.UniqueConstraint(
                fields=["document"], condition=Q(ended_at__isnull=True), name="announcement_of_document_once"
            ),
            models.UniqueConstraint(
                fields=["opening"], condition=Q(ended_at__isnull=True), name="announcement_of_opening_once"
            ),
        ]
