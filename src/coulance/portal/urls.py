"""Addresses of the portal."""

from django.urls import URLPattern, path

from coulance.portal.views import answers, money, people, services, settling

urlpatterns: list[URLPattern] = [
    path("answer/<str:token>", answers.answer, name="answer"),
    path("settle/<str:token>", settling.settle, name="settle"),
    path("my/waiting/<int:document>", settling.waiting, name="portal-waiting"),
    path("my/", services.overview, name="portal"),
    path("my/sign-in", people.sign_in, name="portal-sign-in"),
    path("my/enter/<str:secret>", people.enter, name="portal-enter"),
    path("my/sign-out", people.sign_out, name="portal-sign-out"),
    path("my/language", people.choose_language, name="portal-language"),
    path("my/services/<path:external_id>/compute", services.compute, name="portal-compute"),
    path("my/services/<path:external_id>", services.service, name="portal-service"),
    path("my/contacts", people.contacts, name="portal-contacts"),
    path("my/documents", money.documents, name="portal-documents"),
    path("my/documents/<int:document>", money.document, name="portal-document"),
    path("my/documents/<int:document>/pdf", money.document_pdf, name="portal-document-pdf"),
    path("my/statement", money.statement, name="portal-statement"),
    path("my/statement/pdf", money.statement_pdf, name="portal-statement-pdf"),
]
