"""A contact's own password and second factor, beside the mailed link. Django's hashers; contacts are no operators.

Nobody learns from a failed try which addresses are known or have a password: the answer and the work are the same.
Tries are limited by address and by account. A second factor that was set is asked for however they come in.
"""

import base64
import secrets
from datetime import datetime, timedelta

from django.contrib.auth.hashers import check_password, make_password
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

from coulance.customers import contact_keys
from coulance.customers import queries as customers
from coulance.customers.contact_keys import KeyRow
from coulance.platform import at_rest, audit, limits
from coulance.platform.limits import Limit
from coulance.portal import entry, totp
from coulance.portal.entry import Me
from coulance_core.kernel import require_aware

PASSWORD = Limit("portal-password", 5, timedelta(minutes=3))
"""Tries of a password for one mail address."""
CODE = Limit("portal-code", 5, timedelta(minutes=3))
"""Tries of a code for one contact."""
_NOBODY = make_password("nobody has this password")


class UnableToUseKeyError(PermissionError):
    """Wrong, or tried too often; the text says what to do, in their language."""


class UnableToSetKeyError(ValueError):
    """What was typed won't do; the text says why, in their language."""


def by_password(*, address: str, password: str, at: datetime) -> Me:
    """Who comes in by an address and a password. Raises `UnableToUseKeyError`, the same for every cause."""
    require_aware(at)
    wrong = UnableToUseKeyError(
        _("That address and password do not fit together, or were tried too often. A mailed link always works.")
    )
    if limits.take(PASSWORD, address.strip().casefold(), at=at) is not None:
        raise wrong
    found: Me | None = None
    tried = False
    for contact in customers.contacts_by_email(address):
        key = _key(contact.account_id, contact.external_id)
        if key is not None and key.password and not tried:
            tried = True
            if check_password(password, key.password):
                found = entry.find(account=contact.account_id, contact=contact.external_id)
    if not tried:
        check_password(password, _NOBODY)  # the same work for who isn't known
    if found is None:
        raise wrong
    audit.record(
        actor=f"contact:{found.contact.external_id}", act="contact.signed_in",
        subject=f"account:{found.account.external_id}", at=at, detail={"by": "password"},
    )  # fmt: skip
    return found


def has_password(me: Me) -> bool:
    """Whether they have one."""
    key = _key(me.account.id, me.contact.external_id)
    return key is not None and bool(key.password)


def wants_code(me: Me) -> bool:
    """Whether a second factor is asked of them."""
    key = _key(me.account.id, me.contact.external_id)
    return key is not None and key.totp_sealed is not None


def changed_at(*, account: int, contact: str) -> datetime | None:
    """When their keys changed last: sessions from before are over."""
    key = _key(account, contact)
    return None if key is None else key.changed_at


def set_password(me: Me, *, password: str, again: str, code: str = "", at: datetime) -> None:
    """Give themselves a password; by a `code` where a second factor is asked of them, however lately they came in.

    Raises `UnableToSetKeyError`, `UnableToUseKeyError`.
    """
    if password != again:
        raise UnableToSetKeyError(_("The two passwords are not the same."))
    try:
        validate_password(password)
    except ValidationError as fault:
        raise UnableToSetKeyError(" ".join(str(message) for message in fault.messages)) from fault
    if me.contact.email.split("@")[0].casefold() in password.casefold():
        raise UnableToSetKeyError(_("A password that has your address in it is soon guessed."))
    _by_code(me, code, at)
    _keep(me, at, act="contact.password_set", password=make_password(password))


def remove_password(me: Me, *, code: str = "", at: datetime) -> None:
    """Come in by mailed links alone; by a `code` where a second factor is asked. Raises `UnableToUseKeyError`."""
    _by_code(me, code, at)
    _keep(me, at, act="contact.password_removed", password="")


def _by_code(me: Me, code: str, at: datetime) -> None:
    """Whoever finds a browser open has no telephone with it."""
    if wants_code(me):
        check_code(me, code=code, at=at)


def new_secret() -> str:
    """A secret for an authenticator app."""
    return base64.b32encode(secrets.token_bytes(20)).decode()


def set_second_factor(me: Me, *, secret: str, code: str, at: datetime) -> None:
    """Ask for a code from now on, once one was typed that fits. Raises `UnableToSetKeyError`.

    One that is there is removed first, by a code of it: else whoever finds a browser open would exchange it.
    """
    if not secret or wants_code(me):
        raise UnableToSetKeyError(_("Choose what to do."))
    step = totp.step_of(secret, code, seconds=int(at.timestamp()), after=0)
    if step is None:
        raise UnableToSetKeyError(_("That is not the code the app shows now. Is your telephone's clock right?"))
    _keep(me, at, act="contact.second_factor_set", totp_sealed=at_rest.seal(secret), totp_step=step)


def remove_second_factor(me: Me, *, at: datetime) -> None:
    """Ask for no code any more."""
    _keep(me, at, act="contact.second_factor_removed", totp_sealed=None, totp_step=0)


def check_code(me: Me, *, code: str, at: datetime) -> None:
    """Use a code up. Raises `UnableToUseKeyError`."""
    name = f"{me.account.id}/{me.contact.external_id}"
    if limits.take(CODE, name, at=at) is not None:
        raise UnableToUseKeyError(_("Too many tries. Wait some minutes."))
    with transaction.atomic():
        key = contact_keys.key(account=me.account.id, contact=me.contact.external_id, lock=True)
        step = None
        if key is not None and key.totp_sealed is not None:
            secret = at_rest.unseal(key.totp_sealed)
            step = totp.step_of(secret, code, seconds=int(at.timestamp()), after=key.totp_step)
        if step is None:
            raise UnableToUseKeyError(_("That is not the code the app shows now."))
        contact_keys.use_step(account=me.account.id, contact=me.contact.external_id, step=step)


def _key(account: int, contact: str) -> KeyRow | None:
    return contact_keys.key(account=account, contact=contact)


def _keep(me: Me, at: datetime, *, act: str, **values: object) -> None:
    contact_keys.keep(account=me.account.id, contact=me.contact.external_id, act=act, at=at, **values)
