"""Registers the api room with Django."""

from django.apps import AppConfig


class ApiConfig(AppConfig):
    """The api room; it owns no tables."""

    name = "coulance.api"
    label = "api"
