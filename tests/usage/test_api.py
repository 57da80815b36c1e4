"""Usage over HTTP with real tokens, catalog and services: what is taken, what is refused and then changes nothing."""

import io
import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from django.test import Client

from coulance.catalog import operations as catalog
from coulance.catalog.reader import read_provider_file
from coulance.customers import operations as customers
from coulance.platform import clock, tokens
from coulance.services import operations as services
from coulance.usage import operations, queries, store
from coulance.usage.models import Batch, Blob, Quarantined
from tests.support.database import ROOT

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
T0 = 1_793_000_100
ARROW = "application/vnd.apache.arrow.stream"


@pytest.fixture
def house(db: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The example's catalog, one account with two services, two series."""
    monkeypatch.setenv(store.VARIABLE, str(tmp_path / "segments"))
    monkeypatch.setattr(clock, "now", lambda: NOW)
    catalog.apply_catalog(file=read_provider_file(ROOT / "examples" / "provider.toml"), actor="test", at=NOW)
    customers.create_account(
        external_id="c1", name="Ada", kind="business", country="NL", currency="EUR", zone="Europe/Amsterdam",
        language="nl",
    )  # fmt: skip
    services.start_service(
        account="c1", external_id="s1", name="web1", kind="vps", started_on=date(2026, 1, 10), plan="vps-s"
    )
    services.assign_series(key="web1:eth0", service="s1", meter="traffic")
    services.assign_series(key="web1:site", service="s1", meter="site-traffic")
    services.assign_series(key="web1:objects", service="s1", meter="objects")


@pytest.fixture
def post(house: None) -> Callable[..., Any]:
    """POST a batch with a fresh token of usage:write."""
    text, _ = tokens.make_token(name="collector", scopes=["usage:write", "usage:read"], at=NOW, actor="test")
    client = Client()

    def send(body: Any, kind: str = "application/json", **headers: str) -> Any:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        named = {"Authorization": f"Bearer {text}", **headers}
        return client.post("/api/v1/usage", data=data, content_type=kind, headers=named)

    send.client, send.token = client, text  # type: ignore[attr-defined]
    return send


def stream(**columns: Any) -> bytes:
    table = pa.table(columns)
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


COLUMNS = {"series": ["web1:site"] * 2, "at": [T0, T0 + 300], "in": [5, 6], "out": [7, 8]}
ROWS = {"samples": [{"series": "web1:site", "at": T0 + 300 * i, "in": 5 + i, "out": 7 + i} for i in range(2)]}


@pytest.mark.parametrize("form", ["columns", "rows", "arrow", "arrow dictionary", "times as text"])
def test_every_form_says_the_same(post: Callable[..., Any], form: str) -> None:
    if form == "columns":
        answer = post(COLUMNS)
    elif form == "rows":
        answer = post(ROWS)
    elif form == "arrow":
        answer = post(stream(**COLUMNS), ARROW)
    elif form == "arrow dictionary":
        answer = post(stream(**{**COLUMNS, "series": pa.array(COLUMNS["series"]).dictionary_encode()}), ARROW)
    else:
        at = [datetime.fromtimestamp(t, UTC).isoformat() for t in (T0, T0 + 300)]
        answer = post({**COLUMNS, "at": at})
    assert answer.status_code == 200, answer.content
    body = answer.json()
    assert (body["accepted"], body["rejected"], body["resent"]) == (2, [], False)
    days = post.client.get(  # type: ignore[attr-defined]
        "/api/v1/usage/days?series=web1:site&start=2026-10-01&end=2026-11-02",
        headers={"Authorization": f"Bearer {post.token}"},  # type: ignore[attr-defined]
    ).json()
    assert [(d["samples"], d["in"], d["out"]) for d in days] == [(2, 11, 15)]


def test_a_resend_with_its_key(post: Callable[..., Any]) -> None:
    first = post(COLUMNS, **{"Idempotency-Key": "k1"}).json()
    again = post(COLUMNS, **{"Idempotency-Key": "k1"}).json()
    assert again == {**first, "resent": True}
    other = post({**COLUMNS, "in": [1, 1]}, **{"Idempotency-Key": "k1"})
    assert other.status_code == 422
    assert "another batch" in other.json()["detail"]
    assert "key:" not in other.json()["detail"]


def test_good_rows_are_taken_and_bad_ones_named(post: Callable[..., Any]) -> None:
    answer = post(
        {
            "series": ["web1:site", "web1:site", "nobody", "web1:site", "web1:site", "web1:objects"],
            "at": [T0, T0 * 1000, T0, "soon", T0 + 10**7, T0],
            "value": [1, 2, 3, 4, 5, "0.1234567890123"],
        }
    )
    body = answer.json()
    assert answer.status_code == 200
    assert (body["accepted"], body["quarantined"], body["rejected_rows"]) == (1, 1, 4)
    reasons = {one["row"]: (one["field"], one["reason"]) for one in body["rejected"]}
    assert reasons[1][0] == reasons[3][0] == reasons[4][0] == "at"
    assert "milliseconds" in reasons[1][1]
    assert "soon" in reasons[3][1]
    assert "future" in reasons[4][1]
    assert "finer" in reasons[5][1]


MALFORMED: dict[str, tuple[Any, str, dict[str, str], int, str]] = {
    "not JSON": (b"{series", "application/json", {}, 422, "body"),
    "not an object": ([1, 2], "application/json", {}, 422, "body"),
    "no columns": ({}, "application/json", {}, 422, "series"),
    "unknown column": ({**COLUMNS, "speed": [1, 2]}, "application/json", {}, 422, "speed"),
    "unequal columns": ({**COLUMNS, "in": [1]}, "application/json", {}, 422, "equally long"),
    "only in": ({"series": ["a"], "at": [T0], "in": [1]}, "application/json", {}, 422, "out"),
    "no values": ({"series": ["a"], "at": [T0]}, "application/json", {}, 422, "value"),
    "a column that is no list": ({**COLUMNS, "at": 5}, "application/json", {}, 422, "at"),
    "an unknown field": ({"samples": [{"series": "a", "at": 1, "ins": 1}]}, "application/json", {}, 422, "ins"),
    "row with a list": ({"samples": [{"series": "a", "at": [1], "value": 1}]}, "application/json", {}, 422, "at"),
    "not Arrow": (b"\0" * 64, ARROW, {}, 422, "Arrow"),
    "cut Arrow": (stream(**COLUMNS)[:200], ARROW, {}, 422, "Arrow"),
    "series as numbers": (stream(**{**COLUMNS, "series": [1, 2]}), ARROW, {}, 422, "text"),
    "times without a zone": (
        stream(**{**COLUMNS, "at": pa.array([datetime(2026, 10, 1), datetime(2026, 10, 2)])}), ARROW, {}, 422, "zone",
    ),
    "values as flags": (stream(**{**COLUMNS, "in": [True, False]}), ARROW, {}, 422, "integers"),
    "not UTF-8": (b'{"series": ["\xff"], "at": [1], "value": [1]}', "application/json", {}, 422, "UTF-8"),
    "a form": (b"a=1", "application/x-www-form-urlencoded", {}, 415, "application/json"),
    "compressed": (b"xx", "application/json", {"Content-Encoding": "gzip"}, 415, "Content-Encoding"),
    "a key too long": (COLUMNS, "application/json", {"Idempotency-Key": "k" * 300}, 422, "200"),
    "no token": (COLUMNS, "application/json", {"Authorization": ""}, 401, "token"),
    "a wrong token": (COLUMNS, "application/json", {"Authorization": "Bearer cl_0123456789_x"}, 401, "token"),
}  # fmt: skip


@pytest.mark.parametrize("case", MALFORMED)
def test_malformed_batches_say_why_and_change_nothing(post: Callable[..., Any], case: str) -> None:
    body, kind, headers, status, says = MALFORMED[case]
    answer = post(body, kind, **headers)
    assert answer.status_code == status, answer.content
    assert answer["Content-Type"] == "application/problem+json"
    told = answer.json()
    assert says in f"{told.get('where', '')} {told['detail']}"
    assert (Batch.objects.count(), Blob.objects.count(), Quarantined.objects.count()) == (0, 0, 0)


BAD_ROWS: dict[str, tuple[dict[str, Any], str, str]] = {
    "no series": ({"series": None}, "series", "missing"),
    "an empty series": ({"series": ""}, "series", "1 to 200"),
    "no time": ({"at": None}, "at", "missing"),
    "before 2000": ({"at": 1}, "at", "2000"),
    "a time without a zone": ({"at": "2026-10-01T00:00:00"}, "at", "zone"),
    "no value": ({"value": None}, "value", "missing"),
    "a negative value": ({"value": -1}, "in", "negative"),
    "a fraction in a float": ({"value": 1.5}, "value", "float"),
    "a word": ({"value": "many"}, "value", "number"),
    "a fraction that the meter has no room for": ({"value": "1.5"}, "in", "finer"),
    "too large": ({"value": 2**60}, "in", "larger"),
    "far too large": ({"value": 2**80}, "value", "range"),
    "not a number": ({"value": "NaN"}, "value", "range"),
    "too large to compute with": ({"value": "1e999999999"}, "value", "range"),
    "a nought too large to compute with": ({"value": "0e999999999"}, "value", "range"),
    "a time of signs": ({"at": "--5"}, "at", "ISO 8601"),
    "a time in a fraction": ({"at": T0 + 0.5}, "at", "whole"),
    "a time too large to compute with": ({"at": 1e300}, "at", "whole"),
}


@pytest.mark.parametrize("case", BAD_ROWS)
def test_a_bad_row_is_named_and_the_rest_taken(post: Callable[..., Any], case: str) -> None:
    change, field, says = BAD_ROWS[case]
    good = {"series": "web1:site", "at": T0, "value": 3}
    bad = {**good, "at": T0 + 300, **change}
    answer = post({name: [good[name], bad[name]] for name in good})
    body = answer.json()
    assert answer.status_code == 200, body
    assert (body["accepted"], body["rejected_rows"]) == (1, 1)
    assert (body["rejected"][0]["row"], body["rejected"][0]["field"]) == (1, field)
    assert says in body["rejected"][0]["reason"]


def test_times_that_are_no_numbers_are_named(post: Callable[..., Any]) -> None:
    times = pa.array([float(T0), float("nan"), float("inf"), -1e300])
    answer = post(stream(series=["web1:site"] * 4, at=times, value=[1, 2, 3, 4]), ARROW)
    assert answer.status_code == 200, answer.content
    assert (answer.json()["accepted"], answer.json()["rejected_rows"]) == (1, 3)
    assert {one["field"] for one in answer.json()["rejected"]} == {"at"}


def test_a_negative_reading_is_not_taken_for_one_above_2_to_the_63(post: Callable[..., Any]) -> None:
    """The bits of -1 and of 2**64 - 1 are the same: a large reading must not lend them to a negative one."""
    at = [T0, T0 + 300]
    inside = {"series": ["web1:eth0"] * 2, "at": at, "in": [2**63 + 5, -1], "out": [1, 2]}
    beside = {"series": ["web1:eth0"] * 2, "at": at, "in": [2**63 + 5, 2**63 + 6], "out": [1, -2]}
    for batch, field in ((inside, "in"), (beside, "out")):
        (bad,) = post(batch).json()["rejected"]
        assert (bad["row"], bad["field"]) == (1, field)
        assert "negative" in bad["reason"]


def test_words_of_a_dictionary_and_the_same_words_as_a_column_are_not_mixed_up(post: Callable[..., Any]) -> None:
    """A batch may list its series as a dictionary with indices, or one word a row; either may come after the other."""
    words = ["web1:site", "web1:objects"]
    swapped = pa.DictionaryArray.from_arrays(pa.array([1, 0], pa.int32()), pa.array(words))
    post(stream(series=swapped, at=[T0, T0], value=[7, 8]), ARROW)
    post(stream(series=words, at=[T0 + 300, T0 + 300], value=[10, 20]), ARROW)
    post(
        stream(series=["web1:site", "web1:site", "web1:objects"], at=[T0 + 600, T0 + 900, T0 + 600], value=[1] * 3),
        ARROW,
    )
    twice = pa.DictionaryArray.from_arrays(
        pa.array([0, 1, 2], pa.int32()), pa.array(["web1:site", "web1:site", "web1:objects"])
    )
    last = post(stream(series=twice, at=[T0 + 1200, T0 + 1500, T0 + 900], value=[1] * 3), ARROW)
    assert last.json()["accepted"] == 3
    days = {key: queries.days_of_series(key=key, start=date(2026, 10, 1), end=date(2026, 11, 30)) for key in words}
    assert {key: sum(day[2] for day in found.days) for key, found in days.items()} == {
        "web1:site": 8 + 10 + 2 + 2,
        "web1:objects": (7 + 20 + 1 + 1) * 10 ** days["web1:objects"].scale,
    }


def test_a_token_without_the_scope(post: Callable[..., Any]) -> None:
    text, _ = tokens.make_token(name="reader", scopes=["usage:read"], at=NOW, actor="test")
    answer = post(COLUMNS, Authorization=f"Bearer {text}")
    assert answer.status_code == 403
    assert "usage:write" in answer.json()["detail"]
    assert Batch.objects.count() == 0


def test_a_body_too_large(post: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    from coulance.api import usage

    monkeypatch.setattr(usage, "LARGEST_BODY", 50)
    assert post(COLUMNS).status_code == 413
    monkeypatch.setattr(usage, "LARGEST_BODY", 10**6)
    monkeypatch.setattr(usage, "MOST_ROWS", 1)
    assert post(COLUMNS).status_code == 413


@pytest.mark.parametrize("what", ["rows", "a dictionary", "long words", "no values at all"])
def test_what_unpacks_to_more_than_a_batch_is_refused_unread(
    post: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    from coulance.api import usage

    n, plain = 2_000_000, {"series": ["web1:site"] * 2, "at": [T0, T0 + 300], "value": [1, 2]}
    word = pa.DictionaryArray.from_arrays(pa.array([0, 0], pa.int32()), pa.array(["x"] * n))
    many = {
        "rows": {name: pa.array([column[0]] * n) for name, column in plain.items()},
        "a dictionary": {**plain, "series": word},
        "long words": {**plain, "series": ["x" * 100_000_000] * 2},
        "no values at all": {name: pa.nulls(n) for name in plain},
    }[what]
    table, sink = pa.table(many), io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
        writer.write_table(table)
    assert len(sink.getvalue()) < usage.LARGEST_BODY / 2
    monkeypatch.setattr(usage.pa.ipc, "open_stream", lambda *_: pytest.fail("it was unpacked"))
    answer = post(sink.getvalue(), ARROW)
    assert answer.status_code == 413
    assert "send less" in answer.json()["detail"]
    assert Batch.objects.count() == 0


def test_quarantine_is_shown_and_replayed_once_assigned(post: Callable[..., Any]) -> None:
    at = [T0, T0 + 300, T0 + 600]
    body = post({"series": ["new:eth0"] * 3, "at": at, "value": ["2.0", 2, 3]}).json()
    assert body["quarantined"] == 3
    post({"series": ["new:eth0"], "at": [T0 + 600], "value": [4]})
    shown = post.client.get(  # type: ignore[attr-defined]
        "/api/v1/usage/quarantine",
        headers={"Authorization": f"Bearer {post.token}"},  # type: ignore[attr-defined]
    ).json()
    assert [(one["series"], one["rows"], one["batches"]) for one in shown["items"]] == [("new:eth0", 4, 2)]
    assert operations.replay_quarantined(recorded_at=NOW).rows == 0
    number = services.assign_series(key="new:eth0", service="s1", meter="objects")
    done = operations.replay_quarantined(recorded_at=NOW)
    assert (done.keys, done.rows, done.accepted, done.corrected) == (("new:eth0",), 4, 3, 1)
    assert queries.quarantined() == []
    assert queries.series_state(series=[number]).last_at.tolist() == [T0 + 600]
    assert list(queries.verify()) == []
    assert operations.replay_quarantined(recorded_at=NOW).rows == 0


def test_what_cannot_be_replayed_stays_with_its_reason(post: Callable[..., Any]) -> None:
    post({"series": ["new:eth0"], "at": [T0], "value": ["1.5"]})
    services.assign_series(key="new:eth0", service="s1", meter="site-traffic")
    done = operations.replay_quarantined(recorded_at=NOW)
    assert done.rows == 0
    assert "finer" in done.stuck[0][1]
    assert "finer" in queries.quarantined()[0].note
    with pytest.raises(operations.UnableToReplayError):
        operations.discard_quarantined(keys=["new:eth0"], reason=" ", recorded_at=NOW)
    assert operations.discard_quarantined(keys=["new:eth0"], reason="test data", recorded_at=NOW) == 1
    assert Quarantined.objects.get().state == "discarded"


def test_openapi_is_served_without_a_cdn(house: None) -> None:
    client = Client()
    schema = client.get("/api/v1/openapi.json").json()
    assert "/api/v1/usage" in schema["paths"]
    page = client.get("/api/v1/docs").content.decode()
    assert "https://" not in page
