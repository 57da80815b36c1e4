"""Addresses of the portal."""

from django.urls import URLPattern, path

from coulance.portal.views import answers, disputes, money, owing, paying, people, services, settling, signing_in

urlpatterns: list[URLPattern] = [
    path("answer/<str:token>", answers.answer, name="answer"),
    path("invited/<str:token>", answers.invited, name="invited"),
    path("settle/<str:token>", settling.settle, name="settle"),
    path("my/waiting/<int:document>", settling.waiting, name="portal-waiting"),
    path("owed/<str:token>", owing.by_link, name="owed"),
    path("my/arrears", owing.page, name="portal-owing"),
    path("contest/<str:token>", disputes.by_link, name="contest-link"),
    path("my/documents/<int:document>/contest", disputes.contest, name="portal-contest"),
    path("my/cases", disputes.cases, name="portal-cases"),
    path("my/cases/<int:case>", disputes.case, name="portal-case"),
    path("my/cases/<int:case>/files/<int:file>", disputes.case_file, name="portal-case-file"),
    path("my/", services.overview, name="portal"),
    path("my/sign-in", people.sign_in, name="portal-sign-in"),
    path("my/password", signing_in.by_password, name="portal-password"),
    path("my/code", signing_in.code, name="portal-code"),
    path("my/security", signing_in.security, name="portal-security"),
    path("my/enter/<str:secret>", people.enter, name="portal-enter"),
    path("my/sign-out", people.sign_out, name="portal-sign-out"),
    path("my/language", people.choose_language, name="portal-language"),
    path("my/services/<path:external_id>/compute", services.compute, name="portal-compute"),
    path("my/services/<path:external_id>", services.service, name="portal-service"),
    path("my/contacts", people.contacts, name="portal-contacts"),
    path("my/documents", money.documents, name="portal-documents"),
    path("my/documents/<int:document>", money.document, name="portal-document"),
    path("my/documents/<int:document>/pdf", money.document_pdf, name="portal-document-pdf"),
    path("my/paying", paying.page, name="portal-paying"),
    path("my/statement", money.statement, name="portal-statement"),
    path("my/statement/pdf", money.statement_pdf, name="portal-statement-pdf"),
]
