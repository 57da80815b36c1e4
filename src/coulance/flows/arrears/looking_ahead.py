"""What happens to whom in the days to come, by the very judgement that will run then."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from coulance.arrears import queries as records
from coulance.flows.arrears.facts import accounts_owing, read, settings
from coulance.flows.arrears.standing import Coming, coming

CHUNK = 200


@dataclass(frozen=True, slots=True)
class AccountComing:
    """Something to come, for an account (external id)."""

    account: str
    account_id: int
    coming: Coming


def look_ahead(
    *, at: datetime, days: int, accounts: Iterable[int] | None = None, approved: bool = False, language: str = "en"
) -> list[AccountComing]:
    """The acts and waits of the next `days`, by day and account. Writes nothing.

    It supposes that nobody pays or speaks, that notices arrive and backups succeed; with `approved`, that people say
    yes to whatever wants it.
    """
    terms = settings()
    wanted = set(accounts) if accounts is not None else set(records.accounts_in_arrears())
    if accounts is None and terms is not None:
        wanted |= set(accounts_owing())
    todo = sorted(wanted)
    out = []
    for start in range(0, len(todo), CHUNK):
        for one in read(todo[start : start + CHUNK], at=at, terms=terms).values():
            out += [
                AccountComing(one.account.external_id, one.account.id, item)
                for item in coming(one, at, days=days, language=language, approved=approved)
            ]
    return sorted(out, key=lambda row: (row.coming.on, row.account, row.coming.step, row.coming.service))
