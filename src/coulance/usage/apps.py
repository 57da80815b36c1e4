"""Registers the usage room with Django."""

from django.apps import AppConfig


class UsageConfig(AppConfig):
    """The usage room; its tables are named usage_*."""

    name = "coulance.usage"
    label = "usage"
    default_auto_field = "django.db.models.BigAutoField"
