"""Registers the customers room with Django."""

from django.apps import AppConfig


class CustomersConfig(AppConfig):
    """The customers room; its tables are named customers_*."""

    name = "coulance.customers"
    label = "customers"
    default_auto_field = "django.db.models.BigAutoField"
