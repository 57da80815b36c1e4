"""Mail through a provider's API (anymail): every answer, and none, ends in the state that it proves."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from coulance.notices import operations, queries
from coulance.notices.states import State
from coulance.notices.transport import read_transport
from tests.notices.post import NOON, kinds, only, queue


class Provider(HTTPServer):
    """Postmark's API as far as sending goes; `status` is what it answers, 0 hangs up after it has read."""

    status = 200
    asked: list[dict[str, Any]]

    @property
    def url(self) -> str:
        return f"anymail+postmark://the-key@?connections=1&api_url=http://127.0.0.1:{self.server_port}/"


class _Answers(BaseHTTPRequestHandler):
    server: Provider

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked.append({**json.loads(body), "key": self.headers["X-Postmark-Server-Token"]})
        if not self.server.status:
            self.close_connection = True
            return
        said = {"To": "anna@shop.example", "MessageID": "pm-1", "ErrorCode": 0, "Message": "OK", "SubmittedAt": ""}
        if self.server.status != 200:
            said = {"ErrorCode": 10, "Message": "no"}
        self.send_response(self.server.status)
        self.end_headers()
        self.wfile.write(json.dumps(said).encode())

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def provider() -> Iterator[Provider]:
    server = Provider(("127.0.0.1", 0), _Answers)
    server.asked = []
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join(10)


# answer  state       evidence after queued        stopped?
ANSWERS = """
200       accepted    attempted accepted           no
422       refused     attempted refused            no
401       waiting     attempted deferred           yes
429       waiting     attempted deferred           yes
503       waiting     attempted deferred           no
500       uncertain   attempted uncertain          no
0         uncertain   attempted uncertain          no
"""


@pytest.mark.parametrize("row", ANSWERS.strip().splitlines(), ids=lambda row: row.split()[0])
def test_what_a_provider_answers_is_written_down(row: str, provider: Provider, account: int) -> None:
    status, state, *evidence, stopped = row.split()
    provider.status = int(status)
    queue(account, "anna@shop.example", key="m")
    done = operations.send_due(transport=read_transport(provider.url), clock=lambda: NOON)
    assert (only().state, kinds("m")[1:]) == (state, evidence)
    assert bool(done.stopped) == (stopped == "yes")
    assert "the-key" not in done.stopped + only().answer
    (asked,) = provider.asked
    assert asked["key"] == "the-key"
    assert asked["Metadata"] == {"delivery": str(only().id)}
    assert {"Name": "Message-ID", "Value": only().header_id} in asked["Headers"]
    if status == "200":
        assert queries.delivery_of(provider_ref="pm-1") == only().id


def test_a_provider_that_cannot_be_reached_costs_no_attempt(provider: Provider, account: int) -> None:
    queue(account, "anna@shop.example", key="m")
    nowhere = read_transport("anymail+postmark://k@?connections=1&api_url=http://127.0.0.1:9/")
    done = operations.send_due(transport=nowhere, clock=lambda: NOON)
    assert "can't be reached" in done.stopped
    assert (only().state, only().attempts) == (State.WAITING, 0)
