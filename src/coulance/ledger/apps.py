"""Registers the ledger room with Django."""

from django.apps import AppConfig


class LedgerConfig(AppConfig):
    """The ledger room; its tables are named ledger_*."""

    name = "coulance.ledger"
    label = "ledger"
    default_auto_field = "django.db.models.BigAutoField"
