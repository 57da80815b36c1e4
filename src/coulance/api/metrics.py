"""`/metrics`: the instance for Prometheus. Answers this machine, or a token with the scope `metrics`."""

from ipaddress import ip_address

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from coulance.api.problems import problem
from coulance.flows.metrics import facts
from coulance.platform import clock, instance, metrics, tokens


class _Facts:
    """A collector for one answer: what was read is what is rendered."""

    def __init__(self, found: list[Metric]) -> None:
        self.found = found

    def collect(self) -> list[Metric]:
        return self.found


@require_safe
def metrics_page(request: HttpRequest) -> HttpResponse:
    """Everything in Prometheus' text format: facts from the database, and what the web processes counted."""
    refusal = _refusal(request)
    if refusal is not None:
        return refusal
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Facts(list(facts(here=instance.current(), at=clock.now()))))
    text = generate_latest(registry) + generate_latest(metrics.registry())
    return HttpResponse(text, content_type=CONTENT_TYPE_PLAIN_0_0_4)


def _refusal(request: HttpRequest) -> HttpResponse | None:
    kind, _, text = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() == "bearer" and text.strip():
        try:
            tokens.verify(text.strip(), scope="metrics", at=clock.now())
        except tokens.UnableToVerifyTokenError as fault:
            title = "Not a valid token" if fault.status == 401 else "This token may not do that"
            return problem(fault.status, title, str(fault))
        return None
    if _from_here(request):
        return None
    return problem(401, "No token", "send a token with the scope metrics: Authorization: Bearer cl_...")


def _from_here(request: HttpRequest) -> bool:
    """Whether this machine asks, and not a proxy on it for somebody else."""
    passed_on = {"HTTP_X_FORWARDED_FOR", "HTTP_FORWARDED", "HTTP_X_REAL_IP", "HTTP_VIA", "HTTP_X_FORWARDED_HOST"}
    if passed_on & request.META.keys():
        return False
    try:
        near = ip_address(str(request.META.get("REMOTE_ADDR", ""))).is_loopback
        asked = request.get_host().rsplit(":", 1)[0].strip("[]")
    except ValueError:
        return False
    # A proxy that tells nothing still passes on the name that was asked for.
    return near and asked in {"127.0.0.1", "::1", "localhost"}
