"""Registers the arrears room with Django."""

from django.apps import AppConfig


class ArrearsConfig(AppConfig):
    """The arrears room; its tables are named arrears_*."""

    name = "coulance.arrears"
    label = "arrears"
    default_auto_field = "django.db.models.BigAutoField"
