"""Registers the portal room with Django."""

from django.apps import AppConfig


class PortalConfig(AppConfig):
    """The portal room; its one table is of links that let people in."""

    name = "coulance.portal"
    label = "portal"
    default_auto_field = "django.db.models.BigAutoField"
