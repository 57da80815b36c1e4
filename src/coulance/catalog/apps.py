"""Registers the catalog room with Django."""

from django.apps import AppConfig


class CatalogConfig(AppConfig):
    """The catalog room; its tables are named catalog_*."""

    name = "coulance.catalog"
    label = "catalog"
    default_auto_field = "django.db.models.BigAutoField"
