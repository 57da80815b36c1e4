"""Registers the services room with Django."""

from django.apps import AppConfig


class ServicesConfig(AppConfig):
    """The services room; its tables are named services_*."""

    name = "coulance.services"
    label = "services"
    default_auto_field = "django.db.models.BigAutoField"
