"""Addresses of the console room."""

from django.urls import URLPattern, URLResolver, path

from coulance.console import access
from coulance.console.views import accounts, documents, overview, services

urlpatterns: list[URLPattern | URLResolver] = [
    path("", overview.overview, name="overview"),
    path("runs", overview.runs, name="runs"),
    path("services", services.service_list, name="services"),
    path("services/<path:external_id>", services.service_detail, name="service"),
    path("accounts", accounts.account_list, name="accounts"),
    path("accounts/<path:external_id>", accounts.account_detail, name="account"),
    path("documents", documents.document_list, name="documents"),
    path("documents/<int:document>", documents.document_detail, name="document"),
    path("documents/<int:document>/pdf", documents.document_pdf, name="document-pdf"),
    path("documents/<int:document>/json", documents.document_json, name="document-json"),
    path("sign-in", access.SignIn.as_view(), name="sign-in"),
    path("sign-in/<str:secret>", access.sign_in_by_link, name="sign-in-link"),
    path("sign-out", access.SignOut.as_view(), name="sign-out"),
]
