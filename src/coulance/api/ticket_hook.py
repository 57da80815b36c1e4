"""Where ticket systems tell of tickets: `/hooks/tickets/<source>`, signed with the secret `tickets_<source>`."""

from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from coulance.contracts.errors import ContractsError
from coulance.customers.queries import UnableToFindAccountError
from coulance.flows.contracts import hooks, ticketing
from coulance.platform import clock
from coulance.platform.secret_store import secret

MOST_BYTES = 512 * 1024


@csrf_exempt
def hook(request: HttpRequest, source: str) -> HttpResponse:
    """An event of a ticket system. 404 where it has no secret here: as if nothing were there."""
    key = secret(f"tickets_{source}") if source in hooks.SOURCES else None
    if not key:
        raise Http404
    if request.method != "POST":
        return HttpResponse(status=405, headers={"Allow": "POST"})
    if int(request.headers.get("Content-Length") or 0) > MOST_BYTES:
        return HttpResponse("too long\n", status=413, content_type="text/plain")
    now = clock.now()
    try:
        hooks.verify(source=source, headers=dict(request.headers), body=request.body, secret=key)
        told = hooks.read(source=source, body=request.body, at=now)
        ticketing.receive(told, actor=f"hook:{source}", at=now)
    except hooks.UnableToVerifyError:
        return HttpResponse("this isn't signed with our secret\n", status=403, content_type="text/plain")
    except (ContractsError, UnableToFindAccountError) as fault:
        return HttpResponse(f"{fault}\n", status=422, content_type="text/plain")
    return HttpResponse()
