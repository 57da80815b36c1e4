"""Direct debit by API: mandates kept and ended, collections listed, a file sent once and read; money asked back."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from coulance.payments import payback_rows
from coulance.platform import clock
from tests.api.conftest import Api, make_token
from tests.payments.till import Customer
from tests.rails import world
from tests.rails.world import at, of, payer, plans

ISSUED, LAST = date(2026, 11, 4), date(2026, 11, 16)
WHY = {"reason": "asked by phone"}


@pytest.fixture
def rails(db: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Api:
    world.provider(tmp_path / "provider")
    monkeypatch.setattr(clock, "now", lambda: at(LAST))
    return Api(make_token(), Client())


def paper(who: Customer, **more: Any) -> dict[str, Any]:
    return {
        "account": who.ref, "iban": world.THEIRS, "holder": "Anna", "signed_on": "2026-11-04", "kept": "binder 3",
        **more,
    }  # fmt: skip


def test_a_mandate_is_kept_once_and_ended(rails: Api) -> None:
    anna, ben = payer(), payer()
    first = rails("POST", "/mandates", paper(anna), Idempotency_Key="m1")
    again = rails("POST", "/mandates", paper(anna), Idempotency_Key="m1")
    assert (first.status_code, again.content, again["Idempotency-Replayed"]) == (201, first.content, "true")
    assert rails("POST", "/mandates", paper(anna)).status_code == 200
    kept = rails.get(first["Location"].removeprefix("/api/v1"))
    assert (kept["account"], kept["scheme"], kept["unusable"], len(kept["text_sha256"])) == (anna.ref, "core", None, 64)
    rails("POST", "/mandates", paper(ben, scheme="b2b", iban="NL20INGB0001234567"))
    page = rails.get("/mandates?limit=1")
    rest = rails.get(f"/mandates?limit=1&cursor={page['next']}")
    assert [one["account"] for one in (*page["items"], *rest["items"])] == [ben.ref, anna.ref]
    assert rest["next"] is None
    assert [one["id"] for one in rails.get(f"/mandates?account={anna.ref}")["items"]] == [kept["id"]]
    for _ in range(2):
        ended = rails("POST", f"/mandates/{kept['id']}/end", WHY)
        assert (ended.status_code, ended.json()["unusable"]) == (200, "withdrawn")
    for body, status, said in (
        (paper(anna, iban="NL00BANK0000000000"), 409, "is no IBAN"),
        (paper(anna, account="nobody"), 404, "nobody"),
        (paper(anna, scheme="sepa"), 422, "scheme"),
        (paper(anna, signed_on="2199-01-01"), 409, "still to come"),
    ):
        refused = rails("POST", "/mandates", body)
        assert (refused.status_code, said in refused.content.decode()) == (status, True), refused.content


def test_a_file_is_sent_once_and_is_what_the_bank_has(rails: Api) -> None:
    from coulance.flows.rails import direct_debit

    anna = payer()
    anna.invoice("base", 1210)
    rails("POST", "/mandates", paper(anna))
    plans(date(2026, 11, 9))
    (run,) = direct_debit.file_due(on=LAST, actor=world.ACTOR, at=at(LAST)).runs
    (file,) = rails.get("/collection-files")["items"]
    assert (file["reference"], file["count"], file["sent_at"]) == (run.reference, 1, None)
    assert rails("GET", f"/collection-files/{run.id}/content").status_code == 409
    sent = rails("POST", f"/collection-files/{run.id}/sent", {})
    assert (sent.status_code, sent.json()["sent_by"][:6]) == (200, "token:")
    twice = rails("POST", f"/collection-files/{run.id}/sent", {})
    assert (twice.status_code, "may be collected twice" in twice.json()["detail"]) == (409, True)
    content = rails("GET", f"/collection-files/{run.id}/content")
    assert (content["Content-Type"], of(anna)[0].end_to_end_id.encode() in content.content) == ("application/xml", True)
    (row,) = rails.get(f"/collections?file={run.id}&state=handed")["items"]
    assert (row["account"], row["for"]) == (
        anna.ref, [{"number": anna.numbers["base"], "amount": {"amount": "12.10", "currency": "EUR"}}]
    )  # fmt: skip
    assert rails.get(f"/collections/{row['id']}") == row
    assert rails.get(f"/collections?account={anna.ref}&state=planned")["items"] == []
    reader = Api(make_token("debit:read"), Client())
    assert reader("POST", f"/collection-files/{run.id}/sent", {}).status_code == 403
    for path in ("/collections/999999", "/collection-files/999999", "/mandates/999999", "/paybacks/999999"):
        assert rails("GET", path).status_code == 404


def test_money_is_asked_back_once_and_no_token_approves_it(rails: Api) -> None:
    anna = payer()
    receipt = anna.pays(1210, on=ISSUED).receipt
    amount = {"amount": "12.10", "currency": "EUR"}
    body = {"payment": receipt, "amount": amount, "source": "crm/7", "iban": world.THEIRS, **WHY}
    made = [rails("POST", "/paybacks", body).json() for _ in range(2)]
    assert made[0] == made[1]
    assert (made[0]["state"], made[0]["approved_by"]) == ("asked", [])
    assert rails("POST", "/paybacks", {**body, "source": "crm/8"}).status_code == 409
    assert [one["id"] for one in rails.get(f"/paybacks?account={anna.ref}")["items"]] == [made[0]["id"]]
    assert rails.get(f"/paybacks/{made[0]['id']}") == made[0]
    assert len(payback_rows.paybacks()) == 1
    assert rails("POST", f"/paybacks/{made[0]['id']}/approve", WHY).status_code == 404
