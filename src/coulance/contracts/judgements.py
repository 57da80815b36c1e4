"""What was said of contracts' fairness: the last of each month is kept, for the customer to read and to compare."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from coulance.contracts import models
from coulance_core.contracts.fairness import Verdict
from coulance_core.kernel import Explanation, Money, require_aware


@dataclass(frozen=True, slots=True)
class JudgementRow:
    """A verdict on a contract (its id), and the figures it rests on; `price` is of a year."""

    contract: int
    month: date
    said_at: datetime
    verdict: Verdict
    price: Money
    explanation: Explanation


def keep(rows: Sequence[tuple[int, Verdict, Money, Explanation]], *, at: datetime) -> None:
    """Keep what is said now of contracts: (id, verdict, price of a year, arithmetic). It replaces the month's."""
    month = require_aware(at).date().replace(day=1)
    models.Judgement.objects.bulk_create(
        [
            models.Judgement(
                contract_id=number, month=month, said_at=at, verdict=verdict.value, price=price.minor,
                explanation=why.to_json(),
            )
            for number, verdict, price, why in rows
        ],
        batch_size=500,
        update_conflicts=True,
        unique_fields=["contract", "month"],
        update_fields=["said_at", "verdict", "price", "explanation"],
    )  # fmt: skip


def newest(contracts: Collection[int]) -> dict[int, JudgementRow]:
    """What was said last of each contract; those of which nothing was are left out."""
    rows = models.Judgement.objects.filter(contract__in=contracts).select_related("contract")
    return {
        one.contract_id: JudgementRow(
            one.contract_id, one.month, one.said_at, Verdict(one.verdict), Money(one.price, one.contract.currency),
            Explanation.from_json(one.explanation),
        )
        for one in rows.order_by("contract", "-month").distinct("contract")
    }  # fmt: skip
