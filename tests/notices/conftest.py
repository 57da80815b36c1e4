"""A mail server, and an account to write to."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.mail_server import MailServer, mail_server


@pytest.fixture
def server() -> Iterator[MailServer]:
    """A real SMTP server."""
    with mail_server() as running:
        yield running


@pytest.fixture
def account(db: Any) -> int:
    """An account, by its id."""
    from coulance.customers import operations

    return operations.create_account(
        external_id="C-1", name="Bakkerij De Korenaar", kind="business", country="NL", currency="EUR",
        zone="Europe/Amsterdam", language="nl",
    )  # fmt: skip
