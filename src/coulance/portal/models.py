"""The portal's table: links that let a contact in once. Private to the room."""

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
