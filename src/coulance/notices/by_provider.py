"""Handing mail to a provider's HTTP API through django-anymail, one request a mail.

A request that was never answered is *uncertain*, as is one that the provider's machinery broke on (500, 502, 504).
"""

from collections.abc import Callable, Mapping
from typing import Any

import requests
from anymail.exceptions import AnymailAPIError, AnymailError, AnymailRecipientsRefused
from anymail.message import AnymailMessage
from django.core.exceptions import ImproperlyConfigured
from django.core.mail import get_connection
from urllib3.exceptions import NewConnectionError

from coulance.notices.addresses import header_text
from coulance.notices.errors import UnableToReachServerError
from coulance.notices.terms import Mail
from coulance.notices.transport import Answer, Outcome, Transport

PROVIDERS: Mapping[str, tuple[str, ...]] = {
    "brevo": ("api_key",),
    "mailersend": ("api_token",),
    "mailgun": ("api_key",),
    "mailjet": ("api_key", "secret_key"),
    "postmark": ("server_token",),
    "resend": ("api_key",),
    "sendgrid": ("api_key",),
    "sparkpost": ("api_key",),
}
"""Those of anymail that we have an address for, and what of the secret is which of their settings."""

_NEVER_SENT = (requests.ConnectTimeout, requests.exceptions.SSLError, requests.exceptions.ProxyError)


class ByProvider:
    """A provider's API."""

    def __init__(self, transport: Transport) -> None:
        self._where = transport
        try:
            self._backend = get_connection(
                f"anymail.backends.{transport.provider}.EmailBackend", **_settings(transport)
            )
            self._backend.open()
        except (ImproperlyConfigured, AnymailError, ImportError) as fault:
            raise UnableToReachServerError(f"{transport.shown} can't be used: {type(fault).__name__}") from fault

    def hand_over(self, mail: Mail, data: bytes, *, before_last: Callable[[], None]) -> Answer:  # noqa: ARG002
        """See `transport.Connection`. The provider makes the bytes itself, so `data` is not what travels."""
        message = AnymailMessage(
            subject=header_text(mail.subject),
            body=mail.text,
            from_email=_shown(mail.sender_name, mail.sender),
            to=[_shown(mail.recipient_name, mail.envelope_recipient)],
            reply_to=[mail.reply_to] if mail.reply_to else None,
            headers={"Message-ID": mail.header_id, "Auto-Submitted": "auto-generated"},
            connection=self._backend,
        )
        if mail.html:
            message.attach_alternative(mail.html, "text/html")
        for file in mail.files:
            message.attach(header_text(file.name, most=150), file.content, file.media_type)
        message.metadata = {"delivery": str(mail.delivery)}
        message.track_opens = False
        message.track_clicks = False
        before_last()
        try:
            self._backend.send_messages([message])
        except AnymailRecipientsRefused:
            return Answer(Outcome.REFUSED, "the provider refuses this recipient", self._where.provider)
        except AnymailError as fault:
            return self._failed(fault)
        status = message.anymail_status
        ref = next(iter(status.message_id), "") if isinstance(status.message_id, set) else status.message_id or ""
        said = ", ".join(sorted(str(one) for one in status.status or ()))
        return Answer(Outcome.ACCEPTED, f"the provider has it ({said})", self._where.provider, ref=str(ref))

    def close(self) -> None:
        """See `transport.Connection`."""
        self._backend.close()

    def _failed(self, fault: AnymailError) -> Answer:
        host, code = self._where.provider, fault.status_code
        if _never_sent(fault):
            raise UnableToReachServerError(f"{self._where.shown} can't be reached") from fault
        if code in (401, 403, 429):
            why = "takes no more for now" if code == 429 else "doesn't take our key: set the secret `mail` anew"
            raise UnableToReachServerError(f"{self._where.shown} {why}") from fault
        if code == 503:
            return Answer(Outcome.DEFERRED, "the provider is not available (503)", host)
        if code is not None and 400 <= code < 500:
            return Answer(Outcome.REFUSED, f"the provider refuses the mail ({code})", host)
        if code is None and not isinstance(fault, AnymailAPIError):
            return Answer(Outcome.REFUSED, f"the mail can't be put to the provider: {type(fault).__name__}", host)
        return Answer(Outcome.UNCERTAIN, f"the provider never said whether it has it ({code or 'no answer'})", host)


def _never_sent(fault: BaseException) -> bool:
    """Whether the request never left: no connection came about. A connection that broke later is another matter."""
    if isinstance(fault, _NEVER_SENT):
        return True
    cause = fault.__cause__
    given = cause.args[0] if cause is not None and cause.args else None
    return isinstance(getattr(given, "reason", None), NewConnectionError)


def _settings(transport: Transport) -> dict[str, Any]:
    names = PROVIDERS[transport.provider]
    out: dict[str, Any] = dict(zip(names, (transport.user, transport.password), strict=False))
    if transport.provider == "mailgun":
        if transport.host:
            out["sender_domain"] = transport.host
        if transport.options.get("region") == "eu":
            out["api_url"] = "https://api.eu.mailgun.net/v3"
    if "api_url" in transport.options:
        out["api_url"] = transport.options["api_url"]
    return out


def _shown(name: str, address: str) -> str:
    plain = header_text(name, most=120).replace("\\", "").replace('"', "'")
    return f'"{plain}" <{address}>' if plain else address
