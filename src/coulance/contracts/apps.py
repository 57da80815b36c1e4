"""Registers the contracts room with Django."""

from django.apps import AppConfig


class ContractsConfig(AppConfig):
    """The contracts room; its tables are named contracts_*."""

    name = "coulance.contracts"
    label = "contracts"
    default_auto_field = "django.db.models.BigAutoField"
