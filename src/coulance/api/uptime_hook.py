"""Where monitoring that can send no header tells what it saw: `/hooks/uptime/<kuma|pingdom|looks>/<token>`.

The token is part of the address, so it has a scope of its own, `uptime:hook`, and opens nothing else: addresses end up
in logs. What is known already changes nothing, so whoever sends again does no harm.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt

from coulance.flows.promises import intake
from coulance.integrations.uptime import reading
from coulance.integrations.uptime.reading import Seen, UnableToReadUptimeError
from coulance.platform import clock, tokens
from coulance.sla.errors import SlaError

MOST_BYTES = 512 * 1024
READERS: Mapping[str, Callable[[Any], list[Seen]]] = {
    "kuma": reading.kuma,
    "pingdom": reading.pingdom,
    "looks": reading.generic,
}


@csrf_exempt
def hook(request: HttpRequest, kind: str, token: str) -> HttpResponse:
    """What a source saw. 404 for a wrong token: as if nothing were here. 422 for what can't be read, with its place."""
    at = clock.now()
    try:
        known = tokens.verify(token, scope="uptime:hook", at=at)
    except tokens.UnableToVerifyTokenError as error:
        raise Http404 from error
    if kind not in READERS:
        raise Http404
    if request.method != "POST":
        return HttpResponse(status=405, headers={"Allow": "POST"})
    if int(request.headers.get("Content-Length") or 0) > MOST_BYTES:
        return HttpResponse("too long\n", status=413, content_type="text/plain")
    source = request.GET.get("source", "main")
    if not source.replace("-", "").replace("_", "").isalnum() or len(source) > 40:
        return HttpResponse("source: expected small letters and digits\n", status=422, content_type="text/plain")
    try:
        seen = READERS[kind](json.loads(request.body))
        done = intake.bring(source=f"{kind}:{source.lower()}", seen=seen, at=at, actor=known.actor)
    except (UnableToReadUptimeError, SlaError, ValueError) as fault:
        return HttpResponse(f"{fault}\n", status=422, content_type="text/plain")
    return JsonResponse({"accepted": done.accepted, "doubles": done.doubles, "unknown": list(done.unknown)})
