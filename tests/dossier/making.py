"""Dossiers of the customer acme."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from coulance.flows.dossier.making import Dossier, make_dossier

AT = datetime(2026, 9, 20, 12, tzinfo=UTC)


def made(**more: Any) -> Dossier:
    """The dossier of everything that is owed."""
    given: dict[str, Any] = {"actor": "operator:anna", "reason": "their lawyer asked", "at": AT, **more}
    return make_dossier(account="acme", **given)


def parts_of(dossier: Dossier) -> Mapping[str, bytes]:
    """Its parts by name."""
    return {one.name: one.data for one in dossier.parts}
