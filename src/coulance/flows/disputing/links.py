"""The link to contest one invoice, or to answer in one case, without signing in. Opening it does nothing.

A signed text, bound to an account, a contact and the invoice or case; good for that and nothing else. It shows what its
mail was about, never the account's other papers.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

from django.core import signing

from coulance.flows.overage_control.links import UnableToAnswerError
from coulance_core.kernel import require_aware

PURPOSE = "coulance.dispute"


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds the link: a contact (external id; empty where the mail went to several) of an account.

    `document` is the invoice that may be contested, `opening` the debt that was taken over; `case`, when not 0, the
    case that may be answered in.
    """

    account: int
    contact: str
    document: int | None
    case: int = 0
    opening: int | None = None


def make(who: Holder, *, until: datetime) -> str:
    """The link's token."""
    of = who.document if who.document is not None else f"opening/{who.opening}"
    body = [who.account, who.contact, of, who.case, int(require_aware(until).timestamp())]
    return signing.Signer(salt=PURPOSE).sign_object(body, compress=True)


def read(token: str, *, at: datetime) -> Holder:
    """Who holds it, for what. Raises `UnableToAnswerError`."""
    try:
        account, contact, of, case, until = signing.Signer(salt=PURPOSE).unsign_object(token)
    except (signing.BadSignature, ValueError, TypeError) as error:
        raise UnableToAnswerError from error
    if require_aware(at) >= datetime.fromtimestamp(until, UTC):
        raise UnableToAnswerError(expired=True)
    if isinstance(of, str):
        return Holder(account, contact, None, case, int(of.removeprefix("opening/")))
    return Holder(account, contact, of, case)
