"""The tag of a ticket: what a subject or address carries, so that an answer finds its ticket. Ours alone to make."""

import base64
import hmac
import re
from collections.abc import Iterable

from django.conf import settings
from django.utils.crypto import salted_hmac

PURPOSE = "coulance.contracts.tags"
_IN_SUBJECT = re.compile(r"\[#(\d{1,18}-[a-z2-7]{13})\]")
_IN_ADDRESS = re.compile(r"\+(\d{1,18}-[a-z2-7]{13})@", re.IGNORECASE)


def tag(ticket: int) -> str:
    """A ticket's tag: its number and a mark of ours."""
    return f"{ticket}-{_mark(ticket, settings.SECRET_KEY)}"


def address(desk: str, ticket: int) -> str:
    """The address that answers to a ticket go to: `help+17-abc...@host.example`."""
    name, _, host = desk.partition("@")
    return f"{name}+{tag(ticket)}@{host}"


def find(subject: str, addresses: Iterable[str]) -> int | None:
    """The ticket that a mail's addresses or subject name by a tag of ours; a tag that isn't ours is no tag."""
    found = [m for one in addresses for m in _IN_ADDRESS.findall(one)] + _IN_SUBJECT.findall(subject)
    for one in found[:20]:
        number, _, mark = one.lower().partition("-")
        keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
        if any(hmac.compare_digest(mark, _mark(int(number), key)) for key in keys):
            return int(number)
    return None


def untagged(subject: str) -> str:
    """A subject without tags."""
    return " ".join(_IN_SUBJECT.sub(" ", subject).split())


def _mark(ticket: int, key: str) -> str:
    digest = salted_hmac(PURPOSE, str(ticket), secret=key, algorithm="sha256").digest()[:8]
    return base64.b32encode(digest).decode().rstrip("=").lower()
