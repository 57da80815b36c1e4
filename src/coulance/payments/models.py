"""Tables of the payments room. Private to the room; what they guarantee beyond constraints is in migration 0002.

Rows are only added; each is undone once, by its `reversed_...` columns and the reversal of its ledger entry. Money is
in minor units.
"""

from typing import ClassVar

from django.db import models
from django.db.models import F, Q

from coulance_core.payments import ItemKind, MandateSequence, Method, ReversalKind, Scheme

_IBAN = r"^([A-Z]{2}[0-9]{2}[A-Z0-9]{11,30})?$"


class Undoable(models.Model):
    """Undone at most once: on which civil day, recorded when, of which kind, and why."""

    reversed_on = models.DateField(null=True)
    reversed_at = models.DateTimeField(null=True)
    reversed_kind = models.CharField(max_length=10, default="", db_default="")
    reversed_why = models.TextField(default="", db_default="")

    class Meta:
        abstract = True


def _undone(name: str) -> models.CheckConstraint:
    return models.CheckConstraint(
        condition=Q(reversed_on__isnull=True, reversed_at__isnull=True, reversed_kind="", reversed_why="")
        | (
            Q(reversed_on__isnull=False, reversed_at__isnull=False, reversed_kind__in=[k.value for k in ReversalKind])
            & ~Q(reversed_why="")
        ),
        name=name,
    )


class Receipt(Undoable):
    """Money in, or what stands for it (see core's `Method`): a credit set off has amount zero and frees by allocations
    below zero."""

    account = models.ForeignKey("customers.Account", on_delete=models.PROTECT, related_name="+")
    amount = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    received_on = models.DateField()
    method = models.CharField(max_length=10)
    source_key = models.CharField(max_length=200, unique=True)
    payer_ref = models.TextField(default="", db_default="")
    payer_name = models.CharField(max_length=200, default="", db_default="")
    payer_iban = models.CharField(max_length=34, default="", db_default="")
    policy = models.CharField(max_length=40, default="", db_default="")
    """The allocation policy it was divided by when it was booked."""
    reason = models.TextField()
    actor = models.CharField(max_length=100)
    recorded_at = models.DateTimeField()

    class Meta:
        db_table = "payments_receipt"
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(method__in=[m.value for m in Method]), name="receipt_method"),
            models.CheckConstraint(
                condition=Q(method="credit", amount=0) | (~Q(method="credit") & Q(amount__gt=0)), name="receipt_amount"
            ),
            models.CheckConstraint(condition=Q(currency__regex=r"^[A-Z]{3}$"), name="receipt_currency"),
            models.CheckConstraint(condition=~Q(source_key="") & ~Q(reason=""), name="receipt_says_whence_and_why"),
            models.CheckConstraint(condition=Q(payer_iban__regex=_IBAN), name="receipt_iban"),
            _undone("receipt_undone_whole"),
        ]
        indexes: ClassVar = [models.Index(fields=["received_on"], name="receipt_by_day")]


class OpeningItem(Undoable):
    """A debt (or credit, below zero) that no document of ours claims: taken over from the system that was left, with
    what was open of it then; or, with `refund`, reclaimed: refunded out of a receipt that the bank took back since.

    `gross` is as it was issued, for people to recognise it by.
    """

    account = models.ForeignKey("customers.Account", on_delete=models.PROTECT, related_name="+")
    kind = models.CharField(max_length=10)
    number = models.CharField(max_length=140)
    issued_on = models.DateField()
    due_on = models.DateField()
    gross = models.BigIntegerField()
    open = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    taken_on = models.DateField()
    """The day from which it counts in these books."""
    refund = models.ForeignKey("payments.Refund", on_delete=models.PROTECT, related_name="+", null=True)
    """The refund that it reclaims."""
    source_key = models.CharField(max_length=200, unique=True)
    reason = models.TextField()
    actor = models.CharField(max_length=100)
    recorded_at = models.DateTimeField()

    class Meta:
        db_table = "payments_opening_item"
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(kind__in=[k.value for k in ItemKind]), name="opening_kind"),
            models.CheckConstraint(
                condition=Q(open__gt=0, gross__gte=F("open")) | Q(open__lt=0, gross__lte=F("open")),
                name="opening_open_of_gross",
            ),
            models.CheckConstraint(condition=Q(currency__regex=r"^[A-Z]{3}$"), name="opening_currency"),
            models.CheckConstraint(condition=~Q(number="") & ~Q(source_key=""), name="opening_is_named"),
            models.CheckConstraint(condition=Q(due_on__gte=F("issued_on")), name="opening_due_after_issue"),
            models.CheckConstraint(condition=Q(taken_on__gte=F("issued_on")), name="opening_taken_after_issue"),
            models.CheckConstraint(condition=Q(refund__isnull=True) | Q(open__gt=0), name="opening_reclaims_a_debt"),
            models.UniqueConstraint(
                fields=["refund"], condition=Q(reversed_on__isnull=True), name="opening_reclaims_once"
            ),
            _undone("opening_undone_whole"),
        ]


