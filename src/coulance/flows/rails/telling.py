"""Telling an account's people of a rail: who they are, in whose language, and since when they are told."""

from collections.abc import Callable, Collection
from datetime import datetime

from coulance.flows import letters
from coulance.flows.sending.wording import Written, language_of
from coulance.notices import operations as notices
from coulance.notices import queries as sent
from coulance_core.notices import MessageKind, Person


def portal_link() -> str:
    """Where customers see to how they pay."""
    import os

    return (os.environ.get("COULANCE_URL", "").rstrip("/") or "http://127.0.0.1:8000") + "/my/paying"


def people_of(account: int) -> tuple[Person, ...]:
    """Who of an account hears of its money: billing and owner, at addresses that take mail."""
    return letters.recipients(account, MessageKind.REMINDER).recipients


def tell(
    *,
    key: str,
    account: int,
    about: str,
    write: Callable[[str, str], Written],
    at: datetime,
    actor: str,
    to: Collection[Person] | None = None,
) -> bool:
    """Queue a message to an account's people, in the language of the first of them; whether there was anybody.

    `write` gives the words for a language and a name (empty: several read it).
    """
    people = list(people_of(account) if to is None else to)
    if not people:
        return False
    words = write(language_of(people[0].language), people[0].name if len(people) == 1 else "")
    notices.queue_message(
        key=key,
        account=account,
        kind=MessageKind.REMINDER.value,
        to=[notices.Recipient(one.address, one.name, one.ref) for one in people],
        language=words.language,
        subject=words.subject,
        text=words.text,
        html=words.html,
        at=at,
        about=about,
        actor=actor,
    )
    return True


def told_at(key: str, *, at: datetime) -> datetime | None:
    """Since when a message counts as told: accepted by its receiver's server and not come back, or seen by a person.

    The rulebook of SEPA asks that an announcement is sent; we ask that it arrived. That the address was verified is not
    asked: it costs nothing that the announcement says, and what it announces can be had back.
    """
    found = sent.judgement(key, at=at)
    known = [one for one in (found.accepted, found.reached) if one is not None]
    return min(known, default=None)
