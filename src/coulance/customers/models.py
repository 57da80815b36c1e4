"""Tables of the customers room: accounts and contacts. Private to the room."""

from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Func, Q, Value

from coulance.customers.kinds import AccountKind, Channel, Role


class Account(models.Model):
    """A customer: one legal person that is billed. Known outside by `external_id`, in the ledger by `pseudonym`."""

    external_id = models.CharField(max_length=100, unique=True)
    pseudonym = models.UUIDField(unique=True, db_default=Func(function="gen_random_uuid"))
    name = models.CharField(max_length=200)
    kind = models.CharField(max_length=10, choices=AccountKind)
    country = models.CharField(max_length=2)
    vat_id = models.CharField(max_length=20, blank=True, default="", db_default="")
    address = ArrayField(models.CharField(max_length=200), default=list)
    """Its lines, as they print, without the name and the country."""
    currency = models.CharField(max_length=3)
    zone = models.CharField(max_length=64)
    language = models.CharField(max_length=5)
    billing_day = models.PositiveSmallIntegerField(default=1, db_default=1)
    tax_class = models.CharField(max_length=60, blank=True, default="", db_default="")
    """Overrides the tax class of its plans; empty leaves it to them."""
    national_tax_currency = models.CharField(max_length=3, blank=True, default="", db_default="")
    """The currency in which the tax is stated as well; empty is the provider's rule."""
    groups = ArrayField(
        models.CharField(max_length=40), default=list, db_default=Value([], ArrayField(models.CharField()))
    )
    """Words of the provider's own (`reseller`, `charity`): policies of arrears may be for a group."""

    class Meta:
        db_table = "customers_account"
        constraints: ClassVar = [
            models.CheckConstraint(condition=~Q(external_id="") & ~Q(name=""), name="account_is_named"),
            models.CheckConstraint(condition=Q(kind__in=AccountKind.values), name="account_kind"),
            models.CheckConstraint(condition=Q(country__regex=r"^[A-Z]{2}$"), name="account_country"),
            models.CheckConstraint(condition=Q(currency__regex=r"^[A-Z]{3}$"), name="account_currency"),
            models.CheckConstraint(condition=Q(billing_day__range=(1, 31)), name="account_billing_day"),
        ]


class Contact(models.Model):
    """A person or desk of an account: what it is told about, in which language, how, and whether it may incur cost."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="contacts")
    external_id = models.CharField(max_length=100)
    name = models.CharField(max_length=200)
    email = models.CharField(max_length=254, blank=True, default="", db_default="")
    phone = models.CharField(max_length=40, blank=True, default="", db_default="")
    roles = ArrayField(models.CharField(max_length=20), default=list)
    may_incur_cost = models.BooleanField(default=False, db_default=False)
    """Whether their consent to overage counts."""
    language = models.CharField(max_length=5)
    channels = ArrayField(models.CharField(max_length=20), default=list)
    mailbox_service = models.CharField(max_length=100, blank=True, default="", db_default="")
    """The service (external id) that hosts their mailbox: when that is suspended, mail to them proves nothing."""
    zone = models.CharField(max_length=64, blank=True, default="", db_default="")
    """Where they are, by IANA name: their night is theirs. Empty: as the account."""

    class Meta:
        db_table = "customers_contact"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["account", "external_id"], name="contact_once_an_account"),
            models.CheckConstraint(condition=~Q(external_id="") & ~Q(name=""), name="contact_is_named"),
            models.CheckConstraint(condition=Q(roles__contained_by=Role.values), name="contact_roles"),
            models.CheckConstraint(condition=Q(channels__contained_by=Channel.values), name="contact_channels"),
            models.CheckConstraint(
                condition=~Q(channels__contains=["email"]) | ~Q(email=""), name="contact_email_for_channel"
            ),
        ]


class ContactKey(models.Model):
    """What a contact made up to come in by: a password (its hash), and perhaps a second factor.

    Contacts are not operators: nothing here lets anybody into the console.
    """

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="+")
    contact = models.CharField(max_length=100)
    password = models.CharField(max_length=128, blank=True, default="", db_default="")
    totp_sealed = models.BinaryField(null=True)
    totp_step = models.BigIntegerField(default=0, db_default=0)
    """The newest step whose code was used: a code is good once."""
    changed_at = models.DateTimeField()
    """Sessions that began before are over."""

    class Meta:
        db_table = "customers_contact_key"
        constraints: ClassVar = [models.UniqueConstraint(fields=["account", "contact"], name="contact_has_one_key")]


class TermsDocument(models.Model):
    """The general terms in one version and language, word for word. Never changed: another text is another version."""

    version = models.CharField(max_length=40)
    language = models.CharField(max_length=5)
    title = models.CharField(max_length=200)
    text = models.TextField()
    sha256 = models.CharField(max_length=64)
    valid_from = models.DateField()
    added_at = models.DateTimeField()
    added_by = models.CharField(max_length=100)

    class Meta:
        db_table = "customers_terms_document"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["version", "language"], name="terms_once_a_language"),
            models.CheckConstraint(
                condition=Q(version__regex=r"^[A-Za-z0-9][A-Za-z0-9._-]*$") & ~Q(title="") & ~Q(text=""),
                name="terms_are_named",
            ),
            models.CheckConstraint(condition=Q(sha256__regex=r"^[0-9a-f]{64}$"), name="terms_hash"),
        ]


class TermsAcceptance(models.Model):
    """That an account agreed to a document of terms: a link of the account's chain. Only added to.

    What is personal (who, by which act) is apart, salted: a person can be erased and the chain still holds.
    """

    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="+", db_index=False)
    seq = models.PositiveIntegerField()
    document = models.ForeignKey(TermsDocument, on_delete=models.PROTECT, related_name="+")
    how = models.CharField(max_length=20)
    at = models.DateTimeField()
    recorded_at = models.DateTimeField()
    personal = models.JSONField(null=True)
    salt = models.BinaryField(max_length=32, null=True)
    personal_hash = models.CharField(max_length=64)
    previous = models.CharField(max_length=64)
    hash = models.CharField(max_length=64)

    class Meta:
        db_table = "customers_terms_acceptance"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["account", "seq"], name="terms_accepted_in_order"),
            models.CheckConstraint(
                condition=Q(how__in=["portal", "order", "paper", "taken_over"]), name="terms_accepted_how"
            ),
            models.CheckConstraint(condition=Q(recorded_at__gte=models.F("at")), name="terms_accepted_before"),
            models.CheckConstraint(
                condition=Q(
                    personal_hash__regex=r"^[0-9a-f]{64}$",
                    previous__regex=r"^[0-9a-f]{64}$",
                    hash__regex=r"^[0-9a-f]{64}$",
                ),
                name="terms_acceptance_hashes",
            ),
        ]
