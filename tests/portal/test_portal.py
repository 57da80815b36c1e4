"""The portal: who gets in, who sees what, what is done there, and in which words."""

import io
import re
from typing import Any

import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import read_mo, write_mo
from babel.messages.pofile import read_po
from django.test import Client

from coulance.customers import queries as customers
from coulance.invoicing import queries as invoicing
from coulance.notices import queries as sent
from coulance.platform import clock
from coulance.portal.urls import urlpatterns
from coulance.services import queries as services
from tests.overage_control.town import Town
from tests.support.database import ROOT

PORTAL = ROOT / "src" / "coulance" / "portal"


@pytest.fixture
def place(town: Town, monkeypatch: pytest.MonkeyPatch) -> Town:
    """Two customers; acme's October is closed, and its November service is at 90 %."""
    town.customer(contacts=2).service("web", "vps", meter="traffic").use("web", {"2026-10-05": 60})
    town.customer("beta").service("db", "vps", account="beta", meter="traffic").use("db", {"2026-10-05": 60})
    town.close("2026-10")
    town.uses("web", "2026-11-05T12:00", 90)
    monkeypatch.setattr(clock, "now", lambda: town.at("2026-11-06T13:00"))
    return town


def _entry_link(account: str) -> str:
    row = customers.account(account)
    for mail in sent.messages(account=row.id):
        text = sent.text_of(message=mail.message)
        found = re.search(r"(/my/enter/\S+)", text.text) if text else None
        if found:
            return found[1]
    raise AssertionError("no link was mailed")


def _enter(account: str, address: str = "") -> Client:
    client = Client()
    assert client.post("/my/sign-in", {"address": address or f"boss@{account}.example"}).status_code == 200
    answer = client.post(_entry_link(account))
    assert (answer.status_code, answer.headers["Location"]) == (302, "/my/")
    return client


def _pages(account: str) -> list[str]:
    row = customers.account(account)
    own = [service.external_id for one in services.accounts_for_close([row.id]) for service in one.services]
    made = [document.id for document in invoicing.documents(account=row.id)]
    assert own
    assert made
    return [
        *[f"/my/services/{ref}" for ref in own],
        *[f"/my/services/{ref}/compute?charge=out&amount=5" for ref in own],
        *[f"/my/documents/{number}" for number in made],
        *[f"/my/documents/{number}/pdf" for number in made],
    ]


COMMON = ["/my/", "/my/documents", "/my/statement", "/my/statement/pdf", "/my/contacts", "/my/limit"]


def test_a_link_lets_in_once_and_only_by_its_button(place: Town) -> None:
    client = Client()
    client.post("/my/sign-in", {"address": "BOSS@acme.example"})
    link = _entry_link("acme")
    for _ in range(3):
        assert client.get(link).status_code == 200  # a scanner fetches it: nothing happens
    assert client.get("/my/").status_code == 302
    assert client.post(link).status_code == 302
    assert client.get("/my/").status_code == 200
    assert Client().post(link).status_code == 403
    assert "boss@acme.example" in sent.verified_addresses(account=customers.account("acme").id)


