"""Planted faults: each is named with its file and row, none is taken over, and nothing of the rest is either."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from coulance.customers import queries as customers
from coulance.integrations.takeover.reading import read_source
from tests.takeover.move import move, read
from tests.takeover.whmcs_source import CLAUSES, MANDATES, MAPPING, Whmcs, client, invoice, product

Plant = Callable[[Whmcs], Any]


def text(name: str, value: str) -> Plant:
    return lambda old: old.texts.update({name: value})


def mapping(before: str, after: str) -> Plant:
    assert before in MAPPING
    return lambda old: setattr(old, "mapping", MAPPING.replace(before, after))


def hurt(do: Callable[[Path], Any]) -> Plant:
    return lambda old: old.damage.append(do)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:200])


def latin(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"Utrecht", "Curaçao".encode("latin-1")))


INVOICES = "invoices.json"
# (what is planted, how, its name, where it is said to stand)
FAULTS: list[tuple[str, Plant, str, str]] = [
    ("a client whose details are missing", lambda o: o.client(13).update(_nodetails=True),
     "details-missing", "clients-1.json:13 (client 13)"),
    ("a client listed twice", lambda o: o.clients.append(client(14)),
     "duplicate-customer", "clients-2.json:16 (client 14)"),
    ("an invoice of an unknown client", lambda o: o.invoices.append(invoice(6001, 999, "1.00")),
     "item-of-nobody", "invoice-6001.json (invoice 6001)"),
    ("a service of an unknown client", lambda o: o.products.append(product(99, 999)),
     "service-of-nobody", "products.json:14 (product 99)"),
    ("a contact of an unknown client", lambda o: o.contacts.append({**o.contacts[0], "id": 9, "userid": 999}),
     "contact-of-nobody", "contacts.json:3 (contact 9)"),
    ("lines that are not the total", lambda o: o.invoice(5001)["items"]["item"][0].update(amount="4.00"),
     "total-not-lines", "invoice-5001.json (invoice 5001)"),
    ("a total that is not its sum", lambda o: o.invoice(5001).update(total="9.99"),
     "total-not-sum", "invoice-5001.json (invoice 5001)"),
    ("more paid than the total", lambda o: o.invoice(5001).update(balance="-1.00", transactions=""),
     "paid-more", "invoice-5001.json (invoice 5001)"),
    ("payments that are not what is paid", lambda o: o.invoice(5003).update(balance="1.00"),
     "paid-differs", "invoice-5003.json (invoice 5003)"),
    ("an open invoice with nothing open", lambda o: o.invoice(5001).update(
        balance="0.00", transactions={"transaction": [{"amountin": "6.05", "amountout": "0.00"}]}),
     "nothing-open", "invoice-5001.json (invoice 5001)"),
    ("a currency that is none", lambda o: o.client(15).update(currency_code="EUE"),
     "unknown-currency", "clients-1.json:15 (client 15)"),
    ("an invoice in another currency", lambda o: o.invoice(5001).update(_code="USD"),
     "other-currency", "invoice-5001.json (invoice 5001)"),
    ("a product that the mapping lacks", lambda o: o.product(1).update(pid=77, name="Old thing"),
     "unknown-product", "products.json:1 (product 1)"),
    ("a plan that we don't sell", mapping('plan = "vps-xl"', 'plan = "vps-xxl"'), "bad-plan", "products.json:4 (plan)"),
    ("a cycle that the mapping lacks", lambda o: o.product(1).update(billingcycle="Biennially"),
     "unmapped-cycle", "products.json:1 (product 1)"),
    ("a cycle that is none", lambda o: o.product(1).update(billingcycle="Fortnightly"),
     "unknown-cycle", "products.json:1 (product 1)"),
    ("a day that is none", lambda o: o.invoice(5001).update(date="2026-02-30"),
     "bad-date", "invoice-5001.json (invoice 5001)"),
    ("no next due day", lambda o: o.product(1).update(nextduedate="0000-00-00"),
     "bad-date", "products.json:1 (product 1)"),
    ("an invoice that bills further than its service", lambda o: o.invoice(5001)["items"]["item"][0].update(
        description="VPS (01/11/2026 - 31/01/2027)"), "billed-until-differs", "products.json:2 (product 2)"),
    ("due before it was issued", lambda o: o.invoice(5001).update(duedate="2026-10-01"),
     "due-before-issued", "invoice-5001.json (invoice 5001)"),
    ("issued after the take-over", lambda o: o.invoice(5001).update(date="2026-11-09", duedate="2026-11-20"),
     "issued-later", "invoice-5001.json (invoice 5001)"),
    ("an IBAN with a wrong digit", text("mandates.csv", MANDATES.replace("NL91", "NL92")),
     "bad-iban", "mandates.csv:2 (mandate MND-2)"),
    ("a mandate without a signature", text("mandates.csv", MANDATES.replace("2024-03-01", "")),
     "mandate-unsigned", "mandates.csv:2 (mandate MND-2)"),
    ("a mandate twice", text("mandates.csv", MANDATES + MANDATES.splitlines()[1].replace("w2", "w3")),
     "duplicate-mandate", "mandates.csv:3 (mandate MND-2)"),
    ("a credit below zero", lambda o: o.client(20).update(credit="-5.00"),
     "prepaid-below-zero", "clients-1.json:20 (client 20)"),
    ("a credit that is not its log", lambda o: o.client(7).update(credit="13.50"),
     "credit-differs", "clients-1.json:7 (client 7)"),
    ("a number given twice", lambda o: o.invoice(5001).update(invoicenum="OV-77"),
     "number-twice", "invoice-5016.json (invoice 5016)"),
    ("an invoice listed twice", lambda o: o.invoices.append(invoice(5001, 2, "5.00")),
     "duplicate-item", "invoices.json:45 (invoice 5001)"),
    ("a number that our series would give again", lambda o: o.invoice(5004).update(invoicenum="B2026-0041"),
     "series-collides", "invoice-5004.json (invoice 5004)"),
    ("a series that is behind", lambda o: (o.invoice(5004).update(invoicenum="B2026-0041"), o.texts.update(
        {"number-series.csv": "series,year,last\nbase,2026,40\n"})),
     "series-behind", "number-series.csv:2 (series base)"),
    ("a series that we don't have", text("number-series.csv", "series,year,last\nbasis,2026,40\n"),
     "unknown-series", "number-series.csv:2 (series basis)"),
    ("an answer that was cut off", hurt(lambda f: cut(f / "invoice-5001.json")), "not-json", "invoice-5001.json:1"),
    ("a login page for an answer", hurt(lambda f: (f / "invoice-5001.json").write_text("<html>Login</html>")),
     "not-json", "invoice-5001.json:1"),
    ("an answer that refuses", hurt(lambda f: (f / "contacts.json").write_text(
        '{"result":"error","message":"Invalid IP 192.0.2.1"}')), "refused", "contacts.json"),
    ("a page that was not read", hurt(lambda f: (f / "clients-2.json").unlink()), "page-missing", "clients-1.json"),
    ("lines that were not read", hurt(lambda f: (f / "invoice-5001.json").unlink()),
     "invoice-missing", "invoices.json:1 (invoice 5001)"),
    ("another encoding", hurt(lambda f: latin(f / "client-13.json")), "not-utf-8", "client-13.json:1"),
    ("a status of nobody", lambda o: o.invoice(5001).update(status="Overdue"),
     "unknown-status", "invoice-5001.json (invoice 5001)"),
    ("an amount that is none", lambda o: o.invoice(5001).update(subtotal="five"),
     "bad-amount", "invoice-5001.json (invoice 5001)"),
    ("an amount finer than a cent", lambda o: o.client(7).update(credit="12.505"),
     "bad-amount", "clients-1.json:7 (client 7)"),
    ("money on a request for other invoices", lambda o: o.invoice(5013).update(
        balance="2.10", transactions={"transaction": [{"amountin": "10.00", "amountout": "0.00"}]}),
     "paid-on-request", "invoice-5013.json (invoice 5013)"),
    ("a clause of a service that is another's", text("clauses.csv", CLAUSES.replace("w3,s3", "w3,s4")),
     "clause-of-nobody", "clauses.csv:2 (clause of w3)"),
    ("a clause above what was ever paid", text(
        "clauses.csv", "account,agreed_on,highest_paid,currency\nw3,2024-01-15,100.00,EUR\n"),
     "limit-above-paid", "clauses.csv:2 (clause of w3)"),
    ("an invoice whose lines nobody tells, which may bill a service", lambda o: o.invoice(5001).update(items=""),
     "billed-until-unknown", "products.json:2 (product 2)"),
    ("a country that is none", lambda o: o.client(16).update(countrycode="Holland"), "bad-country",
     "clients-1.json:16 (country)"),
    ("an address that is none", lambda o: o.client(16).update(email="jan at example"), "bad-email",
     "clients-1.json:16 (email)"),
    ("a mapping without a reason", mapping('"a test account of ours"', '""'), "bad-mapping",
     "whmcs.toml (leave_out.customer/40)"),
    ("a mapping with a slip", mapping("taxes =", "taxs ="), "bad-mapping", "whmcs.toml (source.taxs)"),
]  # fmt: skip
# What is told and does not stop.
DOUBTS: list[tuple[str, Plant, str, str]] = [
    ("two running services with one domain", lambda o: o.product(3).update(domain="host2.example.net"),
     "domain-twice", "products.json:3 (product 3)"),
    ("text that was read in another encoding once", lambda o: o.client(17).update(companyname="CafÃ© Zuid"),
     "wrong-encoding", "clients-1.json:17 (client 17)"),
    ("a mapping that speaks of nobody", mapping("[lines]", '[customers.77]\nkind = "public"\n[lines]'), "bad-mapping",
     "whmcs.toml (customers.77)"),
    ("a service suspended there", lambda o: None, "suspended", "products.json:6 (product 6)"),
    ("a client who pays no tax", lambda o: None, "tax-exempt", "clients-1.json:8 (client 8)"),
    ("a bank account without its IBAN", lambda o: None, "mandate-unknown", "paymethods-5.json:1 (paymethod 4)"),
]  # fmt: skip


@pytest.mark.parametrize(("plant", "code", "where"), [row[1:] for row in FAULTS], ids=[row[0] for row in FAULTS])
def test_a_planted_fault_is_named(provider: Any, old: Whmcs, folder: Path, plant: Plant, code: str, where: str) -> None:
    plant(old)
    source = read(old, folder)
    findings = source.findings if source.book is None else move(source).findings
    found = [(one.code, str(one.where)) for one in findings if one.stops]
    assert (code, where) in found or (not where and code in [one[0] for one in found]), found
    assert all(one.found for one in findings)
    assert customers.account_ids() == []


@pytest.mark.parametrize(("plant", "code", "where"), [row[1:] for row in DOUBTS], ids=[row[0] for row in DOUBTS])
def test_a_doubt_is_told_and_does_not_stop(
    provider: Any, old: Whmcs, folder: Path, plant: Plant, code: str, where: str
) -> None:
    plant(old)
    done = move(read(old, folder))
    assert (code, where) in [(one.code, str(one.where)) for one in done.findings if not one.stops]
    assert done.applied


def test_many_faults_are_told_at_once(provider: Any, old: Whmcs, folder: Path) -> None:
    for _, plant, code, _ in FAULTS:
        if code in ("unknown-product", "prepaid-below-zero", "paid-differs", "bad-country"):
            plant(old)
    done = move(read(old, folder), apply=False)
    codes = {one.code for one in done.findings if one.stops}
    assert {"unknown-product", "prepaid-below-zero", "paid-differs", "bad-country"} <= codes


def test_a_row_can_be_left_out_with_a_reason(provider: Any, old: Whmcs, folder: Path) -> None:
    old.invoice(5001).update(balance="-1.00", transactions="")
    old.mapping = MAPPING + '"invoice/5001" = "overpaid, settled by hand"\n'
    done = move(read(old, folder))
    assert done.applied
    [row] = [one for one in done.book.left_out if one.what == "invoice/5001"]
    assert (row.reason, str(row.open)) == ("overpaid, settled by hand", "-1.00 EUR")


def test_no_mapping_no_folder_no_crash(provider: Any, folder: Path, tmp_path: Path) -> None:
    missing = read_source(folder, tmp_path / "none.toml")
    assert missing.book is None
    assert missing.findings[0].code == "bad-mapping"
    broken = tmp_path / "broken.toml"
    broken.write_text("[source\n")
    assert read_source(folder, broken).book is None
    broken.write_text(MAPPING)
    assert [one.code for one in read_source(folder, broken).findings] == ["unreadable"]
