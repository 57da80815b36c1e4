"""The console in a real browser: every screen, its keys, its widths and colours; and the acts, from click to result.

Runs in Debian's Chromium by Playwright; skips with a reason where one of the two is absent.
"""

import re
import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from coulance.platform import clock, operators
from tests.closing.conftest import lasting, store_here  # noqa: F401 - fixtures
from tests.closing.world import World

NOW = datetime(2026, 11, 22, 9, tzinfo=UTC)
CHROMIUM = "/usr/bin/chromium"
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
KEY = "sw9/port-1"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A running browser. Its driver keeps an event loop in this thread, so it ends with this module."""
    if not Path(CHROMIUM).exists() and shutil.which("chromium") is None:
        pytest.skip("no chromium: apt-get install chromium")
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    from django.db import connections

    # While that loop runs, Django keeps its connections elsewhere; one left open here would be cut off meanwhile.
    connections.close_all()
    try:
        started = sync_api.sync_playwright().start()
    except Exception as fault:  # the wheel of this platform has no driver
        pytest.skip(f"playwright has no driver here: {fault}")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")  # that loop runs nothing of Django's
        browser = started.chromium.launch(executable_path=shutil.which("chromium") or CHROMIUM, args=FLAGS)
        yield browser
        browser.close()
        started.stop()


@dataclass
class Site:
    """A running console with a provider's October closed, and a page of a browser in it."""

    address: str
    world: World
    context: Any
    page: Any
    trouble: list[str] = field(default_factory=list)

    def open(self, path: str) -> Any:
        answer = self.page.goto(self.address + path)
        assert answer is not None
        assert answer.status == 200, (path, answer.status)
        return self.page

    def press(self, name: str) -> None:
        self.page.get_by_role("button", name=name, exact=True).click()

    def says(self, text: str) -> None:
        from playwright.sync_api import expect

        expect(self.page.get_by_text(text).first).to_be_visible()


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch, lasting: World) -> Iterator[str]:  # noqa: F811
    """A server of the console on a free port, in this process, at a fixed time."""
    from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler
    from django.core.wsgi import get_wsgi_application

    monkeypatch.setattr(clock, "now", lambda: NOW)
    monkeypatch.setattr(WSGIRequestHandler, "log_message", lambda *args: None)
    server = ThreadedWSGIServer(("127.0.0.1", 0), WSGIRequestHandler)
    server.set_app(get_wsgi_application())
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def site(address: str, lasting: World, chromium: Any) -> Iterator[Site]:  # noqa: F811
    """Signed in by a link, in a provider with two accounts whose October is closed."""
    lasting.provider().account().service("web", "vps", meter="traffic").use("web", {"2026-10-05": 140})
    lasting.account("beta").service("db", "vps-xl", account="beta", meter="traffic").use("db", {"2026-10-07": 500})
    lasting.close("2026-10")
    lasting.send(KEY, [(1_793_000_000, 5 * 10**9), (1_793_086_400, 7 * 10**9)])
    operators.make_operator(name="anna", email="", at=NOW, actor="test")
    context = chromium.new_context(viewport={"width": 1280, "height": 800}, reduced_motion="reduce")
    context.set_default_timeout(10_000)
    page = context.new_page()
    one = Site(address, lasting, context, page)
    watch(one, page)
    enter(one)
    yield one
    context.close()
    assert one.trouble == []


def watch(site: Site, page: Any) -> None:
    """Note whatever a page logs, fails at, or asks of another place."""
    page.on("console", lambda said: site.trouble.append(f"console {said.type}: {said.text} ({page.url})"))
    page.on("pageerror", lambda fault: site.trouble.append(f"error: {fault} ({page.url})"))
    page.on(
        "request",
        lambda asked: (
            None
            if asked.url.startswith((site.address, "data:"))
            else site.trouble.append(f"asked {asked.url} ({page.url})")
        ),
    )


