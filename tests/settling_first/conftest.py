"""A provider whose overage invoices above 50.00 wait for their customer."""

from tests.closing.conftest import lasting, store_here, world  # noqa: F401 - fixtures
