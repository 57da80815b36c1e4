"""A provider that controls overage, rolled back or committed for real."""

from pathlib import Path
from typing import Any

import pytest

from tests.closing.conftest import lasting, store_here, world  # noqa: F401 - fixtures


@pytest.fixture
def town(db: Any, store_here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:  # noqa: F811
    """A controlling provider, rolled back afterwards."""
    from tests.overage_control.town import Town

    monkeypatch.setenv("COULANCE_URL", "https://billing.example.nl")
    return Town(tmp_path).controlled()
