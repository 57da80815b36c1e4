"""A provider with service contracts and a customer who may incur cost; rolled back afterwards."""

from pathlib import Path
from typing import Any

import pytest

from tests.closing.conftest import lasting, store_here, world  # noqa: F401 - fixtures


@pytest.fixture
def desk(world: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:  # noqa: F811
    """The customer acme with two contacts, and terms of every kind."""
    from tests.contracts.desk import Desk

    monkeypatch.setenv("COULANCE_URL", "https://billing.example.nl")
    return Desk.of(world)
