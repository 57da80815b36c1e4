"""The one link by which a customer chooses what becomes of an invoice that waits, without signing in.

A signed text, bound to a contact, the invoice and the message that brought it; good for that choice and nothing else.
Opening it does nothing.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.core import signing

from coulance.flows.overage_control.links import UnableToAnswerError
from coulance_core.kernel import require_aware

PURPOSE = "coulance.settle-first"
STAYS = timedelta(days=30)
"""After the wait is over a link still shows what became of it, this long."""


@dataclass(frozen=True, slots=True)
class Chooser:
    """Who chooses: a contact (external id) of an account, about a document, by the message of that key."""

    account: int
    contact: str
    document: int
    message: str


def make(who: Chooser, *, until: datetime) -> str:
    """The link's token; `until` is when the wait ends."""
    good = int((require_aware(until) + STAYS).timestamp())
    return signing.Signer(salt=PURPOSE).sign_object(
        [who.account, who.contact, who.document, who.message, good], compress=True
    )


def read(token: str, *, at: datetime) -> Chooser:
    """Who chooses what. Raises `UnableToAnswerError`."""
    try:
        account, contact, document, message, until = signing.Signer(salt=PURPOSE).unsign_object(token)
    except (signing.BadSignature, ValueError, TypeError) as error:
        raise UnableToAnswerError from error
    if require_aware(at) >= datetime.fromtimestamp(until, UTC):
        raise UnableToAnswerError(expired=True)
    return Chooser(account, contact, document, message)
