"""A telephone is verified by a code that was sent to it: six digits, a quarter of an hour, five tries."""

import hmac
import secrets
from datetime import datetime, timedelta
from hashlib import sha256

from django.db import transaction
from django.db.models import F

from coulance.notices.addresses import AddressFormError, phone_number
from coulance.notices.errors import NoticesError
from coulance.notices.models import PhoneCode
from coulance.notices.terms import Recipient

LASTS = timedelta(minutes=15)
TRIES = 5
AN_HOUR = 3
"""Codes to one number in an hour."""


class UnableToVerifyPhoneError(NoticesError):
    """A number that can't be, too many codes or tries, or a code that is wrong or too old; the text says which."""


def send_phone_code(
    *, account: int, phone: str, name: str = "", contact: str = "", language: str, text: str, at: datetime, actor: str
) -> int:
    """Send a code to a telephone; `text` says so, with `{code}` where it stands. Gives the message's id.

    The latest code alone is good. Raises `UnableToVerifyPhoneError`.
    """
    from coulance.notices.operations import queue_messages
    from coulance.notices.terms import NewMessage

    try:
        number = phone_number(phone)
    except AddressFormError as error:
        raise UnableToVerifyPhoneError(str(error)) from error
    with transaction.atomic():
        lately = PhoneCode.objects.filter(account=account, phone=number, sent_at__gt=at - timedelta(hours=1))
        if lately.count() >= AN_HOUR:
            raise UnableToVerifyPhoneError(f"{AN_HOUR} codes were sent to {number} within the hour: try again later")
        code, salt = f"{secrets.randbelow(10**6):06d}", secrets.token_bytes(16)
        row = PhoneCode.objects.create(
            account_id=account, phone=number, code_hash=_hash(salt, code), salt=salt, sent_at=at, expires_at=at + LASTS
        )
        key = f"phone-code/{row.pk}"
        made = queue_messages(
            [
                NewMessage(
                    key=key, account=account, kind="consent", to=[Recipient(number, name, contact)],
                    language=language, subject="", text=text.replace("{code}", code), channel="sms",
                )
            ],
            at=at,
            actor=actor,
        )  # fmt: skip
        return made[key]


def confirm_phone(*, account: int, phone: str, code: str, at: datetime, actor: str) -> None:
    """The code that somebody typed: the number is verified from now on. Raises `UnableToVerifyPhoneError`."""
    from coulance.notices.operations import verify_address

    try:
        number = phone_number(phone)
    except AddressFormError as error:
        raise UnableToVerifyPhoneError(str(error)) from error
    wrong = False
    with transaction.atomic():
        row = (
            PhoneCode.objects.select_for_update()
            .filter(account=account, phone=number)
            .order_by("-sent_at", "-id")
            .first()
        )
        if row is None or row.used_at is not None or row.expires_at <= at or row.attempts >= TRIES:
            raise UnableToVerifyPhoneError("that code is too old, or was tried too often: have another sent")
        PhoneCode.objects.filter(pk=row.pk).update(attempts=F("attempts") + 1)
        typed = "".join(c for c in code if c.isdecimal())
        if hmac.compare_digest(_hash(bytes(row.salt), typed), bytes(row.code_hash)):
            PhoneCode.objects.filter(pk=row.pk).update(used_at=at)
            verify_address(account=account, address=number, how="a code sent to it", actor=actor, at=at)
        else:
            wrong = True  # said after the try was counted
    if wrong:
        raise UnableToVerifyPhoneError("that is not the code")


def _hash(salt: bytes, code: str) -> bytes:
    return sha256(salt + code.encode()).digest()
