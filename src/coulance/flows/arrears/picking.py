"""Which accounts a night reads: those whose time has come, by their own last judgement, and those a fact of changed.

Everybody is read on the first night, once a week, and when the provider's table changed. Whoever is restricted is read
every night. All of it is columns until the few are picked: no account costs a Python object before that.
"""

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime, timedelta

from coulance.arrears import nights
from coulance.arrears import queries as records
from coulance.arrears.provider_table import Settings
from coulance.catalog import queries as catalogs
from coulance.disputes import touched as disputes
from coulance.invoicing import touched as documents
from coulance.notices import touched as sent
from coulance.payments import columns as payments

OVERLAP = timedelta(hours=2)
"""Facts of transactions that were still open when the last night began are looked for once more."""
WHOLE_EVERY = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Picked:
    """Whom a night reads, of how many that owe anything; `whole`: everybody."""

    accounts: list[int]
    owing: int
    whole: bool


def digest_of_table() -> str:
    """Of the provider's table for arrears: another one is a fact that changed for everybody."""
    text = json.dumps(catalogs.table("arrears") or {}, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def pick(terms: Settings, *, at: datetime) -> Picked:
    """Whom to read at an instant."""
    import numpy as np

    from coulance_core.arrears.ageing import candidates, first_days

    owes = payments.open_columns()
    owing = np.unique(owes["account"])
    last, whole = nights.last_night(), nights.last_whole()
    if last is None or whole is None or at - whole.started_at >= WHOLE_EVERY or last.digest != digest_of_table():
        everybody = set(owing.tolist()) | set(records.accounts_in_arrears())
        return Picked(sorted(everybody), len(owing), whole=True)
    known = nights.looked()
    since = last.started_at - OVERLAP
    moved = {*payments.accounts_between(since, at), *documents.accounts_between(since, at)}
    moved |= {*sent.accounts_between(since, at), *disputes.accounts_between(since, at)}
    # Who owes nothing and has no case has nothing that could be done.
    concerned = moved & (set(owing.tolist()) | set(records.accounts_in_arrears(moved)))
    touched = {*concerned, *nights.restricted(), *nights.awake(at=at)}
    found = candidates(
        owes["account"],
        owes["open"],
        owes["due"],
        judged=known["account"],
        wake=known["wake"].astype("datetime64[s]"),
        touched=np.array(sorted(touched), np.int64),
        at=at,
        first=first_days(terms.policies),
    )
    mine = np.isin(found, owing) | np.isin(found, np.array(sorted(touched), np.int64))
    return Picked(found[mine].tolist(), len(owing), whole=False)


def pick_of_hour(*, at: datetime, since: datetime) -> list[int]:
    """Of those with an open case: whose time has come, and of whose mail, money or dispute something became known."""
    moved = {*payments.accounts_between(since, at), *sent.accounts_between(since, at)}
    moved |= set(disputes.accounts_between(since, at))
    return sorted({*nights.awake(at=at), *records.accounts_in_arrears(moved)})
