"""Who may open what: every address of the console, by role. A view that is new and not in the table fails the test."""

from typing import Any

import pytest
from django.test import Client
from django.urls import URLPattern

from coulance.platform.roles import PERMISSIONS, Permission, Role
from tests.console.conftest import Shop

EVERYBODY = "everybody"
"""Pages for those who have not signed in yet."""

SIGNED_IN = "signed in"
"""Pages that an operator needs before their second factor is in order."""

# Address, and the permission it takes.
MATRIX = {
    "": "see",
    "periods": "see",
    "periods/<str:period>": "see",
    "periods/<str:period>/try": "billing",
    "periods/<str:period>/close": "billing",
    "errands/<str:key>": "see",
    "errands/<str:key>/state": "see",
    "plans": "see",
    "plans/<path:plan>": "see",
    "quarantine": "see",
    "quarantine/series": "operate",
    "quarantine/replay": "operate",
    "collectors": "see",
    "restrictions": "see",
    "restrictions/new": "operate",
    "restrictions/lift": "operate",
    "overage": "see",
    "overage/unreached": "see",
    "overage/unreached/called": "support",
    "overage/approvals": "see",
    "overage/approvals/decide": "billing",
    "overage/waiting": "see",
    "overage/waiting/release": "billing",
    "overage/consents": "see",
    "overage/campaigns": "see",
    "overage/campaigns/act": "billing",
    "overage/pauses": "see",
    "overage/goodwill": "see",
    "overage/exposure": "see",
    "language": EVERYBODY,
    "alarms": "see",
    "alarms/clear": "operate",
    "audit": "see",
    "operators": "people",
    "operators/<str:name>": "people",
    "services": "see",
    "services/<path:external_id>": "see",
    "accounts": "see",
    "accounts/<path:external_id>": "see",
    "statements/<path:external_id>": "see",
    "statements.pdf/<path:external_id>": "see",
    "documents/<int:document>/debit": "billing",
    "take-over": "money",
    "open-items": "see",
    "documents": "see",
    "documents/<int:document>": "see",
    "documents/<int:document>/pdf": "see",
    "documents/<int:document>/json": "see",
    "documents/<int:document>/credit": "billing",
    "documents/<int:document>/e-invoice/<str:form>": "see",
    "documents/<int:document>/contest": "support",
    "debts/<int:opening>/contest": "support",
    "arrears": "see",
    "arrears/plans": "see",
    "arrears/held": "see",
    "arrears/calendar": "see",
    "arrears/risk": "see",
    "arrears/act": "support",
    "arrears/decide": "billing",
    "arrears/package": "billing",
    "arrears/cases/<path:external_id>": "see",
    "contracts": "see",
    "contracts/<path:key>": "see",
    "contract-work": "support",
    "contract-deal": "billing",
    "contract-agree": "billing",
    "tickets/held": "see",
    "tickets/held/act": "support",
    "tickets/<int:ticket>": "see",
    "tickets/<int:ticket>/act": "support",
    "promises": "see",
    "uptime": "see",
    "dossiers/<path:external_id>": "billing",
    "uptime/reports/<int:case>": "money",
    "uptime/claims/<str:period>": "money",
    "disputes": "see",
    "disputes/<int:case>": "see",
    "disputes/<int:case>/act": "support",
    "disputes/<int:case>/decide": "support",
    "disputes/<int:case>/files/<int:file>": "see",
    "payments": "see",
    "payments/new": "money",
    "payments/<int:receipt>": "see",
    "payments/<int:receipt>/<str:act>": "money",
    "collections": "see",
    "collections/act": "money",
    "collections/runs/<int:run>": "money",
    "paybacks": "see",
    "paybacks/act": "money",
    "paybacks/runs/<int:run>": "money",
    "gateways": "see",
    "gateways/act": "money",
    "bank": "see",
    "bank/import": "money",
    "bank/<int:entry>": "money",
    "sending": "see",
    "sending/approve": "billing",
    "messages": "see",
    "messages/<int:delivery>": "see",
    "messages/<int:delivery>/act": "support",
    "me": SIGNED_IN,
    "me/second-factor": SIGNED_IN,
    "me/second-factor/leave": "see",
    "me/recovery-codes": "see",
    "sign-in/again": SIGNED_IN,
    "sign-in/code": EVERYBODY,
    "sign-in": EVERYBODY,
    "sign-in/<str:secret>": EVERYBODY,
    "sign-out": EVERYBODY,
}

# What each role may do.
ROLES = {
    "viewer": "see",
    "support": "see support",
    "billing": "see support billing money",
    "operations": "see support operate plans",
    "admin": "see support billing money operate plans people",
}


def patterns() -> list[URLPattern]:
    from coulance.console.urls import urlpatterns

    assert all(isinstance(each, URLPattern) for each in urlpatterns)
    return [each for each in urlpatterns if isinstance(each, URLPattern)]


def test_the_table_has_every_address_and_no_other() -> None:
    assert {str(each.pattern): getattr(each.callback, "permission", EVERYBODY) for each in patterns()} == MATRIX


def test_roles_may_do_what_the_table_says() -> None:
    assert {role.value: set(PERMISSIONS[role]) for role in Role} == {
        role: {Permission(each) for each in said.split()} for role, said in ROLES.items()
    }


@pytest.mark.parametrize("role", ROLES)
def test_every_address_refuses_every_role_that_lacks_its_permission(role: str, operator: Any, shop: Shop) -> None:
    operator.role = role
    operator.save()
    client = Client()
    client.force_login(operator)
    for route, permission in MATRIX.items():
        if permission in (EVERYBODY, SIGNED_IN):
            continue
        address = "/" + _filled(route, shop)
        for answer in (client.get(address), client.post(address)):
            refused = answer.status_code == 403
            assert refused == (permission not in ROLES[role].split()), (role, address, answer.status_code)
            if refused:
                assert b"Not yours to do" in answer.content


def _filled(route: str, shop: Shop) -> str:
    values = {
        "services/<path:external_id>": f"services/{shop.services[0]}",
        "accounts/<path:external_id>": f"accounts/{shop.account}",
        "cases/<path:external_id>": f"cases/{shop.account}",
        "dossiers/<path:external_id>": f"dossiers/{shop.account}",
        "statements/<path:external_id>": f"statements/{shop.account}",
        "statements.pdf/<path:external_id>": f"statements.pdf/{shop.account}",
        "<int:case>": "999999",
        "<int:opening>": "999999",
        "<int:file>": "999999",
        "<int:document>": str(shop.documents["overage_invoice"]),
        "<str:period>": "2026-10",
        "<str:key>": "job_none",
        "<path:key>": "none",
        "<path:plan>": "none",
        "<str:name>": "anna",
        "<str:form>": "none",
        "<int:receipt>": "999999",
        "<int:run>": "999999",
        "<int:entry>": "999999",
        "<int:ticket>": "999999",
        "<int:delivery>": "999999",
        "<str:act>": "refund",
    }
    for part, value in values.items():
        route = route.replace(part, value)
    assert "<" not in route, f"say above what to put into {route}"
    return route
