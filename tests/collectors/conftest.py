"""A house with a collector, its secret, and a clock that a test moves."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

NOW = datetime(2026, 11, 10, 12, tzinfo=UTC)


class Asking:
    """One collector of a provider file, asked at instants of a test's choice."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.at = NOW

    def now(self) -> datetime:
        """The test's clock."""
        return self.at

    def go(self, after_s: int = 0, target: str | None = None) -> Any:
        """Ask after so many seconds; gives the outcome."""
        from coulance.integrations.collectors import runner

        self.at += timedelta(seconds=after_s)
        collector = runner.asked_collectors()[self.key]
        return runner.go(collector, target or runner.targets_of(collector)[0], self.now)

    def health(self) -> Any:
        """How its (first) target does."""
        from coulance.usage import queries

        return next(one for one in queries.collector_health(at=self.at) if one.collector == self.key)


@pytest.fixture
def asking(db: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Asking]:
    """Make a house with collectors (a provider file's text) and series; gives what asks the first of them."""
    from coulance.integrations.prometheus import rules
    from coulance.usage import store
    from tests.collectors.world import house

    def make(text: str, series: Any = (), **secrets: str) -> Asking:
        monkeypatch.setenv(store.VARIABLE, str(tmp_path / "segments"))
        for name, value in secrets.items():
            monkeypatch.setenv(f"COULANCE_{name.upper()}", value)
        rules._translators.clear()
        house(tmp_path, text, series)
        return Asking(text.partition("[collectors.")[2].partition("]")[0])

    return make
