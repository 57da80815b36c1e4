"""A contact's telephone is verified by a code that is sent to it as a text message."""

from datetime import datetime

from django.utils import translation
from django.utils.translation import gettext as _

from coulance.catalog import queries as catalog_room
from coulance.customers import queries as customers
from coulance.customers.queries import ContactRow
from coulance.flows.sending.wording import language_of
from coulance.notices import operations as notices


def send_code(*, account: int, contact: str, at: datetime, actor: str) -> str:
    """Send a contact (external id) a code; to which number. Raises `UnableToVerifyPhoneError`."""
    row = _contact(account, contact)
    with translation.override(language_of(row.language)):
        said = {"seller": catalog_room.catalog().provider.name, "code": "{code}"}
        words = _("%(seller)s: your code is %(code)s. It is good for 15 minutes. Nobody of ours will ask you for it.")
        text = words % said
    notices.send_phone_code(
        account=account, phone=row.phone, name=row.name, contact=contact, language=row.language, text=text, at=at,
        actor=actor,
    )  # fmt: skip
    return row.phone


def confirm(*, account: int, contact: str, code: str, at: datetime, actor: str) -> None:
    """The code that a contact typed or said: their telephone is verified. Raises `UnableToVerifyPhoneError`."""
    notices.confirm_phone(account=account, phone=_contact(account, contact).phone, code=code, at=at, actor=actor)


def _contact(account: int, contact: str) -> ContactRow:
    for row in customers.contacts([account]):
        if row.external_id == contact:
            if not row.phone:
                raise notices.UnableToVerifyPhoneError(f"{row.name} has no telephone number on record")
            return row
    raise notices.UnableToVerifyPhoneError(f"the account has no contact {contact!r}")
