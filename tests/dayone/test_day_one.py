"""Day one of a provider, from an empty machine to a paid invoice, as a person does it: commands, API, browser, mail.

Real processes throughout: `coulance up` with its database and worker, a browser, an SMTP server. What the customer owes
is reckoned here by hand. Skips with a reason where chromium is absent.
"""

import hmac
import json
import re
import shutil
import time
import urllib.request
from base64 import b32decode
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from struct import pack, unpack
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from lxml import etree

from coulance.integrations.bank.writing import camt
from coulance_core.invoicing.references import creditor_reference
from coulance_core.kernel import Money
from coulance_core.payments.bank import BankEntry, BankStatement
from tests.console.test_browser import chromium
from tests.support.database import ROOT
from tests.support.instances import Up, coulance_many, free_port, new_home
from tests.support.mail_server import MailServer, mail_server

__all__ = ["chromium"]
pytestmark = pytest.mark.slow
ZONE = ZoneInfo("Europe/Amsterdam")
STEP_S, A_STEP = 300, 350_000_000
"""Samples of a counter every five minutes, that goes up by so many bytes."""
CUSTOMER, SERVICE = "1001", "vps-1001"
BASE_NET = Decimal("11.50")


@dataclass(frozen=True)
class Month:
    """The month to close: the last one that is over and whose late samples had their three days."""

    first: date
    after: date

    @classmethod
    def due(cls, today: date) -> "Month":
        """The one that is due on a day."""
        after = (today - timedelta(days=3)).replace(day=1)
        return cls((after - timedelta(days=1)).replace(day=1), after)

    @property
    def name(self) -> str:
        return f"{self.first:%Y-%m}"

    @property
    def title(self) -> str:
        return f"{self.first:%B %Y}"

    @property
    def polls(self) -> list[int]:
        """When its counter is read, its first and last moment included."""
        start, end = (int(datetime.combine(day, datetime.min.time(), ZONE).timestamp()) for day in self.ends)
        return list(range(start, end + 1, STEP_S))

    @property
    def ends(self) -> tuple[date, date]:
        return self.first, self.after

    def overage_net(self) -> Decimal:
        """What it costs above the 2500 GB that VPS M includes, at 0.009 a GB."""
        used = Decimal((len(self.polls) - 1) * A_STEP) / 10**9
        return ((used - 2500) * Decimal("0.009")).quantize(Decimal("0.01"), ROUND_HALF_UP)


def with_tax(net: Decimal) -> Decimal:
    """A net amount with 21 % tax."""
    return net + (net * Decimal("0.21")).quantize(Decimal("0.01"), ROUND_HALF_UP)