class Allocation(Undoable):
    """What of a receipt goes to one debt, or to the account's prepaid balance. Below zero it frees credit of an item.

    Exactly one of `document`, `opening` and `prepaid` is its target.
    """

    receipt = models.ForeignKey(Receipt, on_delete=models.PROTECT, related_name="+")
    account = models.ForeignKey("customers.Account", on_delete=models.PROTECT, related_name="+")
    document = models.ForeignKey("invoicing.Document", on_delete=models.PROTECT, related_name="+", null=True)
    opening = models.ForeignKey(OpeningItem, on_delete=models.PROTECT, related_name="+", null=True)
    prepaid = models.BooleanField(default=False, db_default=False)
    amount = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    effective_on = models.DateField()
    """The day it counts: not before the receipt came in, nor before the item was issued."""
    recorded_at = models.DateTimeField()
    actor = models.CharField(max_length=100)

    class Meta:
        db_table = "payments_allocation"
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(document__isnull=False, opening__isnull=True, prepaid=False)
                | Q(document__isnull=True, opening__isnull=False, prepaid=False)
                | Q(document__isnull=True, opening__isnull=True, prepaid=True),
                name="allocation_has_one_target",
            ),
            models.CheckConstraint(condition=~Q(amount=0), name="allocation_amount"),
            models.CheckConstraint(condition=Q(amount__gt=0) | Q(prepaid=False), name="allocation_prepaid_adds"),
            models.CheckConstraint(
                condition=Q(reversed_on__isnull=True) | Q(reversed_on__gte=F("effective_on")),
                name="allocation_undone_after",
            ),
            _undone("allocation_undone_whole"),
        ]


class Refund(Undoable):
    """Money paid back out of a receipt. `source_key` names it once; `iban` is where it went."""

    receipt = models.ForeignKey(Receipt, on_delete=models.PROTECT, related_name="+")
    account = models.ForeignKey("customers.Account", on_delete=models.PROTECT, related_name="+")
    amount = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    refunded_on = models.DateField()
    method = models.CharField(max_length=10)
    iban = models.CharField(max_length=34, default="", db_default="")
    source_key = models.CharField(max_length=200, unique=True)
    reason = models.TextField()
    actor = models.CharField(max_length=100)
    recorded_at = models.DateTimeField()

    class Meta:
        db_table = "payments_refund"
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(amount__gt=0), name="refund_amount"),
            models.CheckConstraint(
                condition=Q(method__in=[m.value for m in Method if m.is_money]), name="refund_method"
            ),
            models.CheckConstraint(condition=~Q(source_key="") & ~Q(reason=""), name="refund_says_whence_and_why"),
            models.CheckConstraint(condition=Q(iban__regex=_IBAN), name="refund_iban"),
            models.CheckConstraint(
                condition=Q(reversed_on__isnull=True) | Q(reversed_on__gte=F("refunded_on")), name="refund_undone_after"
            ),
            _undone("refund_undone_whole"),
        ]


class Mandate(models.Model):
    """A customer's leave to collect from their bank account: its reference, and what the next collection must say."""

    account = models.ForeignKey("customers.Account", on_delete=models.PROTECT, related_name="+")
    reference = models.CharField(max_length=35, unique=True)
    iban = models.CharField(max_length=34)
    holder = models.CharField(max_length=140)
    signed_on = models.DateField()
    scheme = models.CharField(max_length=10)
    sequence = models.CharField(max_length=10)
    last_used_on = models.DateField(null=True)
    source_key = models.CharField(max_length=200, unique=True)
    recorded_at = models.DateTimeField()
    withdrawn_on = models.DateField(null=True)
    withdrawn_why = models.TextField(default="", db_default="")
    how = models.CharField(max_length=10, default="taken_over", db_default="taken_over")
    """How we have it: taken_over, paper or portal."""
    bic = models.CharField(max_length=11, default="", db_default="")
    text = models.TextField(default="", db_default="")
    """What was signed, word for word; empty when it was taken over without."""
    text_hash = models.BinaryField(max_length=32, null=True)
    signed_by = models.CharField(max_length=200, default="", db_default="")
    """Who signed, and from where, or where the paper is."""

    class Meta:
        db_table = "payments_mandate"
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(scheme__in=[s.value for s in Scheme]), name="mandate_scheme"),
            models.CheckConstraint(
                condition=Q(sequence__in=[s.value for s in MandateSequence]), name="mandate_sequence"
            ),
            models.CheckConstraint(condition=Q(iban__regex=_IBAN) & ~Q(iban=""), name="mandate_iban"),
            models.CheckConstraint(
                condition=Q(how="taken_over")
                | (Q(how__in=["paper", "portal"], text_hash__isnull=False) & ~Q(text="") & ~Q(signed_by="")),
                name="mandate_was_signed",
            ),
            models.CheckConstraint(
                condition=Q(withdrawn_on__isnull=True, withdrawn_why="")
                | (Q(withdrawn_on__gte=F("signed_on")) & ~Q(withdrawn_why="")),
                name="mandate_withdrawn_says_why",
            ),
        ]


