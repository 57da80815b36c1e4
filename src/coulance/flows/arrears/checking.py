"""Auditing the second law from rows alone, by SQL that shares nothing with what judges: no restriction without its
notices, its backup, its people.

It reads the register, the acts, and the evidence of sending; not the policy, and not core.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from django.db import connection


@dataclass(frozen=True, slots=True)
class ArrearsFault:
    """What is wrong, and where."""

    where: str
    message: str

    def __str__(self) -> str:
        return f"{self.where}: {self.message}"


@dataclass(frozen=True, slots=True)
class _Check:
    """What a row found says is wrong, and the statement that finds it."""

    message: str
    statement: str


_CHECKS = (
    _Check(
        "restricts for arrears, and no act stands behind it",
        "SELECT 'restriction ' || r.id FROM enforcement_restriction r LEFT JOIN arrears_act a ON a.restriction = r.id"
        " WHERE r.source = 'arrears' AND NOT r.observe AND r.lifted_at IS NULL"
        " AND (a.id IS NULL OR a.undone_at IS NOT NULL)",
    ),
    _Check(
        "stands, and the register doesn't restrict by it any more",
        "SELECT 'act ' || a.id FROM arrears_act a JOIN enforcement_restriction r ON r.id = a.restriction"
        " WHERE a.undone_at IS NULL AND r.lifted_at IS NOT NULL",
    ),
    _Check(
        "hurts, and for one of its debts no notice was taken by a server, posted or seen before it",
        # One fault a debt: each has to have been told of by a message that was taken and hadn't come back by then.
        "SELECT 'act ' || a.id || ', debt ' || d.ref FROM arrears_act a, jsonb_array_elements_text(a.debts) AS d(ref)"
        " WHERE NOT a.observed AND a.act IN ('charge_costs', 'charge_interest', 'block_orders', 'throttle', 'limit',"
        " 'downgrade', 'suspend', 'terminate', 'delete', 'not_renew', 'hand_over') AND NOT EXISTS ("
        "  SELECT 1 FROM jsonb_array_elements_text(a.rests_on) AS n(id) JOIN arrears_act m ON m.id = n.id::bigint"
        "   AND m.case_id = a.case_id AND m.debts @> jsonb_build_array(d.ref)"
        "  JOIN notices_message t ON t.key IN (SELECT jsonb_array_elements_text(m.messages))"
        "  JOIN notices_delivery v ON v.message_id = t.id AND NOT v.copy"
        "  JOIN notices_evidence e ON e.delivery_id = v.id AND e.at <= a.at"
        "   AND e.kind IN ('accepted', 'delivered', 'seen', 'acknowledged')"
        "  WHERE NOT EXISTS (SELECT 1 FROM notices_evidence b WHERE b.delivery_id = v.id"
        "   AND b.kind IN ('bounced', 'refused') AND b.recorded_at <= a.at))",
    ),
    _Check(
        "withholds data that we hold, without a backup that was verified before it",
        "SELECT 'act ' || a.id FROM arrears_act a LEFT JOIN arrears_backup b ON b.id = a.backup_id"
        " WHERE NOT a.observed AND a.act IN ('suspend', 'terminate', 'delete') AND NOT a.no_data"
        " AND (b.id IS NULL OR b.verified_at IS NULL OR b.verified_at > a.at OR b.service_id <> a.service_id)"
        " AND NOT (a.act = 'delete' AND a.impossible_id IS NOT NULL)",
    ),
    _Check(
        "ends or deletes without the yes of two different people before it",
        "SELECT 'act ' || a.id FROM arrears_act a WHERE NOT a.observed AND a.act IN ('terminate', 'delete') AND ("
        " SELECT count(DISTINCT p.by) FROM arrears_approval p WHERE p.case_id = a.case_id AND p.step = a.step"
        "  AND p.service_id IS NOT DISTINCT FROM a.service_id AND p.at <= a.at"
        "  AND (p.taken_back_at IS NULL OR p.taken_back_at > a.at)) < 2",
    ),
    _Check(
        "restricts on a Friday, Saturday or Sunday where the customer is",
        "SELECT 'act ' || a.id FROM arrears_act a JOIN arrears_case c ON c.id = a.case_id"
        " JOIN customers_account o ON o.id = c.account_id WHERE NOT a.observed AND a.act IN ('block_orders',"
        " 'throttle', 'limit', 'downgrade', 'suspend', 'terminate', 'delete')"
        " AND extract(isodow FROM a.at AT TIME ZONE o.zone) >= 5",
    ),
    _Check(
        "restricts while all of its debts' undisputed principal is paid",
        "SELECT 'act ' || a.id FROM arrears_act a WHERE NOT a.observed AND a.undone_at IS NULL AND a.restriction IS"
        " NOT NULL AND a.act <> 'terminate' AND a.act <> 'delete' AND NOT EXISTS ("
        "  SELECT 1 FROM jsonb_array_elements_text(a.debts) AS d(ref)"
        "  LEFT JOIN invoicing_document i ON d.ref = 'document/' || i.id"
        "  LEFT JOIN payments_opening_item o ON d.ref = 'opening/' || o.id"
        "  WHERE coalesce(i.gross, o.open) + coalesce((SELECT sum(n.gross) FROM invoicing_document n WHERE"
        "    n.invoice_id = i.id AND n.kind = 'credit_note' AND n.state = 'issued'), 0)"
        "   - coalesce((SELECT sum(p.amount) FROM payments_allocation p WHERE p.reversed_on IS NULL"
        "    AND (p.document_id = i.id OR p.opening_id = o.id)), 0) > 0)",
    ),
)


def check_arrears() -> Iterator[ArrearsFault]:
    """Every breach of the second law that rows show; nothing for sound ones. Reads, never writes."""
    for check in _CHECKS:
        with connection.cursor() as cursor:
            cursor.execute(check.statement + " ORDER BY 1")
            for (where,) in cursor.fetchall():
                yield ArrearsFault(where, check.message)
