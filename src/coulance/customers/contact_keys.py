"""What contacts made up to come in by, as it is kept: a password's hash, a second factor. The portal checks them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction

from coulance.customers.models import ContactKey
from coulance.customers.queries import accounts
from coulance.platform import audit
from coulance_core.kernel import require_aware


@dataclass(frozen=True, slots=True)
class KeyRow:
    """A contact's keys. `totp_sealed` is encrypted at rest; `totp_step` the newest step whose code was used."""

    password: str
    totp_sealed: bytes | None
    totp_step: int
    changed_at: datetime


def key(*, account: int, contact: str, lock: bool = False) -> KeyRow | None:
    """A contact's keys, or none; with `lock` nobody else uses them until the transaction ends."""
    rows = ContactKey.objects.filter(account=account, contact=contact)
    row = (rows.select_for_update() if lock else rows).first()
    if row is None:
        return None
    sealed = None if row.totp_sealed is None else bytes(row.totp_sealed)
    return KeyRow(row.password, sealed, row.totp_step, row.changed_at)


def keep(*, account: int, contact: str, act: str, at: datetime, **values: Any) -> None:
    """Change a contact's keys at their own will, with its line in the audit log."""
    with transaction.atomic():
        ContactKey.objects.update_or_create(
            account_id=account, contact=contact, defaults={**values, "changed_at": require_aware(at)}
        )
        (row,) = accounts([account])
        audit.record(actor=f"contact:{contact}", act=act, subject=f"account:{row.external_id}", at=at)


def use_step(*, account: int, contact: str, step: int) -> None:
    """A code was used: none that is as old is good again."""
    ContactKey.objects.filter(account=account, contact=contact).update(totp_step=step)


def forget(*, account: int, contact: str, actor: str, reason: str, at: datetime) -> bool:
    """Take away a contact's password and second factor, at their word: the mailed link lets them in again."""
    with transaction.atomic():
        done = ContactKey.objects.filter(account=account, contact=contact).update(
            password="", totp_sealed=None, totp_step=0, changed_at=require_aware(at)
        )
        if done:
            (row,) = accounts([account])
            audit.record(
                actor=actor, act="contact.keys_forgotten", subject=f"account:{row.external_id}", at=at, reason=reason,
                detail={"contact": contact},
            )  # fmt: skip
    return bool(done)
