"""Coulance: usage billing for hosting providers. This root is the Django shell; the reasoning is in coulance_core."""

__version__ = "0.1.0"
