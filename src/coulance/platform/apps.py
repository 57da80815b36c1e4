"""Registers the platform room with Django."""

from django.apps import AppConfig


class PlatformConfig(AppConfig):
    """The platform room; its tables are named platform_*."""

    name = "coulance.platform"
    label = "platform"
    default_auto_field = "django.db.models.BigAutoField"
