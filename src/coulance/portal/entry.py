"""Letting customers in by a link that is mailed to an address we know, and works once.

Nobody learns from it which addresses are known: the answer is the same, and so is the time it takes as far as we can
help it. Coming in by the link proves that the address reaches somebody, and is kept as such.
"""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.utils import translation
from django.utils.translation import gettext as _

from coulance.catalog import queries as catalog
from coulance.customers import queries as customers
from coulance.customers.queries import AccountRow, ContactRow
from coulance.notices import operations as notices
from coulance.platform import audit, limits
from coulance.platform.address import public
from coulance.platform.limits import Limit
from coulance.portal.models import EntryLink
from coulance_core.kernel import require_aware
from coulance_core.notices import MessageKind

LASTS = timedelta(minutes=30)
ASKED = Limit("portal-entry", 3, timedelta(minutes=5))
"""Links that one address is sent."""
LANGUAGES = ("en", "nl")


class UnableToEnterError(PermissionError):
    """The link is unknown, used or too old, or its contact is gone."""


@dataclass(frozen=True, slots=True)
class Me:
    """Who is signed in: a contact of an account."""

    account: AccountRow
    contact: ContactRow


def ask(*, address: str, at: datetime) -> int:
    """Mail a link to every contact with this address; how many there are. At most a few in a while."""
    require_aware(at)
    found = customers.contacts_by_email(address)
    if limits.take(ASKED, address.strip().casefold(), at=at) is not None:
        return 0
    for contact in found:
        mail_link(contact=contact, at=at)
    return len(found)


def mail_link(*, contact: ContactRow, at: datetime) -> None:
    """Mail a contact a link that lets them in once."""
    secret = secrets.token_urlsafe(32)
    digest = _hash(secret)
    (account,) = customers.accounts([contact.account_id])
    language = language_of(contact.language)
    with transaction.atomic(), translation.override(language):
        EntryLink.objects.filter(expires_at__lt=at - timedelta(days=1)).delete()
        EntryLink.objects.create(
            account_id=contact.account_id,
            contact=contact.external_id,
            address=contact.email,
            secret_hash=digest,
            made_at=at,
            expires_at=at + LASTS,
        )
        seller = catalog.catalog().provider.name
        said = {"name": contact.name, "seller": seller, "account": account.name, "minutes": LASTS.seconds // 60}
        link = f"{public()}/my/enter/{secret}"
        notices.queue_message(
            key=f"portal-entry/{digest.hex()}",
            account=contact.account_id,
            kind=MessageKind.OPERATIONS.value,
            to=[notices.Recipient(contact.email, contact.name, contact.external_id)],
            language=language,
            subject=_("Sign in at %(seller)s") % said,
            text="\n\n".join(
                [
                    _("Hello %(name)s,") % said,
                    _("This link lets you in once, for %(account)s, within %(minutes)s minutes:") % said,
                    link,
                    _("You did not ask for it? Then nothing happened, and you need do nothing."),
                    seller,
                ]
            )
            + "\n",
            at=at,
            actor="portal",
        )


def use(*, secret: str, at: datetime) -> Me:
    """Use a link up. Raises `UnableToEnterError`."""
    require_aware(at)
    with transaction.atomic():
        known = EntryLink.objects.filter(secret_hash=_hash(secret), used_at__isnull=True, expires_at__gt=at)
        if not known.update(used_at=at):
            raise UnableToEnterError
        link = EntryLink.objects.get(secret_hash=_hash(secret))
        me = find(account=link.account_id, contact=link.contact)
        if me is None or me.contact.email.casefold() != link.address.casefold():
            raise UnableToEnterError
        actor = f"contact:{link.contact}"
        notices.verify_address(
            account=link.account_id, address=link.address, how="came in by a mailed link", actor=actor, at=at
        )
        audit.record(actor=actor, act="contact.signed_in", subject=f"account:{me.account.external_id}", at=at)
    return me


def find(*, account: int, contact: str) -> Me | None:
    """A contact as they are now, or none."""
    rows = customers.accounts([account])
    for row in customers.contacts([account]) if rows else ():
        if row.external_id == contact:
            return Me(rows[0], row)
    return None


def language_of(tag: str) -> str:
    """The language we have for somebody."""
    primary = tag.lower().replace("_", "-").split("-")[0]
    return primary if primary in LANGUAGES else "en"


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
