"""The frozen form of a document: plain JSON values, named `coulance.document/1`, made at issue and never changed.

Pages, PDFs and the API render this and nothing else. Money is text in major units ("12.34"), quantities are text as
`show` writes them, rates are text in percent ("21"), days are ISO dates, instants ISO with a zone.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from typing import Any

from coulance_core.invoicing.documents import Buyer, DocumentDraft, DraftLine, Seller
from coulance_core.kernel import Explanation, ExplanationError, Money, Period, currency, exact, show

SCHEMA_NAME = "coulance.document/1"

_TEXT = {"type": "string"}
_DAY = {"type": "string", "pattern": r"^\d{4}-\d{2}-\d{2}$"}
_MONEY = {"type": "string", "pattern": r"^-?\d+(\.\d{2,3})?$"}
_NUMBER = {"type": "string", "pattern": r"^-?\d+(\.\d+)?(/\d+)?$"}
_NUMBER_OR_NONE = {"type": ["string", "null"], "pattern": _NUMBER["pattern"]}


def _object(required: Mapping[str, Any], optional: Mapping[str, Any] | None = None) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {**required, **(optional or {})},
        "required": list(required),
        "additionalProperties": False,
    }


def _array(items: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": dict(items)}


_PERIOD = _object({"start": _TEXT, "end": _TEXT}, {"zone": _TEXT})
_NAMED = _object({"id": _TEXT, "name": _TEXT})
_SERVICE = {"anyOf": [{"type": "null"}, _NAMED]}

SCHEMA: Mapping[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "$id": "urn:coulance:document:1",
    "title": "A document of Coulance, as issued",
    **_object(
        {
            "schema": {"const": SCHEMA_NAME},
            "kind": {
                "enum": [
                    "base_invoice",
                    "overage_invoice",
                    "credit_note",
                    "debit_note",
                    "fee_invoice",
                    "interest_invoice",
                    "usage_statement",
                ]
            },
            "number": {"type": ["string", "null"]},
            "issued_on": _DAY,
            "due_on": _DAY,
            "tax_point": _DAY,
            "currency": {"type": "string", "pattern": "^[A-Z]{3}$"},
            "language": _TEXT,
            "seller": _object(
                {
                    "name": _TEXT,
                    "address": _array(_TEXT),
                    "country": _TEXT,
                    "vat_id": _TEXT,
                    "registration": _TEXT,
                    "email": _TEXT,
                    "phone": _TEXT,
                    "iban": _TEXT,
                    "bic": _TEXT,
                    "website": _TEXT,
                }
            ),
            "buyer": _object(
                {
                    "external_id": _TEXT,
                    "name": _TEXT,
                    "kind": {"enum": ["consumer", "business", "public"]},
                    "address": _array(_TEXT),
                    "country": _TEXT,
                    "vat_id": _TEXT,
                    "zone": _TEXT,
                }
            ),
            "references": _object(
                {"period": _TEXT},
                {"invoice": _TEXT, "invoice_issued_on": _DAY, "credit_note": _TEXT, "credit_note_issued_on": _DAY},
            ),
            "period": _object({"start": _TEXT, "end": _TEXT, "zone": _TEXT}),
            "lines": _array(
                _object(
                    {
                        "no": {"type": "integer", "minimum": 1},
                        "kind": _TEXT,
                        "service": _SERVICE,
                        "charge": _TEXT,
                        "description": _TEXT,
                        "period": _PERIOD,
                        "quantity": _NUMBER,
                        "unit": _TEXT,
                        "unit_price": _NUMBER_OR_NONE,
                        "net": _MONEY,
                        "tax_code": _TEXT,
                        "tax_rate": _NUMBER,
                        "explanation": {"type": "object", "required": ["rule"]},
                    },
                    {"pool": _TEXT, "plan_version": _TEXT, "credits_line": {"type": "integer"}},
                )
            ),
            "tax": _array(
                _object(
                    {
                        "code": _TEXT,
                        "kind": _TEXT,
                        "rate": _NUMBER,
                        "base": _MONEY,
                        "tax": _MONEY,
                        "reason": _TEXT,
                        "country": _TEXT,
                    }
                )
            ),
            "totals": _object({"net": _MONEY, "tax": _MONEY, "gross": _MONEY, "due": _MONEY}),
            "conventions": _array(_TEXT),
            "notes": _array(_TEXT),
            "usage": _array(
                {
                    "type": "object",
                    "required": ["service", "charge", "meter", "period", "used", "unit", "coverage"],
                    "properties": {
                        "service": _SERVICE,
                        "charge": _TEXT,
                        "meter": _TEXT,
                        "conventions": _array(_TEXT),
                        "period": _PERIOD,
                        "used": _NUMBER_OR_NONE,
                        "unit": _TEXT,
                        "charged": _NUMBER_OR_NONE,
                        "absorbed": _array(_object({"reason": _TEXT, "quantity": _NUMBER})),
                        "coverage": _object({"seen": {"type": "integer"}, "expected": {"type": "integer"}}),
                        "chart": {
                            "anyOf": [
                                {"type": "null"},
                                {
                                    "type": "object",
                                    "required": ["kind", "points", "unit"],
                                    "properties": {"points": {"type": "array", "maxItems": 800}},
                                },
                            ]
                        },
                    },
                }
            ),
        },
        {
            "type": {"enum": ["price_reduction", "damages", "correction"]},
            "national": _object({"currency": _TEXT, "rate": _NUMBER, "date": _DAY, "tax": _MONEY}, {"source": _TEXT}),
        },
    ),
}
"""JSON Schema of a snapshot, for whoever reads one; the arithmetic is `check`'s."""


