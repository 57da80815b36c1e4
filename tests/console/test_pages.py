"""The pages show what there is, to operators only, with every name escaped and nothing inline that runs."""

import html
import io
import re
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import pypdf
import pytest
from django.test import Client

from coulance.console.views import overview
from tests.console.conftest import HOSTILE, Shop

PAGES = [
    f"/{page}"
    for page in (
        " services accounts documents plans periods periods/2026-10 quarantine collectors payments bank"
        " sending messages alarms audit operators me overage overage/unreached overage/approvals overage/waiting"
        " overage/consents overage/pauses overage/goodwill overage/exposure overage/campaigns arrears arrears/calendar"
        " arrears/held arrears/plans arrears/risk"
    ).split(" ")
]


def body(answer: Any) -> str:
    assert answer.status_code == 200, (answer.status_code, answer.content[:500])
    return str(answer.content.decode())


def all_pages(shop: Shop) -> list[str]:
    named = [f"/services/{quote(name, safe='')}" for name in shop.services]
    documents = [f"/documents/{number}" for number in shop.documents.values()]
    return [*PAGES, *named, f"/accounts/{quote(shop.account, safe='')}", *documents]


def test_every_page_renders_names_escaped_and_without_script_or_style(browser: Any, shop: Shop) -> None:
    hostile_seen = 0
    for address in all_pages(shop):
        answer = browser.get(address)
        page = body(answer)
        assert "<script" not in page, address
        assert not re.search(r"<[^>]*\son\w+=", page), address
        assert "<style" not in page
        assert " style=" not in page
        hostile_seen += html.escape(HOSTILE) in page
        assert page.count("<main") == page.count("<h1") == 1 or "/documents/" in address
        assert "script-src 'self'" in answer.headers["Content-Security-Policy"]
        assert "no-store" in answer.headers["Cache-Control"]
    assert hostile_seen >= 6


def test_nothing_is_fetched_from_elsewhere(browser: Any, shop: Shop) -> None:
    for address in all_pages(shop):
        for found in re.findall(r"""(?:src|href|action)=["']([^"']+)["']""", body(browser.get(address))):
            assert found.startswith(("/", "?", "#")), (address, found)


def test_strangers_are_sent_to_sign_in(shop: Shop, operator: Any) -> None:
    stranger = Client()
    number = next(iter(shop.documents.values()))
    for address in [*all_pages(shop), f"/documents/{number}/pdf", f"/documents/{number}/json"]:
        answer = stranger.get(address)
        assert answer.status_code == 302, address
        assert answer.headers["Location"].startswith("/sign-in?next=")
    operator.is_staff = False
    operator.save()
    outsider = Client()
    outsider.force_login(operator)
    assert outsider.get("/").status_code == 302


def test_signing_in_with_a_password_and_out_again(operator: Any, shop: Shop) -> None:
    visitor = Client(enforce_csrf_checks=True)
    page = body(visitor.get("/sign-in?next=/documents"))
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
    assert token
    asked = {"username": "anna", "password": "wrong", "next": "/documents", "csrfmiddlewaretoken": token.group(1)}
    assert "do not fit together" in body(visitor.post("/sign-in", asked))
    answer = visitor.post("/sign-in", asked | {"password": "correct horse battery"})
    assert answer.status_code == 302
    assert answer.headers["Location"] == "/documents"
    assert visitor.get("/documents").status_code == 200
    assert visitor.get("/sign-out").status_code == 405
    assert visitor.post("/sign-out").status_code == 403  # no token of the form
    assert visitor.get("/documents").status_code == 200


@pytest.mark.parametrize("address", ["https://evil.example/", "//evil.example", "javascript:alert(1)"])
def test_signing_in_leads_nowhere_else(operator: Any, address: str) -> None:
    answer = Client().post("/sign-in", {"username": "anna", "password": "correct horse battery", "next": address})
    assert answer.status_code == 302
    assert answer.headers["Location"] == "/"


def test_a_link_signs_in_once_and_only_when_pressed(operator: Any) -> None:
    from coulance.platform import clock, operators

    secret = operators.make_link(name="anna", at=clock.now(), actor="test")
    fetched = Client()
    assert "Sign in" in body(fetched.get(f"/sign-in/{secret}"))
    assert fetched.get("/").status_code == 302
    answer = fetched.post(f"/sign-in/{secret}")
    assert answer.status_code == 302
    assert fetched.get("/").status_code == 200
    again = Client()
    refused = again.post(f"/sign-in/{secret}")
    assert refused.status_code == 403
    assert "used already" in refused.content.decode()
    assert again.get("/").status_code == 302


def test_the_overview_says_what_the_last_run_made_and_what_wants_attention(browser: Any, shop: Shop) -> None:
    page = body(browser.get("/"))
    for said in ("October 2026", "€41.26", "€10.00", "COUNTERS_DISAGREE", "Largest overage"):
        assert said in page.replace("\u00a0", " "), said


def test_services_are_searched_filtered_and_show_their_use(browser: Any, shop: Shop) -> None:
    page = body(browser.get("/services?q=web-0"))
    assert 'href="/services/web-01"' in page
    assert 'href="/services/port-7"' not in page
    assert "1,412.6\u00a0GB" in page
    assert "141 %" in page
    assert page.count('class="chart-spark"') == 1
    assert "No services match" in body(browser.get("/services?q=nothing-like-it"))
    assert "No services match" in body(browser.get("/services?kind=colo"))
    assert 'href="/services/port-7"' in body(browser.get("/services?kind=vps"))
    assert "No services match" in body(browser.get("/services?q=%25_%25"))


