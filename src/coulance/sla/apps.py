"""Registers the sla room with Django."""

from django.apps import AppConfig


class SlaConfig(AppConfig):
    """The sla room; its tables are named sla_*."""

    name = "coulance.sla"
    label = "sla"
    default_auto_field = "django.db.models.BigAutoField"
