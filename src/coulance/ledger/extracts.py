"""An account's books as others may check them: its whole chain, and the proof that it is in a sealed day."""

from typing import Any

from django.db import connection

from coulance.ledger import reading
from coulance_core.ledger import merkle_proof
from coulance_core.ledger.chain import instant_text, utc_day


def chain_of(*, account: int) -> dict[str, Any]:
    """An account's entries in the order of their chain, as JSON, with all that their hashes are taken of.

    `salt` opens the hashes of its sources (and of nobody else's). `sealed`: the last entry whose day is sealed, with
    the neighbours that lead from it to the day's root; every entry before it hangs on its hash.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT id, pseudonym, salt FROM ledger_party WHERE account_id = %s", [account])
        party = cursor.fetchone()
    if party is None:
        return {"schema": "coulance.ledger-chain/1", "party": "", "salt": "", "entries": [], "sealed": None}
    rows = list(reading.entries_of(party=party[0]))
    return {
        "schema": "coulance.ledger-chain/1",
        "party": party[1].hex,
        "salt": bytes(party[2]).hex() if party[2] is not None else "",
        "entries": [
            {
                "seq": row.seq,
                "kind": row.kind,
                "source": row.source or "",
                "source_hash": row.source_hash.hex(),
                "effective_on": row.effective_on.isoformat(),
                "recorded_at": instant_text(row.recorded_at),
                "reverses": row.reverses_hash.hex(),
                "postings": [list(leg) for leg in row.legs],
                "previous": row.previous_hash.hex(),
                "hash": row.hash.hex(),
            }
            for row in rows
        ],
        "sealed": _sealed(rows),
    }


def _sealed(rows: list[reading.StoredEntry]) -> dict[str, Any] | None:
    for row in reversed(rows):
        day = utc_day(row.recorded_at)
        with connection.cursor() as cursor:
            cursor.execute("SELECT entries, root, previous, seal FROM ledger_day_seal WHERE day = %s", [day])
            seal = cursor.fetchone()
        if seal is None:
            continue
        # A seal is taken of the day's hashes in their order.
        leaves = sorted(reading.hashes_of_day(day))
        return {
            "seq": row.seq,
            "day": day.isoformat(),
            "entries": seal[0],
            "root": bytes(seal[1]).hex(),
            "previous": bytes(seal[2]).hex(),
            "seal": bytes(seal[3]).hex(),
            "proof": [[side, link.hex()] for side, link in merkle_proof(leaves, leaves.index(row.hash))],
        }
    return None
