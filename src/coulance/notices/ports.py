"""What the notices room asks of whoever queued a message: its attachments, and to hear what became of it.

A handler serves one kind of message. Which handler serves which is wired in the settings (`MESSAGE_HANDLERS`), since
the rooms that know documents stand above this one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Protocol

from django.conf import settings
from django.utils.module_loading import import_string

from coulance.notices.terms import File


@dataclass(frozen=True, slots=True)
class About:
    """The message that a handler is told of. `failed`, `accepted`: of one of its deliveries, to `address`."""

    message: int
    delivery: int
    key: str
    kind: str
    account: int | None
    about: str
    address: str
    copy: bool


class Handler(Protocol):
    """What serves a kind of message. All but `files` run in the transaction that records what happened."""

    def files(self, *, kind: str, ref: str) -> Sequence[File]:
        """The files of an attachment. Raises `UnableToAttachError`; nothing is sent then."""
        ...

    def accepted(self, *, of: About, at: datetime) -> None:
        """A server took it."""
        ...

    def failed(self, *, of: About, state: str, why: str, at: datetime) -> None:
        """It was refused, came back, is held or uncertain."""
        ...


class Plain:
    """For kinds that nothing serves: no attachments to render, nobody to tell."""

    def files(self, *, kind: str, ref: str) -> Sequence[File]:
        """Refuses: nothing renders this."""
        from coulance.notices.errors import UnableToAttachError

        raise UnableToAttachError(f"nothing here renders an attachment of the kind {kind!r} ({ref})")

    def accepted(self, *, of: About, at: datetime) -> None:
        """Nobody to tell."""

    def failed(self, *, of: About, state: str, why: str, at: datetime) -> None:
        """Nobody to tell."""


@cache
def handler_of(kind: str) -> Handler:
    """What serves messages of this kind, as the settings wire it."""
    path = getattr(settings, "MESSAGE_HANDLERS", {}).get(kind)
    if path is None:
        return Plain()
    made: Handler = import_string(path)()
    return made
