"""A small provider with a closed month, and tokens for its API."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest


@dataclass
class Api:
    """The API of a filled instance, by a token; answers are Django's."""

    token: str
    client: Any

    def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """Ask. A body that is no bytes goes as JSON; headers are given with underscores."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        named.setdefault("Authorization", f"Bearer {self.token}")
        more: dict[str, Any] = {}
        if body is not None:
            import json

            more["data"] = body if isinstance(body, bytes) else json.dumps(body)
            more["content_type"] = named.pop("Content-Type", "application/json")
        elif method in ("POST", "PUT", "PATCH"):
            more = {"data": b"", "content_type": named.pop("Content-Type", "application/json")}
            named.setdefault("Content-Length", "0")
        return self.client.generic(method, f"/api/v1{path}", headers=named, **more)

    def get(self, path: str, **headers: str) -> Any:
        """GET, and the JSON of the answer, which must be 200."""
        answer = self("GET", path, **headers)
        assert answer.status_code == 200, answer.content
        return answer.json()


@pytest.fixture
def segments(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """A segment store of this test's own, and a key for what is kept sealed."""
    from coulance.usage import segments as kept
    from coulance.usage import store

    monkeypatch.setenv(store.VARIABLE, str(tmp_path / "segments"))
    monkeypatch.setenv("COULANCE_WEBHOOK_KEY", "a key for tests")
    kept.index_of.cache_clear()
    yield
    kept.index_of.cache_clear()


def fill(folder: Path) -> None:
    """Two accounts with services, October closed with an overage invoice; one series waits in quarantine."""
    from tests.closing.world import World

    world = World(folder)
    world.provider().account().account("borg", kind="consumer")
    world.service("v1", "vps", meter="traffic").service("v2", "vps", account="borg")
    world.use("v1", {"2026-10-03": 120, "2026-10-31": 30})
    world.close("2026-10")
    world.send("nobody", [(1_793_000_100, 5)])


def make_token(*scopes: str) -> str:
    """A token with these scopes, or with all there are."""
    from coulance.platform import clock, tokens

    wanted = scopes or tuple(tokens.SCOPES)
    return tokens.make_token(name="test", scopes=wanted, at=clock.now(), actor="test")[0]


@pytest.fixture
def api(db: Any, segments: None, tmp_path: Path) -> Api:
    """A filled instance, rolled back afterwards."""
    from django.test import Client

    fill(tmp_path)
    return Api(make_token(), Client())


@pytest.fixture
def lasting_api(committed_db: Any, segments: None, tmp_path: Path) -> Api:
    """A filled instance whose commits are real."""
    from django.test import Client

    fill(tmp_path)
    return Api(make_token(), Client())


@pytest.fixture
def token_with(api: Api) -> Callable[..., str]:
    """Makes a token with just these scopes."""
    return make_token