def enter(site: Site) -> None:
    secret = operators.make_link(name="anna", at=NOW, actor="test")
    site.open(f"/sign-in/{secret}")
    site.press("Sign in")
    site.page.wait_for_url(site.address + "/")


def every_screen(world: World) -> list[str]:
    from tests.contracts.desk import CONTRACTS, furnish

    made = furnish(world.provider(more=CONTRACTS), NOW)
    from coulance.customers import queries as customers
    from coulance.invoicing import queries as invoicing

    assert customers.account("acme")
    documents = [f"/documents/{row.id}" for row in invoicing.documents()]
    invoice = invoicing.document(number="V2026-0001").row.id
    return [
        "/", "/accounts", "/accounts/acme", "/statements/acme", "/services", "/services/web", "/plans",
        "/plans/vps", "/periods", "/periods/2026-10", "/periods/2026-11/close", *documents,
        f"/documents/{invoice}/credit", "/documents", "/sending", "/messages", "/payments", "/payments/new",
        "/bank", "/bank/import", "/open-items", "/collectors", "/quarantine",
        f"/quarantine/series?key={quote(KEY, safe='')}", "/alarms", "/audit", "/operators", "/operators/anna",
        "/overage", "/overage/unreached", "/overage/consents", "/overage/campaigns", "/overage/approvals",
        "/overage/waiting", "/overage/pauses", "/overage/goodwill", "/overage/exposure", "/restrictions",
        "/take-over", "/collections", "/gateways", "/disputes", f"/documents/{invoice}/contest",
        "/arrears", "/arrears/calendar", "/arrears/held", "/arrears/plans", "/arrears/risk", "/dossiers/acme",
        "/contracts", "/contracts/k1", "/contracts/k2", "/contracts/k3", "/promises", "/tickets/held",
        f"/tickets/{made['open']}", f"/tickets/{made['solved']}", "/uptime",
        "/me", "/me/second-factor", "/sign-in/again",
    ]  # fmt: skip


FAULTS, CONTRAST = ((Path(__file__).parent / name).read_text() for name in ("faults.js", "contrast.js"))


def test_every_screen_works_at_any_width_in_light_and_dark(site: Site) -> None:
    """No errors, nothing from elsewhere, labels and headings in order, enough contrast, no sideways scrolling."""
    promises_of_uptime(site.world)
    screens = every_screen(site.world)
    faults: list[str] = []
    context = site.context.browser.new_context(
        viewport={"width": 1280, "height": 780}, storage_state=site.context.storage_state(), reduced_motion="reduce"
    )
    page = context.new_page()
    watch(site, page)
    for screen in screens:
        # Loaded once, and seen in both ways: what a page is, its style sheet makes of the width and the scheme.
        for name, width, scheme in (("desk", 1280, "light"), ("phone", 360, "dark")):
            page.set_viewport_size({"width": width, "height": 780})
            page.emulate_media(color_scheme=scheme)
            if name == "desk":
                answer = page.goto(site.address + screen, wait_until="load")
                assert answer.status == 200, (screen, answer.status)
            found = [*page.evaluate(FAULTS), *page.evaluate(CONTRAST)]
            faults += [f"{name} {screen}: {fault}" for fault in found if not _documents_own(screen, fault)]
    context.close()
    assert "\n".join(faults) == ""


