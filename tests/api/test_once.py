"""Idempotency keys: done once, answered the same; also for twenty at the same instant, and when the first one dies."""

import threading
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from tests.api.conftest import Api

CREDIT = {"type": "correction", "reason": "wrong", "lines": [{"line": 1, "net": {"amount": "1.00", "currency": "EUR"}}]}
PATH = "/documents/V2026-0001/credit-notes"


def credit_notes() -> int:
    from coulance.invoicing import queries

    return queries.count_documents(kind="credit_note")


def test_sent_again_it_is_answered_again_and_done_once(api: Api) -> None:
    first = api("POST", PATH, CREDIT, Idempotency_Key="k1")
    again = api("POST", PATH, CREDIT, Idempotency_Key="k1")
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.content == first.content
    assert (again["Location"], again["Content-Type"]) == (first["Location"], first["Content-Type"])
    assert "Idempotency-Replayed" not in first
    assert again["Idempotency-Replayed"] == "true"
    assert credit_notes() == 1


@pytest.mark.parametrize("changed", ["body", "address"])
def test_a_key_is_of_one_request(api: Api, changed: str) -> None:
    api("POST", PATH, CREDIT, Idempotency_Key="k1")
    path = PATH if changed == "body" else "/documents/B2026-0001/credit-notes"
    body = {**CREDIT, "reason": "other"} if changed == "body" else CREDIT
    other = api("POST", path, body, Idempotency_Key="k1")
    assert other.status_code == 422
    assert other.json()["type"].endswith("#key-used")
    assert credit_notes() == 1


def test_without_a_key_each_is_done(api: Api) -> None:
    assert [api("POST", PATH, CREDIT).status_code for _ in range(2)] == [201, 201]
    assert credit_notes() == 2


def test_keys_are_of_their_token(api: Api) -> None:
    from tests.api.conftest import make_token

    api("POST", PATH, CREDIT, Idempotency_Key="k1")
    other = api("POST", PATH, CREDIT, Idempotency_Key="k1", Authorization=f"Bearer {make_token('invoices:write')}")
    assert other.status_code == 201
    assert "Idempotency-Replayed" not in other
    assert credit_notes() == 2


def test_a_refusal_is_judged_anew(api: Api) -> None:
    """It did nothing, so nothing is kept of it: once what stood against it is gone, the same request is done."""
    service = {"account": "new", "name": "w", "kind": "vps", "started_on": "2026-11-01", "plan": "vps"}
    body = {"key": "k", "meter": "traffic"}
    assert api("POST", "/services/w/series", body, Idempotency_Key="k1").status_code == 404
    assert api("PUT", "/accounts/new", {"name": "N", "kind": "business", "country": "NL"}).status_code == 201
    assert api("PUT", "/services/w", service).status_code == 201
    assert api("POST", "/services/w/series", body, Idempotency_Key="k1").status_code == 201


def test_a_key_ends(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    from coulance.platform import clock, idempotency

    now = clock.now()
    api("POST", PATH, CREDIT, Idempotency_Key="k1")
    monkeypatch.setattr(clock, "now", lambda: now + idempotency.KEPT + timedelta(minutes=1))
    assert "Idempotency-Replayed" not in api("POST", PATH, CREDIT, Idempotency_Key="k1")
    assert credit_notes() == 2


def test_twenty_at_once_are_done_once(lasting_api: Api) -> None:
    """Each gets the same answer, or is told that the first is at work; nobody gets a second credit note."""
    from django.db import connections

    answers: list[Any] = []
    start = threading.Barrier(20)

    def ask() -> None:
        try:
            start.wait()
            answers.append(lasting_api("POST", PATH, CREDIT, Idempotency_Key="k1"))
        finally:
            connections.close_all()

    threads = [threading.Thread(target=ask) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seen = Counter(answer.status_code for answer in answers)
    assert set(seen) <= {201, 409}
    assert seen[201] >= 1
    assert len({answer.content for answer in answers if answer.status_code == 201}) == 1
    assert all(answer.json()["type"].endswith("#still-at-work") for answer in answers if answer.status_code == 409)
    assert credit_notes() == 1


def test_one_that_fails_on_the_way_leaves_nothing_and_can_be_sent_again(
    lasting_api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The credit note and the kept answer are one transaction: a fault between undoes the first."""
    from coulance.platform import idempotency

    def dies(**_: Any) -> None:
        raise MemoryError("as if killed")

    with monkeypatch.context() as patch:
        patch.setattr(idempotency, "keep", dies)
        with pytest.raises(MemoryError):
            lasting_api("POST", PATH, CREDIT, Idempotency_Key="k1")
    assert credit_notes() == 0
    assert lasting_api("POST", PATH, CREDIT, Idempotency_Key="k1").status_code == 201
    assert credit_notes() == 1


PAID = {"account": "acme", "amount": {"amount": "500.00", "currency": "EUR"}, "received_on": "2026-11-20",
        "method": "bank", "source": "psp/tr_1", "reason": "iDEAL"}  # fmt: skip


def test_a_source_is_of_its_account_whatever_token_sends_it(api: Api) -> None:
    """A system that was given a new token sends what it sent before: it is told of it, and nothing is booked twice."""
    from coulance.payments import queries
    from tests.api.conftest import make_token

    first = api("POST", "/payments", PAID)
    assert (first.status_code, api("POST", "/payments", PAID).status_code) == (201, 200)
    new = f"Bearer {make_token('payments:write', 'payments:read')}"
    other = api("POST", "/payments", PAID, Authorization=new)
    assert (other.status_code, other.json()["where"]) == (409, "body.source")
    assert f"payment {first.json()['id']}" in other.json()["detail"]
    assert api("POST", "/payments", {**PAID, "source": "psp/tr_2"}, Authorization=new).status_code == 201
    refund = {"amount": {"amount": "0.40", "currency": "EUR"}, "refunded_on": "2026-11-21", "source": "r1",
              "reason": "x", "iban": "NL91ABNA0417164300"}  # fmt: skip
    back = f"/payments/{first.json()['id']}/refunds"
    answers = [api("POST", back, refund, Authorization=auth).status_code for auth in (f"Bearer {api.token}", new)]
    assert answers == [201, 409]
    assert len(queries.refunds(receipts=[first.json()["id"]])) == 1
