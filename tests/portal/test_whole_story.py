"""The whole story with a real server and browser: measured through the API, warned, unread, paused, answered with a
limit, resumed, closed, billed within the limit. And axe on every page of the portal, light and dark, wide and narrow.
"""

import json
import urllib.request
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from coulance.contracts import queries as agreed
from coulance.drivers.record import RecordOnly
from coulance.enforcement import executing
from coulance.enforcement import queries as register
from coulance.flows import enforcing
from coulance.flows.contracts import links
from coulance.flows.overage_control import rounds
from coulance.flows.promises import crediting
from coulance.invoicing import queries as invoicing
from coulance.platform import clock
from coulance.sla import operations as promises
from tests.api.conftest import make_token
from tests.console.test_browser import address, chromium  # noqa: F401 - fixtures
from tests.contracts.desk import CONTRACTS, furnish
from tests.overage_control.town import Town
from tests.settling_first.waiting_room import CLOSED, link, waiting_world
from tests.sla.office import SLA

GB = 10**9
RULES = {
    "resultTypes": ["violations"],
    "runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]},
}
LOOKS = (({"width": 1280, "height": 900}, "light"), ({"width": 360, "height": 740}, "dark"))
"""A wide light screen, and a dark telephone."""


class Walk:
    """A browser page that asks axe about whatever it is on."""

    def __init__(self, page: Any, base: str) -> None:
        from axe_playwright_python.sync_playwright import Axe

        self.page, self.base, self.axe, self.seen = page, base, Axe(), 0

    def to(self, path: str) -> "Walk":
        """Open a page, and look."""
        answer = self.page.goto(self.base + path)
        assert answer.status in (200, 410), (path, answer.status)
        return self.look(path)

    def press(self, button: str, *, says: str = "") -> "Walk":
        """Press a button, and look at what comes."""
        self.page.get_by_role("button", name=button, exact=True).first.click()
        if says:
            self.page.get_by_text(says).first.wait_for()
        return self.look(button)

    def look(self, name: str) -> "Walk":
        """axe finds nothing, and nothing is wider than the screen, in either look."""
        for size, scheme in LOOKS:
            self.page.set_viewport_size(size)
            self.page.emulate_media(color_scheme=scheme)
            found = self.axe.run(self.page, options=RULES).response["violations"]
            told = [(one["id"], one["nodes"][0]["html"][:200]) for one in found]
            assert told == [], (name, scheme, size["width"], told)
            wide = self.page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
            assert wide <= 0, (name, size["width"], wide)
        self.seen += 1
        return self


@pytest.fixture
def walk(address: str, chromium: Any) -> Any:  # noqa: F811
    """A browser at the server."""
    pytest.importorskip("axe_playwright_python")
    context = chromium.new_context(reduced_motion="reduce")
    context.set_default_timeout(10_000)
    yield Walk(context.new_page(), address)
    context.close()


