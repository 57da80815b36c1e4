"""What people see: the public status page, and a customer's own uptime with the form for what they saw."""

from email.utils import parsedate_to_datetime
from typing import Any

import jsonschema
import pytest
from django.core.cache import cache
from lxml import etree

from coulance.platform import clock
from coulance.sla import operations
from coulance.sla import queries as sla
from coulance_core.kernel import Money
from tests.closing.world import World
from tests.sla.office import SLA, Office, instant
from tests.sla.test_commands import SUPPLIER


@pytest.fixture
def office(world: World, monkeypatch: pytest.MonkeyPatch) -> Office:
    monkeypatch.setattr(clock, "now", lambda: instant("2026-11-04T06:00"))
    cache.delete("sla-status")
    return Office(world)


def test_anybody_sees_public_services_and_no_customer(office: Office, client: Any) -> None:
    assert "Nothing is published" in client.get("/status").content.decode()
    cache.delete("sla-status")
    office.october(("2026-10-10T10:00", "2026-10-10T10:14"))
    operations.show_publicly(
        service=office.service, group="Hosting", label="Web 1", actor="test", at=instant("2026-11-01T00:00")
    )
    operations.say(
        service=office.service,
        says="outage",
        since=instant("2026-11-04T05:00"),
        until=None,
        words="a <router>",
        reason="seen",
        actor="operator:anna",
        at=instant("2026-11-04T05:10"),
    )
    operations.say(
        service=office.service,
        says="maintenance",
        since=instant("2026-11-20T02:00"),
        until=instant("2026-11-20T03:00"),
        words="disks & fans",
        reason="old",
        actor="operator:anna",
        at=instant("2026-11-04T05:30"),
    )
    page = client.get("/status", headers={"Accept-Language": "nl"})
    text = page.content.decode()
    assert page.headers["Cache-Control"] == "public, max-age=60"
    assert page.headers["Vary"] == "Accept-Language"
    assert not page.cookies
    assert "Web 1: onbereikbaar" in text
    assert "2026-10-10T10:00:00 – 2026-10-10T10:14:00 UTC" in text
    assert "a &lt;router&gt;" in text
    assert "Gepland onderhoud: 2026-11-20T02:00 – 2026-11-20T03:00 UTC disks &amp; fans" in text
    for word in ("acme", "Acme", "WEB", "web.example"):
        assert word not in text
    shown = client.get("/status.json").json()
    (service,) = shown["groups"][0]["services"]
    assert (service["state"], service["outages"][0]["until"]) == ("down", None)
    feed = client.get("/status.rss")
    assert feed.headers["Content-Type"].startswith("application/rss+xml")
    items = feed_items(feed.content)
    assert [item["title"] for item in items] == [
        "Hosting: Web 1: planned work", "Hosting: Web 1 down", "Hosting: Web 1 down",
    ]  # fmt: skip
    assert "Planned work from 2026-11-20 02:00 UTC until 2026-11-20 03:00 UTC. disks & fans" in items[0]["description"]
    assert "it goes on. a <router>" in items[1]["description"]
    jsonschema.validate(shown, STATUS)


OUTAGE = {
    "type": "object",
    "required": ["since", "until", "words"],
    "properties": {
        "since": {"type": "string", "format": "date-time"},
        "until": {"type": ["string", "null"]},
        "words": {"type": "string"},
    },
}
STATUS = {
    "type": "object",
    "required": ["at", "groups"],
    "additionalProperties": False,
    "properties": {
        "at": {"type": "string", "format": "date-time"},
        "groups": {
            "type": "array",
            "items": {
                "required": ["name", "services"],
                "properties": {
                    "services": {
                        "type": "array",
                        "items": {
                            "required": ["name", "state", "percent", "outages", "maintenance"],
                            "additionalProperties": False,
                            "properties": {
                                "name": {"type": "string"},
                                "state": {"enum": ["up", "down", "unknown"]},
                                "percent": {"type": ["string", "null"], "pattern": r"^\d{1,3}\.\d{3}$"},
                                "outages": {"type": "array", "items": OUTAGE},
                                "maintenance": {"type": "array", "minItems": 1, "items": OUTAGE},
                            },
                        },
                    }
                },
            },
        },
    },
}


def feed_items(body: bytes) -> list[dict[str, str]]:
    """The items of a feed that keeps RSS 2.0's rules: what a channel and an item must have, dates, own ids."""
    root = etree.fromstring(body, etree.XMLParser(resolve_entities=False, no_network=True))
    assert (root.tag, root.get("version")) == ("rss", "2.0")
    (channel,) = root
    for needed in ("title", "link", "description", "language", "lastBuildDate"):
        assert channel.findtext(needed), needed
    itself = channel.find("{http://www.w3.org/2005/Atom}link")
    assert itself is not None
    assert str(itself.get("href")).startswith(("https://", "http://"))
    items = [{child.tag: child.text or "" for child in item} for item in channel.findall("item")]
    for item in items:
        assert item["title"] or item["description"]
        assert parsedate_to_datetime(item["pubDate"]).tzinfo is not None
        assert item["link"].startswith(("https://", "http://"))
    assert len({item["guid"] for item in items}) == len(items)
    return items