class KnownIban(models.Model):
    """A bank account that a customer has paid from: learnt when a person or a sure match said so."""

    account = models.ForeignKey("customers.Account", on_delete=models.CASCADE, related_name="+")
    iban = models.CharField(max_length=34)
    learnt_at = models.DateTimeField()
    learnt_from = models.CharField(max_length=200)
    """What it was learnt from: "bank_entry/12", "mandate/3"."""

    class Meta:
        db_table = "payments_known_iban"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["account", "iban"], name="known_iban_once"),
            models.CheckConstraint(condition=Q(iban__regex=_IBAN) & ~Q(iban=""), name="known_iban_iban"),
        ]
        indexes: ClassVar = [models.Index(fields=["iban"], name="known_iban_by_iban")]


class BankAccount(models.Model):
    """One of the provider's own bank accounts, as statements name it. Some banks name it otherwise than by IBAN."""

    iban = models.CharField(max_length=60)
    currency = models.CharField(max_length=3)
    name = models.CharField(max_length=140, default="", db_default="")
    added_at = models.DateTimeField()

    class Meta:
        db_table = "payments_bank_account"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["iban", "currency"], name="bank_account_once"),
            models.CheckConstraint(condition=~Q(iban=""), name="bank_account_named"),
        ]


class BankStatement(models.Model):
    """A statement as a file gave it. `fingerprint` is of its content: the same statement twice is one."""

    bank_account = models.ForeignKey(BankAccount, on_delete=models.PROTECT, related_name="+")
    number = models.CharField(max_length=60)
    sequence = models.CharField(max_length=60, default="", db_default="")
    opened_on = models.DateField(null=True)
    closed_on = models.DateField(null=True)
    opening = models.BigIntegerField(null=True)
    closing = models.BigIntegerField(null=True)
    fingerprint = models.BinaryField(max_length=32)
    format = models.CharField(max_length=20)
    file_name = models.CharField(max_length=200, default="", db_default="")
    imported_at = models.DateTimeField()
    imported_by = models.CharField(max_length=100)

    class Meta:
        db_table = "payments_bank_statement"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["bank_account", "fingerprint"], name="bank_statement_once"),
        ]


class BankEntry(models.Model):
    """A line of a bank statement, and what became of it. `fingerprint` is the same in overlapping statements."""

    bank_account = models.ForeignKey(BankAccount, on_delete=models.PROTECT, related_name="+", db_index=False)
    statement = models.ForeignKey(BankStatement, on_delete=models.PROTECT, related_name="+")
    no = models.PositiveIntegerField()
    fingerprint = models.BinaryField(max_length=32)
    booked_on = models.DateField()
    value_on = models.DateField()
    amount = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    end_to_end_id = models.CharField(max_length=140, default="", db_default="")
    structured_reference = models.CharField(max_length=140, default="", db_default="")
    remittance = models.TextField(default="", db_default="")
    counterparty_name = models.CharField(max_length=200, default="", db_default="")
    counterparty_iban = models.CharField(max_length=60, default="", db_default="")
    bank_ref = models.CharField(max_length=140, default="", db_default="")
    return_reason = models.CharField(max_length=60, default="", db_default="")
    batch = models.CharField(max_length=140, default="", db_default="")
    state = models.CharField(max_length=10, default="new", db_default="new")
    account = models.ForeignKey("customers.Account", on_delete=models.PROTECT, related_name="+", null=True)
    receipt = models.ForeignKey(Receipt, on_delete=models.PROTECT, related_name="+", null=True)
    match = models.JSONField(default=dict)
    """How it was matched, or what is suggested, with reasons."""
    decided_at = models.DateTimeField(null=True)
    decided_by = models.CharField(max_length=100, default="", db_default="")
    reason = models.TextField(default="", db_default="")

    class Meta:
        db_table = "payments_bank_entry"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["bank_account", "fingerprint"], name="bank_entry_once"),
            models.UniqueConstraint(fields=["statement", "no"], name="bank_entry_has_place"),
            models.CheckConstraint(
                condition=Q(state__in=["new", "matched", "suggested", "ignored", "booked"]), name="bank_entry_state"
            ),
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["state", "booked_on"], condition=~Q(state__in=["booked", "ignored"]), name="bank_entry_to_do"
            ),
        ]


from coulance.payments import payback_tables as payback_tables  # noqa: E402 - its tables are this room's too
from coulance.payments import rails as rails  # noqa: E402 - and its
