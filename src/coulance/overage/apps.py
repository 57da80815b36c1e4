"""Registers the overage room with Django."""

from django.apps import AppConfig


class OverageConfig(AppConfig):
    """The overage room; its tables are named overage_*."""

    name = "coulance.overage"
    label = "overage"
    default_auto_field = "django.db.models.BigAutoField"
