"""A provider's month over the API alone: from an account to a paid and credited invoice, and who was told."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.api.conftest import Api

NOW = datetime(2026, 12, 5, 9, tzinfo=UTC)


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> datetime:
    """The fifth of December, when November can be closed."""
    from coulance.platform import clock

    monkeypatch.setattr(clock, "now", lambda: NOW)
    return NOW


@pytest.fixture
def api(now: datetime, api: Api) -> Api:
    """The filled instance, in December, with an endpoint that wants everything."""
    made = api("POST", "/webhooks/endpoints", {"url": "https://example.org/hooks"})
    assert made.status_code == 201
    return api


def told() -> list[tuple[str, dict[str, Any]]]:
    """What endpoints are told, in order."""
    from coulance.platform.models import WebhookEvent

    return [(row.event, json.loads(row.body)["data"]) for row in WebhookEvent.objects.order_by("id")]


def work() -> None:
    """Do the errands that wait, as the worker would."""
    from coulance.flows import background_close
    from coulance.platform import errands

    for one in errands.recent():
        if one.state == "waiting":
            background_close.run(errand=one.key, now=lambda: NOW)


def test_a_customer_comes_grows_and_goes(api: Api) -> None:
    account = {"name": "Zed BV", "kind": "business", "country": "NL", "address": ["Kade 1", "Stad"]}
    made = api("PUT", "/accounts/zed", account)
    assert made.status_code == 201
    assert made.json() == {
        "id": "zed", "name": "Zed BV", "kind": "business", "country": "NL", "vat_id": "", "address": ["Kade 1", "Stad"],
        "currency": "EUR", "zone": "Europe/Amsterdam", "language": "en", "billing_day": 1, "tax_class": "",
        "national_tax_currency": "", "groups": [], "contacts": [],
    }  # fmt: skip
    assert api("GET", "/accounts/zed/ordering").json()["may_order"] is True
    again = api("PUT", "/accounts/zed", account)
    assert (again.status_code, again["ETag"]) == (200, made["ETag"])
    contact = {"name": "Ada", "email": "ada@example.nl", "roles": ["billing"], "channels": ["email"]}
    assert api("PUT", "/accounts/zed/contacts/ada", contact).status_code == 201
    assert api("PUT", "/accounts/zed/contacts/ada", {"phone": "+31"}).json()["email"] == "ada@example.nl"
    assert api("PUT", "/accounts/zed", {"name": "Z"}, If_Match=made["ETag"]).status_code == 412
    fresh = api("GET", "/accounts/zed")["ETag"]
    assert api("PUT", "/accounts/zed", {"name": "Zed NV"}, If_Match=fresh).json()["name"] == "Zed NV"

    service = {"account": "zed", "name": "web1", "kind": "vps", "started_on": "2026-11-10", "plan": "vps"}
    assert api("PUT", "/services/w1", service).status_code == 201
    assert api("PUT", "/services/w1", service).status_code == 200
    assert api("PUT", "/services/w1", {"name": "web one"}).json()["name"] == "web one"
    changed = api("POST", "/services/w1/plan", {"plan": "vps-xl", "quantity": 2, "from": "2026-12-10"}).json()
    assert changed["subscriptions"] == [
        {"plan": "vps", "quantity": 1, "from": "2026-11-10", "until": "2026-12-10"},
        {"plan": "vps-xl", "quantity": 2, "from": "2026-12-10", "until": None},
    ]
    ended = api("POST", "/services/w1/end", {"on": "2026-12-20", "reason": "moved away"}).json()
    assert (ended["ended_on"], ended["subscriptions"][-1]["until"]) == ("2026-12-20", "2026-12-20")
    assert api("PUT", "/services/w1", {"name": "x"}, If_Match='"0"').status_code == 412
    assert [event for event, _ in told()] == [
        "account.created", "account.changed", "account.changed", "account.changed", "service.created",
        "service.changed", "service.changed", "service.ended",
    ]  # fmt: skip
    acts = [one["act"] for one in api.get("/audit?subject=service:w1")["items"]]
    assert acts == ["service.ended", "service.plan_changed", "service.changed", "service.created"]
    assert all(one["actor"].startswith("token:") for one in api.get("/audit?subject=service:w1")["items"])


def test_what_waits_in_quarantine_is_assigned_and_counts(api: Api) -> None:
    [waiting] = api.get("/usage/quarantine")["items"]
    assert (waiting["series"], waiting["rows"]) == ("nobody", 1)
    done = api("POST", "/usage/quarantine/assign", {"series": "nobody", "service": "v2", "meter": "traffic"})
    assert (done.status_code, done.json()["accepted"], done.json()["stuck"]) == (200, 1, "")
    assert api.get("/usage/quarantine")["items"] == []
    again = api("POST", "/usage/quarantine/assign", {"series": "nobody", "service": "v2", "meter": "traffic"}).json()
    assert (again["done"], again["rows"]) == ("unchanged", 0)
    used = api.get("/services/v2/usage?period=2026-10")
    assert [(one["series"], one["out"], one["samples"]) for one in used["running"]] == [("nobody", 5, 1)]


def test_settled_figures_of_a_closed_period(api: Api) -> None:
    used = api.get("/services/v1/usage?period=2026-10")
    [figure] = used["settled"]
    assert (figure["charge"], figure["quantity"], figure["unit"]) == ("out", "150", "GB")
    assert figure["net"] == {"amount": "5.00", "currency": "EUR"}
    assert (used["start"], used["end"]) == ("2026-10-01T00:00:00+02:00", "2026-11-01T00:00:00+01:00")
    [running] = used["running"]
    assert (running["out"], running["unit"]) == (150_000_000_000, "B")


def test_a_month_is_tried_and_closed_as_a_job(api: Api) -> None:
    tried = api("POST", "/periods/2026-11/try")
    assert tried.status_code == 202
    job = tried.json()["id"]
    assert tried["Location"] == f"/api/v1/jobs/{job}"
    assert tried.json()["state"] == "waiting"
    twice = api("POST", "/periods/2026-11/try")
    assert twice.status_code == 409
    assert job in twice.json()["detail"]
    documents = len(api.get("/documents?limit=200")["items"])
    work()
    seen = api.get(f"/jobs/{job}")
    assert (seen["state"], seen["result"]["dry_run"], seen["result"]["accounts"]) == ("done", True, 2)
    assert seen["result"]["documents"][0]["net"][0]["currency"] == "EUR"
    assert len(api.get("/documents?limit=200")["items"]) == documents

    closed = api("POST", "/periods/2026-11/close", {"reason": "month's end"}, Idempotency_Key="nov")
    assert (
        api("POST", "/periods/2026-11/close", {"reason": "month's end"}, Idempotency_Key="nov").json() == closed.json()
    )
    work()
    seen = api.get(f"/jobs/{closed.json()['id']}")
    assert seen["state"] == "done", seen
    assert seen["result"]["documents"] == [
        {**one, "count": one["count"]} for one in api.get(f"/jobs/{job}")["result"]["documents"]
    ]
    [run] = api.get("/periods/2026-11")
    assert (run["state"], run["parked_accounts"]) == ("closed", 0)
    assert run["opened_by"].startswith("token:")
    assert [one["period"] for one in api.get("/periods")["items"]] == ["2026-11", "2026-10"]
    events = [event for event, _ in told()]
    assert events.count("period.closed") == 1
    assert events.count("invoice.issued") == sum(
        one["count"] for one in run["documents"] if one["kind"].endswith("invoice")
    )
    assert {data["account"] for event, data in told() if event == "invoice.issued"} == {"acme", "borg"}


def test_a_month_that_can_not_be_closed_says_why(api: Api) -> None:
    job = api("POST", "/periods/2027-03/close", {"reason": "early"}).json()["id"]
    work()
    seen = api.get(f"/jobs/{job}")
    assert seen["state"] == "failed"
    assert "can't be closed" in seen["fault"]


def test_an_invoice_is_paid_credited_and_refunded(api: Api) -> None:
    [before] = [one for one in api.get("/accounts/acme/open-items") if one["number"] == "V2026-0001"]
    assert before["open"] == {"amount": "6.05", "currency": "EUR"}
    body = {
        "account": "acme", "amount": {"amount": "6.05", "currency": "EUR"}, "received_on": "2026-11-20",
        "method": "bank", "source": "psp/1", "reason": "paid by iDEAL", "for": [{"number": "V2026-0001"}],
    }  # fmt: skip
    paid = api("POST", "/payments", body)
    assert paid.status_code == 201, paid.content
    payment = paid.json()["id"]
    assert paid.json()["left"]["amount"] == "0.00"
    assert [(one["number"], one["amount"]["amount"]) for one in paid.json()["allocations"]] == [("V2026-0001", "6.05")]
    again = api("POST", "/payments", body)
    assert (again.status_code, again.json()["id"]) == (200, payment), "the same source is the same payment"
    assert "V2026-0001" not in [one["number"] for one in api.get("/accounts/acme/open-items")]
    undone = api("POST", f"/payments/{payment}/reverse", {"kind": "bounced", "on": "2026-11-22", "reason": "returned"})
    assert undone.json()["reversed_on"] == "2026-11-22"
    assert "V2026-0001" in [one["number"] for one in api.get("/accounts/acme/open-items")]
    more = {**body, "source": "psp/2", "amount": {"amount": "100.00", "currency": "EUR"}, "for": []}
    second = api("POST", "/payments", more).json()
    assert float(second["left"]["amount"]) > 50
    refund = {
        "amount": {"amount": "10.00", "currency": "EUR"}, "refunded_on": "2026-11-25", "source": "psp/r1",
        "reason": "paid too much", "iban": "NL91ABNA0417164300",
    }  # fmt: skip
    given = api("POST", f"/payments/{second['id']}/refunds", refund)
    assert given.status_code == 201, given.content
    [balance] = api.get("/accounts/acme/balance")
    assert balance["owed"]["amount"] == "0.00"
    credit = {"type": "correction", "reason": "wrong"}
    note = api("POST", "/documents/V2026-0001/credit-notes", credit)
    assert note.status_code == 201, note.content
    assert (note.json()["gross"]["amount"], note.json()["credits"]) == ("-6.05", "V2026-0001")
    back = api("POST", f"/documents/{note.json()['number']}/debit-notes", {"reason": "meant for another"})
    assert back.status_code == 201, back.content
    assert (back.json()["kind"], back.json()["gross"]["amount"]) == ("debit_note", "6.05")
    assert api("POST", f"/documents/{note.json()['number']}/debit-notes", {"reason": "again"}).status_code == 409
    bounced = {"kind": "bounced", "on": "2026-11-26", "reason": "the bank took it back"}
    assert api("POST", f"/payments/{second['id']}/reverse", bounced).status_code == 409, "10.00 of it was refunded"
    assert api("POST", f"/payments/{second['id']}/reverse", {**bounced, "reclaim": True}).status_code == 200
    [owed] = [one for one in api.get("/accounts/acme/open-items") if one["number"].startswith("REFUND-")]
    assert owed["open"]["amount"] == "10.00"
    came_back = {"kind": "returned", "on": "2026-11-27", "reason": "account closed"}
    refunds = f"/payments/{second['id']}/refunds"
    assert api("POST", f"{refunds}/{given.json()['id'] + 1}/reverse", came_back).status_code == 404
    assert api("POST", f"{refunds}/{given.json()['id']}/reverse", came_back).status_code == 200
    assert not [one for one in api.get("/accounts/acme/open-items") if one["number"].startswith("REFUND-")]
    events = [event for event, _ in told()]
    for event in (
        "payment.received", "payment.reversed", "payment.refunded", "credit_note.issued", "debit_note.issued",
    ):  # fmt: skip
        assert event in events


def test_documents_in_every_form(api: Api) -> None:
    whole = api("GET", "/documents/V2026-0001")
    assert whole.json()["number"] == "V2026-0001"
    assert 'rel="alternate"' in whole["Link"]
    shown = api("GET", "/documents/V2026-0001/pdf")
    assert (shown["Content-Type"], shown.content[:5]) == ("application/pdf", b"%PDF-")
    [line] = api.get("/documents/V2026-0001/explanation")["lines"]
    assert line["net"] == "5.00"
    assert "100 GB" in line["text"]


def test_an_endpoint_is_kept_over_the_api(api: Api) -> None:
    [made] = api.get("/webhooks/endpoints")
    path = f"/webhooks/endpoints/{made['id']}"
    seen = api("GET", path)
    changed = api("PATCH", path, {"events": ["invoice.*"], "description": "books"}, If_Match=seen["ETag"])
    assert changed.json()["events"] == ["invoice.*"]
    assert api("PATCH", path, {"description": "x"}, If_Match=seen["ETag"]).status_code == 412
    secret = api("POST", f"{path}/rotate", {"overlap_hours": 1}).json()["secret"]
    assert secret.startswith("whsec_")
    assert secret not in api("GET", path).content.decode()
    event = api("POST", f"{path}/test").json()["event"]
    [delivery] = api.get("/webhooks/deliveries")["items"]
    assert (delivery["event_id"], delivery["state"]) == (event, "waiting")
    assert api("POST", f"{path}/replay", {"event": event}).json() == {"events": 1}
    since = (NOW - timedelta(days=1)).isoformat()
    assert api("POST", f"{path}/replay", {"since": since}).json() == {"events": 0}
    assert api("PATCH", path, {"enabled": False}).json()["state"] == "disabled"
    assert api("POST", f"{path}/test").status_code == 409
    assert api("DELETE", path).status_code == 204
    assert api("GET", path).status_code == 404


def test_a_token_may_ask_what_it_is(api: Api) -> None:
    from tests.api.conftest import make_token

    shown = api("GET", "/token", Authorization=f"Bearer {make_token('usage:write')}").json()
    assert shown["scopes"] == ["usage:write"]
    assert shown["actor"] == f"token:{shown['prefix']}"
    assert {one["plan"] for one in api.get("/plans") if one["sold"]} >= {"vps", "colo"}
    assert [one["years"] for one in api.get("/number-series") if one["key"] == "overage"] == [
        [{"year": 2026, "first": 1, "last": 1}]
    ]
