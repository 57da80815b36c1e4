"""A customer who owes, rolled back afterwards."""

from pathlib import Path
from typing import Any

import pytest

from tests.closing.conftest import lasting, store_here, world  # noqa: F401 - fixtures


@pytest.fixture
def street(db: Any, store_here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:  # noqa: F811
    """Acme with the server vps-1, whose invoice of June 2026 was mailed on the 4th and is due on the 18th."""
    from tests.arrears.street import Street

    monkeypatch.setenv("COULANCE_URL", "https://billing.example.nl")
    return Street.of(tmp_path)
