"""Registers the console room with Django, so that its templates and static files are found."""

from django.apps import AppConfig


class ConsoleConfig(AppConfig):
    """The console room; it owns no tables."""

    name = "coulance.console"
    label = "console"
