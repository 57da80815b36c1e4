"""How mail leaves: the secret `mail` as an address, and what each way of sending has in common.

    smtp://user:password@mail.example:587                  STARTTLS, which is demanded
    smtp://user:password@mail.example:465?tls=implicit     TLS from the first byte
    smtp://127.0.0.1:25?tls=none                           in the clear; for a server on this machine
    anymail+postmark://TOKEN@                              a provider that django-anymail knows
    anymail+mailgun://KEY@mg.example.nl?region=eu
    file:///var/lib/coulance/mail                          into that directory and to nobody; to try things out

`?connections=4` says how many mails go out side by side.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol
from urllib.parse import parse_qsl, unquote, urlsplit

from coulance.notices.errors import UnableToReadTransportError
from coulance.notices.terms import Mail
from coulance.platform.secret_store import secret

SECRET = "mail"  # noqa: S105 - its name
_MOST_CONNECTIONS = 16


class Outcome(StrEnum):
    """What came of handing a mail over."""

    ACCEPTED = "accepted"
    DEFERRED = "deferred"
    REFUSED = "refused"
    UNCERTAIN = "uncertain"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server said to one mail. `dead_address`: it is the address itself that can't be.

    `ref` is the provider's own name for the mail, if it has one; `host` is who answered.
    """

    outcome: Outcome
    text: str
    host: str = ""
    ref: str = ""
    dead_address: bool = False


class AnotherSenderError(RuntimeError):
    """A mail is no longer this sender's to send: raised by the last look before the last bytes."""


class Connection(Protocol):
    """An open way out. Not to be shared between threads."""

    def hand_over(self, mail: Mail, data: bytes, *, before_last: Callable[[], None]) -> Answer:
        """Give one mail to the server. `before_last` runs when nothing but the last bytes is left to send: until it
        has returned the server can't have the mail. Raises `UnableToReachServerError` when no mail can be sent now."""
        ...

    def close(self) -> None:
        """Say goodbye. Never raises."""
        ...


@dataclass(frozen=True, slots=True)
class Transport:
    """Where mail goes out, as read from the secret. Its text never shows user or password."""

    kind: str
    host: str
    port: int = 0
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    tls: str = "starttls"
    provider: str = ""
    options: Mapping[str, str] = field(default_factory=dict, repr=False)
    connections: int = 4
    path: str = ""
    """Of kind `file`: the directory."""

    @property
    def shown(self) -> str:
        """In words, without secrets."""
        if self.kind == "anymail":
            return f"{self.provider} by django-anymail"
        if self.kind == "file":
            return f"files in {self.path}"
        return f"{self.host}:{self.port} ({'in the clear' if self.tls == 'none' else self.tls})"

    def connect(self) -> Connection:
        """Open a connection. Raises `UnableToReachServerError`."""
        if self.kind == "anymail":
            from coulance.notices.by_provider import ByProvider

            return ByProvider(self)
        if self.kind == "file":
            from coulance.notices.by_file import ByFile

            return ByFile(self)
        from coulance.notices.by_smtp import BySmtp

        return BySmtp(self)


def configured() -> Transport | None:
    """The transport of the secret `mail`, or none when it was never set. Raises `UnableToReadTransportError`."""
    value = secret(SECRET)
    return None if not value else read_transport(value)


def read_transport(url: str) -> Transport:
    """Read the secret's text. Raises `UnableToReadTransportError`, which says what is wrong without repeating it.

    >>> read_transport("smtp://me:s%2Fecret@mail.example").shown
    'mail.example:587 (starttls)'
    >>> read_transport("anymail+postmark://key@").shown
    'postmark by django-anymail'
    """

    def wrong(what: str) -> UnableToReadTransportError:
        return UnableToReadTransportError(
            f"the secret `mail`: {what}; expected smtp://user:password@host:587 or anymail+postmark://TOKEN@"
        )

    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError as error:
        raise wrong("it is no address") from error
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    try:
        connections = int(options.pop("connections", "4"))
    except ValueError as error:
        raise wrong("`connections` is no number") from error
    if not 1 <= connections <= _MOST_CONNECTIONS:
        raise wrong(f"`connections` must be 1 to {_MOST_CONNECTIONS}")
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    host = parts.hostname or ""
    if found := re.fullmatch(r"anymail\+([a-z_]+)", parts.scheme):
        from coulance.notices.by_provider import PROVIDERS

        if found[1] not in PROVIDERS:
            raise wrong(f"{found[1]!r} is none of {', '.join(sorted(PROVIDERS))}")
        if not user:
            raise wrong("it has no key before the @")
        return Transport(
            "anymail", host, user=user, password=password, provider=found[1], options=options, connections=connections
        )
    if parts.scheme == "file":
        path = unquote(parts.path)
        if host or not path.startswith("/") or path == "/" or "\0" in path or options:
            raise wrong("a directory is written as file:///var/lib/coulance/mail, with nothing after it")
        return Transport("file", "this machine's files", tls="none", path=path, connections=connections)
    if parts.scheme != "smtp":
        raise wrong(f"it begins with {parts.scheme or 'nothing'}:")
    if not host:
        raise wrong("it names no host")
    tls = options.pop("tls", "implicit" if port == 465 else "starttls")
    if tls not in ("starttls", "implicit", "none"):
        raise wrong("`tls` must be starttls, implicit or none")
    if options:
        raise wrong(f"unknown option {sorted(options)[0]!r}")
    default = {"starttls": 587, "implicit": 465, "none": 25}[tls]
    return Transport("smtp", host, port or default, user, password, tls, connections=connections)
