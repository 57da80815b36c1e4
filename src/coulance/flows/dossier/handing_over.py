"""What a collector or a mediator gets: a zip of the claim as tables and e-invoices, with the dossier in it.

For collection: `claims.csv` (a row a debt, as collectors' systems read it), each open invoice as UBL, the dossier. For
mediation likewise, with what is contested rather than what isn't: `contested.csv`, a row a case and line.
"""

import hashlib
import io
import json
import zipfile
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from coulance.flows.dossier.claims import Claim
from coulance.flows.dossier.gathering import Part, table
from coulance.flows.dossier.making import Dossier, UnableToMakeDossierError, make_dossier


class To(StrEnum):
    """Whom a package is for."""

    COLLECTION = "collection"
    MEDIATION = "mediation"


@dataclass(frozen=True, slots=True)
class Package:
    """A package that was made: the zip, and the dossier in it."""

    content: bytes
    dossier: Dossier
    names: tuple[str, ...]


def package(
    *, account: str, to: To, numbers: Collection[str] = (), language: str = "", actor: str, reason: str, at: datetime
) -> Package:
    """The package of a claim. The same facts at the same instant give the same bytes.

    Raises what `make_dossier` raises, and `UnableToMakeDossierError` for mediation where nothing was ever contested.
    """
    made = make_dossier(account=account, numbers=numbers, language=language, actor=actor, reason=reason, at=at)
    files: dict[str, bytes] = {"claims.csv": _claims(made.claim).encode()}
    if to is To.MEDIATION:
        cases = _part(made, "disputes.json")
        found = json.loads(cases.text)["cases"]
        if not found:
            raise UnableToMakeDossierError(f"{account}: nothing of it was ever contested: nothing to mediate")
        files["contested.csv"] = _contested(found).encode()
    for one in made.parts:
        if one.name.startswith("ubl-"):
            files[f"invoices/{one.name.removeprefix('ubl-')}"] = one.data
    files["dossier.pdf"] = made.pdf
    files["check.py"] = _part(made, "check.py").data
    held = {
        "schema": "coulance.package/1",
        "to": to.value,
        "made_at": at.isoformat(),
        "seal": made.seal,
        "files": [
            {"name": name, "sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
            for name, data in files.items()
        ],
    }
    files["manifest.json"] = json.dumps(held, indent=1).encode()
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in files.items():
            info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            info.compress_type = zipfile.ZIP_DEFLATED
            file.writestr(info, data)
    return Package(out.getvalue(), made, tuple(files))


def _part(made: Dossier, name: str) -> Part:
    return next(one for one in made.parts if one.name == name)


def _claims(claim: Claim) -> str:
    """A row a debt. Collection costs are of the whole claim: on its first row."""
    account = claim.account
    head = (
        "debtor,debtor_kind,name,address,country,vat_id,invoice,kind,issued_on,due_on,currency,gross,paid,contested,"
        "principal,interest_until,interest,costs,law"
    ).split(",")
    rows = []
    for n, one in enumerate(claim.debts):
        rows.append(
            [
                account.external_id,
                account.kind,
                account.name,
                ", ".join(account.address),
                account.country,
                account.vat_id,
                one.item.number,
                one.item.kind.value,
                one.item.issued_on.isoformat(),
                one.item.due_on.isoformat(),
                claim.currency,
                one.item.gross.decimal(),
                (one.item.gross - one.item.open).decimal(),
                one.disputed.decimal(),
                one.claimed.decimal(),
                claim.on.isoformat(),
                one.interest_claimed.decimal(),
                claim.costs_claimed.decimal() if n == 0 else "",
                claim.law.version if claim.law else "",
            ]
        )
    return table(head, rows)


def _contested(cases: list[dict[str, object]]) -> str:
    head = ["case", "invoice", "line", "contested_net", "held", "state", "opened_at", "reason"]
    rows = [
        [str(case["id"]), str(case["number"]), str(line["line"]), str(line["net"]), str(case["held"]),
         str(case["state"]), str(case["opened_at"]), str(case["reason"])]
        for case in cases
        for line in case["lines"]  # type: ignore[attr-defined]
    ]  # fmt: skip
    return table(head, rows)
