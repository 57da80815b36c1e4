"""The one link of a notice of arrears: to the page of what is owed and every way to stop it, without signing in.

A signed text, bound to a contact and an account; nothing is done by opening it. Who holds it may pay, promise, propose
a plan and contest, as that contact; never see use, documents of others, or how the account pays.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.core import signing

from coulance.flows.overage_control.links import UnableToAnswerError
from coulance.flows.rails.direct_debit import portal_link
from coulance_core.kernel import require_aware

PURPOSE = "coulance.arrears"
LASTS = timedelta(days=180)
"""Longer than any ladder: a way out that has run out is none."""


@dataclass(frozen=True, slots=True)
class Owing:
    """Whose page: a contact (external id; empty where the mail went to several) of an account."""

    account: int
    contact: str


def make(who: Owing, *, at: datetime) -> str:
    """The link's token, of a notice that is written at an instant."""
    good = int((require_aware(at) + LASTS).timestamp())
    return signing.Signer(salt=PURPOSE).sign_object([who.account, who.contact, good], compress=True)


def url(who: Owing, *, at: datetime) -> str:
    """The whole address, as a mail has it."""
    return f"{portal_link().partition('/my')[0]}/owed/{make(who, at=at)}"


def read(token: str, *, at: datetime) -> Owing:
    """Whose page. Raises `UnableToAnswerError`."""
    try:
        account, contact, until = signing.Signer(salt=PURPOSE).unsign_object(token)
    except (signing.BadSignature, ValueError, TypeError) as error:
        raise UnableToAnswerError from error
    if require_aware(at) >= datetime.fromtimestamp(until, UTC):
        raise UnableToAnswerError(expired=True)
    return Owing(account, contact)
