"""One link for one question: leave for work, or how a solved case went. Opening it does nothing.

A signed text, bound to an account, a contact and what is asked; good for that and nothing else.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

from django.core import signing

from coulance.flows.overage_control.links import UnableToAnswerError
from coulance_core.kernel import require_aware

PURPOSE = "coulance.contracts"


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds the link: a contact (external id) of an account; `what` is `leave` or `opinion`, `ref` which one."""

    account: int
    contact: str
    what: str
    ref: str


def make(who: Holder, *, until: datetime) -> str:
    """The link's token."""
    body = [who.account, who.contact, who.what, who.ref, int(require_aware(until).timestamp())]
    return signing.Signer(salt=PURPOSE).sign_object(body, compress=True)


def read(token: str, *, at: datetime) -> Holder:
    """Who holds it, for what. Raises `UnableToAnswerError`."""
    try:
        account, contact, what, ref, until = signing.Signer(salt=PURPOSE).unsign_object(token)
    except (signing.BadSignature, ValueError, TypeError) as error:
        raise UnableToAnswerError from error
    if require_aware(at) >= datetime.fromtimestamp(until, UTC):
        raise UnableToAnswerError(expired=True)
    return Holder(account, contact, what, ref)
