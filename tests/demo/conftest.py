"""A segment store of its own."""

from tests.closing.conftest import store_here

__all__ = ["store_here"]
