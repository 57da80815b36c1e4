"""A stand-in for the server: hands out checks, takes looks, and can be slow, broken, or forget to answer."""

import json
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Collector:
    """`looks` are what it has, by agent's token and number. `mood`: what it does with the next hand-overs."""

    checks: list[dict[str, Any]]
    tokens: Sequence[str] = ("secret",)
    looks: dict[tuple[str, int], list[Any]] = field(default_factory=dict)
    doubles: int = 0
    mood: str = "well"
    lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, token: str, rows: list[list[Any]]) -> dict[str, int]:
        """Take looks in; those it has are doubles."""
        new = 0
        with self.lock:
            for row in rows:
                if (token, row[0]) in self.looks:
                    assert self.looks[token, row[0]] == row, "a number was given twice"
                    self.doubles += 1
                else:
                    self.looks[token, row[0]] = row
                    new += 1
        return {"accepted": new, "doubles": len(rows) - new, "unknown": 0}

    def serve(self, host: str = "127.0.0.1") -> ThreadingHTTPServer:
        """Serve in a thread; `server_address` says where, `shutdown()` ends it."""
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if token := self._token():
                    self._say(200, {"checks": collector.checks, "agent": token})

            def do_POST(self) -> None:
                token = self._token()
                if not token:
                    return
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                if collector.mood == "broken":
                    self._say(503, {"title": "later"})
                    return
                answer = collector.take(token, body["looks"])
                if collector.mood == "deaf":  # it took them, and the answer is lost on the way
                    self.connection.close()
                    return
                self._say(200, answer)

            def _token(self) -> str:
                given = self.headers.get("authorization", "").removeprefix("Bearer ")
                if given in collector.tokens:
                    return given
                self._say(401, {"title": "who?"})
                return ""

            def _say(self, status: int, what: Any) -> None:
                data = json.dumps(what).encode()
                self.send_response(status)
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: Any) -> None:
                pass

        server = ThreadingHTTPServer((host, 0), Handler)
        server.daemon_threads = True
        server.handle_error = lambda *_: None  # type: ignore[method-assign]
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return server


if __name__ == "__main__":  # a web page to look at: python -m tests.probe.collector HOST PORT
    host, port = sys.argv[1], int(sys.argv[2])

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"all is well")

        def log_message(self, *_: Any) -> None:
            pass

    page = ThreadingHTTPServer((host, port), Page)
    print("ready", flush=True)
    page.serve_forever()