def test_a_link_that_is_too_old_lets_nobody_in(place: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    Client().post("/my/sign-in", {"address": "boss@acme.example"})
    monkeypatch.setattr(clock, "now", lambda: place.at("2026-11-06T13:31"))
    assert Client().post(_entry_link("acme")).status_code == 403


def test_nobody_learns_which_addresses_are_known(place: Town) -> None:
    def said(address: str) -> str:
        page = Client().post("/my/sign-in", {"address": address}).content.decode()
        return re.sub(r'value="\w{64}"', "", page)

    assert said("boss@acme.example") == said("nobody@nowhere.example") == said("")


def test_an_address_is_sent_three_links_in_a_while(place: Town) -> None:
    for _ in range(6):
        Client().post("/my/sign-in", {"address": "boss@acme.example"})
    mails = [m for m in sent.messages(account=customers.account("acme").id) if m.key.startswith("portal-entry")]
    assert len(mails) == 3


@pytest.mark.parametrize("account", ["acme", "beta"])
def test_everybody_sees_their_own_and_nothing_else(place: Town, account: str) -> None:
    client, other = _enter(account), "beta" if account == "acme" else "acme"
    for page in [*COMMON, *_pages(account)]:
        assert client.get(page).status_code == 200, page
    for page in _pages(other):
        assert client.get(page).status_code == 404, page
    strange = _pages(other)[0]
    assert client.post(strange, {"act": "pause", "charge": "out"}).status_code == 404
    for page in [*COMMON, *_pages(account)]:
        answer = Client().get(page)
        assert (answer.status_code, answer.headers["Location"]) == (302, "/my/sign-in"), page


def test_every_address_says_whom_it_is_for() -> None:
    open_ = {p.name for p in urlpatterns if not getattr(p.callback, "for_customers", False)}
    assert open_ == {
        "answer",
        "by-itself",
        "settle",
        "invited",
        "contest-link",
        "leave-link",
        "opinion-link",
        "owed",
        "status",
        "status-json",
        "status-rss",
        "portal-password",
        "portal-code",
        "portal-sign-in",
        "portal-enter",
        "portal-sign-out",
        "portal-language",
    }


def test_an_operators_pages_are_not_a_customers(place: Town) -> None:
    client = _enter("acme")
    for page in ("/accounts", "/documents", "/services", "/payments"):
        assert client.get(page).status_code == 302
        assert client.get(page).headers["Location"].startswith("/sign-in")


def test_who_is_no_contact_any_more_is_out(place: Town) -> None:
    from coulance.customers import operations

    client = _enter("acme")
    assert client.get("/my/").status_code == 200
    operations.put_contact(account="acme", external_id="boss", name="Ben", language="en", email="new@acme.example")
    assert client.get("/my/").status_code == 302


def test_a_limit_in_the_portal(place: Town) -> None:
    client = _enter("acme")
    assert client.get("/my/services/web/compute?charge=out&amount=12,50").json() == {"other": "125\u00a0GB"}
    assert client.get("/my/services/web/compute?charge=out&quantity=30").json() == {"other": "€3.00"}
    assert "fault" in client.get("/my/services/web/compute?charge=out&quantity=many").json()
    page = client.post("/my/services/web", {"charge": "out", "act": "preview", "amount": "12,50"}).content.decode()
    digest = re.search(r'name="digest" value="(\w+)"', page)
    assert digest is not None
    fields = {"charge": "out", "act": "allow", "amount": "12,50", "digest": digest[1]}
    assert "Your limit is set." in client.post("/my/services/web", fields).content.decode()
    page = client.get("/my/services/web").content.decode()
    assert "up to €12.50 a period, before tax" in page
    consent = re.search(r'name="consent" value="(\d+)"', page)
    assert consent is not None
    taken_back = client.post("/my/services/web", {"charge": "out", "act": "withdraw", "consent": consent[1]})
    assert "Your limit is withdrawn" in taken_back.content.decode()


@pytest.mark.parametrize("typed", ["", "-1", "1e400", "abc", "NaN", "12.345", "1" * 30, "€"])
def test_what_cannot_be_a_limit_is_said_and_changes_nothing(place: Town, typed: str) -> None:
    client = _enter("acme")
    answer = client.post("/my/services/web", {"charge": "out", "act": "preview", "amount": typed})
    assert answer.status_code == 422
    assert 'role="alert"' in answer.content.decode()


def test_every_form_needs_its_token(place: Town) -> None:
    client = _enter("acme")
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = client.cookies
    for page in ("/my/services/web", "/my/contacts", "/my/sign-out", "/my/language", "/my/sign-in"):
        assert strict.post(page, {"act": "pause", "charge": "out"}).status_code == 403, page


def test_in_dutch_when_asked(place: Town) -> None:
    client = _enter("acme")
    answer = client.post("/my/language", {"language": "nl", "next": "/my/services/web"})
    assert answer.headers["Location"] == "/my/services/web"
    page = client.get("/my/services/web").content.decode()
    assert '<html lang="nl">' in page
    assert "Meerverbruik toestaan, tot een grens" in page
    assert "90&nbsp;GB" in page or "90\u00a0GB" in page
    assert client.post("/my/language", {"language": "nl", "next": "//evil.example"}).headers["Location"] == "/my/"


def _texts() -> set[str]:
    used = {str(text) for _, _, text, _, _ in extract_from_dir(PORTAL, method_map=[("**.py", "python")]) if text}
    for template in PORTAL.rglob("*.html"):
        page = template.read_text()
        used |= set(re.findall(r'{% trans "([^"]*)" %}', page))
        for block in re.findall(r"{% blocktrans[^%]*%}(.*?){% endblocktrans %}", page):
            used.add(re.sub(r"{{ (\w+) }}", r"%(\1)s", block))
    return used


def test_every_text_is_translated_and_compiled() -> None:
    po = PORTAL / "locale" / "nl" / "LC_MESSAGES" / "django.po"
    catalog: Any = read_po(io.BytesIO(po.read_bytes()), locale="nl", abort_invalid=True)
    known = {str(message.id): str(message.string) for message in catalog if message.id}
    assert known.keys() == _texts()
    for text, other in known.items():
        assert sorted(re.findall(r"%\(\w+\)s", text)) == sorted(re.findall(r"%\(\w+\)s", other))
    written = io.BytesIO()
    write_mo(written, catalog)
    compiled = read_mo(io.BytesIO(po.with_suffix(".mo").read_bytes()))
    assert {m.id: m.string for m in compiled if m.id} == known
