"""A stateful access point over HTTP: takes documents once, delivers them when told to, and can be made to fail."""

import json
import threading
from dataclasses import dataclass, field
from email.parser import BytesParser
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "s3cret/token"


@dataclass
class Held:
    """A document that it has."""

    id: str
    key: str
    metadata: dict[str, Any]
    xml: bytes
    state: str = "queued"
    detail: str = ""


@dataclass
class FakeAccessPoint:
    """`held` by idempotency key; `requests` counts them all; `failures` are answered first, in their order.

    A failure is a status, or "drop" (the request is carried out, its answer lost), or "garbage".
    """

    held: dict[str, Held] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    failures: list[int | str] = field(default_factory=list)

    def __post_init__(self) -> None:
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                fake._answer(self)

            def do_GET(self) -> None:
                fake._answer(self)

            def log_message(self, *args: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self.thread.start()

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def settle(self, number: str, state: str, detail: str = "") -> None:
        """Let a document come to its end."""
        self.held[number].state, self.held[number].detail = state, detail

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        self.requests.append(f"{request.command} {request.path}")
        failure = self.failures.pop(0) if self.failures else None
        if isinstance(failure, int):
            self._send(request, failure, {"detail": f"made to answer {failure}"})
            return
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._send(request, 401, {"detail": "no such token"})
            return
        status, answer = self._take(request, body) if request.command == "POST" else self._tell(request.path)
        if failure == "drop":
            request.close_connection = True
        elif failure == "garbage":
            self._send(request, 200, ["what?"])
        else:
            self._send(request, status, answer)

    def _take(self, request: BaseHTTPRequestHandler, body: bytes) -> tuple[int, Any]:
        head = f"Content-Type: {request.headers['Content-Type']}\r\n\r\n".encode()
        parts = {
            part.get_param("name", header="content-disposition"): part.get_payload(decode=True)
            for part in BytesParser(policy=HTTP).parsebytes(head + body).iter_parts()
        }
        metadata, xml = json.loads(parts["metadata"]), parts["document"]
        if metadata["receiver"].endswith(":unknown"):
            return 422, {"detail": "no participant receives at this address"}
        key = request.headers["Idempotency-Key"]
        if key in self.held and self.held[key].xml != xml:
            return 422, {"detail": "another document under the same key"}
        held = self.held.setdefault(key, Held(f"ap-{len(self.held) + 1}", key, metadata, xml))
        return 202, {"id": held.id, "state": held.state}

    def _tell(self, path: str) -> tuple[int, Any]:
        for held in self.held.values():
            if path == f"/v1/documents/{held.id}":
                return 200, {"id": held.id, "state": held.state, "detail": held.detail}
        return 404, {"detail": "not here"}

    @staticmethod
    def _send(request: BaseHTTPRequestHandler, status: int, answer: Any) -> None:
        body = json.dumps(answer).encode()
        request.send_response(status)
        request.send_header("Content-Type", "application/json")
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)
