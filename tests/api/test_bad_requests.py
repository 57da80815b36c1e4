"""What is wrong is refused: with this status, this kind of problem, this place; and nothing changed."""

# ruff: noqa: E501 - a row of the table is a line

from typing import Any

import pytest

from tests.api.conftest import Api

ACCOUNT = {"name": "Zed", "kind": "business", "country": "NL"}
SERVICE = {"account": "acme", "name": "w", "kind": "vps", "started_on": "2026-11-01", "plan": "vps"}
PAYMENT = {
    "account": "acme", "amount": {"amount": "10.00", "currency": "EUR"}, "received_on": "2026-11-10", "method": "bank",
    "source": "psp/1", "reason": "paid",
}  # fmt: skip
CREDIT = {"type": "correction", "reason": "wrong"}
HOOK = {"url": "https://example.org/hooks"}

# what: method, path, body, headers, status, kind, where
TABLE: dict[str, tuple[str, str, Any, dict[str, str], int, str, str | None]] = {
    "no JSON": ("PUT", "/accounts/z", b"{name", {}, 400, "not-json", "body"),
    "NaN": ("PUT", "/accounts/z", b'{"billing_day": NaN}', {}, 400, "not-json", "body"),
    "a name twice": ("PUT", "/accounts/z", b'{"name": "a", "name": "b"}', {}, 400, "not-json", "body"),
    "no UTF-8": ("PUT", "/accounts/z", b'{"name": "\xff"}', {}, 400, "not-json", "body"),
    "half a character": ("PUT", "/accounts/z", b'{"name": "\\ud800"}', {}, 400, "not-json", "body"),
    "a zero byte": ("PUT", "/accounts/z", b'{"name": "a\\u0000"}', {}, 400, "not-json", "body"),
    "too deep": ("PUT", "/accounts/z", b"[" * 100_000, {}, 400, "not-json", "body"),
    "a list": ("PUT", "/accounts/z", [], {}, 422, "not-as-expected", "body"),
    "an empty body": ("PUT", "/accounts/z", None, {}, 422, "not-as-expected", "body"),
    "a form": ("PUT", "/accounts/z", b"name=a", {"Content_Type": "application/x-www-form-urlencoded"}, 415, "unknown-type", None),
    "a zipped body": ("PUT", "/accounts/z", ACCOUNT, {"Content_Encoding": "gzip"}, 415, "unknown-type", None),
    "two megabytes": ("PUT", "/accounts/z", b" " * 2_000_000, {}, 413, "too-large", None),
    "an unknown field": ("PUT", "/accounts/z", {**ACCOUNT, "nmae": "x"}, {}, 422, "not-as-expected", "body.nmae"),
    "a number for a text": ("PUT", "/accounts/z", {**ACCOUNT, "name": 5}, {}, 422, "not-as-expected", "body.name"),
    "a text for a number": ("PUT", "/accounts/z", {**ACCOUNT, "billing_day": "1"}, {}, 422, "not-as-expected", "body.billing_day"),
    "no name": ("PUT", "/accounts/z", {"kind": "business", "country": "NL"}, {}, 422, "not-as-expected", "body.name"),
    "no such country": ("PUT", "/accounts/z", {**ACCOUNT, "country": "XX"}, {}, 422, "not-as-expected", "body.country"),
    "no such zone": ("PUT", "/accounts/z", {**ACCOUNT, "zone": "Mars/One"}, {}, 422, "not-as-expected", "body.zone"),
    "no such currency": ("PUT", "/accounts/z", {**ACCOUNT, "currency": "EUX"}, {}, 422, "not-as-expected", "body.currency"),
    "a VAT number's digits": ("PUT", "/accounts/z", {**ACCOUNT, "vat_id": "NL123456789B01"}, {}, 422, "not-as-expected", "body.vat_id"),
    "another currency": ("PUT", "/accounts/acme", {"currency": "USD"}, {}, 422, "not-as-expected", "body.currency"),
    "a billed billing day": ("PUT", "/accounts/acme", {"billing_day": 15}, {}, 422, "not-as-expected", "body.billing_day"),
    "a stale account": ("PUT", "/accounts/acme", {"name": "B"}, {"If_Match": '"0"'}, 412, "changed-since", "header.If-Match"),
    "a contact of nobody": ("PUT", "/accounts/z/contacts/a", {"name": "A"}, {}, 404, "not-there", "account"),
    "mail without address": ("PUT", "/accounts/acme/contacts/a", {"name": "A", "channels": ["email"]}, {}, 422, "not-as-expected", "body.email"),
    "no such account": ("GET", "/accounts/z", None, {}, 404, "not-there", "account"),
    "no such service": ("GET", "/services/z", None, {}, 404, "not-there", "service"),
    "an unknown plan": ("PUT", "/services/z", {**SERVICE, "plan": "vsp"}, {}, 422, "not-as-expected", "body.plan"),
    "a service of nobody": ("PUT", "/services/z", {**SERVICE, "account": "z"}, {}, 422, "not-as-expected", "body.account"),
    "a day that isn't": ("PUT", "/services/z", {**SERVICE, "started_on": "2026-02-30"}, {}, 422, "not-as-expected", "body.started_on"),
    "a day of long ago": ("PUT", "/services/z", {**SERVICE, "started_on": "0001-01-01"}, {}, 422, "not-as-expected", "body.started_on"),
    "another first day": ("PUT", "/services/v1", {"started_on": "2026-09-01"}, {}, 422, "not-as-expected", "body.started_on"),
    "another account": ("PUT", "/services/v1", {"account": "borg"}, {}, 422, "not-as-expected", "body.account"),
    "a billed plan change": ("POST", "/services/v1/plan", {"plan": "vps-xl", "from": "2026-10-15"}, {}, 422, "not-as-expected", "body.plan"),
    "a plan in dollars": ("POST", "/services/v1/plan", {"plan": "usd", "from": "2026-11-15"}, {}, 422, "not-as-expected", "body.plan"),
    "an end before the start": ("POST", "/services/v1/end", {"on": "2026-09-01", "reason": "x"}, {}, 422, "not-as-expected", "body.on"),
    "an end without a reason": ("POST", "/services/v1/end", {"on": "2026-12-01", "reason": " "}, {}, 422, "not-as-expected", "body.reason"),
    "another's series": ("POST", "/services/v2/series", {"key": "v1", "meter": "traffic"}, {}, 422, "not-as-expected", "body.series"),
    "an unknown meter": ("POST", "/services/v2/series", {"key": "k", "meter": "trafic"}, {}, 422, "not-as-expected", "body.meter"),
    "an unknown parameter": ("GET", "/accounts?page=2", None, {}, 422, "not-as-expected", "query.page"),
    "a parameter twice": ("GET", "/accounts?q=a&q=b", None, {}, 422, "not-as-expected", "query.q"),
    "limit 0": ("GET", "/accounts?limit=0", None, {}, 422, "not-as-expected", "query.limit"),
    "limit 10000": ("GET", "/accounts?limit=10000", None, {}, 422, "not-as-expected", "query.limit"),
    "no cursor": ("GET", "/accounts?cursor=abc", None, {}, 422, "not-as-expected", "query.cursor"),
    "another list's cursor": ("GET", "/services?cursor=WyJhY2NvdW50cyIsMV0=", None, {}, 422, "not-as-expected", "query.cursor"),
    "a zero byte in the address": ("GET", "/accounts?q=%00", None, {}, 400, "not-an-address", None),
    "no such month": ("GET", "/documents?period=2026-13", None, {}, 422, "not-as-expected", "query.period"),
    "no such kind": ("GET", "/documents?kind=bill", None, {}, 422, "not-as-expected", "query.kind"),
    "no such document": ("GET", "/documents/V1", None, {}, 404, "not-there", "number"),
    "no such line": ("GET", "/documents/V2026-0001/explanation?line=9", None, {}, 404, "not-there", "query.line"),
    "a statement as e-invoice": ("GET", "/documents/U-2026-10-acme/e-invoice", None, {}, 409, "refused", None),
    "a credit note on nothing": ("POST", "/documents/V1/credit-notes", CREDIT, {}, 404, "not-there", "number"),
    "too large a credit": ("POST", "/documents/V2026-0001/credit-notes", {**CREDIT, "lines": [{"line": 1, "net": {"amount": "99.00", "currency": "EUR"}}]}, {}, 409, "refused", None),
    "a credit in dollars": ("POST", "/documents/V2026-0001/credit-notes", {**CREDIT, "lines": [{"line": 1, "net": {"amount": "1.00", "currency": "USD"}}]}, {}, 409, "refused", None),
    "thousandths of a euro": ("POST", "/documents/V2026-0001/credit-notes", {**CREDIT, "lines": [{"line": 1, "net": {"amount": "0.001", "currency": "EUR"}}]}, {}, 422, "not-as-expected", "body.lines.0.net"),
    "money as a number": ("POST", "/payments", {**PAYMENT, "amount": 10}, {}, 422, "not-as-expected", "body.amount"),
    "a payment of nothing": ("POST", "/payments", {**PAYMENT, "amount": {"amount": "0.00", "currency": "EUR"}}, {}, 409, "refused", None),
    "a payment for another's debt": ("POST", "/payments", {**PAYMENT, "for": [{"number": "B2026-0002"}]}, {}, 409, "refused", None),
    "a payer's short IBAN": ("POST", "/payments", {**PAYMENT, "payer_iban": "NO1234567890AB"}, {}, 422, "not-as-expected", "body.payer_iban"),
    "a payment of nobody": ("POST", "/payments", {**PAYMENT, "account": "z"}, {}, 404, "not-there", "account"),
    "no such payment": ("POST", "/payments/99/reverse", {"kind": "mistake", "on": "2026-11-10", "reason": "x"}, {}, 404, "not-there", "payment"),
    "closing without a reason": ("POST", "/periods/2026-11/close", {}, {}, 422, "not-as-expected", "body.reason"),
    "closing no month": ("POST", "/periods/2026-00/close", {"reason": "x"}, {}, 422, "not-as-expected", "path.period"),
    "a month never closed": ("GET", "/periods/2026-01", None, {}, 404, "not-there", "period"),
    "no such job": ("GET", "/jobs/job_0123456789abcdef0123", None, {}, 404, "not-there", "job"),
    "a hook without TLS": ("POST", "/webhooks/endpoints", {"url": "http://example.org/"}, {}, 422, "not-as-expected", "body.url"),
    "a hook inside": ("POST", "/webhooks/endpoints", {"url": "https://169.254.169.254/"}, {}, 422, "not-as-expected", "body.url"),
    "a hook for no event": ("POST", "/webhooks/endpoints", {**HOOK, "events": ["invoice.payed"]}, {}, 422, "not-as-expected", "body.events"),
    "a replay of nothing": ("POST", "/webhooks/endpoints/ep_0123456789/replay", {}, {}, 422, "not-as-expected", "body"),
    "no such hook": ("DELETE", "/webhooks/endpoints/ep_0123456789", None, {}, 404, "not-there", None),
    "a key with a space": ("POST", "/webhooks/endpoints", HOOK, {"Idempotency_Key": "a b"}, 422, "not-as-expected", "header.Idempotency-Key"),
    "a quarantined series for nobody": ("POST", "/usage/quarantine/assign", {"series": "nobody", "service": "z", "meter": "traffic"}, {}, 422, "not-as-expected", "body.service"),
    "giving up without a reason": ("POST", "/usage/quarantine/discard", {"series": ["nobody"], "reason": ""}, {}, 422, "not-as-expected", "body.reason"),
    "days of four years": ("GET", "/usage/days?series=v1&start=2020-01-01&end=2026-01-01", None, {}, 422, "not-as-expected", "end"),
}  # fmt: skip


