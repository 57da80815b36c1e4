"""The page of the API's documentation, and where its files lie.

ninja is not among the installed apps, since Django would then load it, and pydantic, in every command and worker. So
what the app would bring is told here, to the web server alone: its static files by a finder, and its page as our own.
"""

from pathlib import Path
from typing import Any

import ninja
from django.contrib.staticfiles.finders import FileSystemFinder
from django.core.files.storage import FileSystemStorage
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from ninja.openapi.docs import Swagger


class NinjaFiles(FileSystemFinder):
    """Finds the static files that come with ninja (STATICFILES_FINDERS)."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        where = str(Path(ninja.__file__).parent / "static")
        self.locations = [("", where)]
        self.storages = {where: FileSystemStorage(location=where)}


class Page(Swagger):
    """The documentation, with every file from here and none from elsewhere."""

    def render_page(self, request: HttpRequest, api: ninja.NinjaAPI, **named: Any) -> HttpResponse:
        told = {**self.settings, "url": self.get_openapi_url(api, named)}
        return render(request, "api/docs.html", {"title": api.title, "told": told})
