"""FOSSBilling, WHMCS's CSV exports and plain CSV give the same kind of book, and are taken over the same way."""

import json
from pathlib import Path
from typing import Any

import pytest

from coulance.integrations.takeover.reading import Source, read_source
from coulance.payments import queries as payments
from coulance_core.payments import ItemKind
from tests.takeover.move import move, stops

FOSS = """
[source]
system = "fossbilling"
on = 2026-11-01
account = "f{id}"
service = "o{id}"
[products.4]
plan = "vps"
kind = "vps"
cycles = { Annually = "domain" }
[lines]
overage = ["*overage*"]
"""


def fossbilling() -> dict[str, list[dict[str, Any]]]:
    """The admin API's lists."""
    return {
        "clients": [
            {"id": 1, "first_name": "Ann", "last_name": "Lee", "email": "ann@example.com", "company": "Lee &amp; Co",
             "company_vat": "", "address_1": "Kade 1", "city": "Gent", "postcode": "9000", "country": "NL",
             "currency": "EUR", "lang": "nl_NL", "phone": "1"},
            {"id": "2", "first_name": "Bo", "last_name": "Doe", "email": "bo@example.com", "company": None,
             "company_vat": None, "country": "NL", "currency": "EUR", "lang": "en_US"},
        ],
        "orders": [
            {"id": 7, "client_id": "1", "product_id": 4, "title": "VPS", "period": "1M", "quantity": 2,
             "status": "active", "expires_at": "2026-11-01 00:00:00", "activated_at": "2025-01-01 10:00:00",
             "unpaid_invoice_id": 31},
            {"id": 8, "client_id": 2, "product_id": 4, "title": "VPS", "period": "1M", "quantity": 1,
             "status": "active", "expires_at": "2026-11-01 00:00:00", "activated_at": "2025-01-01 10:00:00",
             "unpaid_invoice_id": None},
            {"id": 9, "client_id": 2, "product_id": 4, "title": "Old", "period": "1M", "status": "canceled"},
        ],
        "invoices": [
            {"id": 31, "serie": "FOSS", "nr": "31", "serie_nr": "FOSS00031", "client": {"id": 1}, "currency": "EUR",
             "tax": 2.1, "total": "12.10", "status": "unpaid", "approved": True, "due_at": "2026-11-08 00:00:00",
             "created_at": "2026-10-25T12:00:00+00:00",
             "lines": [{"title": "VPS renewal", "price": "5.00", "quantity": 2, "type": "order"}]},
            {"id": 30, "serie_nr": "FOSS00030", "client": {"id": 1}, "currency": "EUR", "tax": 0, "total": 5,
             "status": "paid", "approved": 1, "created_at": "2026-09-25 12:00:00", "lines": []},
            {"id": 32, "serie_nr": "FOSS00032", "client": {"id": 2}, "currency": "EUR", "tax": "0.00", "total": "50",
             "status": "unpaid", "approved": True, "created_at": "2026-10-25 12:00:00",
             "lines": [{"title": "Deposit", "price": 50, "quantity": 1, "type": "deposit"}]},
        ],
        "balance": [{"id": 1, "client_id": 2, "amount": "10.00", "type": "gift"},
                    {"id": 2, "client_id": 2, "amount": "-2.50", "type": "invoice"}],
    }  # fmt: skip


def written(folder: Path, lists: dict[str, list[dict[str, Any]]], *, tables: bool) -> Source:
    folder.mkdir()
    mapping = folder.with_suffix(".toml")
    mapping.write_text(FOSS)
    if tables:
        names = {"clients": "client", "orders": "client_order", "balance": "client_balance", "invoices": "invoice"}
        found: list[dict[str, Any]] = [{"type": "header"}]
        items: list[dict[str, Any]] = []
        for name, rows in lists.items():
            plain = []
            for row in rows:
                flat = {key: value for key, value in row.items() if key not in ("lines", "client", "total")}
                if "client" in row:
                    flat["client_id"] = str(row["client"]["id"])
                    items += [{**line, "invoice_id": row["id"]} for line in row["lines"]]
                plain.append(flat)
            found.append({"type": "table", "name": names[name], "data": plain})
        found.append({"type": "table", "name": "invoice_item", "data": items})
        (folder / "export.json").write_text(json.dumps(found))
    else:
        for name, rows in lists.items():
            result = {"pages": 1, "page": 1, "per_page": 100, "total": len(rows), "list": rows}
            (folder / f"{name}.json").write_text(json.dumps({"result": result, "error": None}))
    return read_source(folder, mapping)


