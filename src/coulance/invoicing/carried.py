"""A priced line as JSON, and back: how an amount that is carried forward keeps its description and its reasons."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from coulance_core.invoicing import BillLine, ServiceRef
from coulance_core.kernel import Explanation, Money, Period, exact, show


def line_to_json(line: BillLine) -> dict[str, Any]:
    """The line as plain JSON values; `line_from_json` reads it back."""
    service = line.service
    return {
        "kind": line.kind,
        "description": line.description,
        "period": [line.period.start.isoformat(), line.period.end.isoformat()],
        "quantity": show(line.quantity),
        "unit": line.unit,
        "unit_price": None if line.unit_price is None else show(line.unit_price),
        "amount": line.amount.minor,
        "currency": line.amount.currency,
        "tax_class": line.tax_class,
        "explanation": line.explanation.to_json(),
        "service": None if service is None else [service.external_id, service.name, service.id],
        "pool": line.pool,
        "charge": line.charge,
        "plan_version": line.plan_version,
        "settled": line.settled,
    }


def line_from_json(data: Mapping[str, Any], carried_id: int) -> BillLine:
    """The line that waited, now of kind `carried` and tied to the amount it bills."""
    start, end = (datetime.fromisoformat(text) for text in data["period"])
    return BillLine(
        kind="carried",
        description=data["description"],
        period=Period(start, end),
        quantity=exact(data["quantity"]),
        unit=data["unit"],
        unit_price=None if data["unit_price"] is None else exact(data["unit_price"]),
        amount=Money(data["amount"], data["currency"]),
        tax_class=data["tax_class"],
        explanation=Explanation.from_json(data["explanation"]),
        service=None if data["service"] is None else ServiceRef(*data["service"]),
        pool=data["pool"],
        charge=data["charge"],
        plan_version=data["plan_version"],
        settled=data["settled"],
        carried_id=carried_id,
    )
