"""Servers that behave as the real ones do, as far as a collector looks: Prometheus, LibreNMS, Proxmox VE.

Their answers have the shape of the real programs' documented ones; each keeps a state that a test changes: counters
that run, devices that start again, guests that move, hours in which nothing answers.
"""

import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass
class Answer:
    """What a fake answers: a body (JSON unless bytes), a status, headers."""

    body: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def raw(self) -> bytes:
        """The body's bytes."""
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


@dataclass
class Asked:
    """A request as a fake got it."""

    path: str
    query: dict[str, str]
    headers: Mapping[str, str]


class Fake:
    """A server on the loopback that answers by `self.answer`; `instead`, when set, goes first."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.instead: Callable[[Asked], Answer | None] | None = None
        self.url = ""

    def answer(self, asked: Asked) -> Answer:
        """The answer to a request."""
        raise NotImplementedError

    @contextmanager
    def serving(self) -> Iterator[str]:
        """Serve on a free port; gives the address."""
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def _do(self) -> None:
                parts = urlsplit(self.path)
                text = parts.query
                if length := int(self.headers.get("Content-Length") or 0):
                    text += "&" + self.rfile.read(length).decode()
                asked = Asked(parts.path, {k: v[-1] for k, v in parse_qs(text).items()}, dict(self.headers))
                fake.asked.append(asked)
                answer = (fake.instead and fake.instead(asked)) or fake.answer(asked)
                raw = answer.raw
                self.send_response(answer.status)
                for name, value in {"Content-Type": "application/json", **answer.headers}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            do_GET = do_POST = _do

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        self.url = f"http://127.0.0.1:{server.server_address[1]}"
        try:
            yield self.url
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


class FakePrometheus(Fake):
    """Keeps samples by label set; answers range selectors with those in the window, (start, end]."""

    def __init__(self, *, token: str = "", most: int = 10**9) -> None:
        super().__init__()
        self.samples: dict[tuple[tuple[str, str], ...], list[tuple[float, float]]] = {}
        self.token, self.most = token, most

    def scrape(self, at: float, metric: str, value: float, **labels: str) -> None:
        """Keep a sample."""
        self.samples.setdefault((("__name__", metric), *sorted(labels.items())), []).append((at, value))

    def answer(self, asked: Asked) -> Answer:
        """`/api/v1/query` as Prometheus answers it."""
        if self.token and asked.headers.get("Authorization") != self.token:
            return Answer(b"Unauthorized", 401, {"Content-Type": "text/plain"})
        if asked.path != "/api/v1/query":
            return Answer(b"404 page not found", 404, {"Content-Type": "text/plain"})
        selector = re.fullmatch(r"(\w+)(?:\{(.*)\})?\[(\d+)s\]", asked.query["query"])
        if selector is None:
            return Answer({"status": "error", "errorType": "bad_data", "error": "parse error"}, 400)
        end, length = float(asked.query["time"]), int(selector[3])
        tests = re.findall(r'(\w+)=~"([^"]*)"', selector[2] or "")
        result, count = [], 0
        for labels, samples in self.samples.items():
            named = dict(labels)
            if named["__name__"] != selector[1] or not all(re.fullmatch(p, named.get(k, "")) for k, p in tests):
                continue
            values = [[at, f"{value:.0f}"] for at, value in samples if end - length < at <= end]
            count += len(values)
            if values:
                result.append({"metric": named, "values": values})
        if count > self.most:
            said = "query processing would load too many samples into memory in query execution"
            return Answer({"status": "error", "errorType": "execution", "error": said}, 422)
        return Answer({"status": "success", "data": {"resultType": "matrix", "result": result}})


class FakeLibreNms(Fake):
    """Devices and their ports as last polled; bills with their history."""

    def __init__(self, token: str = "token-of-librenms") -> None:
        super().__init__()
        self.token = token
        self.devices: list[dict[str, Any]] = []
        self.ports: list[dict[str, Any]] = []
        self.bills: list[dict[str, Any]] = []
        self.history: dict[str, list[dict[str, Any]]] = {}

    def answer(self, asked: Asked) -> Answer:
        """`/api/v0/...` as LibreNMS answers it."""
        if asked.headers.get("X-Auth-Token") != self.token:
            return Answer({"message": "Unauthenticated."}, 401)
        if asked.path == "/api/v0/devices":
            return Answer({"status": "ok", "devices": self.devices, "count": len(self.devices)})
        if asked.path == "/api/v0/ports":
            wanted = asked.query.get("columns", "port_id,ifName").split(",")
            ports = [{name: port.get(name) for name in wanted} for port in self.ports]
            return Answer({"status": "ok", "ports": ports, "count": len(ports)})
        if asked.path == "/api/v0/bills":
            return Answer({"status": "ok", "bills": self.bills, "count": len(self.bills)})
        if found := re.fullmatch(r"/api/v0/bills/(\d+)/history", asked.path):
            return Answer({"status": "ok", "bill_history": self.history.get(found[1], [])})
        return Answer({"status": "error", "message": "This API route doesn't exist."}, 404)


class FakeProxmox(Fake):
    """A cluster's guests: start, stop, move, count."""

    def __init__(self, token: str = "coulance@pve!meter=1234-5678") -> None:
        super().__init__()
        self.token = token
        self.guests: dict[int, dict[str, Any]] = {}

    def add(self, vmid: int, **more: Any) -> None:
        """A guest that runs."""
        plain = {
            "id": f"qemu/{vmid}", "type": "qemu", "vmid": vmid, "name": f"vm{vmid}", "node": "pve1",
            "status": "running", "uptime": 1000, "netin": 0, "netout": 0, "template": 0, "maxcpu": 2, "cpu": 0.03,
        }  # fmt: skip
        self.guests[vmid] = plain | more

    def passes(self, seconds: int, **rates: int) -> None:
        """Time passes: running guests count on (`in_100=5` is 5 bytes a second into guest 100)."""
        for vmid, guest in self.guests.items():
            if guest["status"] == "running":
                guest["uptime"] += seconds
                guest["netin"] += rates.get(f"in_{vmid}", 0) * seconds
                guest["netout"] += rates.get(f"out_{vmid}", 0) * seconds

    def start_anew(self, vmid: int, **more: Any) -> None:
        """A reboot, or a live migration (`node=...`): another process, which counts from zero."""
        self.guests[vmid] |= {"uptime": 0, "netin": 0, "netout": 0, **more}

    def answer(self, asked: Asked) -> Answer:
        """`/api2/json/cluster/resources` as Proxmox VE answers it."""
        if asked.headers.get("Authorization") != f"PVEAPIToken={self.token}":
            return Answer(b"", 401)
        if asked.path == "/api2/json/cluster/resources" and asked.query.get("type") == "vm":
            return Answer({"data": list(self.guests.values())})
        return Answer({"data": None, "message": f"Method 'GET {asked.path}' not implemented"}, 501)
