"""Numbers go on after the last taken over, and old invoices are paid by their old numbers."""

from pathlib import Path
from typing import Any

from coulance.customers import queries as customers
from coulance.invoicing.check import check_documents
from coulance.payments import queries as payments
from coulance.payments.check import check_payments
from tests.bank.scene import brought, outcomes, pays, statement
from tests.takeover.move import move, read, stops
from tests.takeover.whmcs_source import Whmcs


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


def test_an_old_invoice_is_paid_by_its_old_number(provider: Any, old: Whmcs, folder: Path) -> None:
    old.invoice(5012).update(invoicenum="INV-2026-5012")
    assert move(read(old, folder)).applied
    account = customers.account("w8").id
    report = brought(statement([pays(3630, "Betaling factuur INV-2026-5012")]))
    assert outcomes(report) == ["booked number"]
    assert payments.open_items(accounts=[account]) == {}
    assert payments.balance(account=account, currency="EUR").owed.minor == 0
    assert [str(fault) for fault in check_payments()] == []
    # What was taken over stays what it was, also once it is paid.
    again = move(read(old, folder))
    assert (again.applied, again.differences) == (True, ())
