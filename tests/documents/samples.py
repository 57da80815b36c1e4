"""Made-up snapshots of every kind of document, in the shape that invoicing freezes at issue. Seeded, so repeatable."""

import math
import random
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from coulance_core.kernel import Explanation

ZONE = ZoneInfo("Europe/Amsterdam")
START = datetime(2026, 10, 1, tzinfo=ZONE)
END = datetime(2026, 11, 1, tzinfo=ZONE)
PERIOD = {"start": START.astimezone(UTC).isoformat(), "end": END.astimezone(UTC).isoformat()}

SELLER = {
    "name": "Noordpool Hosting B.V.",
    "address": ["Keilestraat 9", "3029 BP Rotterdam"],
    "country": "NL",
    "vat_id": "NL001234567B01",
    "registration": "24123456",
    "email": "billing@noordpool.example",
    "phone": "+31 10 123 45 67",
    "iban": "NL91ABNA0417164300",
    "bic": "ABNANL2A",
    "website": "noordpool.example",
}
BUYER = {
    "external_id": "C-1042",
    "name": "Bakkerij De Korenaar",
    "kind": "business",
    "address": ["Dorpsstraat 12", "1234 AB Voorbeeld"],
    "country": "NL",
    "vat_id": "NL009876543B01",
    "zone": "Europe/Amsterdam",
}


def _daily(days: list[tuple[float, float]]) -> list[list[float]]:
    return [[int((START + timedelta(days=i)).timestamp()), round(a, 2), round(b, 2)] for i, (a, b) in enumerate(days)]


def quota_item(seed: int = 1, allowance: int = 1000, total: float = 1412.6, flood: float = 0.0) -> dict[str, Any]:
    """A VPS with a transfer quota, over it; `flood` adds that much on the 14th."""
    r = random.Random(seed)
    shape = [0.6 + 0.5 * (i % 7 < 5) + r.random() * 0.6 + (1.3 if i > 18 else 0) for i in range(31)]
    scale = (total - flood) / sum(shape)
    out = [s * scale for s in shape]
    out[13] += flood
    return {
        "service": {"id": "vps-web-01", "name": "web-01.korenaar.example"},
        "charge": "Transfer",
        "meter": "transfer",
        "measure": {"aggregation": "sum", "direction": "out"},
        "conventions": ["outgoing traffic only", "1 GB = 1,000,000,000 bytes", "gaps count as zero"],
        "period": PERIOD,
        "allowance": str(allowance),
        "commit": None,
        "used": f"{total:g}",
        "overage": f"{max(0, total - allowance):.1f}",
        "unit": "GB",
        "coverage": {"seen": 8917, "expected": 8928},
        "flags": {"GAP": 3, "WRAP": 1},
        "chart": {"kind": "daily", "unit": "GB", "points": _daily([(o * 0.23, o) for o in out])},
    }


def port_item(seed: int = 2, commit: int | None = 200, flood: bool = False, gap: bool = True) -> dict[str, Any]:
    """A colo port on the 95th percentile with a commit; day and week rhythm, a gap, perhaps a flood."""
    r = random.Random(seed)
    points: list[list[float]] = []
    values = []
    step = 3600 + 300
    t = int(START.timestamp())
    while t < END.timestamp():
        local = datetime.fromtimestamp(t, ZONE)
        day = 0.55 + 0.45 * math.sin((local.hour - 9) / 24 * 2 * math.pi)
        week = 0.72 if local.weekday() >= 5 else 1.0
        out = 330 * day * week * (0.85 + 0.3 * r.random()) + 20
        if r.random() < 0.012:
            out *= 1.6
        inward = out * (0.18 + 0.05 * r.random())
        if flood and local.day == 14 and 3 <= local.hour < 5:
            inward, out = 9400 * (0.8 + 0.2 * r.random()), out * 1.1
        if not (gap and local.day == 20 and 2 <= local.hour < 15):
            points.append([t, round(inward, 1), round(out, 1)])
            values.append(out)
        t += step
    value = sorted(values, reverse=True)[int(len(values) * 0.05)]
    over = max(0.0, value - (commit or 0))
    return {
        "service": {"id": "port-ams-7", "name": "Port AMS-7"},
        "charge": "Bandwidth",
        "meter": "port",
        "measure": {"aggregation": "percentile", "direction": "greater"},
        "conventions": [
            "95th percentile: the highest floor(5 % of n) samples are dropped, the next is billed",
            "five-minute averages",
            "the greater of incoming and outgoing",
        ],
        "period": PERIOD,
        "allowance": None,
        "commit": str(commit) if commit else None,
        "used": f"{value:.1f}",
        "overage": f"{over:.1f}",
        "unit": "Mbit/s",
        "coverage": {"seen": 8772, "expected": 8928},
        "flags": {"GAP": 1},
        "percentile": {"value": f"{value:.1f}", "rank": 439, "n": 8772, "dropped": 438, "convention": "drop_floor"},
        "chart": {"kind": "rate", "unit": "Mbit/s", "points": points},
    }


