"""schemathesis against the whole API, as a WSGI application on a real database: it finds nothing."""

import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from coulance.platform import limits
from tests.api.conftest import Api

SEED = 20261122
EXAMPLES = 2


@pytest.fixture
def quiet() -> Iterator[None]:
    """Refusals are no news here."""
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.filterwarnings("ignore::hypothesis.errors.HypothesisWarning")
def test_schemathesis_finds_nothing(lasting_api: Api, quiet: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own engine: examples, coverage and fuzzing, all checks but two, a fixed seed, and a token of all scopes.

    Each operation in turn; a failure says which, with the request that shows it.
    """
    # It tries every operation without a token, which one address may not do so often; tests/operating tries that limit.
    monkeypatch.setattr(limits, "STRANGER", replace(limits.STRANGER, burst=1_000_000))
    failures = run(lasting_api.token)
    assert not failures, f"{len(failures)} failures\n\n" + "\n\n".join(failures[:12])


def run(token: str, *, only: str = "") -> list[str]:
    """What schemathesis finds, as text."""
    import schemathesis
    from django.db import connections
    from schemathesis.config import SchemathesisConfig
    from schemathesis.engine import events, from_schema

    from coulance.config.wsgi import application

    # One thread answers every request, so that its connection to the database lasts; the engine's own threads end.
    house = ThreadPoolExecutor(max_workers=1)

    def app(environ: Any, start_response: Any) -> Any:
        environ.setdefault("CONTENT_LENGTH", "0")  # every HTTP client sends it; werkzeug's doesn't
        return house.submit(lambda: list(application(environ, start_response))).result()

    config = SchemathesisConfig.from_dict(
        {
            "seed": SEED,
            "headers": {"Authorization": f"Bearer {token}"},
            "generation": {"max-examples": EXAMPLES, "deterministic": True, "database": "none"},
            "phases": {"stateful": {"enabled": False}},
            "checks": {
                # What its schema allows may still be refused: a plan that is not sold, a month that is not over.
                "positive_data_acceptance": {"enabled": False},
                # What is stale is stale, whatever else is wrong.
                "negative_data_rejection": {"expected-statuses": [400, 401, 403, 404, 405, 409, 412, 413, 415, 422]},
                # It can't ask a WSGI application (it hands over an argument too many); test_scopes asks instead.
                "ignored_auth": {"enabled": False},
            },
        }
    )
    for media_type in ("application/x-protobuf", "application/vnd.apache.arrow.stream"):
        schemathesis.serializer(media_type)(lambda context, value: value if isinstance(value, bytes) else b"?")
    schema = schemathesis.openapi.from_wsgi("/api/v1/openapi.json", app, config=config)
    if only:
        schema = schema.include(operation_id=only)
    found: list[str] = []
    seen = 0
    try:
        events_seen = list(from_schema(schema).execute())
    finally:
        house.submit(connections.close_all).result()
        house.shutdown()
    for event in events_seen:
        if isinstance(event, events.NonFatalError):
            found.append(f"{event.label}: {event.info.format() if hasattr(event, 'info') else event}")
        elif isinstance(event, events.FatalError):
            raise event.exception
        elif isinstance(event, events.ScenarioFinished):
            seen += 1
            for case_id, checks in event.recorder.checks.items():
                found.extend(_told(event.recorder, case_id, one) for one in checks if one.failure_info is not None)
    assert seen >= 40, seen
    return sorted(dict.fromkeys(found))


def _told(recorder: Any, case_id: str, check: Any) -> str:
    case = recorder.cases[case_id].value
    answer = recorder.interactions.get(case_id)
    said = answer.response.content[:300] if answer and answer.response else b""
    failure = check.failure_info.failure
    return (
        f"{case.method} {case.formatted_path} query={case.query} headers={dict(case.headers or {})} "
        f"body={str(case.body)[:300]} ({case.media_type})\n"
        f"  {check.name}: {failure.title}: {failure.message[:600]}\n  {said!r}"
    )
