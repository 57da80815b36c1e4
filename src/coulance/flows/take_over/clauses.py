"""Clauses on overage that were agreed to before, as provisional limits: to be confirmed, or they lapse."""

from collections.abc import Sequence
from datetime import datetime

from coulance.customers import queries as customers
from coulance.overage import operations as overage
from coulance.services import queries as services
from coulance_core.overage.terms import Limit
from coulance_core.taking_over import TakenClause


def take_over_clauses(*, clauses: Sequence[TakenClause], actor: str, reason: str, at: datetime) -> int:
    """Take clauses over, in the caller's transaction; how many were. Raises `UnableToConsentError`.

    A limit that the customer gave here by their own word since stays, and the clause is passed over.
    """
    accounts = customers.accounts_by_external_id({clause.account for clause in clauses})
    run = services.services_by_external_id({clause.service for clause in clauses if clause.service})
    taken = 0
    for clause in clauses:
        given = overage.take_over_consent(
            new=overage.NewConsent(
                account=accounts[clause.account].id,
                contact=clause.contact,
                scope=overage.Scope(service=run[clause.service].id if clause.service else None, charge=clause.charge),
                limit=Limit(clause.limit, None, "amount"),
                unit="",
                shown=overage.Shown(f"agreed {clause.agreed_on.isoformat()}", "", clause.text),
                how="import",
                came_from=clause.key,
            ),
            source_key=clause.key,
            at=at,
            actor=actor,
            reason=reason,
        )
        taken += given is not None and given.new
    return taken