def promises_of_uptime(world: World) -> None:
    """What the page of uptime is for: a promise at risk, credits, a customer's report, nothing to credit, a claim."""
    from coulance.customers import queries as customers
    from coulance.flows.promises import crediting, incidents
    from coulance.services import queries as services
    from coulance.sla import operations as promises
    from tests.sla.office import SLA
    from tests.sla.test_commands import SUPPLIER

    soon = SLA.replace('target = "100"', 'target = "100"\ncredited = "incident"')
    world.provider(more=soon + SUPPLIER)
    world.service("bare", "count", "2026-10-01")
    web, bare = (services.service(name).id for name in ("web", "bare"))
    by: dict[str, Any] = {"actor": "operator:anna", "at": NOW, "reason": "log"}
    promises.agree(service=bare, terms="gold", valid_from=NOW.date().replace(month=10, day=1), **by)
    for service, month in ((web, 10), (bare, 10), (web, 11)):
        since = NOW.replace(month=month, day=20)
        promises.say(service=service, says="outage", since=since, until=since.replace(minute=50), **by)
    promises.contest(
        service=web, account=customers.account("acme").id, since=since, until=NOW, words="gone", by="x", at=NOW
    )
    report = crediting.credit_period(year=2026, month=10, at=NOW, actor="worker")
    assert (len(report.credited), report.nothing) == (1, [("bare", "2026-10")])
    assert incidents.credit_incidents(at=NOW, actor="worker").credited


def _documents_own(screen: str, fault: str) -> bool:
    # A document has its own headings and table, as it prints.
    return bool(re.fullmatch(r"/documents/\d+", screen)) and fault.startswith(("heading jumps", "th without"))


def test_the_keyboard_reaches_everything_and_shows_where_it_is(site: Site) -> None:
    page = site.open("/accounts")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    assert page.evaluate("document.activeElement.getBoundingClientRect().left >= 0")
    page.keyboard.press("Enter")
    assert page.evaluate("location.hash") == "#main"
    seen = []
    for _ in range(4):
        page.keyboard.press("Tab")
        seen.append(page.evaluate("document.activeElement.textContent.trim() || document.activeElement.name"))
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid", seen
    assert seen[0] == "q"
    assert "Acme" in seen
    page.get_by_role("link", name="Acme").focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/accounts/acme")


def test_the_menu_of_a_small_screen_opens_and_leads_on(site: Site) -> None:
    page = site.page
    page.set_viewport_size({"width": 390, "height": 800})
    site.open("/")
    menu = page.get_by_role("navigation", name="Pages, for small screens")
    assert not menu.is_visible()
    page.locator(".phone summary").click()
    menu.get_by_role("link", name="Plans", exact=True).click()
    page.wait_for_url("**/plans")


def test_pages_work_without_script(site: Site) -> None:
    context = site.context.browser.new_context(java_script_enabled=False, storage_state=site.context.storage_state())
    page = context.new_page()
    page.goto(site.address + "/periods/2026-11")
    page.get_by_role("button", name="Preview").click()
    assert "/errands/" in page.url
    work(page.url)
    page.wait_for_selector(
        "text=It can't be closed, text=can't be closed on >> nth=0", state="attached"
    ) if False else None
    page.goto(page.url)
    assert "can't be closed on" in page.content().replace("&#x27;", "'")
    context.close()


def work(place: str) -> None:
    """What the worker does with the errand that this page shows."""
    from coulance.flows import background_close

    background_close.run(errand=place.rsplit("/", 1)[1], now=clock.now)


def test_closing_shows_its_progress_and_ends_by_itself(site: Site) -> None:
    site.world.account("gamma").service("late", "vps", account="gamma")
    site.open("/periods/2026-10/close")
    site.page.get_by_label("Why now").fill("gamma came later")
    site.press("Close October 2026")
    site.page.wait_for_url("**/errands/*")
    site.says("Waiting for the worker")
    place = site.page.url
    from playwright.sync_api import expect

    from coulance.platform import errands

    key = place.rsplit("/", 1)[1]
    errands.start(key=key, at=NOW)
    errands.tell(key=key, done=1, total=3)
    expect(site.page.locator("[data-total]")).to_have_text("3")
    expect(site.page.locator("[data-done]")).to_have_text("1")
    work(place)
    site.says("October 2026 is closed.")  # the page looked by itself
    assert "http-equiv" not in site.page.content()