def storage_item(seed: int = 3) -> dict[str, Any]:
    """Object storage by the time-weighted GB."""
    r = random.Random(seed)
    level, points, total = 310.0, [], 0.0
    for i in range(31 * 8):
        level += 2.2 * r.random() - 0.4 if i != 150 else -90
        points.append([int((START + timedelta(hours=3 * i)).timestamp()), round(level, 1), 0])
        total += level
    average = total / len(points)
    return {
        "service": {"id": "s3-backup", "name": "Backup bucket"},
        "charge": "Storage",
        "meter": "storage",
        "measure": {"aggregation": "time_weighted", "direction": "in"},
        "conventions": ["average over time of the stored gigabytes", "1 GB = 1,000,000,000 bytes"],
        "period": PERIOD,
        "allowance": "350",
        "commit": None,
        "used": f"{average:.2f}",
        "overage": f"{max(0, average - 350):.2f}",
        "unit": "GB",
        "coverage": {"seen": 744, "expected": 744},
        "flags": {},
        "chart": {"kind": "level", "unit": "GB", "points": points},
    }


def seats_item() -> dict[str, Any]:
    """Mail seats by their peak."""
    counts = [9] * 6 + [10] * 5 + [12] * 9 + [14] * 4 + [13] * 7
    return {
        "service": {"id": "mail-1", "name": "Mail for korenaar.example"},
        "charge": "Seats",
        "meter": "seats",
        "measure": {"aggregation": "peak", "direction": "in"},
        "conventions": ["the highest number of seats at once"],
        "period": PERIOD,
        "allowance": "10",
        "commit": None,
        "used": "14",
        "overage": "4",
        "unit": "seat",
        "coverage": {"seen": 31, "expected": 31},
        "flags": {},
        "chart": {
            "kind": "level",
            "unit": "seat",
            "points": [[int((START + timedelta(days=i)).timestamp()), c, 0] for i, c in enumerate(counts)],
        },
    }


def pool_items(members: int = 12) -> list[dict[str, Any]]:
    """Members of one pool that used more than they include together."""
    r = random.Random(7)
    items = []
    for i in range(members):
        used = round(3600 * r.random() ** 1.6 + 60, 1)
        item = quota_item(seed=i + 10, allowance=500, total=used)
        item |= {"service": {"id": f"vps-{i:02}", "name": f"shop-{i + 1:02}.example"}, "pool": "europe", "overage": "0"}
        items.append(item)
    return items


def overage_explanation(item: dict[str, Any], price: str) -> dict[str, Any]:
    """The explanation of a plain overage line, as rating states it."""
    unit = item["unit"]
    limit = item["allowance"] or item["commit"] or "0"
    e = Explanation.build("rating.per_unit", terms="vps-s@2026-01-01")
    e = e.fact("used", item["used"], unit, "meter transfer").fact("included", limit, unit, "plan")
    e = e.fact("price", price, f"EUR/{unit}").step("overage", "subtract", "used", "included", unit=unit)
    e = e.step("exact amount", "multiply", "overage", "price", unit="EUR")
    e = e.step("amount", "round", "exact amount", "2", "half_up", unit="EUR").convention("1 GB = 1,000,000,000 bytes")
    return e.freeze().to_json()


def base(kind: str, number: str = "B2026-000123", **changes: Any) -> dict[str, Any]:
    """A document with nothing on it yet."""
    return {
        "schema": "coulance.document/1",
        "kind": kind,
        "number": number,
        "issued_on": "2026-11-01",
        "due_on": "2026-11-15",
        "tax_point": "2026-10-31",
        "currency": "EUR",
        "language": "en",
        "seller": SELLER,
        "buyer": BUYER,
        "references": {"period": "2026-10"},
        "period": PERIOD | {"zone": "Europe/Amsterdam"},
        "lines": [],
        "tax": [],
        "totals": {"net": "0.00", "tax": "0.00", "gross": "0.00"},
        "notes": [],
        "usage": [],
    } | changes


def _priced(document: dict[str, Any], rate: int = 21) -> dict[str, Any]:
    net = sum(round(float(line["net"]) * 100) for line in document["lines"])
    tax = round(net * rate / 100)
    show = lambda cents: f"{cents / 100:.2f}"  # noqa: E731
    document["tax"] = [
        {"code": "NL-21", "rate": str(rate), "base": show(net), "tax": show(tax), "reason": "", "country": "NL"}
    ]
    document["totals"] = {"net": show(net), "tax": show(tax), "gross": show(net + tax)}
    return document


