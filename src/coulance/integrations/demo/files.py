"""The made-up provider's customers as the CSV files that a real provider would import: the demo reads them back."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from stdnum import luhn
from stdnum.iso7064 import mod_11_10

from coulance.integrations.demo.feed import METER, series_key
from coulance.integrations.demo.fleet import DemoAccount, DemoService, Fleet

_KIND = {
    "vps": "vps",
    "fleet": "vps",
    "colo": "colo",
    "mgmt": "colo",
    "objects": "storage",
    "mail": "mail",
    "seats": "other",
    "web": "web",
    "shop": "web",
    "managed": "managed",
}


def write_files(fleet: Fleet, folder: Path) -> list[Path]:
    """Write accounts, contacts, services and series into `folder`; returns the files, in order."""
    folder.mkdir(parents=True, exist_ok=True)
    tables: dict[str, Iterable[Mapping[str, object]]] = {
        "accounts": (_account(account) for account in fleet.accounts),
        "contacts": (_contact(account) for account in fleet.accounts),
        "services": (_service(service) for service in fleet.services),
        "series": (
            _series(service)
            for service in fleet.services
            if service.kind in METER and service.incident != "unknown series"
        ),
    }
    return [_write(folder / f"{name}.csv", list(rows)) for name, rows in tables.items()]


def unknown_series(fleet: Fleet) -> list[tuple[str, str, str]]:
    """(series, service, meter) of those that the files leave out: collectors send them before anybody knows them."""
    return [(series_key(s), s.external_id, METER[s.kind]) for s in fleet.services if s.incident == "unknown series"]


def _write(path: Path, rows: Sequence[Mapping[str, object]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def _account(account: DemoAccount) -> dict[str, object]:
    street = f"Voorbeeldstraat {int(account.external_id[1:]) % 240 + 1}"
    return {
        "account": account.external_id,
        "name": account.name,
        "kind": account.kind,
        "country": account.country,
        "vat_id": _vat_id(account),
        "address": f"{street}|{account.postcode} {account.city}",
        "language": account.language,
        "billing_day": account.billing_day,
    }


def _contact(account: DemoAccount) -> dict[str, object]:
    return {
        "account": account.external_id,
        "contact": "billing",
        "name": account.contact,
        "email": account.email,
        "roles": "owner billing",
        "may_incur_cost": "yes",
        "channels": "email",
    }


def _service(service: DemoService) -> dict[str, object]:
    return {
        "account": service.account,
        "service": service.external_id,
        "name": service.name,
        "kind": _KIND[service.kind],
        "started_on": service.plans[0][2].isoformat(),
        "plan": service.plans[0][0],
        "quantity": service.plans[0][1],
    }


def _series(service: DemoService) -> dict[str, object]:
    return {"service": service.external_id, "series": series_key(service), "meter": METER[service.kind]}


def _vat_id(account: DemoAccount) -> str:
    """A number with valid check digits for businesses abroad in the EU, whose VAT is reverse-charged; else none."""
    serial = int(account.external_id[1:])
    if account.kind != "business":
        return ""
    match account.country:
        case "BE":
            body = f"0{serial:07d}"
            return f"BE{body}{97 - int(body) % 97:02d}"
        case "DE":
            body = f"9{serial:07d}"
            return f"DE{body}{mod_11_10.calc_check_digit(body)}"
        case "FR":
            body = f"9{serial:07d}"
            siren = body + luhn.calc_check_digit(body)
            return f"FR{(12 + 3 * (int(siren) % 97)) % 97:02d}{siren}"
    return ""
