"""Addresses of the api room. Routers are added here, so that `app` needs to know none of them."""

from django.urls import URLPattern, URLResolver, path

from coulance.api import documents, prometheus, usage
from coulance.api.app import api

api.add_router("/usage", usage.router)
api.add_router("/prometheus", prometheus.router)
api.add_router("/documents", documents.router)

urlpatterns: list[URLPattern | URLResolver] = [path("", api.urls)]
