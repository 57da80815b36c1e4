"""Numbers go on after the last taken over, and old invoices are paid by their old numbers."""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from coulance.customers import queries as customers
from coulance.flows.bank_import import GivenFile, import_statements
from coulance.integrations.bank.reading import read_bank_file
from coulance.invoicing.check import check_documents
from coulance.payments import queries as payments
from coulance.payments.check import check_payments
from tests.takeover.move import move, read, stops
from tests.takeover.whmcs_source import Whmcs

AT = datetime(2026, 11, 12, 8, tzinfo=UTC)


def test_a_series_goes_on_after_the_last_number_there(provider: Any, old: Whmcs, folder: Path) -> None:
    old.invoice(5004).update(invoicenum="B2026-0041")
    old.texts["number-series.csv"] = "series,year,last\nbase,2026,0041\n"
    assert stops(move(read(old, folder))) == []
    provider.close("2026-10")
    assert provider.papers("w1").splitlines()[0] == "B2026-0042 2026-11: 5.00 + 1.05"
    assert [str(fault) for fault in check_documents()] == []
    again = move(read(old, folder))
    assert (again.applied, again.differences) == (True, ())


def test_a_series_that_began_here_cannot_go_on_elsewhere(provider: Any, old: Whmcs, folder: Path) -> None:
    provider.account("own").service("vps-own", "vps", account="own")
    provider.close("2026-10")
    old.texts["number-series.csv"] = "series,year,last\nbase,2026,41\n"
    assert "series-begun" in stops(move(read(old, folder)))


def test_a_number_that_is_given_here_is_refused(provider: Any, old: Whmcs, folder: Path) -> None:
    provider.account("own").service("vps-own", "vps", account="own")
    provider.close("2026-10")
    old.invoice(5001).update(invoicenum="B2026-0001")
    assert {"number-here", "series-collides"} <= set(stops(move(read(old, folder))))