@pytest.mark.parametrize("tables", [False, True], ids=["API", "tables"])
def test_fossbilling(provider: Any, tmp_path: Path, tables: bool) -> None:
    source = written(tmp_path / "foss", fossbilling(), tables=tables)
    done = move(source)
    assert (stops(done), done.applied) == ([], True)
    assert done.reconciliation is not None
    before, after = done.reconciliation.totals()["EUR"]
    assert (before, before.receivables, before.prepaid) == (after, 1210, 750)
    assert {row.service: (row.quantity, str(row.billed_until)) for row in done.book.services} == {
        "o7": (2, "2026-12-01"),  # its unpaid invoice bills November
        "o8": (1, "2026-11-01"),
    }
    [(item,)] = payments.open_items().values()
    assert (item.number, item.kind, done.book.customers[0].name) == ("FOSS00031", ItemKind.BASE, "Lee & Co")


def test_fossbilling_faults(provider: Any, tmp_path: Path) -> None:
    lists = fossbilling()
    lists["balance"].append({"id": 3, "client_id": 1, "amount": "-1.00"})
    lists["orders"][0]["product_id"] = 99
    lists["invoices"][0]["total"] = "13.10"
    lists["orders"][1]["unpaid_invoice_id"] = 999
    lists["invoices"].append({**lists["invoices"][0], "id": 40, "serie_nr": "FOSS00040", "client": {"id": 77}})
    found = stops(move(written(tmp_path / "foss", lists, tables=False)))
    assert sorted(found) == [
        "invoice-missing",
        "item-of-nobody",
        "prepaid-below-zero",
        "total-not-lines",
        "unknown-product",
    ]


EXPORTS = {
    "clients.csv": 'ID,First Name,Last Name,Company Name,Email,Address 1,City,State,Postcode,Country,Phone Number,'
    'Currency,Credit,Status\n1,Ann,Lee,"Lee, Sons &amp; Co",ann@example.com,Kade 1,Gent,,9000,NL,030,EUR,€7.50 EUR,'
    'Active\n',
    "services.csv": "ID,User ID,Product ID,Product/Service,Domain Name,Recurring Amount,Billing Cycle,"
    "Registration Date,Next Due Date,Status\n7,1,1,VPS,a.nl,€5.00 EUR,Monthly,01/02/2025,01/12/2026,Active\n",
    "invoices.csv": "ID,User ID,Invoice Number,Creation Date,Due Date,Subtotal,Credit,Tax,Tax2,Total,Status\n"
    '9,1,,18/10/2026,01/11/2026,"€1,000.00 EUR",0.00,€210.00 EUR,0.00,"€1,210.00 EUR",Unpaid\n'
    "8,1,,18/09/2026,01/10/2026,5.00,0.00,1.05,0.00,6.05,Paid\n",
    "transactions.csv": "ID,User ID,Invoice ID,Date,Amount In,Amount Out\n1,1,9,20/10/2026,€10.00 EUR,0.00\n",
}  # fmt: skip
EXPORT_MAPPING = """
[source]
system = "whmcs"
on = 2026-11-01
[products.1]
plan = "vps"
kind = "vps"
"""


def test_whmcs_exports(provider: Any, tmp_path: Path) -> None:
    folder, mapping = tmp_path / "exports", tmp_path / "exports.toml"
    folder.mkdir()
    mapping.write_text(EXPORT_MAPPING)
    for name, text in EXPORTS.items():
        (folder / name).write_text(text, encoding="utf-8")
    done = move(read_source(folder, mapping))
    assert (stops(done), done.applied) == ([], True)
    [item], [held], [service] = done.book.items, done.book.prepaid, done.book.services
    assert (str(item.gross), str(item.open), str(held.amount)) == ("1210.00 EUR", "1200.00 EUR", "7.50 EUR")
    assert (str(service.billed_until), done.book.customers[0].name) == ("2026-12-01", "Lee, Sons & Co")
    (folder / "transactions.csv").unlink()
    (folder / "services.csv").write_text("ID,User ID\n7,1\n")
    codes = {(one.code, one.where.file) for one in read_source(folder, mapping).findings if one.stops}
    assert codes == {("export-missing", "transactions.csv"), ("bad-csv", "services.csv")}


