"""Worlds to close, as closing has them."""

from tests.closing.conftest import lasting, store_here, world

__all__ = ["lasting", "store_here", "world"]