def overage_line(no: int, item: dict[str, Any], price: str, **changes: Any) -> dict[str, Any]:
    """The overage line of one usage item."""
    net = round(float(item["overage"]) * float(price), 2)
    return {
        "no": no,
        "kind": "overage",
        "service": item["service"],
        "charge": item["charge"],
        "description": f"{item['charge']} beyond what is included",
        "period": PERIOD,
        "quantity": item["overage"],
        "unit": item["unit"],
        "unit_price": price,
        "net": f"{net:.2f}",
        "tax_code": "NL-21",
        "tax_rate": "21",
        "explanation": overage_explanation(item, price),
    } | changes


def overage_invoice(**changes: Any) -> dict[str, Any]:
    """A VPS over its quota: the invoice the whole thing is about."""
    item = quota_item()
    document = base("overage_invoice", "O2026-000045", lines=[overage_line(1, item, "0.10")], usage=[item])
    return _priced(document) | changes


def rich_overage_invoice(**changes: Any) -> dict[str, Any]:
    """Every kind of overage at once."""
    quota, port, storage, seats = quota_item(), port_item(), storage_item(), seats_item()
    lines = [
        overage_line(1, quota, "0.10"),
        overage_line(2, port, "1.20"),
        overage_line(3, storage, "0.05"),
        overage_line(4, seats, "2.50"),
    ]
    late = overage_line(
        5,
        quota,
        "0.10",
        kind="late_usage",
        quantity="12.5",
        net="1.25",
        description="Late samples of September 2026",
        period={"start": "2026-08-31T22:00:00+00:00", "end": "2026-09-30T22:00:00+00:00"},
    )
    document = base("overage_invoice", "O2026-000046", lines=[*lines, late], usage=[quota, port, storage, seats])
    return _priced(document) | changes


def pool_invoice(**changes: Any) -> dict[str, Any]:
    """A pool of VPSes over what they include together."""
    items = pool_items()
    total = sum(float(i["used"]) for i in items)
    over = total - 500 * len(items)
    line = overage_line(
        1,
        items[0] | {"overage": f"{over:.1f}"},
        "0.08",
        service=None,
        pool="europe",
        description="Pooled transfer beyond what is included",
    )
    document = base("overage_invoice", "O2026-000047", lines=[line], usage=items)
    return _priced(document) | changes


def base_invoice(services: int = 3, **changes: Any) -> dict[str, Any]:
    """Fixed prices in advance."""
    names = ["VPS S", "Colocation 1U", "Mail", "Object storage"]
    lines = []
    for i in range(services):
        e = Explanation.build("rating.base", terms="vps-s@2026-01-01").fact("price a month", "12.50", "EUR")
        e = e.fact("months", 1).step("amount", "multiply", "price a month", "months", unit="EUR")
        lines.append(
            {
                "no": i + 1,
                "kind": "base",
                "service": {"id": f"svc-{i}", "name": f"server-{i + 1:03}.korenaar.example"},
                "charge": "base",
                "description": f"{names[i % 4]}, one month",
                "period": {"start": "2026-10-31T23:00:00+00:00", "end": "2026-11-30T23:00:00+00:00"},
                "quantity": "1",
                "unit": "1",
                "unit_price": "12.50",
                "net": "12.50",
                "tax_code": "NL-21",
                "tax_rate": "21",
                "explanation": e.freeze().to_json(),
            }
        )
    document = base(
        "base_invoice",
        "B2026-000123",
        lines=lines,
        references={"period": "2026-11"},
        period={"start": "2026-10-31T23:00:00+00:00", "end": "2026-11-30T23:00:00+00:00", "zone": "Europe/Amsterdam"},
    )
    return _priced(document) | changes


def credit_note(**changes: Any) -> dict[str, Any]:
    """A price reduction on an overage invoice."""
    item = quota_item()
    line = overage_line(
        1,
        item,
        "0.10",
        kind="credit",
        quantity="-200",
        net="-20.00",
        description="Attack traffic of 14 October taken off",
    )
    document = base(
        "credit_note",
        "C2026-000007",
        lines=[line],
        type="price_reduction",
        references={"invoice": "O2026-000045", "period": "2026-10"},
    )
    return _priced(document) | changes


def statement(**changes: Any) -> dict[str, Any]:
    """A month in which nothing went over."""
    item = quota_item(total=612.4)
    return (
        base("usage_statement", "", usage=[item, port_item(commit=500)], due_on=None)
        | {"number": "S-2026-10-C-1042"}
        | changes
    )
