"""Where a mail provider brings mail to the desk: `/hooks/inbound/<secret>`.

The secret `ticket_mail_webhook` is part of the address. The provider is that of sending, or the one that the secret
`ticket_mail_provider` names; where it signs what it brings (the key is `mail_signing`), the signature is checked too.
"""

from email import policy
from hmac import compare_digest
from typing import Any

from django.core.exceptions import ImproperlyConfigured, RequestDataTooBig
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.module_loading import import_string
from django.views.decorators.csrf import csrf_exempt

from coulance.contracts.mail_reading import MOST_BYTES
from coulance.flows.contracts import mailing
from coulance.notices import transport
from coulance.notices.errors import UnableToReadTransportError
from coulance.platform import clock
from coulance.platform.secret_store import secret

HOOK_SECRET = "ticket_mail_webhook"  # noqa: S105 - its name
_VIEWS = {
    "brevo": "anymail.webhooks.brevo.BrevoInboundWebhookView",
    "mailersend": "anymail.webhooks.mailersend.MailerSendInboundWebhookView",
    "mailgun": "anymail.webhooks.mailgun.MailgunInboundWebhookView",
    "mailjet": "anymail.webhooks.mailjet.MailjetInboundWebhookView",
    "postmark": "anymail.webhooks.postmark.PostmarkInboundWebhookView",
    "sendgrid": "anymail.webhooks.sendgrid.SendGridInboundWebhookView",
    "sparkpost": "anymail.webhooks.sparkpost.SparkPostInboundWebhookView",
}
_SIGNED = {"mailgun": "webhook_signing_key", "mailersend": "inbound_secret"}
"""Providers that sign: anymail's name for the key, which is the secret `mail_signing`."""


@csrf_exempt
def hook(request: HttpRequest, secret_part: str) -> HttpResponse:
    """Mail that a provider brings. 404 for a wrong secret, and where no provider is known: as if nothing were here."""
    expected = secret(HOOK_SECRET)
    if not expected or not compare_digest(secret_part.encode(), expected.encode()):
        raise Http404
    provider = _provider()
    if int(request.headers.get("Content-Length") or 0) > 3 * MOST_BYTES:
        return HttpResponse("too long\n", status=413, content_type="text/plain")
    signing = secret("mail_signing")
    keys = {_SIGNED[provider]: signing} if signing and provider in _SIGNED else {}
    view: Any = import_string(_VIEWS[provider])
    try:
        made = view(webhook_secret=expected, **keys)
    except ImproperlyConfigured as fault:
        raise Http404 from fault  # it signs, and we have no key to check that with
    made.basic_auth = []  # the secret stood in the address
    made.setup(request)
    made.run_validators(request)
    if request.method != "POST":
        return HttpResponse(status=200 if request.method == "HEAD" else 405, headers={"Allow": "POST, HEAD"})
    try:
        events = made.parse_events(request)
        raws = [_raw(event.message) for event in events if event.message is not None]
    except RequestDataTooBig:
        return HttpResponse("too long\n", status=413, content_type="text/plain")
    except (ValueError, KeyError, TypeError, AttributeError):
        return HttpResponse("this is no mail\n", status=400, content_type="text/plain")
    try:
        for raw in raws:
            mailing.take(raw=raw, source=provider, at=clock.now())
    except mailing.UnableToTakeError as fault:
        return HttpResponse(f"{fault}\n", status=503, content_type="text/plain")  # they bring it again
    return HttpResponse()


def _provider() -> str:
    named = secret("ticket_mail_provider") or ""
    if not named:
        try:
            way = transport.configured()
        except UnableToReadTransportError:
            way = None
        named = way.provider if way is not None and way.kind == "anymail" else ""
    if named not in _VIEWS:
        raise Http404
    return named


def _raw(message: Any) -> bytes:
    """The mail's bytes; what a provider took apart is put together again."""
    try:
        raw: bytes = message.as_bytes(policy=policy.SMTP)
    except Exception:  # headers that can't be written as they are: then as they came
        raw = message.as_bytes(policy=policy.compat32)
    return raw