class SnapshotError(ValueError):
    """A snapshot that contradicts itself: the message says where."""


def snapshot_of(draft: DocumentDraft, *, usage: Sequence[Mapping[str, Any]] = ()) -> dict[str, Any]:
    """The snapshot of a draft, its number still null. `usage` are figures with pictures, passed through as they are."""
    t = draft.totals
    out: dict[str, Any] = {
        "schema": SCHEMA_NAME,
        "kind": draft.kind.value,
        "number": None,
        "issued_on": draft.issued_on.isoformat(),
        "due_on": draft.due_on.isoformat(),
        "tax_point": draft.tax_point.isoformat(),
        "currency": draft.currency,
        "language": draft.buyer.language,
        "seller": _seller(draft.seller),
        "buyer": _buyer(draft.buyer),
        "references": {"period": draft.period_name, **draft.references},
        "period": {**_period(draft.period), "zone": draft.buyer.zone},
        "lines": [_line(line) for line in draft.lines],
        "tax": [
            {
                "code": row.code,
                "kind": row.kind.value,
                "rate": _rate(row.rate),
                "base": row.base.decimal(),
                "tax": row.tax.decimal(),
                "reason": row.reason,
                "country": row.country,
            }
            for row in draft.tax
        ],
        "totals": {
            "net": t.net.decimal(),
            "tax": t.tax.decimal(),
            "gross": t.gross.decimal(),
            "due": t.due.decimal(),
        },
        "conventions": [f"tax rounding: {draft.tax_rounding}"],
        "notes": list(draft.notes),
        "usage": [dict(figure) for figure in usage],
    }
    if draft.credit_type is not None:
        out["type"] = draft.credit_type.value
    if draft.national is not None:
        rate = draft.national.rate
        out["national"] = {
            "currency": rate.currency,
            "rate": show(rate.rate),
            "date": rate.on.isoformat(),
            "tax": draft.national.tax.decimal(),
            "source": rate.source,
        }
    return out


def _period(period: Period) -> dict[str, str]:
    return {"start": _instant(period.start), "end": _instant(period.end)}


# A run writes the same few instants and rates a million times.
@lru_cache(maxsize=1024)
def _instant(instant: datetime) -> str:
    return instant.isoformat()


