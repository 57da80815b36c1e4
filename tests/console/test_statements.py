"""The statement of an account and the open items, as an operator sees them."""

from typing import Any

import pytest
from django.db import connection

from tests.console.conftest import Shop
from tests.payments.test_statements import SELLER


@pytest.fixture
def provided(monkeypatch: pytest.MonkeyPatch) -> None:
    from coulance.console.views import statements

    monkeypatch.setattr(statements, "_provider", lambda: SELLER)


def test_a_statement_shows_movements_and_what_is_open(browser: Any, shop: Shop, provided: None) -> None:
    page = browser.get(f"/statements/{shop.account}?from=2026-11-01&to=2026-11-30")
    text = page.content.decode().replace("\u00a0", " ")
    assert page.status_code == 200
    # 41.26 and 10.00 with 21 % tax; both due on 18 November.
    for said in ("Invoice B2026-000001", "Invoice O2026-000001", "€49.92", "€62.02", "Balance on 30 November 2026"):
        assert said in text, said
    assert shop.hostile not in text
    paper = browser.get(f"/statements.pdf/{shop.account}?from=2026-11-01&to=2026-11-30")
    assert paper.content.startswith(b"%PDF-")
    assert "statement-" in paper.headers["Content-Disposition"]


@pytest.mark.parametrize("query", ["from=x&to=y", "from=0001-01-01", "to=9999-12-31", "from=2026-12-01&to=2026-01-01"])
def test_odd_days_are_no_fault(browser: Any, shop: Shop, provided: None, query: str) -> None:
    assert browser.get(f"/statements/{shop.account}?{query}").status_code == 200


def test_open_items_are_sorted_by_age(browser: Any, shop: Shop, provided: None) -> None:
    text = browser.get("/open-items?on=2026-12-01").content.decode().replace("\u00a0", " ")
    assert "All in EUR" in text
    assert text.count("€62.02") >= 4  # in the sums and the account's row: 1-30 days late, and due
    assert "Nothing is open" in browser.get("/open-items?on=2026-01-01").content.decode()


def test_what_is_not_there_is_404(browser: Any, shop: Shop, provided: None) -> None:
    assert browser.get("/statements/nobody").status_code == 404
    assert browser.get(f"/statements/{shop.account}?currency=XXX").status_code == 404


def test_without_a_provider_file_there_is_no_statement(browser: Any, shop: Shop) -> None:
    assert browser.get(f"/statements/{shop.account}").status_code == 404
    assert "Nothing is open" in browser.get("/open-items?on=2026-01-01").content.decode()
    assert browser.get("/open-items").status_code == 200


def test_an_account_may_be_called_as_a_page_is(browser: Any, db: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO customers_account (external_id, name, kind, country, address, currency, zone, language)"
            " VALUES ('acme/statement', 'Acme', 'business', 'NL', '{}', 'EUR', 'UTC', 'en')"
        )
    page = browser.get("/accounts/acme%2Fstatement").content.decode()
    assert "<h1>Acme" in page
    assert 'href="/statements/acme%2Fstatement"' in page
