"""Every address the server answers: the health check, the API, and the console at the root."""

from django.urls import include, path

from coulance.platform.web import healthz

urlpatterns = [
    path("healthz", healthz, name="healthz"),
    path("api/v1/", include("coulance.api.urls")),
    path("", include("coulance.console.urls")),
]
