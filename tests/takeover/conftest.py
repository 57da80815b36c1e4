"""Fixtures: a provider of the closings' world, and an old system to leave."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.closing.conftest import store_here, world  # noqa: F401
from tests.takeover.whmcs_source import Whmcs, made_up

AT = datetime(2026, 11, 1, 5, tzinfo=UTC)


@pytest.fixture
def old() -> Whmcs:
    return made_up()


@pytest.fixture
def provider(world: Any) -> Any:  # noqa: F811
    """The world with its provider, and no customer."""
    return world.provider()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "whmcs"