class Measured:
    """A server whose use is posted to the API, as a collector does; each round and act a second later."""

    def __init__(self, town: Town, base: str, moment: list[Any]) -> None:
        self.town, self.base, self.moment = town, base, moment
        self.token = make_token("usage:write")
        self.paper = RecordOnly()

    def uses(self, when: str, gb: int) -> None:
        """A sample, posted; then what the watcher and the executor do."""
        at = self.town.at(when)
        self.moment[0] = at + timedelta(seconds=1)
        body = {"series": ["web"], "at": [int(at.timestamp())], "in": [0], "out": [gb * GB]}
        asked = urllib.request.Request(
            self.base + "/api/v1/usage",
            data=json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(asked) as answer:
            assert json.load(answer)["accepted"] == 1
        rounds.round_of(at=self.moment[0])
        self.execute()

    def execute(self) -> None:
        """Bring the network to what the register says."""
        executing.round_of({"paper": self.paper}, worker="test", now=lambda: self.moment[0])

    def network(self) -> str:
        """What was last found where the service's network is."""
        after = register.acts(self.town.service_id("web"))[0].after
        return "" if after is None else after.words


def test_from_the_first_sample_to_a_bill_within_the_limit(
    address: str, lasting: Any, walk: Walk, monkeypatch: pytest.MonkeyPatch  # noqa: F811
) -> None:  # fmt: skip
    monkeypatch.setenv("COULANCE_URL", "https://billing.example.nl")
    promised = SLA[SLA.index("[sla]") :]
    town = Town(lasting.folder).controlled(more='[drivers.paper]\nkind = "record"\n' + promised + CONTRACTS)
    town.customer().service("web", "vps", meter="traffic")
    moment = [town.at("2026-10-01T00:00")]
    monkeypatch.setattr(clock, "now", lambda: moment[0])
    at = moment[0]
    enforcing.set_target(given=enforcing.TargetGiven("web", "paper", "port-7", {}), actor="test", at=at)
    town.verify("boss@acme.example", "2026-10-01T00:00")
    server = Measured(town, address, moment)
    server.uses("2026-10-02T12:00", 85)
    assert town.told("web") == ["50 %", "80 %"]
    server.uses("2026-10-06T12:00", 30)  # the mail was not read
    assert (town.restricted("web"), server.network()) == (["overage"], "paused")
    moment[0] = town.at("2026-10-06T13:00")
    warning = town.link()
    walk.to(warning)
    assert town.restricted("web") == ["overage"]  # opening it did nothing
    walk.page.get_by_label("Amount a period (EUR)").fill("20")
    walk.press("See what that means", says="up to €20.00 a period, before tax")
    walk.press("Yes, set this limit", says="Your limit is set.")
    server.execute()
    assert (town.restricted("web"), server.network()) == ([], "free")
    server.uses("2026-10-10T12:00", 150)  # 20.00 at 0.10 is 200 GB past the allowance
    assert town.restricted("web") == []
    server.uses("2026-10-20T12:00", 90)
    assert (town.restricted("web"), server.network()) == (["overage"], "paused")
    server.uses("2026-10-20T12:05", 3)  # what still ran while it was paused
    moment[0] = town.at("2026-11-04T06:00")
    town.close("2026-10", moment[0].isoformat())
    (bill,) = invoicing.documents(kind="overage_invoice", state="issued")
    assert bill.net.decimal() == "20.00"
    page = walk.to("/my/sign-in").page
    page.get_by_label("Your e-mail address").fill("boss@acme.example")
    walk.press("Mail me a link", says="If we know that address")
    from tests.portal.test_portal import _entry_link

    walk.to(_entry_link("acme")).press("Sign in", says="Your services")
    walk.to("/my/documents")
    walk.page.get_by_role("link", name=bill.number or "").click()
    walk.page.get_by_text("€24.20").first.wait_for()  # 20.00 and its tax
    walk.look("the bill")
    for path in ("/my/", "/my/services/web", "/my/statement", "/my/contacts", "/my/security", "/my/password"):
        walk.to(path)
    broken_promise(town, moment[0])
    walk.to("/my/uptime").page.get_by_text("How this was worked out").click()
    walk.page.get_by_label("What you saw").fill("our shop was gone")
    for field, value in (("Down from", "2026-10-13T10:00"), ("Down until", "2026-10-13T10:30")):
        walk.page.get_by_label(field).fill(value)
    walk.press("Tell us", says="we look at it")
    walk.page.get_by_text("Credited: €").first.wait_for()
    walk.to("/status").page.get_by_text("Planned work").wait_for()
    contracts(town, moment[0], walk)
    walk.to("/my/services/web").press("Pause its network myself", says="Its network is paused.")
    walk.press("Nederlands", says="Uitloggen")
    walk.to("/my/")
    moment[0] = town.at("2026-12-20T00:00")
    walk.to(warning)  # too old
    assert walk.seen >= 26


def broken_promise(town: Town, at: datetime) -> None:
    """An hour's outage of October, credited; on the status page, with work that is planned."""
    service = town.service_id("web")
    said: dict[str, Any] = {"service": service, "reason": "log", "actor": "operator:anna", "at": at}
    since = town.at("2026-10-12T12:00")
    promises.say(says="outage", since=since, until=since + timedelta(hours=1), words="a switch", **said)
    later = at + timedelta(days=5)
    promises.say(says="maintenance", since=later, until=later + timedelta(hours=1), words="disks", **said)
    promises.show_publicly(service=service, group="Hosting", label="Web", actor="operator:anna", at=at)
    crediting.credit_period(year=2026, month=10, at=at, actor="worker")


def contracts(town: Town, at: datetime, walk: Walk) -> None:
    """A contract in plain words with every minute, leave approved in the portal, tickets with clocks, an opinion."""
    made = furnish(town, at)
    walk.to("/my/contracts").to("/my/contracts/k2").to("/my/contracts/k3").to("/my/contracts/k1")
    walk.press("Approve", says="Every minute")
    walk.to("/my/tickets").page.get_by_text("The shop is slow").first.wait_for()
    for summary in walk.page.locator("summary").all()[:3]:
        summary.click()
    walk.look("tickets, opened")
    until = at + timedelta(days=9)
    asked = [links.Holder(made["account"], "boss", "leave", f"{town_contract('k1')}-1"),
             links.Holder(made["account"], "boss", "opinion", str(made["solved"]))]  # fmt: skip
    for holder in asked:
        walk.to(f"/{holder.what}/{links.make(holder, until=until)}")


def town_contract(key: str) -> int:
    """A contract's id."""
    return agreed.contract(key).id


def test_axe_on_choosing_before_the_bill(
    address: str, lasting: Any, walk: Walk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch  # noqa: F811
) -> None:  # fmt: skip
    monkeypatch.setattr(clock, "now", lambda: CLOSED)
    waiting_world(tmp_path)
    walk.to(link()).press("Take VPS M for this period", says="settled the way you chose")
