"""The real Prometheus of Debian scrapes an exporter of ours that goes away; what it saw becomes looks."""

import shutil
import subprocess
import threading
import time
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from coulance.integrations.uptime.asking import ask_counts, ask_prometheus
from coulance.integrations.uptime.reading import UnableToReadUptimeError
from tests.support.instances import free_port

PROMETHEUS = shutil.which("prometheus")


class Exporter(BaseHTTPRequestHandler):
    """Whether it is `probe_success`."""

    success = 1
    asked = 0

    def do_GET(self) -> None:
        type(self).asked += 1
        body = (
            f"probe_success {type(self).success}\n# TYPE hits_total counter\n"
            f'hits_total{{code="200"}} {90 * type(self).asked}\nhits_total{{code="500"}} {10 * type(self).asked}\n'
        ).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.mark.skipif(PROMETHEUS is None, reason="the Debian package prometheus isn't installed")
def test_what_a_real_prometheus_saw(tmp_path: Path) -> None:
    exporter = ThreadingHTTPServer(("127.0.0.1", 0), Exporter)
    threading.Thread(target=exporter.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    target, port = f"127.0.0.1:{exporter.server_port}", free_port()
    (tmp_path / "p.yml").write_text(
        "global: {scrape_interval: 200ms, scrape_timeout: 200ms}\n"
        f"scrape_configs: [{{job_name: probe, static_configs: [{{targets: ['{target}']}}]}}]\n"
    )
    url = f"http://127.0.0.1:{port}"
    since = datetime.now(UTC)
    server = subprocess.Popen(
        [str(PROMETHEUS), f"--config.file={tmp_path}/p.yml", f"--storage.tsdb.path={tmp_path}/data",
         f"--web.listen-address=127.0.0.1:{port}", "--log.level=error"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        wait_for(url, "probe_success == 1")
        Exporter.success = 0
        wait_for(url, "probe_success == 0")
        until = datetime.now(UTC) + timedelta(seconds=1)
        seen = ask_prometheus(url, query="probe_success", label="instance", since=since, until=until, step=1)
        assert {one.name for one in seen} == {target}
        ups = [one.up for one in seen]
        assert not ups[-1]
        assert ups == sorted(ups, reverse=True), "up, then down"
        counted = ask_counts(
            url,
            requests="sum by (instance) (increase(hits_total[2s]))",
            errors='sum by (instance) (increase(hits_total{code="500"}[2s]))',
            label="instance",
            since=since - timedelta(seconds=2),
            until=until,
            step=1,
        )
        busy = [one for one in counted if one.requests]
        assert {one.name for one in busy} == {target}
        assert all(abs(one.errors / one.requests - 0.1) < 0.02 for one in busy)
        with pytest.raises(UnableToReadUptimeError, match="expected 0 or 1"):
            ask_prometheus(url, query="probe_success + 5", label="instance", since=since, until=until, step=1)
        with pytest.raises(UnableToReadUptimeError, match="no label"):
            ask_prometheus(url, query="sum(probe_success)", label="instance", since=since, until=until, step=1)
    finally:
        server.kill()
        server.wait()
        exporter.shutdown()
        exporter.server_close()
    with pytest.raises(UnableToReadUptimeError, match="didn't answer"):
        ask_prometheus(url, query="up", label="instance", since=since, until=until, step=1)


def wait_for(url: str, query: str) -> None:
    with httpx.Client(base_url=url, trust_env=False) as client:
        until = time.monotonic() + 20
        while time.monotonic() < until:
            try:
                if client.get("/api/v1/query", params={"query": query}).json()["data"]["result"]:
                    return
            except (httpx.HTTPError, ValueError, KeyError):
                pass
            threading.Event().wait(0.05)
    pytest.fail(f"never {query}")
