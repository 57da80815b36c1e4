"""Making a dossier: gather, seal, print; and leave a trace of who made it and why."""

import hashlib
import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from django.db import connection, transaction

from coulance.catalog import queries as catalogs
from coulance.customers import queries as customers
from coulance.flows.dossier.claims import Claim, UnableToMakeDossierError, claim_of
from coulance.flows.dossier.gathering import Gathered, Part, gather, manifest_of
from coulance.flows.dossier.printing import printed
from coulance.flows.dossier.view import TABLE, view
from coulance.platform import audit

__all__ = ["Dossier", "UnableToMakeDossierError", "make_dossier"]


@dataclass(frozen=True, slots=True)
class Dossier:
    """A dossier that was made: its pages with the parts attached, the parts themselves, and the seal."""

    claim: Claim
    pdf: bytes
    parts: tuple[Part, ...]
    seal: str


def make_dossier(
    *, account: str, numbers: Collection[str] = (), language: str = "", actor: str, reason: str, at: datetime
) -> Dossier:
    """The dossier of a claim on an account (its external id), in its language unless another is asked for.

    `numbers`: the debts; none named, all that is open. All is read as it stood at one moment. Recorded with the seal:
    who made it, when and why. Raises `UnableToMakeDossierError`, and `UnableToFindAccountError` (customers).
    """
    if not reason.strip():
        raise UnableToMakeDossierError("say why it is made: it holds a person's debts and what was written to them")
    with transaction.atomic():
        if connection.get_autocommit() is False and not connection.savepoint_ids:
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        row = customers.account(account)
        claim = claim_of(account=row, numbers=numbers, at=at)
        gathered = gather(claim, at=at)
        made = _made(gathered, language=language or row.language, at=at)
        audit.record(
            actor=actor,
            act="dossier.made",
            subject=f"account:{account}",
            at=at,
            reason=reason,
            detail={"debts": [one.item.number for one in claim.debts], "seal": made.seal, "claim": str(claim.total)},
        )
    return made


def _made(gathered: Gathered, *, language: str, at: datetime) -> Dossier:
    seller = catalogs.catalog().provider
    manifest = manifest_of(gathered, creditor=seller.name, language=language, at=at)
    parts = (manifest, *gathered.parts)
    seal = str(json.loads(manifest.text)["seal"])
    hashes = {one.name: hashlib.sha256(one.data).hexdigest() for one in parts}
    shown = view(gathered, parts=parts, hashes=hashes, seal=seal, seller=seller, language=language)
    about = TABLE.get(shown["lang"]) or TABLE["en"]
    return Dossier(gathered.claim, printed(shown, parts=parts, about=about, at=at), parts, seal)
