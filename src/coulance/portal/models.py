"""The portal's tables: links that let a contact in once, and their own keys to it. Private to the room."""

from typing import ClassVar

from django.db import models


class EntryLink(models.Model):
    """A link that was mailed to a contact's address. Of its secret only the hash is kept."""

    account = models.ForeignKey("customers.Account", on_delete=models.CASCADE, related_name="+")
    contact = models.CharField(max_length=100)
    address = models.CharField(max_length=254)
    secret_hash = models.BinaryField(unique=True)
    made_at = models.DateTimeField()
    expires_at = models.DateTimeField(db_index=True)
    used_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "portal_entry_link"
        constraints: ClassVar = [
            models.CheckConstraint(condition=models.Q(expires_at__gt=models.F("made_at")), name="entry_link_lasts"),
        ]


class ContactKey(models.Model):
    """What a contact made up to come in by: a password (its hash), and perhaps a second factor.

    Contacts are not operators: nothing here lets anybody into the console.
    """

    account = models.ForeignKey("customers.Account", on_delete=models.CASCADE, related_name="+")
    contact = models.CharField(max_length=100)
    password = models.CharField(max_length=128, blank=True, default="", db_default="")
    totp_sealed = models.BinaryField(null=True)
    totp_step = models.BigIntegerField(default=0, db_default=0)
    """The newest step whose code was used: a code is good once."""
    changed_at = models.DateTimeField()
    """Sessions that began before are over."""

    class Meta:
        db_table = "portal_contact_key"
        constraints: ClassVar = [models.UniqueConstraint(fields=["account", "contact"], name="contact_key_once")]
