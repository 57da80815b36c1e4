"""Fixtures: a world with a provider who promises uptime, rolled back or committed for real; a client; a server."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests.closing.conftest import lasting, store_here, world

__all__ = ["lasting", "store_here", "world"]


@pytest.fixture
def client() -> Any:
    """Django's own, which asks without a network."""
    from django.test import Client

    return Client()


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch, lasting: Any) -> Iterator[str]:
    """The whole application on a free port, in this process; its address."""
    from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler
    from django.core.wsgi import get_wsgi_application

    monkeypatch.setattr(WSGIRequestHandler, "log_message", lambda *args: None)
    server = ThreadedWSGIServer(("127.0.0.1", 0), WSGIRequestHandler)
    server.set_app(get_wsgi_application())
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()
