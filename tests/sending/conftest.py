"""A mail server and a segment store of its own."""

from collections.abc import Iterator

import pytest

from tests.closing.conftest import store_here
from tests.support.mail_server import MailServer, mail_server

__all__ = ["store_here"]


@pytest.fixture
def server() -> Iterator[MailServer]:
    """A real SMTP server."""
    with mail_server() as running:
        yield running
