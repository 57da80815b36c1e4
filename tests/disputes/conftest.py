"""A customer with a bill to contest, and a provider who answers; rolled back afterwards."""

from pathlib import Path
from typing import Any

import pytest

from tests.closing.conftest import lasting, store_here, world  # noqa: F401 - fixtures


@pytest.fixture
def court(db: Any, store_here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:  # noqa: F811
    """One server that used 3000 GB of 1000 in June, billed 242.00 in July, tax included."""
    from tests.disputes.court import Court

    monkeypatch.setenv("COULANCE_URL", "https://billing.example.nl")
    return Court.of(tmp_path)
