"""The audit of the third law for uptime: what was measured, credited and paid, worked out again from what is stored."""

from collections.abc import Iterator

from django.db import connection

from coulance.sla.models import Measure
from coulance_core.kernel import Explanation, Money, exact
from coulance_core.kernel.explanation import ExplanationError


def check_promises() -> Iterator[str]:
    """A line for every fault: arithmetic that doesn't hold, a credit that is missing, or there twice, or paid twice."""
    for row in Measure.objects.order_by("pk").iterator(500):
        where = f"measure {row.pk} (service {row.service_id}, {row.period_name})"
        try:
            numbers = Explanation.from_json(row.explanation).recompute()
            owed = Money.of(numbers.get("rounded", exact(0)), row.currency)
        except (ExplanationError, KeyError, ValueError) as error:
            yield f"{where}: its arithmetic doesn't hold: {error}"
            continue
        if row.amount not in (owed.minor, 0):  # zero: below the least that its terms pay
            yield f"{where}: it says {Money(row.amount, row.currency)}, and its arithmetic {owed}"
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT m.service_id, m.period_name, max(m.amount) AS most,"
            " (array_agg(m.amount ORDER BY m.no DESC))[1] AS newest,"
            " coalesce((SELECT sum(c.amount) FROM sla_credit c JOIN sla_measure o ON o.id = c.measure_id"
            "   WHERE o.service_id = m.service_id AND o.period_name = m.period_name), 0)::bigint AS given"
            " FROM sla_measure m GROUP BY 1, 2 ORDER BY 1, 2"
        )
        for service, period, most, newest, given in cursor.fetchall():
            if not newest <= given <= most:
                yield f"service {service}, {period}: {given} was credited; {newest} is owed, and {most} was at most"
        cursor.execute(
            "SELECT c.id, c.amount, sum(p.amount)::bigint FROM sla_credit c JOIN sla_payout p ON p.credit_id = c.id"
            " GROUP BY c.id HAVING sum(p.amount) > c.amount"
        )
        for credit, amount, paid in cursor.fetchall():
            yield f"credit {credit} is {amount}, and {paid} of it was paid"
