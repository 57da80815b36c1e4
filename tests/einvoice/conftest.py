"""Fixtures: a provider with an issued invoice, and an access point that remembers what it was given."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.closing.conftest import store_here, world
from tests.einvoice.access_point import FakeAccessPoint

__all__ = ["store_here", "world"]


@pytest.fixture
def issued(world: Any) -> Any:
    """A world with invoices B2026-0001 and V2026-0001 of account acme, a Dutch company."""
    world.provider('registration = "KvK 12345678"\niban = "NL91 ABNA 0417 1643 00"\n')
    world.account(vat_id="NL004495445B01", address=["Straat 1", "1234 AB Stad"])
    world.service("web", "vps", meter="traffic").use("web", {"2026-10-05": 150})
    world.close("2026-10")
    return world


@pytest.fixture
def fake() -> Iterator[FakeAccessPoint]:
    """An access point at work on this machine."""
    point = FakeAccessPoint()
    try:
        yield point
    finally:
        point.stop()
