"""Registers the payments room with Django."""

from django.apps import AppConfig


class PaymentsConfig(AppConfig):
    """The payments room; its tables are named payments_*."""

    name = "coulance.payments"
    label = "payments"
    default_auto_field = "django.db.models.BigAutoField"
