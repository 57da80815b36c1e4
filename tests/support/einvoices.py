"""Every document that a test issues must have a valid e-invoice: what the database fixtures ask as a test ends."""

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
    """The same for snapshots at hand."""
    if not snapshots:
        return 0
    from coulance.invoicing.einvoice.survey import survey

    found = survey(snapshots[0::4])
    found.add(survey(snapshots[1::4] + snapshots[2::4] + snapshots[3::4], with_cii=False))
    assert not found.failed, {number: [str(one) for one in reports] for number, reports in found.failed.items()}
    for number, lacks in found.impossible.items():
        assert {_plain(lack.field) for lack in lacks} <= UNSAYABLE, (number, [str(lack) for lack in lacks])
    return len(found.valid)


def _plain(field: str) -> str:
    before, _, rest = field.partition("[")
    return before + rest.partition("]")[2]