def test_a_credit_note_is_given_from_its_invoice(site: Site) -> None:
    from coulance.invoicing import queries as invoicing

    site.open(f"/documents/{invoicing.document(number='V2026-0001').row.id}")
    site.page.get_by_role("link", name="Credit it").click()
    site.page.get_by_label("Harm is made good").check()
    site.page.get_by_label("Reason, as the customer reads it").fill("The port was down")
    site.press("See what comes back")
    site.says("€4.00")
    site.page.get_by_role("button", name="Give the credit note").dblclick()
    site.page.wait_for_url("**/documents/*")
    site.says("C2026-0001 is issued: it lowers V2026-0001.")
    assert invoicing.count_documents(kind="credit_note") == 1


def test_a_payment_is_booked_and_undone(site: Site) -> None:
    from coulance.customers import queries as customers
    from coulance.payments import queries as payments

    acme = customers.account("acme").id
    owed = payments.balance(account=acme, currency="EUR").due
    site.open("/accounts/acme")
    site.page.get_by_role("link", name="Book a payment").click()
    site.page.get_by_label("Amount in EUR").fill("10")
    site.page.get_by_label("What the payer wrote").fill("my invoices")
    site.page.get_by_label("Why it is booked by hand").fill("Paid at the counter")
    site.press("See what it pays")
    site.says("This will be booked")
    site.page.get_by_role("button", name="Book it").dblclick()
    site.page.wait_for_url(re.compile(r"/payments/\d+$"))
    site.says("€10.00 of Acme is booked.")
    assert len(payments.receipts(accounts=[acme])) == 1
    assert payments.balance(account=acme, currency="EUR").due.minor == owed.minor - 1000
    undo = site.page.locator("form", has=site.page.get_by_role("heading", name="Undo the payment"))
    undo.get_by_label("Because").select_option("mistake")
    undo.get_by_label("Why").fill("It was beta's")
    undo.get_by_role("button", name="See it first").click()
    site.says("is undone; what it paid is open again")
    site.press("Do it")
    site.page.wait_for_url(re.compile(r"/payments/\d+$"))
    assert payments.balance(account=acme, currency="EUR").due == owed


def test_a_stray_series_gets_its_service(site: Site) -> None:
    from coulance.usage import queries as usage

    site.open("/quarantine")
    site.page.get_by_role("link", name=f"Assign {KEY}").click()
    site.page.get_by_label("Service id").fill("web")
    site.page.locator("select[name=meter]").select_option("traffic")
    site.page.get_by_label("Why").first.fill("A new port")
    site.press("Look at it first")
    site.says("This will happen")
    site.press("Assign and count")
    site.page.wait_for_url("**/services/web")
    site.says("2 samples of 1 series count now")
    assert usage.quarantined() == []


def test_a_second_factor_is_set_up_and_asked_for(site: Site) -> None:
    from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value

    page = site.open("/me")
    page.get_by_role("link", name="Set it up").click()
    assert page.locator(".qr svg").bounding_box()["width"] > 100
    key = page.locator("code").first.text_content().replace(" ", "")

    def code(step: int) -> str:
        return format_hotp_value(hotp_value(key, int(time.time()) // 30 + step))

    page.get_by_role("textbox", name="Code").fill(code(0))
    site.press("Turn it on")
    site.says("Your recovery codes")
    assert page.locator(".codes li").count() == 10
    page.get_by_role("link", name="Done").click()
    page.locator(".side").get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/sign-in")
    secret = operators.make_link(name="anna", at=NOW, actor="test")
    site.open(f"/sign-in/{secret}")
    site.press("Sign in")
    page.wait_for_url("**/sign-in/code")
    page.get_by_label("Code from your authenticator").fill("000000")
    site.press("Go on")
    site.says("Incorrect code")
    page.get_by_label("Code from your authenticator").fill(code(1))
    site.press("Go on")
    page.wait_for_url(site.address + "/")