def counts() -> dict[str, int]:
    """How many rows each table has that a refused request must not touch."""
    from django.db import connection

    tables = (
        "customers_account", "customers_contact", "services_service", "services_subscription", "services_series",
        "invoicing_document", "payments_receipt", "ledger_entry", "platform_errand", "platform_webhook_endpoint",
        "platform_audit_event", "platform_idempotent_call", "procrastinate_jobs",
    )  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(f"SELECT '{name}', count(*) FROM {name}" for name in tables))
        return dict(cursor.fetchall())


def test_each_is_refused_and_changes_nothing(api: Api) -> None:
    """One filled instance for the whole table: each row leaves it as it was."""
    before = counts()
    wrong: dict[str, Any] = {}
    for what, (method, path, body, headers, status, kind, where) in TABLE.items():
        answer = api(method, path, body, **headers)
        said = answer.json()
        found = (answer.status_code, said.get("type", "").partition("#")[2], said.get("where"))
        if found != (status, kind, where) or answer["Content-Type"] != "application/problem+json":
            wrong[what] = (found, said)
        assert len(said.get("detail", "")) > 10, (what, said)
    assert not wrong, "\n".join(f"{what}: {said}" for what, said in wrong.items())
    assert counts() == before


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({**SERVICE, "plan": "vsp"}, ["unknown plan 'vsp'", "did you mean 'vps'"]),
        ({**SERVICE, "kind": "webb"}, ["String should match pattern"]),
        ({"started_on": "soon", "quantity": 0}, ["2026-10-31"]),
    ],
)
def test_what_would_do_is_said(api: Api, body: Any, words: list[str]) -> None:
    text = api("PUT", "/services/new", body).content.decode()
    for word in words:
        assert word in text


def test_everything_at_fault_is_told_at_once(api: Api) -> None:
    body = api("PUT", "/accounts/z", {"country": "N", "billing_day": 40, "colour": "red"}).json()
    assert {one["where"] for one in body["errors"]} == {"body.country", "body.billing_day", "body.colour"}
