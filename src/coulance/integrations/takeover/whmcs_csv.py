"""WHMCS's CSV exports (Reports, Exports): Clients, Services, Invoices, Transactions, as the API would have told them.

Columns are known by their headings, in any order; those nobody needs are passed over. Exports tell no lines of
invoices, no credit log and no contacts: what they lack is said.
"""

from collections.abc import Sequence
from pathlib import Path

from coulance.integrations.takeover.gathering import Gathered, csv_of
from coulance.integrations.takeover.whmcs_answers import Answers, Placed
from coulance_core.taking_over import Where

_CLIENTS = {
    "id": "id", "client id": "id", "first name": "firstname", "last name": "lastname", "company name": "companyname",
    "company": "companyname", "email": "email", "email address": "email", "address 1": "address1",
    "address 2": "address2", "city": "city", "state": "state", "state/region": "state", "postcode": "postcode",
    "zip": "postcode", "country": "country", "phone number": "phonenumber", "phone": "phonenumber",
    "currency": "currency_code", "credit": "credit", "credit balance": "credit", "status": "status",
    "language": "language", "tax id": "tax_id", "tax exempt": "taxexempt",
}  # fmt: skip
_SERVICES = {
    "id": "id", "service id": "id", "user id": "clientid", "client id": "clientid", "product id": "pid",
    "product/service": "name", "product": "name", "product name": "name", "domain": "domain", "domain name": "domain",
    "recurring amount": "recurringamount", "billing cycle": "billingcycle", "next due date": "nextduedate",
    "registration date": "regdate", "signup date": "regdate", "status": "status", "quantity": "qty",
}  # fmt: skip
_INVOICES = {
    "id": "id", "invoice id": "id", "user id": "userid", "client id": "userid", "invoice number": "invoicenum",
    "invoice num": "invoicenum", "creation date": "date", "invoice date": "date", "date created": "date",
    "due date": "duedate", "date paid": "datepaid", "subtotal": "subtotal", "credit": "credit", "tax": "tax",
    "tax2": "tax2", "tax 2": "tax2", "total": "total", "balance": "balance", "tax rate": "taxrate", "status": "status",
    "currency": "currencycode",
}  # fmt: skip
_TRANSACTIONS = {
    "id": "id", "transaction id": "transid", "user id": "userid", "client id": "userid", "invoice id": "invoiceid",
    "date": "date", "amount in": "amountin", "amount out": "amountout", "currency": "currency",
}  # fmt: skip
_ADDONS = {
    "id": "id", "addon id": "addonid", "user id": "userid", "client id": "userid", "service id": "serviceid",
    "name": "name", "addon name": "name", "recurring": "recurring", "recurring amount": "recurring",
    "billing cycle": "billingcycle", "status": "status", "registration date": "regdate", "next due date": "nextduedate",
}  # fmt: skip
_DOMAINS = {
    "id": "id", "domain id": "id", "user id": "userid", "client id": "userid", "domain name": "domainname",
    "domain": "domainname", "registration period": "regperiod", "period": "regperiod",
    "recurring amount": "recurringamount", "registration date": "regdate", "next due date": "nextduedate",
    "expiry date": "expirydate", "status": "status", "do not renew": "donotrenew", "promotion id": "promoid",
}  # fmt: skip
_OPTIONAL = {"addons": _ADDONS, "domains": _DOMAINS}
KINDS = {"clients": _CLIENTS, "services": _SERVICES, "invoices": _INVOICES, "transactions": _TRANSACTIONS}
KINDS |= _OPTIONAL
_NEEDED = {
    "addons": ("id", "addonid", "userid", "regdate", "billingcycle", "nextduedate", "status"),
    "domains": ("id", "userid", "domainname", "regperiod", "regdate", "nextduedate", "status"),
    "clients": ("id", "country", "currency_code"),
    "services": ("id", "clientid", "regdate", "billingcycle", "nextduedate", "status"),
    "invoices": ("id", "userid", "date", "subtotal", "total", "status"),
    "transactions": ("invoiceid", "amountin", "amountout"),
}


def read_exports(paths: Sequence[Path], gathered: Gathered) -> Answers:
    """Gather the exports of these files, told by their names (`clients.csv`)."""
    out = Answers()
    here = {path.name.lower().rsplit(".", 1)[0] for path in paths}
    for missing in sorted(KINDS.keys() - _OPTIONAL.keys() - here):
        expected = f"{missing}.csv, exported there"
        gathered.find("export-missing", Where(f"{missing}.csv"), "the export is not there", expected)
    for path in paths:
        kind = path.name.lower().rsplit(".", 1)[0]
        names = KINDS[kind]
        places = {"clients": out.clients, "services": out.products, "invoices": out.listed, "addons": out.addons,
                  "domains": out.domains}  # fmt: skip
        rows = places.get(kind, out.transactions)
        told = False
        for line, cells in csv_of(path, gathered):
            record: dict[str, str] = {}
            for heading, cell in cells.items():
                if heading in names:
                    record.setdefault(names[heading], cell)
            missing_columns = [name for name in _NEEDED[kind] if name not in record]
            if missing_columns:
                if not told:
                    wanted = [heading for heading, name in names.items() if name == missing_columns[0]]
                    found = f"no column for {missing_columns[0]}"
                    gathered.find("bad-csv", Where(path.name, 1), found, " or ".join(wanted))
                told = True
                continue
            if kind == "services":
                record.setdefault("pid", record.get("name", ""))
            rows.append(Placed(Where(path.name, line, f"{kind[:-1]} {record.get('id', '')}".strip()), record))
    return out
