"""Fixtures of the usage tests: the made-up series in place of those of the services room, and a store of their own."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def series(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """The series of `support.SERIES`, and an empty segment store, whose folder it gives."""
    from coulance.usage import registry, segments, store
    from tests.usage import support

    known = support.table()
    monkeypatch.setattr(registry, "current", lambda: known)
    monkeypatch.setenv(store.VARIABLE, str(tmp_path / "segments"))
    yield tmp_path / "segments"
    segments.index_of.cache_clear()
    assert os.environ[store.VARIABLE]