@lru_cache(maxsize=1024)
def _rate(rate: Fraction) -> str:
    return show(rate)


def _seller(seller: Seller) -> dict[str, Any]:
    return {
        "name": seller.name,
        "address": list(seller.address),
        "country": seller.country,
        "vat_id": seller.vat_id,
        "registration": seller.registration,
        "email": seller.email,
        "phone": seller.phone,
        "iban": seller.iban,
        "bic": seller.bic,
        "website": seller.website,
    }


def _buyer(buyer: Buyer) -> dict[str, Any]:
    return {
        "external_id": buyer.external_id,
        "name": buyer.name,
        "kind": buyer.kind.value,
        "address": list(buyer.address),
        "country": buyer.country,
        "vat_id": buyer.vat_id,
        "zone": buyer.zone,
    }


def _line(line: DraftLine) -> dict[str, Any]:
    out: dict[str, Any] = {
        "no": line.no,
        "kind": line.kind,
        "service": {"id": line.service.external_id, "name": line.service.name} if line.service else None,
        "charge": line.charge,
        "description": line.description,
        "period": _period(line.period),
        "quantity": show(line.quantity),
        "unit": line.unit,
        "unit_price": None if line.unit_price is None else show(line.unit_price),
        "net": line.net.decimal(),
        "tax_code": line.tax_code,
        "tax_rate": _rate(line.tax_rate),
        "explanation": line.explanation.to_json(),
    }
    if line.pool:
        out["pool"] = line.pool
    if line.plan_version:
        out["plan_version"] = line.plan_version
    if line.credits is not None:
        out["credits_line"] = line.credits
    return out


def check(snapshot: Mapping[str, Any]) -> None:
    """Raise `SnapshotError` where a snapshot's arithmetic does not hold: sums, tax bases, explanations, order of lines.

    What it must contain is `SCHEMA`'s business; this is what a schema cannot say.
    """
    if snapshot.get("schema") != SCHEMA_NAME:
        raise SnapshotError(f"expected schema {SCHEMA_NAME!r}, not {snapshot.get('schema')!r}")
    code = snapshot["currency"]
    exponent = currency(code).exponent

    def minor(text: str, where: str) -> int:
        if -int(Decimal(text).as_tuple().exponent) != exponent:
            raise SnapshotError(f"{where}: {text} does not have the {exponent} decimals of {code}")
        return Money.of(text, code).minor

    bases: dict[str, int] = {}
    for no, line in enumerate(snapshot["lines"], 1):
        where = f"lines[{no}]"
        if line["no"] != no:
            raise SnapshotError(f"{where}: is numbered {line['no']}")
        bases[line["tax_code"]] = bases.get(line["tax_code"], 0) + minor(line["net"], f"{where}.net")
        try:
            Explanation.from_json(line["explanation"]).recompute()
        except ExplanationError as error:
            raise SnapshotError(f"{where}.explanation: {error}") from None
    taxed = {row["code"]: minor(row["base"], f"tax[{row['code']}].base") for row in snapshot["tax"]}
    if bases != taxed:
        raise SnapshotError(f"tax: bases {taxed} differ from the lines' {bases} (minor units)")
    totals = {key: minor(text, f"totals.{key}") for key, text in snapshot["totals"].items()}
    if totals["net"] != sum(bases.values()):
        raise SnapshotError(f"totals.net: {snapshot['totals']['net']} is not the sum of the lines")
    if totals["tax"] != sum(minor(row["tax"], "tax") for row in snapshot["tax"]):
        raise SnapshotError(f"totals.tax: {snapshot['totals']['tax']} is not the sum of the tax rows")
    if totals["gross"] != totals["net"] + totals["tax"]:
        raise SnapshotError(f"totals.gross: {snapshot['totals']['gross']} is not net and tax")
    if "national" in snapshot:
        national = snapshot["national"]
        if exact(national["rate"]) <= 0:
            raise SnapshotError(f"national.rate: {national['rate']} is not above zero")
