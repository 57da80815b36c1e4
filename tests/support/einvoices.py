"""Every document that a test issues must have a valid e-invoice: what the database fixtures ask as a test ends."""

import json
from hashlib import sha256
from typing import Any

from django.db import DatabaseError, connection, transaction

MOST = 8
"""Documents looked at for each test, of all sorts there are: as UBL 6 ms each, and every fourth as CII too, 20 ms."""

_SAMPLE = """
SELECT id FROM (
    SELECT d.id, row_number() OVER (
        PARTITION BY d.kind, d.currency, d.credit_type, (SELECT array_agg(t.kind ORDER BY t.kind)
                                                         FROM invoicing_document_tax t WHERE t.document_id = d.id)
        ORDER BY (SELECT count(*) FROM invoicing_document_line l WHERE l.document_id = d.id) DESC, d.id
    ) AS place
    FROM invoicing_document d WHERE d.state = 'issued' AND d.kind <> 'usage_statement'
) found ORDER BY place, id LIMIT %s
"""

UNSAYABLE = {"lines.net", "totals.net", "totals.tax", "totals.gross", "totals.due", "tax.base", "tax.tax"}
"""Fields that may stop an e-invoice: an amount with three decimals that count."""


def check_issued(most: int = MOST) -> int:
    """Survey a sample of what is issued now, and raise with the rules that failed. How many documents were valid."""
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(_SAMPLE, [most])
            ids = [row[0] for row in cursor.fetchall()]
    except DatabaseError:
        return 0  # the test left no transaction to ask in, or no tables
    return check_snapshots([_snapshot(one) for one in ids])


def _snapshot(document: int) -> dict[str, Any]:
    from coulance.invoicing import queries

    return queries.document_by_id(document=document).snapshot


def check_snapshots(snapshots: list[dict[str, Any]]) -> int:
    """The same for snapshots at hand. What was found valid in this process is not looked at again."""
    if not snapshots:
        return 0
    as_both = [one for one in snapshots[0::4] if not _known(one, with_cii=True)]
    as_ubl = [one for one in snapshots[1::4] + snapshots[2::4] + snapshots[3::4] if not _known(one, with_cii=False)]
    return len(snapshots) - len(as_both) - len(as_ubl) + _look(as_both, with_cii=True) + _look(as_ubl, with_cii=False)


_valid: set[tuple[bytes, bool]] = set()


def _digest(snapshot: dict[str, Any]) -> bytes:
    return sha256(json.dumps(snapshot, sort_keys=True, default=str).encode()).digest()


def _known(snapshot: dict[str, Any], *, with_cii: bool) -> bool:
    return (_digest(snapshot), with_cii) in _valid


def _look(snapshots: list[dict[str, Any]], *, with_cii: bool) -> int:
    if not snapshots:
        return 0
    from coulance.invoicing.einvoice.survey import survey

    found = survey(snapshots, with_cii=with_cii)
    assert not found.failed, {number: [str(one) for one in reports] for number, reports in found.failed.items()}
    for number, lacks in found.impossible.items():
        assert {_plain(lack.field) for lack in lacks} <= UNSAYABLE, (number, [str(lack) for lack in lacks])
    valid = set(found.valid)
    _valid.update((_digest(one), with_cii) for one in snapshots if one.get("number") in valid)
    return len(found.valid)


def _plain(field: str) -> str:
    before, _, rest = field.partition("[")
    return before + rest.partition("]")[2]
