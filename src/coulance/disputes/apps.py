"""Registers the disputes room with Django."""

from django.apps import AppConfig


class DisputesConfig(AppConfig):
    """The disputes room; its tables are named disputes_*."""

    name = "coulance.disputes"
    label = "disputes"
    default_auto_field = "django.db.models.BigAutoField"
