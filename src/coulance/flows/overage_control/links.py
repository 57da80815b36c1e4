"""The one link of a warning: it says who may answer which warning until when, and nothing is done by opening it.

A link is a signed text, not a secret that is stored: bound to a contact, a service's charge, a period and the message
that brought it, and good for answering that warning only. What it allows is what the warning asks about: to
acknowledge, to set a limit, to pause. Whoever holds it may do no more.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

from django.core import signing

from coulance_core.kernel import require_aware

PURPOSE = "coulance.overage.answer"
"""The salt of the signature: a link made for anything else is not good here, nor this one elsewhere."""


class UnableToAnswerError(PermissionError):
    """The link was changed, is for something else, or is too old. `expired` tells the last from the others."""

    def __init__(self, *, expired: bool = False) -> None:
        super().__init__("this link is too old" if expired else "this link is not whole")
        self.expired = expired


@dataclass(frozen=True, slots=True)
class Answerer:
    """Who answers what: a contact (external id) of an account (id), about a service's charge in a period.

    `message` is the key of the message that brought the link, which the answer is evidence for.
    """

    account: int
    contact: str
    service: int
    charge: str
    period_name: str
    message: str


def make(answerer: Answerer, *, until: datetime) -> str:
    """The link's token."""
    a = answerer
    body = [a.account, a.contact, a.service, a.charge, a.period_name, a.message, int(require_aware(until).timestamp())]
    return signing.Signer(salt=PURPOSE).sign_object(body, compress=True)


def read(token: str, *, at: datetime) -> Answerer:
    """Who answers what. Raises `UnableToAnswerError`."""
    try:
        account, contact, service, charge, period_name, message, until = signing.Signer(salt=PURPOSE).unsign_object(
            token
        )
    except (signing.BadSignature, ValueError, TypeError) as error:
        raise UnableToAnswerError from error
    if require_aware(at) >= datetime.fromtimestamp(until, UTC):
        raise UnableToAnswerError(expired=True)
    return Answerer(account, contact, service, charge, period_name, message)
