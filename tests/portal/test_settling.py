"""Choosing before the bill, on the pages a customer has: by the mailed link, and signed in."""

import re
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from coulance.invoicing import holding
from coulance.platform import clock
from tests.settling_first.waiting_room import CLOSED, held, link, paper, waiting_world


@pytest.fixture
def room(db: Any, store_here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An invoice of 242.00 waits; it is an hour later."""
    monkeypatch.setattr(clock, "now", lambda: CLOSED)
    waiting_world(tmp_path)


def _fields(page: str, way: str) -> dict[str, str]:
    found = re.search(rf'name="way" value="({way}[^"]*)"><input type="hidden" name="digest" value="(\w+)"', page)
    assert found is not None, page
    return {"way": found[1], "digest": found[2]}


def test_the_link_shows_everything_and_opening_it_does_nothing(room: None) -> None:
    for _ in range(3):
        answer = Client().get(link())
        assert answer.status_code == 200
        page = answer.content.decode().replace("\u00a0", " ")
    assert held().ended_at is None
    for said in ("€242.00", "€18.15", "Take VPS M for this period", "8 July 2026, 11:00", "VPS S again"):
        assert said in page, said
    assert answer.headers["Referrer-Policy"] == "same-origin"


def test_the_larger_plan_by_the_link(room: None) -> None:
    client = Client()
    page = client.get(link()).content.decode()
    wrong = client.post(link(), _fields(page, "plan") | {"digest": "0" * 64})
    assert (wrong.status_code, "has changed since" in wrong.content.decode()) == (422, True)
    done = client.post(link(), _fields(page, "plan"))
    assert "settled the way you chose" in done.content.decode()
    assert [row[3] for row in paper()] == ["12.10", "18.15"]
    again = client.post(link(), _fields(page, "pay"))
    assert again.status_code == 422
    assert [row.way for row in holding.held(ended=True)] == ["plan:vps-1:vps-m"]


def test_signed_in_and_in_dutch(room: None, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.portal.test_portal import _enter

    client = _enter("acme")
    client.post("/my/language", {"language": "nl", "next": "/my/documents"})
    page = client.get("/my/documents").content.decode()
    path = f"/my/waiting/{held().document}"
    assert f'href="{path}"' in page
    page = client.get(path).content.decode()
    assert "Nog niet gefactureerd" in page
    assert client.get(f"/my/documents/{held().document}").status_code == 404  # no document yet
    assert client.get("/my/waiting/999999").status_code == 404
    client.post(path, _fields(page, "pay"))
    assert [row[3] for row in paper()] == ["12.10", "242.00"]


def test_a_link_that_was_changed_or_is_old_opens_nothing(room: None, monkeypatch: pytest.MonkeyPatch) -> None:
    path = link()
    assert Client().get(path[:-2] + "xx").status_code == 404
    monkeypatch.setattr(clock, "now", lambda: CLOSED.replace(month=9))
    assert Client().get(path).status_code == 410


def test_who_has_no_say_in_money_sees_it_and_settles_nothing(room: None) -> None:
    from coulance.customers import operations as customers
    from tests.portal.test_portal import _enter

    customers.put_contact(
        account="acme", external_id="desk", name="Dina", email="desk@acme.example", roles=["technical"], language="en"
    )
    client = _enter("acme", "desk@acme.example")
    path = f"/my/waiting/{held().document}"
    page = client.get(path).content.decode()
    assert "Only the owner" in page
    assert 'name="way"' not in page
    assert client.post(path, {"way": "pay", "digest": "0" * 64}).status_code == 422
    assert held().ended_at is None
