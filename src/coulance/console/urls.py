"""Addresses of the console room. Those that allauth redirects to have the names it knows them by."""

from django.urls import URLPattern, path

from coulance.console import access
from coulance.console.views import accounts, documents, me, overview, services

urlpatterns: list[URLPattern] = [
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
    path("me", me.me, name="me"),
    path("me/second-factor", me.enrol, name="mfa_activate_totp"),
    path("me/second-factor/leave", me.leave, name="second-factor-leave"),
    path("me/recovery-codes", me.recovery_codes, name="recovery-codes"),
    path("sign-in", access.sign_in, name="account_login"),
    path("sign-in/again", me.again, name="account_reauthenticate"),
    path("sign-in/code", access.sign_in_code, name="mfa_authenticate"),
    path("sign-in/<str:secret>", access.sign_in_by_link, name="sign-in-link"),
    path("sign-out", access.sign_out, name="account_logout"),
]
