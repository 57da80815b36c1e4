"""The WSGI application that `remote_write.py` measures: our endpoint beside a django-ninja one with a body model.

The rival is what a careful developer writes for the same message as JSON: typed fields with bounds, one COPY, one
INSERT ... ON CONFLICT, one upsert of the day's counters.
"""

import os
from datetime import UTC, datetime
from typing import Any

import django
from django.conf import settings

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "coulance.config.settings")
django.setup()
settings.ROOT_URLCONF = "benchmarks.remote_write_app"

from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.db import connection, transaction  # noqa: E402
from django.http import HttpRequest, JsonResponse  # noqa: E402
from django.urls import include, path  # noqa: E402
from django.views.decorators.csrf import csrf_exempt  # noqa: E402
from ninja import Field, NinjaAPI, Schema  # noqa: E402

from benchmarks import remote_write as bench  # noqa: E402
from coulance.api import prometheus  # noqa: E402
from coulance.integrations.prometheus import remote_write  # noqa: E402
from coulance.usage import registry, validating  # noqa: E402
from coulance_core.catalog.collectors import Collector, CollectorKind, CollectorRule  # noqa: E402
from coulance_core.catalog.meters import Meter, MeterKind  # noqa: E402
from coulance_core.kernel import unit  # noqa: E402

NOW = datetime(2026, 12, 1, tzinfo=UTC)
COLLECTOR = Collector(
    "bench",
    CollectorKind.PROMETHEUS_REMOTE_WRITE,
    (
        CollectorRule(
            "octets",
            "{instance}:{device}",
            metric_in=bench.METRICS[0],
            metric_out=bench.METRICS[1],
            include=(("instance", "([^:]+):9100"), ("device", "eth[0-9]+")),
        ),
    ),
)
TABLE = registry.build(
    {bench.key(port): (port + 1, "octets", "Europe/Amsterdam") for port in range(bench.PORTS)},
    {"octets": Meter("octets", "Octets", MeterKind.COUNTER, unit("B"), counter_bits=64)},
)
registry.current = lambda: TABLE
prometheus._collector = lambda _: COLLECTOR


@csrf_exempt
def decode_ours(request: HttpRequest) -> JsonResponse:
    """Unpack, decode, find the series, pair in and out, validate, sort: all that comes before the transaction."""
    written, translated = remote_write.decode(request.body, COLLECTOR)
    table = registry.current()
    valid, faults, unknown = validating.validate(translated.columns, table, recorded_at=NOW, kept_from=None)
    assert len(valid.rows) == bench.PORTS, (len(valid.rows), faults[:3], unknown[:3])
    return JsonResponse({"samples": len(written)})


class Sample(Schema):
    """A sample as the rival has it."""

    value: float = Field(ge=0)
    timestamp: int = Field(ge=946_684_800_000)


class TimeSeries(Schema):
    """A series of the rival's body."""

    labels: dict[str, str]
    samples: list[Sample]


class WriteRequest(Schema):
    """The rival's body."""

    timeseries: list[TimeSeries]


rival = NinjaAPI(title="rival", urls_namespace="rival", docs_url=None, openapi_url=None)


@rival.post("/decode")
def decode_rival(request: HttpRequest, body: WriteRequest) -> dict[str, int]:  # noqa: ARG001 - ninja's signature
    """Decode and validate only."""
    return {"samples": sum(len(series.samples) for series in body.timeseries)}


@rival.post("/write")
def commit_rival(request: HttpRequest, body: WriteRequest) -> dict[str, int]:  # noqa: ARG001
    """Decode, validate, commit."""
    n = 0
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("CREATE TEMP TABLE IF NOT EXISTS rival_prom_in (at bigint, series text, v double precision)")
        cursor.execute("TRUNCATE rival_prom_in")
        with cursor.copy("COPY rival_prom_in FROM STDIN") as copy:
            for series in body.timeseries:
                key = ":".join((series.labels["instance"], series.labels["device"], series.labels["__name__"]))
                for sample in series.samples:
                    copy.write_row((sample.timestamp // 1000, key, sample.value))
                    n += 1
        cursor.execute(
            "WITH fresh AS (INSERT INTO rival_prom SELECT at, series, v FROM rival_prom_in"
            "  ON CONFLICT DO NOTHING RETURNING at, series, v)"
            " INSERT INTO rival_prom_day SELECT series, (at / 86400)::int, count(*), max(v), max(at)"
            " FROM fresh GROUP BY 1, 2 ORDER BY 1, 2 ON CONFLICT (series, day) DO UPDATE SET"
            " n = rival_prom_day.n + excluded.n, v = greatest(rival_prom_day.v, excluded.v),"
            " last_at = greatest(rival_prom_day.last_at, excluded.last_at)"
        )
    return {"samples": n}


urlpatterns: list[Any] = [
    path("ours/decode", decode_ours),
    path("api/v1/", include("coulance.api.urls")),
    path("rival/", rival.urls),
]
application = get_wsgi_application()
