"""Tables of the ledger room. Private to the room; its guards are triggers, in migration 0002.

Rows are only ever added. The exceptions are named there: a hold is released once, a person is erased.
"""

from typing import ClassVar

from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.db.models import F, Func, Q

from coulance_core.ledger import EntryKind, HoldKind


class Party(models.Model):
    """A customer account as the journal knows it: a pseudonym, and the salt that its sources are hashed with.

    Erasing the person clears `account` and `salt`; the chain keeps its pseudonym, which then leads nowhere.
    """

    account = models.OneToOneField("customers.Account", on_delete=models.PROTECT, related_name="+", null=True)
    pseudonym = models.UUIDField(unique=True)
    salt = models.BinaryField(
        max_length=16, null=True, db_default=Func(Func(function="gen_random_uuid"), function="uuid_send")
    )
    erased_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "ledger_party"
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(erased_at__isnull=True, salt__isnull=False)
                | Q(erased_at__isnull=False, salt__isnull=True, account__isnull=True),
                name="ledger_party_whole_or_erased",
            ),
        ]


class Entry(models.Model):
    """One event in one party's books: `seq` counts from 1, `previous_hash` is the hash of the entry before.

    `postings` says how many legs it has, so that none can be added once they are there. The database adds `xact`, the
    transaction that made it.
    """

    party = models.ForeignKey(Party, on_delete=models.PROTECT, related_name="+", db_index=False)
    seq = models.PositiveIntegerField()
    kind = models.CharField(max_length=20)
    source = models.CharField(max_length=120, unique=True, null=True)
    """What caused it; cleared when the person is erased."""
    source_hash = models.BinaryField(max_length=32)
    effective_on = models.DateField()
    recorded_at = models.DateTimeField()
    reverses = models.OneToOneField("self", on_delete=models.PROTECT, related_name="+", null=True)
    postings = models.PositiveSmallIntegerField()
    previous_hash = models.BinaryField(max_length=32)
    hash = models.BinaryField(max_length=32)

    class Meta:
        db_table = "ledger_entry"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["party", "seq"], name="ledger_entry_no_fork"),
            models.CheckConstraint(condition=Q(seq__gte=1), name="ledger_entry_seq"),
            models.CheckConstraint(condition=Q(postings__gte=2), name="ledger_entry_two_postings"),
            models.CheckConstraint(condition=Q(kind__in=[k.value for k in EntryKind]), name="ledger_entry_kind"),
            models.CheckConstraint(
                condition=Q(kind=EntryKind.REVERSAL.value, reverses__isnull=False)
                | (~Q(kind=EntryKind.REVERSAL.value) & Q(reverses__isnull=True)),
                name="ledger_entry_reversal_names_one",
            ),
        ]
        indexes: ClassVar = [BrinIndex(fields=["recorded_at"], name="ledger_entry_by_time")]


class Posting(models.Model):
    """One leg of an entry: minor units, debit positive."""

    pk = models.CompositePrimaryKey("entry_id", "no")
    # No foreign key in the database: the insert trigger looks every entry up anyway, and entries are never deleted.
    entry = models.ForeignKey(Entry, on_delete=models.PROTECT, related_name="+", db_constraint=False, db_index=False)
    no = models.PositiveSmallIntegerField()
    account = models.CharField(max_length=64)
    amount = models.BigIntegerField()
    currency = models.CharField(max_length=3)

    class Meta:
        db_table = "ledger_posting"
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(no__gte=1), name="ledger_posting_no"),
            models.CheckConstraint(condition=~Q(amount=0), name="ledger_posting_amount"),
            models.CheckConstraint(condition=Q(currency__regex=r"^[A-Z]{3}$"), name="ledger_posting_currency"),
        ]


class Hold(models.Model):
    """An amount of a party set aside without touching the journal: disputed, or under way. Open until released."""

    party = models.ForeignKey(Party, on_delete=models.PROTECT, related_name="+")
    kind = models.CharField(max_length=10)
    amount = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    source = models.CharField(max_length=120, unique=True)
    about = models.CharField(max_length=120, default="", db_default="")
    """What it is an amount of, as a ref of payments: "document/7". Empty: of the account as a whole."""
    placed_at = models.DateTimeField()
    released_at = models.DateTimeField(null=True)
    released_why = models.CharField(max_length=200, default="", db_default="")

    class Meta:
        db_table = "ledger_hold"
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(kind__in=[k.value for k in HoldKind]), name="ledger_hold_kind"),
            models.CheckConstraint(condition=Q(amount__gt=0), name="ledger_hold_amount"),
            models.CheckConstraint(
                condition=Q(released_at__isnull=True, released_why="")
                | (Q(released_at__gte=F("placed_at")) & ~Q(released_why="")),
                name="ledger_hold_release_says_why",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["party", "about"], condition=Q(released_at__isnull=True), name="ledger_hold_open"),
        ]


class DaySeal(models.Model):
    """A UTC day closed for good: the Merkle root of its entries' hashes, chained to the seal before."""

    day = models.DateField(primary_key=True)
    entries = models.PositiveIntegerField()
    root = models.BinaryField(max_length=32)
    previous = models.BinaryField(max_length=32, unique=True)
    seal = models.BinaryField(max_length=32, unique=True)
    sealed_at = models.DateTimeField()

    class Meta:
        db_table = "ledger_day_seal"
