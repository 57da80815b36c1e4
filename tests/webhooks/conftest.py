"""A receiver, a clock that tests move, and an endpoint at the receiver."""

from collections.abc import Iterator
from typing import Any

import pytest

from coulance.platform import webhook_guard
from tests.webhooks.receiver import AT, Clock, Receiver, receiving


@pytest.fixture(autouse=True)
def settings_of_webhooks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loopback is a network of our own here."""
    monkeypatch.setenv(webhook_guard.VARIABLE, "127.0.0.0/8")
    monkeypatch.setenv("COULANCE_WEBHOOK_KEY", "a key for tests")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A server that takes webhooks."""
    with receiving() as found:
        yield found


@pytest.fixture
def clock() -> Clock:
    """The time."""
    return Clock()


@pytest.fixture
def endpoint(db: Any, receiver: Receiver) -> Any:
    """An endpoint at the receiver that wants everything, and its secret."""
    from coulance.platform import webhook_endpoints

    return webhook_endpoints.add_endpoint(url=receiver.url, actor="test", at=AT)
