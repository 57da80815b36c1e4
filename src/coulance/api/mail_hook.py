"""Where a mail provider tells of bounces and deliveries: `/hooks/mail/<secret>`.

The secret `mail_webhook` is part of the address, so that only the provider knows it. Where a provider signs its events
(the key is the secret `mail_signing`), the signature is checked as well.
"""

from hmac import compare_digest
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.module_loading import import_string
from django.views.decorators.csrf import csrf_exempt

from coulance.notices import tracking, transport
from coulance.notices.errors import UnableToReadTransportError
from coulance.platform import clock
from coulance.platform.secret_store import secret

HOOK_SECRET = "mail_webhook"  # noqa: S105 - its name
_VIEWS = {
    "brevo": "anymail.webhooks.brevo.BrevoTrackingWebhookView",
    "mailersend": "anymail.webhooks.mailersend.MailerSendTrackingWebhookView",
    "mailgun": "anymail.webhooks.mailgun.MailgunTrackingWebhookView",
    "mailjet": "anymail.webhooks.mailjet.MailjetTrackingWebhookView",
    "postmark": "anymail.webhooks.postmark.PostmarkTrackingWebhookView",
    "resend": "anymail.webhooks.resend.ResendTrackingWebhookView",
    "sendgrid": "anymail.webhooks.sendgrid.SendGridTrackingWebhookView",
    "sparkpost": "anymail.webhooks.sparkpost.SparkPostTrackingWebhookView",
}
_SIGNED = {"mailgun": "webhook_signing_key", "mailersend": "signing_secret", "resend": "signing_secret"}
"""Providers that sign: anymail's name for the key, which is the secret `mail_signing`."""


@csrf_exempt
def hook(request: HttpRequest, secret_part: str) -> HttpResponse:
    """A provider's events. 404 for a wrong secret, and where no provider is configured: as if nothing were here."""
    expected = secret(HOOK_SECRET)
    if not expected or not compare_digest(secret_part.encode(), expected.encode()):
        raise Http404
    try:
        way = transport.configured()
    except UnableToReadTransportError:
        way = None
    if way is None or way.kind != "anymail" or way.provider not in _VIEWS:
        raise Http404
    view: Any = import_string(_VIEWS[way.provider])
    signing = secret("mail_signing") or (way.user if way.provider == "mailgun" else "")
    keys = {_SIGNED[way.provider]: signing} if signing and way.provider in _SIGNED else {}
    try:
        made = view(webhook_secret=expected, **keys)
    except ImproperlyConfigured as fault:
        raise Http404 from fault  # it signs, and we have no key to check that with
    made.basic_auth = []  # the secret stood in the address
    made.setup(request)
    made.run_validators(request)
    if request.method == "POST":
        try:
            events = made.parse_events(request)
        except (ValueError, KeyError, TypeError, AttributeError):
            return HttpResponse("this is no event\n", status=400, content_type="text/plain")
        for event in events:
            tracking.record_event(event, now=clock.now())
    elif request.method != "HEAD":
        raise Http404
    return HttpResponse()