def test_a_customer_sees_credits_and_tells_what_they_saw(office: Office, client: Any) -> None:
    from coulance.portal import access
    from coulance.portal.entry import find

    office.october(("2026-10-10T10:00", "2026-10-10T10:14"))
    office.credit()
    me = find(account=office.account, contact="anna")
    assert me is not None
    session = client.session
    session[access.KEY] = {
        "account": office.account,
        "contact": "anna",
        "address": "anna@acme.example",
        "at": clock.now().isoformat(),
    }
    session.save()
    from django.conf import settings

    client.cookies[settings.SESSION_COOKIE_NAME] = session.session_key
    text = client.get("/my/uptime").content.decode()
    assert "WEB, 2026-10" in text
    assert "€0.08" in text
    assert "C2026-0001" in text
    form = {"act": "contest", "service": "web", "since": "2026-10-12T10:00", "until": "2026-10-12T09:00", "words": "x"}
    assert client.post("/my/uptime", form).status_code == 422
    assert client.post("/my/uptime", form | {"service": "other", "until": "2026-10-12T11:00"}).status_code == 422
    assert client.post("/my/uptime", form | {"until": "2026-10-12T11:00"}).status_code == 302
    (case,) = sla.cases(account=office.account)
    assert case.since == instant("2026-10-12T08:00"), "their own zone"
    assert client.post("/my/uptime", {"act": "prefer", "way": "gold"}).status_code == 422
    assert client.post("/my/uptime", {"act": "prefer", "way": "wallet"}).status_code == 302
    assert sla.preference(office.account) == "wallet"
    operations.decide(counter=case.id, accepted=False, reason="all was well", actor="operator:bo", at=clock.now())
    assert "not accepted</strong> all was well" in client.get("/my/uptime").content.decode()


def test_an_operator_sees_what_is_at_risk_and_answers_reports(office: Office) -> None:
    from coulance.console.acts import new_token
    from coulance.platform import operators
    from coulance.platform.models import Operator
    from tests.console.conftest import signed_in

    office.october(("2026-10-10T10:00", "2026-10-10T10:14"))
    office.credit()
    case = operations.contest(
        service=office.service,
        account=office.account,
        since=instant("2026-10-12T08:00"),
        until=instant("2026-10-12T09:00"),
        words="gone",
        by="contact:anna",
        at=instant("2026-11-03T00:00"),
    )
    operators.make_operator(name="bo", email="", at=clock.now(), actor="test")
    client = signed_in(Operator.objects.get(username="bo"))
    text = client.get("/uptime").content.decode()
    assert "gone" in text
    assert "0.08" in text
    assert "seen by a check: 1" in text
    client.post(f"/uptime/reports/{case}", {"token": new_token(), "reason": "", "answer": "accept"})
    assert sla.cases(waiting=True)
    client.post(f"/uptime/reports/{case}", {"token": new_token(), "reason": "our switch", "answer": "accept"})
    assert not sla.cases(waiting=True)
    office.credit("2026-11-05T06:00")
    assert office.credits() == ["0.08", "0.33"]


def test_an_operator_notes_what_was_claimed_of_a_supplier(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from coulance.console.acts import new_token
    from coulance.platform import operators
    from coulance.platform.models import Operator
    from tests.console.conftest import signed_in

    monkeypatch.setattr(clock, "now", lambda: instant("2026-11-04T06:00"))
    office = Office(world, SLA + SUPPLIER)
    office.october(("2026-10-10T10:00", "2026-10-10T10:45"))
    operators.make_operator(name="bo", email="", at=clock.now(), actor="test")
    client = signed_in(Operator.objects.get(username="bo"))
    assert "It is claimed" in client.get("/uptime").content.decode()
    form = {"token": new_token(), "supplier": "Lijnen BV", "reason": "", "answer": "claim"}
    assert client.post("/uptime/claims/2026-10", form).status_code == 422
    for month, supplier in (("2026-10", "Nobody"), ("soon", "Lijnen BV")):
        wrong = form | {"token": new_token(), "reason": "x", "supplier": supplier}
        assert client.post(f"/uptime/claims/{month}", wrong).status_code == 422
    assert client.post("/uptime/claims/2026-10", form | {"reason": "ticket 17"}).status_code == 302
    assert sla.claimed("Lijnen BV", "line", "2026-10") == (Money(1000, "EUR"), "ticket 17", clock.now())
    assert "(claimed: ticket 17)" in client.get("/uptime").content.decode()
