"""A provider leaves WHMCS on the 1st: everything comes along, once, and the next months are billed right."""

from datetime import date
from pathlib import Path
from typing import Any

from coulance.customers import queries as customers
from coulance.payments import queries as payments
from coulance.platform import audit
from coulance_core.taking_over import Left
from tests.takeover.move import move, read, report, stops
from tests.takeover.whmcs_source import Whmcs


def open_now() -> dict[str, str]:
    found = payments.open_items()
    return {item.number: str(item.open) for items in found.values() for item in items}


def test_everything_comes_along_to_the_cent(provider: Any, old: Whmcs, folder: Path) -> None:
    source = read(old, folder)
    assert [str(one) for one in source.findings if one.stops] == []
    done = move(source)
    assert (stops(done), done.differences, done.applied) == ([], (), True)
    assert done.reconciliation is not None
    assert done.reconciliation.agrees
    before, after = done.reconciliation.totals()["EUR"]
    assert before == after
    # 5001, 5002: 6.05; 5003: 6.05 less 1.05; 5008: 12.10 less 2.10 credit; 5012: 36.30; 5016: 3.63; 5113 to 5139
    tail = sum(round(key * 121) for key in range(13, 40))
    assert before.receivables == 605 + 605 + 500 + 1000 + 3630 + 363 + tail
    assert (before.credits, before.prepaid) == (-242, 1250)
    assert open_now() == {
        "5001": "6.05 EUR", "5002": "6.05 EUR", "5003": "5.00 EUR", "5008": "10.00 EUR", "5012": "36.30 EUR",
        "5015": "-2.42 EUR", "OV-77": "3.63 EUR", **{str(5100 + key): f"{key * 1.21:.2f} EUR" for key in range(13, 40)},
    }  # fmt: skip
    assert customers.account("w1").name == "Bakker & Zn's"
    assert [row.external_id for row in customers.contacts([customers.account("w1").id])] == ["contact-1", "main"]
    why = {(row.what.split(" (")[0], row.why) for row in source.book.left_out} if source.book else set()
    assert {
        ("invoice 5009", Left.DRAFT), ("invoice 5010", Left.CLOSED), ("invoice 5011", Left.CLOSED),
        ("invoice 5013", Left.REPEATED), ("invoice 5014", Left.DEPOSIT), ("service 9", Left.ENDED),
        ("service 10", Left.ENDED), ("service 11", Left.ENDED), ("service 7", Left.NOT_BILLED),
        ("service 8", Left.NOT_BILLED), ("customer/40", Left.ASKED), ("invoice 5017", Left.ASKED),
    } <= why  # fmt: skip
    [event] = audit.events(act="takeover.applied")
    assert (event.reason, event.detail["totals"]["EUR"]["prepaid"]) == ("we move", "12.50")


def test_a_second_run_changes_nothing_and_a_changed_source_is_shown(provider: Any, old: Whmcs, folder: Path) -> None:
    move(read(old, folder))
    again = move(read(old, folder))
    assert (again.applied, sum(again.fresh.values()), again.differences) == (True, 0, ())
    assert len(audit.events(act="takeover.applied")) == 1
    old.invoice(5001).update(balance="5.00", transactions={"transaction": {"amountin": "1.05", "amountout": "0"}})
    old.client(2)["address1"] = "Elders 9"
    changed = move(read(old, folder))
    assert not changed.applied
    assert [(one.record, one.name, one.field, one.before, one.after) for one in changed.differences] == [
        ("customer", "w2", "address", "Elders 9 | 3511 AA Utrecht", "Straat 2 | 3511 AA Utrecht"),
        ("item", "whmcs/invoice/5001", "open", "5.00 EUR", "6.05 EUR"),
    ]
    assert open_now()["5001"] == "6.05 EUR"
    told = report(read(old, folder)).reconciliation
    assert told is not None
    assert not told.agrees
    assert "invoice-5001.json (invoice 5001)" in str(told.differences[1])


def test_a_plan_writes_nothing_and_says_the_same(provider: Any, old: Whmcs, folder: Path) -> None:
    plan = move(read(old, folder), apply=False)
    assert plan.reconciliation is not None
    assert plan.reconciliation.agrees
    assert (customers.account_ids(), open_now(), audit.events(act="takeover.applied")) == ([], {}, [])
    done = move(read(old, folder))
    assert (plan.fresh, plan.reconciliation.before) == (done.fresh, done.reconciliation.before)  # type: ignore[union-attr]


def test_services_go_on_where_billing_stopped(provider: Any, old: Whmcs, folder: Path) -> None:
    source = read(old, folder)
    assert source.book is not None
    assert {row.service: (row.plan, row.billed_until, row.quantity) for row in source.book.services} == {
        "s1": ("vps", date(2026, 11, 1), 1),
        "s2": ("vps", date(2026, 12, 1), 1),  # its open invoice bills November
        "s3": ("vps", date(2026, 12, 1), 1),
        "s4": ("vps-xl", date(2026, 11, 16), 1),
        "s5": ("domain", date(2027, 3, 1), 1),
        "s6": ("vps", date(2026, 12, 1), 1),  # two open invoices, October and November
        "s12": ("vps", date(2026, 11, 1), 3),
    }


def test_the_next_close_bills_what_the_old_system_had_not(provider: Any, old: Whmcs, folder: Path) -> None:
    move(read(old, folder))
    provider.close("2026-10")
    assert provider.papers("w1") == "B2026-0001 2026-11: 5.00 + 1.05\n  base s1 11-01..12-01 1 at 5: 5.00"
    assert [provider.papers(account) for account in ("w2", "w3", "w5", "w6")] == ["", "", "", ""]
    assert "base s4 11-16..12-01 1: 15.50" in provider.papers("w4")
    assert "base s12 11-01..12-01 3 at 5: 15.00" in provider.papers("w12")
    provider.close("2026-11")
    for account, service in (("w1", "s1"), ("w2", "s2"), ("w3", "s3"), ("w6", "s6")):
        assert f"base {service} 12-01..01-01 1 at 5: 5.00" in provider.papers(account)
    assert provider.papers("w5") == ""
    for month in ("2026-12", "2027-01", "2027-02"):
        provider.close(month)
    assert "base s5 03-01..03-01 1 at 12: 12.00" in provider.papers("w5")


def test_a_clause_becomes_a_provisional_limit(provider: Any, old: Whmcs, folder: Path) -> None:
    """The most overage paid without dispute in twelve months, with tax: not what is older, and not what is disputed."""
    from coulance.overage import queries as overage

    source = read(old, folder)
    assert source.book is not None
    # w3: 7.00 + 21 % in May 2026 (the 99.00 is of 2024); w4: 4.00 + 21 %, as the 9.00 was disputed
    assert {row.account: str(row.limit) for row in source.book.clauses} == {"w3": "8.47 EUR", "w4": "4.84 EUR"}
    move(source)
    (given,) = overage.consents(account=customers.account("w3").id)
    assert (given.provisional, str(given.limit.amount), given.scope, given.contact) == (
        True, "8.47 EUR", "service", "main",
    )  # fmt: skip
    assert given.confirm_by is not None
    assert (given.confirm_by - given.given_at).days == 60
    [mandate] = payments.mandates(accounts=[customers.account("w2").id])
    assert (mandate.reference, mandate.iban, mandate.signed_on) == ("MND-2", "NL91ABNA0417164300", date(2024, 3, 1))
