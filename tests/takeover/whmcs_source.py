"""A made-up WHMCS, answering as the real one does: forty customers, every state that things can be in, and their files.

Shapes vary as versions do: ids as numbers and texts, lists under their singular, alone, or as an empty text, details
with and without a `client`, keys written as paths. Faults are planted by changing the records before they are written.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ON = "2026-11-01"
MAPPING = """
[source]
system = "whmcs"
on = 2026-11-01
taxes = "exclusive"
dates = "DD/MM/YYYY"
account = "w{id}"
service = "s{id}"

[products.1]
name = "VPS S"
plan = "vps"
kind = "vps"
cycles = { Annually = "domain" }

[products.2]
name = "VPS XL"
plan = "vps-xl"
kind = "vps"

[products.3]
name = "Domain"
plan = "domain"
kind = "web"
cycles = { Annually = "domain", "Free Account" = "" }

[addons.2]
plan = "vps"
kind = "other"

[domains.nl]
plan = "domain"
kind = "web"

[domains."co.uk"]
plan = "domain"
kind = "web"

[lines]
overage = ["*bandwidth overage*"]

[leave_out]
"customer/40" = "a test account of ours"
"""
MANDATES = """account,reference,iban,holder,signed_on,scheme,sequence
w2,MND-2,NL91 ABNA 0417 1643 00,Test BV,2024-03-01,core,recurring
"""
CLAUSES = """account,service,agreed_on,text,disputed
w3,s3,2024-01-15,Overage at the listed price,
w4,,2024-02-01,Overage,5004
"""

Record = dict[str, Any]


@dataclass
class Whmcs:
    """The records of one installation, to be changed and written."""

    clients: list[Record] = field(default_factory=list)
    contacts: list[Record] = field(default_factory=list)
    products: list[Record] = field(default_factory=list)
    invoices: list[Record] = field(default_factory=list)
    credits: dict[str, list[Record]] = field(default_factory=dict)
    addons: list[Record] = field(default_factory=list)
    domains: list[Record] = field(default_factory=list)
    promotions: list[Record] = field(default_factory=list)
    groups: list[Record] = field(default_factory=list)
    texts: dict[str, str] = field(default_factory=dict)
    mapping: str = MAPPING
    page: int = 25
    damage: list[Callable[[Path], None]] = field(default_factory=list)

    def client(self, key: int) -> Record:
        return next(one for one in self.clients if str(one["id"]) == str(key))

    def invoice(self, key: int) -> Record:
        return next(one for one in self.invoices if str(one["invoiceid"]) == str(key))

    def product(self, key: int) -> Record:
        return next(one for one in self.products if str(one["id"]) == str(key))

    def write(self, folder: Path) -> tuple[Path, Path]:
        """Write the answers; the folder and the mapping."""
        folder.mkdir(parents=True, exist_ok=True)

        def put(name: str, value: Any) -> None:
            (folder / f"{name}.json").write_text(json.dumps(value), encoding="utf-8")

        put(
            "currencies",
            {
                "result": "success",
                "totalresults": "1",
                "currencies": {
                    "currency": [
                        {"id": 1, "code": "EUR", "prefix": "€", "suffix": " EUR", "format": 1, "rate": "1.00000"}
                    ]
                },
            },
        )
        short = ("id", "firstname", "lastname", "companyname", "email", "datecreated", "groupid", "status")
        for number, start in enumerate(range(0, len(self.clients), self.page), 1):
            rows = self.clients[start : start + self.page]
            value = {"result": "success", "totalresults": str(len(self.clients)), "startnumber": start,
                     "numreturned": len(rows)}  # fmt: skip
            if number == 1:  # as older documentation shows answers
                for i, row in enumerate(rows):
                    value |= {f"clients[client][{i}][{key}]": row.get(key, "") for key in short}
            else:
                value["clients"] = {"client": [{key: row.get(key, "") for key in short} for row in rows]}
            put(f"clients-{number}", value)
        for row in {str(row["id"]): row for row in self.clients if not row.get("_nodetails")}.values():
            detail = {key: value for key, value in row.items() if not key.startswith("_")}
            odd = int(row["id"]) % 2
            put(
                f"client-{row['id']}",
                {"result": "success", "client": detail}
                if odd
                else {"result": "success", "userid": row["id"], **detail},
            )
        put(
            "contacts",
            {
                "result": "success",
                "totalresults": len(self.contacts),
                "startnumber": 0,
                "numreturned": len(self.contacts),
                "contacts": {"contact": self.contacts},
            },
        )
        put(
            "products",
            {
                "result": "success",
                "clientid": None,
                "serviceid": None,
                "totalresults": str(len(self.products)),
                "startnumber": 0,
                "numreturned": len(self.products),
                "products": {"product": self.products},
            },
        )
        for singular in ("addon", "domain", "promotion", "group"):
            plural, rows = f"{singular}s", getattr(self, f"{singular}s")
            if rows:
                put(plural, {"result": "success", "totalresults": str(len(rows)), plural: {singular: rows}})
        listed = [
            {
                **{
                    key: value
                    for key, value in row.items()
                    if key not in ("items", "transactions", "balance", "invoiceid", "result")
                },
                "id": row["invoiceid"],
                "currencycode": row.get("_code", "EUR"),
                "currencyprefix": "€",
                "currencysuffix": " EUR",
            }
            for row in self.invoices
        ]
        put(
            "invoices",
            {
                "result": "success",
                "totalresults": len(listed),
                "startnumber": 0,
                "numreturned": len(listed),
                "invoices": {"invoice": listed},
            },
        )
        for row in self.invoices:
            if row["status"] not in ("Draft", "Cancelled"):
                put(f"invoice-{row['invoiceid']}", {k: v for k, v in row.items() if not k.startswith("_")})
        for key, rows in self.credits.items():
            put(
                f"credits-{key}",
                {"result": "success", "totalresults": len(rows), "clientid": int(key), "credits": {"credit": rows}},
            )
        put(
            "paymethods-5",
            {
                "result": "success",
                "clientid": "5",
                "paymethods": [
                    {
                        "id": 4,
                        "type": "RemoteBankAccount",
                        "description": "A Remote Bank Account",
                        "gateway_name": "gocardless",
                        "contact_type": "Client",
                        "contact_id": 5,
                        "bank_name": "",
                        "remote_token": "MD1",
                    }
                ],
            },
        )
        for name, text in {"mandates.csv": MANDATES, "clauses.csv": CLAUSES, **self.texts}.items():
            (folder / name).write_text(text, encoding="utf-8")
        for hurt in self.damage:
            hurt(folder)
        mapping = folder.with_suffix(".toml")
        mapping.write_text(self.mapping, encoding="utf-8")
        return folder, mapping


def client(key: int, **given: Any) -> Record:
    return {
        "id": key if key % 3 else str(key),
        "firstname": "Jan", "lastname": f"Client {key}",
        "companyname": f"Firma {key} BV" if key % 2 else "",
        "email": f"client{key}@example.com", "datecreated": "2022-01-01", "groupid": 0, "status": "Active",
        "address1": f"Straat {key}", "address2": "", "city": "Utrecht", "state": "Utrecht", "postcode": "3511 AA",
        "countrycode": "NL", "country": "NL", "phonenumber": "0301234567", "phonenumberformatted": "+31.301234567",
        "currency": 1, "currency_code": "EUR", "credit": "0.00", "taxexempt": "", "language": "dutch", "tax_id": "",
        **given,
    }  # fmt: skip


def product(key: int, owner: int, pid: int = 1, **given: Any) -> Record:
    return {
        "id": str(key), "qty": "1", "clientid": owner, "orderid": key, "pid": pid, "regdate": "2025-02-03",
        "name": {1: "VPS S", 2: "VPS XL"}.get(pid, "Domain"), "translated_name": "", "domain": f"host{key}.example.net",
        "recurringamount": "5.00", "billingcycle": "Monthly", "nextduedate": "2026-11-01", "status": "Active",
        "overidesuspenduntil": "0000-00-00", "customfields": {"customfield": []}, "configoptions": {"configoption": []},
        **given,
    }  # fmt: skip


def addon(key: int, owner: int, service: int, **given: Any) -> Record:
    return {
        "id": str(key), "userid": str(owner), "orderid": str(key), "serviceid": str(service), "addonid": "2",
        "name": "Backups", "setupfee": "0.00", "recurring": "5.00", "billingcycle": "Monthly", "tax": "on",
        "status": "Active", "regdate": "2025-03-01", "nextduedate": "2026-11-01", "nextinvoicedate": "2026-11-01",
        "paymentmethod": "banktransfer", "notes": "", **given,
    }  # fmt: skip


def domain(key: int, owner: int, name: str, **given: Any) -> Record:
    return {
        "id": str(key), "userid": str(owner), "orderid": str(key), "regtype": "Register", "domainname": name,
        "registrar": "sidn", "regperiod": "1", "firstpaymentamount": "9.00", "recurringamount": "12.00",
        "paymentmethod": "banktransfer", "paymentmethodname": "Bank Transfer", "regdate": "2024-12-15",
        "expirydate": "2026-12-15", "nextduedate": "2026-12-15", "status": "Active", "subscriptionid": "",
        "promoid": "0", "dnsmanagement": "0", "emailforwarding": "0", "idprotection": "0", "donotrenew": "0",
        "notes": "", **given,
    }  # fmt: skip


def line(amount: str, text: str, kind: str = "Hosting", relid: int = 0) -> Record:
    return {"id": 1, "type": kind, "relid": relid, "description": text, "amount": amount, "taxed": 1}


def invoice(key: int, owner: int, subtotal: str, lines: list[Record] | None = None, **given: Any) -> Record:
    """An invoice with 21 % on top; `paid` and `credit` as given."""
    net = round(float(subtotal) * 100)
    tax = round(net * 21 / 100)
    credit, paid = (round(float(given.pop(name, "0")) * 100) for name in ("credit", "paid"))
    total = net + tax - credit
    found = lines if lines is not None else [line(subtotal, "VPS", "Item")]
    status = given.get("status", "Unpaid")
    settled = status in ("Paid", "Refunded")
    come = total if settled else paid
    return {
        "result": "success", "invoiceid": key, "invoicenum": "", "userid": owner, "date": "2026-10-18",
        "duedate": "2026-11-01", "datepaid": "0000-00-00 00:00:00",
        "subtotal": _text(net), "credit": _text(credit), "tax": _text(tax), "tax2": "0.00", "total": _text(total),
        "balance": _text(total - come), "taxrate": "21.00", "taxrate2": "0.00", "status": status,
        "paymentmethod": "banktransfer", "items": {"item": found},
        "transactions": {"transaction": [{"id": key, "amountin": _text(come), "amountout": "0.00"}]} if come else "",
        **given,
    }  # fmt: skip


def _text(cents: int) -> str:
    return f"{'-' if cents < 0 else ''}{abs(cents) // 100}.{abs(cents) % 100:02d}"


def made_up() -> Whmcs:
    """Sound, and with all that occurs."""
    there = Whmcs(clients=[client(key) for key in range(1, 41)])
    there.client(1)["companyname"] = "Bakker &amp; Zn&#039;s"
    there.client(7).update(credit="12.50", companyname='=HYPERLINK("x")')
    there.credits["7"] = [{"id": 1, "date": "2026-01-01", "description": "Added", "amount": "20.00", "relid": 0},
                          {"id": 2, "date": "2026-02-01", "description": "Applied", "amount": "-7.50"}]  # fmt: skip
    there.client(8)["taxexempt"] = "on"
    there.contacts = [
        {"id": 1, "userid": "1", "firstname": "An", "lastname": "Boek", "email": "boek@example.com",
         "phonenumber": "", "invoiceemails": "1", "productemails": 0, "supportemails": "1"},
        {"id": "2", "userid": 2, "firstname": "Tom", "lastname": "Techniek", "email": "tech@example.com",
         "phonenumber": "", "invoiceemails": False, "productemails": "1"},
    ]  # fmt: skip
    there.products = [
        product(1, 1),  # due on the 1st, nothing billed yet
        product(2, 2, nextduedate="2026-11-01"),  # an unpaid invoice bills November
        product(3, 3, nextduedate="2026-12-01"),  # November is paid
        product(4, 4, pid=2, nextduedate="2026-11-16", recurringamount="31.00"),  # prorata, due in mid-month
        product(5, 5, pid=3, recurringamount="12.00", billingcycle="Annually", nextduedate="2027-03-01",
                regdate="2025-03-01", domain="a.nl"),
        product(6, 6, status="Suspended", nextduedate="2026-10-01"),  # two invoices unpaid: October and November
        product(7, 7, pid=3, billingcycle="Free Account", nextduedate="0000-00-00"),
        product(8, 8, billingcycle="One Time", nextduedate="0000-00-00"),
        product(9, 9, status="Terminated"), product(10, 10, status="Cancelled"), product(11, 11, status="Fraud"),
        product(12, 12, qty=3, recurringamount="15.00"), product(13, 40),
    ]  # fmt: skip
    there.invoices = [
        invoice(5001, 2, "5.00", [line("5.00", "VPS (01/11/2026 - 30/11/2026)", relid=2)]),
        invoice(5002, 6, "5.00", [line("5.00", "VPS (01/10/2026 - 31/10/2026)", relid=6)], date="2026-09-18",
                duedate="2026-10-01", status="Collections"),
        invoice(5003, 6, "5.00", [line("5.00", "VPS (01/11/2026 - 30/11/2026)", relid=6)], paid="1.05"),
        invoice(5004, 4, "9.00", [line("9.00", "Bandwidth overage 90 GB", "Item")], status="Paid", date="2026-06-30"),
        invoice(5005, 4, "4.00", [line("4.00", "Bandwidth Overage 40 GB", "Item")], status="Paid", date="2026-07-31"),
        invoice(5006, 3, "7.00", [line("7.00", "Bandwidth overage 70 GB", "Item")], status="Paid", date="2026-05-31"),
        invoice(5007, 3, "99.00", [line("99.00", "Bandwidth overage", "Item")], status="Paid", date="2024-05-31"),
        invoice(5008, 7, "10.00", [line("10.00", "Setup", "Setup")], credit="2.10"),
        invoice(5009, 8, "20.00", status="Draft"), invoice(5010, 8, "20.00", status="Cancelled"),
        invoice(5011, 8, "20.00", status="Refunded"), invoice(5012, 8, "30.00", status="Payment Pending"),
        invoice(5013, 6, "10.00", [line("6.05", "Invoice #5002", "Invoice", 5002), line("3.95", "Invoice #5003",
                "Invoice", 5003)]),
        invoice(5014, 9, "50.00", [line("50.00", "Add Funds", "AddFunds")]),
        invoice(5015, 3, "-2.00", [line("-2.00", "Credit for October", "Item")]),
        invoice(5016, 4, "3.00", [line("3.00", "Bandwidth overage 30 GB", "Item")], invoicenum="OV-77"),
        invoice(5017, 40, "1.00"),
        *(invoice(5100 + key, key, f"{key}.00") for key in range(13, 40)),
    ]  # fmt: skip
    return there
