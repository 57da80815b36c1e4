"""Every address the server answers: health checks, metrics, the API, the portal, and the console at the root."""

from django.urls import include, path

from coulance.api.inbound_hook import hook as inbound_hook
from coulance.api.mail_hook import hook as mail_hook
from coulance.api.metrics import metrics_page
from coulance.api.pay_hook import hook as pay_hook
from coulance.api.ticket_hook import hook as ticket_hook
from coulance.api.uptime_hook import hook as uptime_hook
from coulance.platform.web import healthz, readyz

urlpatterns = [
    path("healthz", healthz, name="healthz"),
    path("readyz", readyz, name="readyz"),
    path("metrics", metrics_page, name="metrics"),
    path("api/v1/", include("coulance.api.urls")),
    path("hooks/mail/<str:secret_part>", mail_hook, name="mail_hook"),
    path("hooks/inbound/<str:secret_part>", inbound_hook, name="inbound_hook"),
    path("hooks/pay/<str:gateway>", pay_hook, name="pay_hook"),
    path("hooks/tickets/<str:source>", ticket_hook, name="ticket_hook"),
    path("hooks/uptime/<str:kind>/<str:token>", uptime_hook, name="uptime_hook"),
    path("", include("coulance.portal.urls")),
    path("", include("coulance.console.urls")),
]
