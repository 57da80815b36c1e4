"""Registers the notices room with Django."""

from django.apps import AppConfig


class NoticesConfig(AppConfig):
    """The notices room; its tables are named notices_*."""

    name = "coulance.notices"
    label = "notices"
    default_auto_field = "django.db.models.BigAutoField"
