"""Who is written to: by the kind of message and the roles of contacts, in which language, and never in vain by design.

A message about a service must not go only to mailboxes that the very service hosts: when it is suspended, that mail
proves nothing and helps nobody. Then others of the account are written to as well.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum


class MessageKind(StrEnum):
    """What a message is for; it decides who gets it."""

    DOCUMENT = "document"
    """An invoice, credit note or usage statement."""
    REMINDER = "reminder"
    """A debt that is due."""
    WARNING = "warning"
    """Use nears an allowance or limit."""
    RESTRICTION = "restriction"
    """A service will be, or is, throttled, paused or ended."""
    CONSENT = "consent"
    """Somebody who may incur cost is asked to agree to something."""
    OPERATIONS = "operations"
    """Maintenance, outages and abuse."""


_TIERS: dict[MessageKind, tuple[tuple[str, ...], ...]] = {
    MessageKind.DOCUMENT: (("billing",), ("owner",)),
    MessageKind.REMINDER: (("billing", "owner"),),
    MessageKind.WARNING: (("billing", "owner", "technical"),),
    MessageKind.RESTRICTION: (("billing", "owner", "technical"),),
    MessageKind.CONSENT: (("owner", "billing"),),
    MessageKind.OPERATIONS: (("technical", "abuse"), ("owner",)),
}
"""Roles in order of preference: the first tier that has anybody is written to, all of it."""


@dataclass(frozen=True, slots=True)
class Person:
    """A contact as a recipient: `mailbox_service` is the service (external id) that hosts their mailbox, or empty."""

    ref: str
    name: str
    address: str
    language: str
    roles: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    mailbox_service: str = ""
    may_incur_cost: bool = False


@dataclass(frozen=True, slots=True)
class Choice:
    """Who gets a message, who does not and why, and what is wrong with it as a whole (empty when nothing is).

    `inside_only`: everybody chosen has their mailbox on a service that the message is about, and there was nobody else.
    """

    recipients: tuple[Person, ...]
    passed_over: tuple[tuple[str, str], ...] = ()
    problem: str = ""
    inside_only: bool = False

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages to write in, the first recipient's first."""
        return tuple(dict.fromkeys(person.language for person in self.recipients))


def choose(
    people: Sequence[Person],
    kind: MessageKind,
    *,
    about: Collection[str] = (),
    dead: Collection[str] = (),
) -> Choice:
    """Choose by mail. `about`: services (external ids) that the message is about; `dead`: addresses that refuse mail.

    >>> desk = Person("desk", "Desk", "desk@shop.example", "nl", ("billing",), ("email",), mailbox_service="web-1")
    >>> boss = Person("boss", "Boss", "boss@else.example", "en", ("owner",), ("email",))
    >>> [p.ref for p in choose([desk, boss], MessageKind.DOCUMENT).recipients]
    ['desk']
    >>> [p.ref for p in choose([desk, boss], MessageKind.DOCUMENT, about=["web-1"]).recipients]
    ['desk', 'boss']
    """
    refused = {address.casefold() for address in dead}
    passed: list[tuple[str, str]] = []
    usable: list[Person] = []
    for person in people:
        if not person.address or "email" not in person.channels:
            passed.append((person.ref, "is not written to by mail"))
        elif person.address.casefold() in refused:
            passed.append((person.ref, f"{person.address} refuses mail"))
        else:
            usable.append(person)
    chosen: list[Person] = []
    for tier in _TIERS[kind]:
        chosen = [person for person in usable if set(tier) & set(person.roles)]
        if kind is MessageKind.CONSENT:
            chosen = [person for person in chosen if person.may_incur_cost]
        if chosen:
            break
    if not chosen and kind is not MessageKind.CONSENT and len(usable) == 1 and not usable[0].roles:
        chosen = usable  # the one contact of a small account, whose role nobody wrote down
    # Where a mailbox is hosted is a fact of its address, whichever contact says so.
    inside = {person.address.casefold() for person in people if person.mailbox_service in set(about)}
    if chosen and all(person.address.casefold() in inside for person in chosen):
        others = [p for p in usable if p.address.casefold() not in inside and p not in chosen]
        if kind is MessageKind.CONSENT:
            others = [person for person in others if person.may_incur_cost]
        chosen += others
    chosen = _once(chosen)
    passed += [(person.ref, "has another role") for person in usable if person not in chosen]
    if not chosen:
        return Choice((), tuple(passed), _problem(people, kind, passed))
    only = all(person.address.casefold() in inside for person in chosen)
    problem = "every mailbox is on a service that this is about" if only else ""
    return Choice(tuple(chosen), tuple(passed), problem, only)


def _once(people: Sequence[Person]) -> list[Person]:
    """Each address once, the first person of it."""
    return list({person.address.casefold(): person for person in reversed(people)}.values())[::-1]


def _problem(people: Sequence[Person], kind: MessageKind, passed: Sequence[tuple[str, str]]) -> str:
    if not people:
        return "the account has no contacts"
    roles = " or ".join(dict.fromkeys(role for tier in _TIERS[kind] for role in tier))
    dead = [f"{ref}: {why}" for ref, why in passed if why.endswith("refuses mail")]
    if dead:
        return f"no {roles} contact can be written to ({'; '.join(dead)})"
    return f"no contact with the role {roles} has an e-mail address"