PLAIN = {
    "accounts.csv": "account,name,kind,country\nacme,Acme BV,business,NL\nbo,Bo Doe,consumer,NL\n",
    "contacts.csv": "account,contact,name,email,roles,may_incur_cost,channels\n"
    "acme,ann,Ann Lee,ann@example.com,billing,yes,email\n",
    "services.csv": "account,service,name,kind,started_on,billed_until,plan\n"
    "acme,vps-1,VPS,vps,2025-02-01,2026-12-01,vps\n",
    "open-items.csv": "account,number,kind,issued_on,due_on,currency,gross,paid,open,tax\n"
    "acme,F-17,base,2026-10-01,2026-10-15,EUR,12.10,2.10,10.00,2.10\n"
    "acme,CN-3,other,2026-10-20,2026-10-20,EUR,-6.05,,-6.05,\n",
    "prepaid.csv": "account,currency,amount\nbo,EUR,25.00\n",
    "mandates.csv": "account,reference,iban,holder,signed_on,scheme,sequence,last_used_on\n"
    "bo,MND-BO,NL91ABNA0417164300,Bo Doe,2025-06-01,core,recurring,2026-10-01\n",
    "number-series.csv": "series,year,last\nbase,2026,1041\ncredit,2026,12\n",
    "clauses.csv": "account,contact,service,charge,agreed_on,highest_paid,currency,text\n"
    "acme,ann,vps-1,out,2025-02-01,18.15,EUR,Overage is billed\n",
}


def test_plain_files(provider: Any, tmp_path: Path) -> None:
    folder, mapping = tmp_path / "plain", tmp_path / "plain.toml"
    folder.mkdir()
    mapping.write_text('[source]\nsystem = "csv"\non = 2026-11-01\n')
    for name, text in PLAIN.items():
        (folder / name).write_text(text)
    done = move(read_source(folder, mapping))
    assert (stops(done), done.applied) == ([], True)
    assert done.fresh == {"customer": 2, "contact": 1, "service": 1, "item": 2, "prepaid": 1, "mandate": 1,
                          "series": 2, "clause": 1}  # fmt: skip
    again = move(read_source(folder, mapping))
    assert (again.applied, sum(again.fresh.values()), again.differences) == (True, 0, ())
    for name, old, new, code in (
        ("open-items.csv", "10.00,2.10", "9.00,2.10", "open-differs"),
        ("open-items.csv", "EUR,12.10", "EUX,12.10", "unknown-currency"),
        ("services.csv", "2026-12-01,vps", ",vps", "billed-until-unknown"),
        ("contacts.csv", "yes", "no", "clause-without-contact"),
        ("accounts.csv", "business", "busines", "bad-cell"),
        ("mandates.csv", "core", "cor", "bad-cell"),
        ("prepaid.csv", "account,currency", "acount,currency", "bad-csv"),
        ("prepaid.csv", "25.00", '"25.00', "bad-csv"),
        ("number-series.csv", "1041", "many", "bad-cell"),
    ):
        assert old in PLAIN[name]
        (folder / name).write_text(PLAIN[name].replace(old, new, 1))
        source = read_source(folder, mapping)
        assert source.book is not None
        found = {one.where.file for one in move(source, apply=False).findings if one.code == code and one.stops}
        assert ("clauses.csv" if code == "clause-without-contact" else name) in found, (name, code, found)
        (folder / name).write_text(PLAIN[name])


def test_a_customer_of_plain_files_stays_behind_whole(provider: Any, tmp_path: Path) -> None:
    folder, mapping = tmp_path / "plain", tmp_path / "plain.toml"
    folder.mkdir()
    mapping.write_text('[source]\nsystem = "csv"\non = 2026-11-01\n[leave_out]\n"customer/acme" = "closed"\n')
    for name, text in PLAIN.items():
        (folder / name).write_text(text)
    done = move(read_source(folder, mapping))
    assert (stops(done), done.applied) == ([], True)
    assert [row.account for row in done.book.customers] == ["bo"]
    assert (done.book.items, done.book.services, done.book.contacts, done.book.clauses) == ((), (), (), ())
    assert len(done.book.left_out) == 6