def code_of(key: str, at: float) -> str:
    """The code that an authenticator shows (RFC 6238, six digits, half a minute each)."""
    digest = hmac.digest(b32decode(key + "=" * (-len(key) % 8)), pack(">Q", int(at) // 30), "sha1")
    (number,) = unpack(">I", digest[digest[-1] & 15 :][:4])
    return f"{(number & 0x7FFFFFFF) % 10**6:06d}"


@dataclass
class Place:
    """A machine with Coulance just started on it, a mailbox server, and somebody's browser."""

    up: Up
    server: MailServer
    page: Any
    folder: Path
    month: Month
    trouble: list[str] = field(default_factory=list)

    def open(self, path: str) -> None:
        answer = self.page.goto(path if path.startswith("http") else f"http://127.0.0.1:{self.up.port}{path}")
        assert answer.status == 200, (path, answer.status)

    def press(self, name: str) -> None:
        self.page.get_by_role("button", name=name, exact=True).click()

    def reads(self, text: str) -> None:
        from playwright.sync_api import expect

        expect(self.page.get_by_text(text).first).to_be_visible(timeout=30_000)


@pytest.fixture
def place(chromium: Any, tmp_path: Path) -> Iterator[Place]:
    with new_home() as home, mail_server() as server:
        up = Up(home, free_port(), {"COULANCE_MAIL": server.url}, whole=True).start()
        context = chromium.new_context(viewport={"width": 1280, "height": 800}, reduced_motion="reduce")
        context.set_default_timeout(15_000)
        try:
            page = context.new_page()
            one = Place(up, server, page, tmp_path, Month.due(datetime.now(ZONE).date()))
            page.on("pageerror", lambda fault: one.trouble.append(f"{fault} ({page.url})"))
            up.await_health(60)
            yield one
            assert one.trouble == []
        finally:
            context.close()
            up.clean_up()


def test_from_an_empty_machine_to_a_paid_invoice(place: Place) -> None:
    link, token = by_command(place)
    sign_in_with_second_factor(place, link)
    send_samples(place, token)
    close_the_month(place)
    base, overage = look_at_the_invoices(place)
    owed = send_and_receive(place, base, overage)
    get_paid(place, owed)


def by_command(place: Place) -> tuple[str, str]:
    """The provider's file and customers as in the examples, the first operator, a token; the link and the token."""
    examples = place.folder / "provider"
    shutil.copytree(ROOT / "examples", examples)
    provider = examples / "provider.toml"
    provider.write_text(provider.read_text() + '\n[sending]\nattach = ["ubl"]\n')
    services = examples / "customers" / "services.csv"
    services.write_text(services.read_text().replace("2026-11-01", place.month.after.isoformat()))
    answers = coulance_many(
        place.up.home,
        ("check", str(provider)),
        ("apply", str(provider)),
        ("import", "customers", *map(str, sorted((examples / "customers").glob("*.csv"))), "--apply"),
        ("operator", "create", "anna", "--email", "anna@polder-hosting.example"),
        ("operator", "link", "anna"),
        ("token", "create", "collector", "--scope", "usage:write", "--quiet"),
    )
    assert [status for status, _, _ in answers] == [0] * 6, answers
    assert "(admin)" in answers[3][1]
    return answers[4][1].strip(), answers[5][1].strip()


def sign_in_with_second_factor(place: Place, link: str) -> None:
    page = place.page
    place.open(link)
    place.press("Sign in")
    page.wait_for_url("**/")
    place.open("/me")
    page.get_by_role("link", name="Set it up").click()
    key = page.locator("code").first.text_content().replace(" ", "")
    page.get_by_role("textbox", name="Code").fill(code_of(key, time.time()))
    place.press("Turn it on")
    place.reads("Your recovery codes")
    assert page.locator(".codes li").count() == 10


def send_samples(place: Place, token: str) -> None:
    polls = place.month.polls
    body = {
        "series": [f"{SERVICE}/eth0"] * len(polls),
        "at": polls,
        "in": [n * A_STEP // 9 for n in range(len(polls))],
        "out": [n * A_STEP for n in range(len(polls))],
    }
    request = urllib.request.Request(
        f"http://127.0.0.1:{place.up.port}/api/v1/usage",
        json.dumps(body).encode(),
        {"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        said = json.load(answer)
    assert (said["rows"], said["accepted"], said["quarantined"]) == (len(polls), len(polls), 0)


def close_the_month(place: Place) -> None:
    page, month = place.page, place.month
    place.open(f"/periods/{month.name}")
    place.press("Preview")
    page.wait_for_url("**/errands/*")
    place.reads("This is what a close would do. Nothing is written.")
    page.get_by_role("link", name=f"Close {month.title}").click()
    page.get_by_label("Why now").fill("The first month")
    place.press(f"Close {month.title}")
    page.wait_for_url("**/errands/*")
    place.reads(f"{month.title} is closed.")  # the page looks by itself how far it is
    page.get_by_role("link", name="Its documents").click()
    page.wait_for_url(f"**/documents?period={month.name}")


def look_at_the_invoices(place: Place) -> tuple[str, str]:
    """The customer's invoices, base and overage, with what they owe; their numbers."""
    page = place.page
    place.open(f"/accounts/{CUSTOMER}")
    numbers = sorted(set(re.findall(r"\b[BV]\d{4}-\d{6}\b", page.content())))
    base, overage = numbers
    page.get_by_role("link", name=overage).first.click()
    page.wait_for_url(re.compile(r"/documents/\d+$"))
    due = with_tax(place.month.overage_net())
    assert f"{due}".replace(".", ",") in page.locator(".callout .amount").text_content()  # in the customer's language
    page.locator("tr.why summary").first.click()
    used = Decimal((len(place.month.polls) - 1) * A_STEP) / 10**9
    why = page.locator("tr.why").first.text_content()
    assert f"{used.normalize():f}".replace(".", ",") in why.replace(".", "").replace("\u202f", ""), why
    page.locator(".picture svg").first.wait_for()
    return base, overage


def send_and_receive(place: Place, base: str, overage: str) -> dict[str, Decimal]:
    """Let the month go, and read the customer's mail; what each invoice asks for, by its electronic form."""
    page = place.page
    place.open(f"/sending?period={place.month.name}")
    page.get_by_role("link", name=re.compile("Review and send")).click()
    page.get_by_label("Why now").fill("Looked through")
    place.press("Send them")
    page.wait_for_url("**/sending**")
    give_up = time.monotonic() + 30
    wanted = {base, overage}
    found: dict[str, Any] = {}
    while set(found) != wanted:
        assert time.monotonic() < give_up, [str(one.mail["Subject"]) for one in place.server.taken]
        time.sleep(0.05)
        for one in list(place.server.taken):
            if one.recipient == "billing@molen.example":
                found |= {number: one.mail for number in wanted if number in str(one.mail["Subject"])}
    owed: dict[str, Decimal] = {}
    for number, mail in found.items():
        assert mail.get_body(("plain",)).get_content().strip()
        files = {part.get_filename(): part.get_content() for part in mail.iter_attachments()}
        assert set(files) == {f"{number}.pdf", f"{number}-ubl.xml"}
        assert files[f"{number}.pdf"].startswith(b"%PDF")
        invoice = etree.fromstring(files[f"{number}-ubl.xml"])
        owed[number] = Decimal(invoice.findtext(".//{*}LegalMonetaryTotal/{*}PayableAmount"))
        assert invoice.findtext(".//{*}PaymentMeans/{*}PaymentID") == creditor_reference(number)
    assert owed[overage] == with_tax(place.month.overage_net())
    assert owed[base] > with_tax(BASE_NET)  # the server, and mailboxes beside it
    return owed


def get_paid(place: Place, invoices: dict[str, Decimal]) -> None:
    """The bank's file of today pays both, each by its reference; the customer's account is at nothing then."""
    page, today = place.page, datetime.now(ZONE).date()
    place.open(f"/statements/{CUSTOMER}")
    owed = sum(invoices.values())
    assert f"{owed}" in page.locator(".card .figure").first.text_content()
    entries = tuple(
        BankEntry(
            today,
            Money(int(amount * 100), "EUR"),
            value_on=today,
            end_to_end_id=f"E2E-{number}",
            structured_reference=creditor_reference(number),
            counterparty_name="Molen Webwinkels BV",
            counterparty_iban="NL91ABNA0417164300",
            bank_ref=f"REF{number}",
        )
        for number, amount in invoices.items()
    )
    opening = Money(100_000, "EUR")
    statement = BankStatement(
        "NL79DEMO0000000000",
        "EUR",
        entries,
        number="1",
        opening=opening,
        closing=Money(opening.minor + int(owed * 100), "EUR"),
        opened_on=today - timedelta(days=1),
        closed_on=today,
    )
    file = place.folder / "today.xml"
    file.write_bytes(camt([statement], message_id="TODAY", created_at=datetime.now(UTC)))
    place.open("/bank/import")
    page.get_by_label("MT940, camt.053, camt.054 or pain.002").set_input_files(file)
    place.press("See what it would do")
    place.reads("This is what it would do.")
    page.get_by_label("The same file").set_input_files(file)
    page.get_by_label("Why", exact=True).fill("Today's statement")
    place.press("Import and book what is sure")
    place.reads("It is imported.")
    place.open(f"/statements/{CUSTOMER}")
    assert re.search(r"\b0[.,]00\b", page.locator(".card .figure").first.text_content())
    assert page.locator("section", has=page.get_by_role("heading", name="What is open")).get_by_text("Nothing.").count()
    place.open("/payments")
    assert page.get_by_role("link", name="Molen Webwinkels BV").count() == 2
