"""Fixtures: an empty world with a provider, rolled back or committed for real, and a segment store of its own."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def store_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """An empty segment store; its folder."""
    from coulance.usage import segments, store

    monkeypatch.setenv(store.VARIABLE, str(tmp_path / "segments"))
    segments.index_of.cache_clear()
    yield tmp_path / "segments"
    segments.index_of.cache_clear()


@pytest.fixture
def world(db: Any, store_here: Path, tmp_path: Path) -> Any:
    """A world to fill, rolled back afterwards."""
    from tests.closing.world import World

    return World(tmp_path)


@pytest.fixture
def lasting(committed_db: Any, store_here: Path, tmp_path: Path) -> Any:
    """A world whose commits are real."""
    from tests.closing.world import World

    return World(tmp_path)
