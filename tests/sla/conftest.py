"""Fixtures: a world with a provider who promises uptime, rolled back or committed for real."""

from tests.closing.conftest import lasting, store_here, world

__all__ = ["lasting", "store_here", "world"]
