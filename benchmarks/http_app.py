"""The WSGI application that `http.py` measures: our API beside a django-ninja one with a body model, same settings.

The rival is what a careful developer writes: typed fields with bounds, one COPY, one INSERT ... ON CONFLICT, one upsert
of the day's counters.
"""

import os
from datetime import UTC, datetime
from typing import Any

import django
from django.conf import settings

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "coulance.config.settings")
django.setup()
settings.ROOT_URLCONF = "benchmarks.http_app"

from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.db import connection, transaction  # noqa: E402
from django.http import HttpRequest, JsonResponse  # noqa: E402
from django.urls import include, path  # noqa: E402
from django.views.decorators.csrf import csrf_exempt  # noqa: E402
from ninja import Field, NinjaAPI, Schema  # noqa: E402

from benchmarks import ingest as shared  # noqa: E402
from coulance.api.usage import decode  # noqa: E402
from coulance.usage import registry, validating  # noqa: E402

NOW = datetime(2026, 12, 1, tzinfo=UTC)
shared.install_series(shared.names())
IDS = {name: i for i, name in enumerate(shared.names())}


@csrf_exempt
def decode_ours(request: HttpRequest) -> JsonResponse:
    """Decode, validate, find the series, sort: all that comes before the transaction."""
    columns = decode(request.headers["Content-Type"], request.body)
    valid, faults, unknown = validating.validate(columns, registry.current(), recorded_at=NOW, kept_from=None)
    return JsonResponse({"rows": len(valid.rows), "faults": len(faults), "unknown": len(unknown)})


class Sample(Schema):
    """A sample as the rival's body model has it."""

    series: str = Field(min_length=1, max_length=200)
    at: int = Field(ge=946_684_800)
    v_in: int = Field(alias="in", ge=0)
    v_out: int = Field(alias="out", ge=0)


class Batch(Schema):
    """The rival's body."""

    samples: list[Sample]


rival = NinjaAPI(title="rival", urls_namespace="rival", docs_url=None, openapi_url=None)


@rival.post("/decode")
def decode_rival(request: HttpRequest, batch: Batch) -> dict[str, int]:  # noqa: ARG001 - ninja's signature
    """Decode and validate only."""
    return {"rows": len(batch.samples), "faults": 0, "unknown": 0}


@rival.post("/usage")
def commit_rival(request: HttpRequest, batch: Batch) -> dict[str, int]:  # noqa: ARG001
    """Decode, validate, commit."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("CREATE TEMP TABLE IF NOT EXISTS rival_in (at bigint, series bigint, v_in bigint, v_out bigint)")
        cursor.execute("TRUNCATE rival_in")
        with cursor.copy("COPY rival_in FROM STDIN") as copy:
            for sample in batch.samples:
                copy.write_row((sample.at, IDS[sample.series], sample.v_in, sample.v_out))
        cursor.execute(
            "WITH fresh AS (INSERT INTO rival_sample SELECT at, series, v_in, v_out FROM rival_in"
            "  ON CONFLICT DO NOTHING RETURNING at, series, v_in, v_out)"
            " INSERT INTO rival_day SELECT series, (at / 86400)::int, count(*), sum(v_in), sum(v_out), max(at)"
            " FROM fresh GROUP BY 1, 2 ORDER BY 1, 2 ON CONFLICT (series, day) DO UPDATE SET"
            " n = rival_day.n + excluded.n, v_in = rival_day.v_in + excluded.v_in,"
            " v_out = rival_day.v_out + excluded.v_out, last_at = greatest(rival_day.last_at, excluded.last_at)"
        )
    return {"accepted": len(batch.samples)}


urlpatterns: list[Any] = [
    path("ours/decode", decode_ours),
    path("api/v1/", include("coulance.api.urls")),
    path("rival/", rival.urls),
]
application = get_wsgi_application()