def test_a_service_shows_picture_figures_conventions_and_plans(browser: Any, shop: Shop) -> None:
    page = body(browser.get("/services/web-01"))
    for said in (
        'class="chart chart-quota"',
        "included 1,000",
        "8,917 of 8,928",
        "outgoing traffic only",
        "vps-s",
        "O2026-",
    ):
        assert said in page.replace("\u00a0", " "), said
    port = body(browser.get("/services/port-7?period=2026-10"))
    assert 'class="chart chart-rate"' in port
    assert "438 of 8,772" in port
    odd = f"/services/{quote(shop.services[1], safe='')}"
    assert html.escape(HOSTILE) in body(browser.get(odd))


def test_a_document_reads_as_its_paper_and_explains_each_line(browser: Any, shop: Shop) -> None:
    number = shop.documents["overage_invoice"]
    page = body(browser.get(f"/documents/{number}"))
    assert "Amount due" in page
    assert "€49.92" in page
    assert page.count("<details>") == 1
    assert "test.line" in page
    paper = browser.get(f"/documents/{number}/pdf")
    assert paper.headers["Content-Type"] == "application/pdf"
    assert 'filename="O2026-' in paper.headers["Content-Disposition"]
    text = "".join(p.extract_text() for p in pypdf.PdfReader(io.BytesIO(paper.content)).pages)
    assert "€49.92" in text
    assert browser.get(f"/documents/{number}/json").json()["totals"]["gross"] == "49.92"
    statement = body(browser.get(f"/documents/{shop.documents['usage_statement']}"))
    assert "Nothing to pay" in statement
    assert statement.count('class="chart') == 3


def test_documents_are_found_by_number_account_kind_and_period(browser: Any, shop: Shop) -> None:
    assert body(browser.get("/documents?q=O2026")).count("/pdf") == 1
    assert body(browser.get(f"/documents?q={shop.account}")).count("/pdf") == 3
    assert body(browser.get("/documents?kind=base_invoice&period=2026-10")).count("/pdf") == 1
    assert body(browser.get("/documents?period=2026-09")).count("/pdf") == 0
    assert body(browser.get("/documents?kind=nonsense")).count("/pdf") == 3


def test_an_account_shows_what_it_owes(browser: Any, shop: Shop) -> None:
    page = body(browser.get(f"/accounts/{shop.account}"))
    assert "€62.02" in page
    assert 'href="/services/web-01"' in page
    assert body(browser.get("/accounts?q=c-")).count('href="/accounts/c-') == 2


@pytest.mark.parametrize(
    "address", ["/services/none", "/accounts/none", "/documents/999999999", "/documents/1x", "/none"]
)
def test_what_is_not_there_is_404(browser: Any, address: str) -> None:
    answer = browser.get(address)
    assert answer.status_code == 404


def test_long_lists_come_in_pages(browser: Any, db: Any) -> None:
    from tests.invoicing import paper

    paper.make_accounts(120, prefix="many")
    first = body(browser.get("/accounts"))
    assert "1 to 50 of 120" in first
    assert 'rel="prev"' not in first
    second = body(browser.get("/accounts?q=many&page=2"))
    assert "51 to 100 of 120" in second
    assert "q=many&amp;page=3" in second
    last = body(browser.get("/accounts?page=3"))
    assert "101 to 120 of 120" in last
    assert 'rel="next"' not in last
    for odd in ("0", "-1", "99999999999999999999", "x", "²", ""):
        assert browser.get("/accounts", {"page": odd}).status_code == 200
    assert "101 to 120" in body(browser.get("/accounts?page=999"))


def test_a_page_costs_the_same_few_queries_however_long_its_list(browser: Any, shop: Shop) -> None:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    from tests.invoicing import paper

    def cost(address: str) -> int:
        browser.get(address)
        with CaptureQueriesContext(connection) as seen:
            browser.get(address)
        return len(seen)

    before = {address: cost(address) for address in PAGES}
    (account, _), *_ = paper.make_accounts(30, prefix="more")
    for i in range(30):
        paper.make_service(account, f"more-{i}")
    for address in PAGES:
        assert cost(address) <= before[address], address
        assert before[address] <= 32, address


@pytest.mark.parametrize(
    ("newest", "closed", "ended"),
    [
        ("2026-10-31T23:55", "2026-10", True),  # the demo: its months are past and closed
        ("2026-11-01T00:00", "2026-10", True),  # the sample that ends October belongs to it
        ("2026-11-02T09:00", "2026-10", False),  # samples of an open month have stopped: that is an outage
        ("2026-10-31T23:55", "2026-09", False),
        ("2026-11-18T09:00", "2026-11", False),  # too short ago to say
        (None, "2026-10", False),
    ],
)
def test_metering_that_ended_with_a_closed_month_is_not_called_silent(
    newest: str | None, closed: str, ended: bool
) -> None:
    at = datetime(2026, 11, 22, 9, tzinfo=UTC)
    last = None if newest is None else datetime.fromisoformat(newest).replace(tzinfo=UTC)
    assert overview._ended(last, closed, at) is ended
    measured = overview._measured_on(at.date(), last if ended else None)
    assert f"{measured}" == ("2026-10-31" if ended else "2026-11-21")
