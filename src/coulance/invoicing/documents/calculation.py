"""The arithmetic of a document: each line's explanation as rows to show, and as the file that is attached."""

from collections.abc import Mapping
from typing import Any

from coulance.invoicing.documents.words import Words
from coulance_core.kernel import Explanation
from coulance_core.kernel.explanation import formula

CALCULATION_FILE = "calculation.json"
View = dict[str, Any]

_COLUMN = 60
"""Characters that fit in a column of the calculation, about: beyond them a result goes on a line of its own."""


def explained(data: Mapping[str, Any], words: Words) -> View:
    """An explanation's JSON as rows to show: {rule, terms, rows: [{name, how, result, depth}], conventions, notes}."""
    explanation = Explanation.from_json(data)
    rows: list[View] = []
    conventions: list[str] = []
    notes: list[str] = []

    def add(part: Explanation, depth: int) -> None:
        if depth:
            rows.append({"name": _readable(part.rule), "how": part.terms, "result": "", "depth": depth, "head": True})
        for fact in part.facts:
            unit = f" {fact.unit}" if fact.unit else ""
            rows.append(
                {
                    "name": _readable(fact.name),
                    "how": fact.source,
                    "result": words.exact(fact.value) + unit,
                    "depth": depth,
                    "head": False,
                }
            )
        for step in part.steps:
            unit = f" {step.unit}" if step.unit else ""
            how = _readable(formula(step)).replace(" - ", " − ").replace(" x ", " × ")
            rows.append(
                {
                    "name": _readable(step.name),
                    "how": f"= {how}",
                    "result": words.exact(step.result) + unit,
                    "depth": depth,
                    "head": False,
                }
            )
        conventions.extend(part.conventions)
        notes.extend(part.notes)
        for child in part.children:
            add(child, depth + 1)

    add(explanation, 0)
    for row in rows:
        row["long"] = len(row["name"]) + len(row["how"]) + len(row["result"]) + 2 * row["depth"] > _COLUMN
    return {
        "rule": explanation.rule,
        "terms": words("terms", terms=explanation.terms) if explanation.terms else "",
        "rows": rows,
        "conventions": list(dict.fromkeys(conventions)),
        "notes": list(dict.fromkeys(notes)),
    }


def calculation_file(snapshot: Mapping[str, Any]) -> dict[str, Any]:
    """What the attached file holds: figures and explanations, exact, without the picture's points."""
    return {
        "schema": "coulance.calculation/1",
        "number": snapshot.get("number"),
        "kind": snapshot["kind"],
        "issued_on": snapshot.get("issued_on"),
        "currency": snapshot["currency"],
        "period": snapshot.get("period"),
        "lines": [dict(line) for line in snapshot["lines"]],
        "tax": snapshot.get("tax") or [],
        "totals": snapshot["totals"],
        "usage": [{k: v for k, v in item.items() if k != "chart"} for item in snapshot.get("usage") or ()],
    }


def _readable(name: str) -> str:
    return name.replace("_", " ")
