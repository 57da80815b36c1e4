"""Where gateways tell of payments: `/hooks/pay/<gateway>`. Kept first, answered at once, done by a job.

Stripe signs what it sends. Mollie names a payment and proves nothing: so only names are kept of it, and what counts is
what Mollie answers when it is asked. Strangers who name payments are slowed down.
"""

from datetime import timedelta

from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from coulance.flows.rails import paying
from coulance.payments.ports import GatewayRefusedError, UnableToVerifyEventError, names
from coulance.platform import clock, limits
from coulance.platform.limits import Limit
from coulance.platform.secret_store import secret

MOST_BYTES = 512 * 1024
UNPROVEN = Limit("pay-hook", 600, timedelta(seconds=1))
"""Events that prove nothing, of all senders together."""


@csrf_exempt
def hook(request: HttpRequest, gateway: str) -> HttpResponse:
    """An event of a gateway. 404 where it has no key here: as if nothing were there. 400 for what is no event of it."""
    if gateway not in names() or not secret(gateway):
        raise Http404
    if request.method != "POST":
        return HttpResponse(status=405, headers={"Allow": "POST"})
    if int(request.headers.get("Content-Length") or 0) > MOST_BYTES:
        return HttpResponse("too long\n", status=413, content_type="text/plain")
    now = clock.now()
    if gateway == "mollie" and limits.take(UNPROVEN, gateway, at=now) is not None:
        return HttpResponse("later\n", status=429, content_type="text/plain")
    try:
        paying.receive(name=gateway, headers=dict(request.headers), body=request.body, at=now)
    except UnableToVerifyEventError:
        return HttpResponse("this is no event\n", status=400, content_type="text/plain")
    except GatewayRefusedError as error:
        raise Http404 from error
    return HttpResponse()
