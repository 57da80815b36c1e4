"""Auditing what the first law asks of issued documents, as far as documents alone can tell.

Every amount is covered by an explanation that recomputes to it, and every settled period has a usage statement that
shows what was settled, also where there was nothing to pay.
"""

from collections.abc import Iterator
from typing import Any

from django.db import connection

from coulance.invoicing.check import DocumentFault
from coulance.invoicing.writing import unpack
from coulance_core.kernel import Explanation, ExplanationError, exact

_BATCH = 1000


def check_charges() -> Iterator[DocumentFault]:
    """Every line of an issued document whose explanation does not recompute, or not to its amount. Reads only."""
    last = 0
    while rows := _fetch(
        "SELECT d.id, d.number, d.kind, b.snapshot FROM invoicing_document d"
        " JOIN invoicing_document_body b ON b.document_id = d.id"
        " WHERE d.state = 'issued' AND d.id > %s ORDER BY d.id LIMIT %s",
        [last, _BATCH],
    ):
        for document, number, kind, stored in rows:
            yield from _charges(f"document {number or document}", kind, unpack(bytes(stored), number))
        last = rows[-1][0]


def _charges(where: str, kind: str, snapshot: dict[str, Any]) -> Iterator[DocumentFault]:
    for line in snapshot["lines"]:
        at = f"{where}, line {line['no']}"
        try:
            explanation = Explanation.from_json(line["explanation"])
            computed = _recompute(explanation).get("net")
        except (ExplanationError, KeyError, ValueError) as error:
            yield DocumentFault(at, f"its explanation does not recompute: {error}")
            continue
        if computed is None or computed != exact(line["net"]):
            yield DocumentFault(at, f"charges {line['net']}, and its explanation comes to {computed}")
    if kind != "usage_statement" and not snapshot["lines"]:
        yield DocumentFault(where, "charges nothing: it has no lines")
    for item in snapshot["usage"]:
        try:
            _recompute(Explanation.from_json(item["explanation"]))
        except (ExplanationError, KeyError, ValueError) as error:
            name = (item.get("service") or {}).get("id") or item.get("charge")
            yield DocumentFault(f"{where}, usage of {name}", f"its explanation does not recompute: {error}")


def _recompute(explanation: Explanation) -> Any:
    for child in explanation.children:
        _recompute(child)
    return explanation.recompute()


def check_statements() -> Iterator[DocumentFault]:
    """Every settled period of an account that no issued usage statement shows. Reads only.

    A period counts once its run is closed: until then its statements are drafts.
    """
    for account, period in _fetch(
        "SELECT DISTINCT a.external_id, f.period_name FROM invoicing_settled_figure f"
        " JOIN customers_account a ON a.id = f.account_id"
        " JOIN invoicing_run r ON r.period = f.period_name AND r.purpose = 'close' AND r.state = 'closed'"
        " WHERE NOT EXISTS (SELECT 1 FROM invoicing_document d WHERE d.account_id = f.account_id"
        "   AND d.period_name = f.period_name AND d.kind = 'usage_statement' AND d.state = 'issued')"
        " ORDER BY 2, 1 LIMIT 1000",
        [],
    ):
        yield DocumentFault(f"account {account}, {period}", "its usage was settled and no usage statement shows it")


def _fetch(statement: str, parameters: list[Any]) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        rows: list[Any] = cursor.fetchall()
        return rows
