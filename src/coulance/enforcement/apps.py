"""Registers the enforcement room with Django."""

from django.apps import AppConfig


class EnforcementConfig(AppConfig):
    """The enforcement room; its tables are named enforcement_*."""

    name = "coulance.enforcement"
    label = "enforcement"
    default_auto_field = "django.db.models.BigAutoField"
