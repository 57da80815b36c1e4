"""Registers the invoicing room with Django."""

from django.apps import AppConfig


class InvoicingConfig(AppConfig):
    """The invoicing room; its tables are named invoicing_*."""

    name = "coulance.invoicing"
    label = "invoicing"
    default_auto_field = "django.db.models.BigAutoField"
