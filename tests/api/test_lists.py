"""Lists: every item once however many pages, also while others come; and a page costs the same whatever there is."""

from collections.abc import Callable, Iterator
from datetime import date
from typing import Any

import pytest

from tests.api.conftest import Api


def pages(api: Api, path: str, limit: int, between: Callable[[], object] = lambda: None) -> Iterator[Any]:
    """The items of every page, in order; `between` runs after each page."""
    cursor = ""
    mark = "&" if "?" in path else "?"
    while True:
        page = api.get(f"{path}{mark}limit={limit}{cursor}")
        assert len(page["items"]) <= limit
        yield from page["items"]
        if page["next"] is None:
            return
        between()
        cursor = f"&cursor={page['next']}"


def add_accounts(count: int, start: int = 0) -> None:
    from coulance.customers import operations

    for i in range(start, start + count):
        operations.create_account(
            external_id=f"n{i:04}", name=f"N {i}", kind="business", country="NL", currency="EUR",
            zone="Europe/Amsterdam", language="nl",
        )  # fmt: skip


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 200])
def test_every_account_once(api: Api, limit: int) -> None:
    add_accounts(12)
    found = [one["id"] for one in pages(api, "/accounts", limit)]
    assert found == ["acme", "borg", *(f"n{i:04}" for i in range(12))]


def test_those_that_come_meanwhile_are_met_once_too(api: Api) -> None:
    add_accounts(6)
    more = iter(range(100, 103))

    def one_more() -> None:
        if (number := next(more, None)) is not None:
            add_accounts(1, number)

    found = [one["id"] for one in pages(api, "/accounts", 2, one_more)]
    assert len(found) == len(set(found))
    assert {"acme", "borg", "n0000", "n0005", "n0100", "n0102"} <= set(found)


def test_newest_first_repeats_none_while_new_ones_come(api: Api) -> None:
    """Documents come before the first page, so going on meets the old ones just once."""
    body = {"type": "correction", "reason": "x", "lines": [{"line": 1, "net": {"amount": "0.10", "currency": "EUR"}}]}
    before = [one["number"] for one in pages(api, "/documents", 200)]
    assert len(before) >= 5
    found = [
        one["number"]
        for one in pages(api, "/documents", 2, lambda: api("POST", "/documents/V2026-0001/credit-notes", body))
    ]
    assert found == before


@pytest.mark.parametrize(
    "path",
    ["/accounts", "/services", "/documents", "/payments", "/periods", "/parked-accounts", "/audit",
     "/webhooks/deliveries", "/usage/quarantine"],
)  # fmt: skip
def test_a_page_and_the_next(api: Api, path: str) -> None:
    whole = api.get(f"{path}?limit=200")
    assert whole["next"] is None
    assert list(pages(api, path, 1)) == whole["items"]


def test_filters_hold_on_every_page(api: Api) -> None:
    assert {one["account"] for one in pages(api, "/documents?account=acme", 1)} == {"acme"}
    assert [one["kind"] for one in pages(api, "/documents?kind=overage_invoice", 1)] == ["overage_invoice"]
    assert [one["id"] for one in pages(api, "/services?account=borg", 1)] == ["v2"]
    assert [one["id"] for one in pages(api, "/accounts?q=Bor", 1)] == ["borg"]
    assert {one["period"] for one in pages(api, "/documents?period=2026-10", 2)} == {"2026-10"}


@pytest.mark.parametrize(
    ("path", "most"),
    [("/accounts?limit=200", 3), ("/services?limit=200", 3), ("/documents?limit=200", 3), ("/payments?limit=200", 4),
     ("/audit?limit=200", 3), ("/periods?limit=100", 6), ("/parked-accounts?limit=200", 3)],
)  # fmt: skip
def test_a_page_costs_few_queries_however_long(api: Api, path: str, most: int) -> None:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    from coulance.platform import audit, clock
    from coulance.services import operations as services

    add_accounts(60)
    for i in range(60):
        services.start_service(
            account=f"n{i:04}", external_id=f"s{i}", name="s", kind="vps",
            started_on=date(2026, 11, 1), plan="vps",
        )  # fmt: skip
        audit.record(actor="test", act="x.done", subject=f"x:{i}", at=clock.now())
    api.get(path)
    with CaptureQueriesContext(connection) as seen:
        api.get(path)
    assert len(seen) <= most, [one["sql"][:120] for one in seen]


def test_a_document_is_read_in_twenty_milliseconds(api: Api) -> None:
    """The quickest of ten, so that a busy machine doesn't judge."""
    import time

    took = []
    for _ in range(10):
        begin = time.perf_counter()
        api.get("/documents/V2026-0001")
        took.append(time.perf_counter() - begin)
    assert min(took) < 0.02, took
