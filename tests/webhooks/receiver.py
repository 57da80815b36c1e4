"""A real HTTP server on the loopback that answers as it is told, and remembers what it was sent."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Told = int | str
AT = datetime(2026, 11, 1, 12, tzinfo=UTC)


@dataclass
class Clock:
    """A clock that stands until it is moved."""

    at: datetime = AT

    def __call__(self) -> datetime:
        return self.at

    def on(self, **by: float) -> None:
        """Move it on."""
        self.at += timedelta(**by)


@dataclass
class Receiver:
    """`says` is the status of each next answer, or a word for a worse one; the last holds from then on."""

    url: str = ""
    says: list[Told] = field(default_factory=lambda: [204])
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)

    @property
    def ids(self) -> list[str]:
        """The webhook-id of each request."""
        return [headers["webhook-id"] for headers, _ in self.got]

    def next_word(self) -> Told:
        """What to do with the request at hand."""
        return self.says.pop(0) if len(self.says) > 1 else self.says[0]


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver at work."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.got.append(({k.lower(): v for k, v in self.headers.items()}, body))
            receiver.paths.append(self.path)
            word = receiver.next_word()
            if isinstance(word, int):
                self.send_response(word)
                if word // 100 == 3:
                    self.send_header("Location", f"{receiver.url}elsewhere")
                if word == 429:
                    self.send_header("Retry-After", "7200")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.close_connection = True
            if word == "garbage":
                self.wfile.write(b"\x16\x03\x01 this is no HTTP at all\r\n\r\n")
            elif word == "nothing":
                pass
            elif word == "endless":
                self.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                try:
                    while True:
                        self.wfile.write(b"400\r\n" + b"x" * 1024 + b"\r\n")
                except OSError:
                    pass
            elif word == "drip":
                try:
                    for byte in b"HTTP/1.1 200 OK\r\nX-A: " + b"a" * 1000:
                        self.wfile.write(bytes([byte]))
                        self.wfile.flush()
                        time.sleep(0.02)
                except OSError:
                    pass
            elif word == "silence":
                time.sleep(2)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    receiver.url = f"http://127.0.0.1:{server.server_address[1]}/"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
