"""Collections and gateways in the console: planned, told, called off; gateways with their events."""

import re
from datetime import date
from pathlib import Path
from typing import Any

from coulance.payments import collections
from coulance.platform import clock
from tests.rails import world
from tests.rails.world import arrives, at, of, payer, signs, states


def test_an_operator_sees_collections_to_the_bank(browser: Any, tmp_path: Path) -> None:
    world.provider(tmp_path / "provider")
    today = clock.now().date()
    anna = payer()
    anna.invoice("base", 1210, on=date(2026, 11, 4))
    signs(anna, today)
    page = browser.get("/collections").content.decode()
    token = re.search(r'name="token" value="([^"]+)p"', page)
    assert token is not None

    def acts(what: str, number: int = 0, reason: str = "the morning's round") -> Any:
        sent = {"token": f"{token[1]}{what}", "what": what, "number": number, "reason": reason}
        return browser.post("/collections/act", sent, follow=True).content.decode()

    assert "Say why" in acts("plan", reason="")
    assert "1 planned, 0 left." in acts("plan")
    (row,) = of(anna)
    arrives(row.message_key, at(today, 0))
    assert row.end_to_end_id in browser.get("/collections").content.decode()
    assert "The collection is called off." in acts("cancel", row.id)
    assert states(anna) == ["cancelled"]
    assert collections.runs() == []
    gateways = browser.get("/gateways").content.decode()
    assert "Customers can" in gateways
    assert "There is no event" in browser.post(
        "/gateways/act", {"what": "replay", "number": "999"}, follow=True
    ).content.decode().replace("there is no event", "There is no event")


def test_an_operator_approves_what_goes_back_and_fetches_its_file(browser: Any, tmp_path: Path) -> None:
    from coulance.flows.rails import paying_back
    from coulance.payments import payback_rows
    from tests.payments.till import eur

    world.provider(tmp_path / "provider")
    now = clock.now()
    anna = payer()
    receipt = anna.pays(1210, on=now.date(), at=now).receipt
    row = paying_back.ask(
        receipt=receipt, amount=eur(1210), reason="paid twice", actor="contact:desk", at=now, source_key="left/1"
    )

    def acts(what: str, **more: Any) -> str:
        sent = {"what": what, "number": row.id, "reason": "looked at it", **more}
        return str(browser.post("/paybacks/act", sent, follow=True).content.decode())

    assert "nobody said yet to which account it goes" in browser.get("/paybacks").content.decode()
    assert "nobody said yet to which account" in acts("approve")
    assert "NL91 ABNA **** 4300" in acts("to", iban=world.THEIRS)
    assert "nothing ever came from that account" in browser.get("/paybacks").content.decode()
    assert "You approved it; it is approved." in acts("approve")
    assert "is made." in acts("file", number="")
    (run,) = payback_rows.payback_runs()
    fetched = browser.post(f"/paybacks/runs/{run.id}")
    assert (fetched.status_code, row.end_to_end_id.encode() in fetched.content) == (200, True)
    assert "it may be paid twice" in browser.post(f"/paybacks/runs/{run.id}", follow=True).content.decode()
    assert "0 of 1 approved it" not in browser.get("/paybacks?state=over").content.decode()
    assert payback_rows.payback(payback=row.id).state.value == "handed"
