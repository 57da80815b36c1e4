"""Rows of the bank's side, as SQL gives them."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, LiteralString

from django.db import connection

_IBAN = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}")


def iban_or_none(text: str) -> str:
    """The text when it has an IBAN's shape; else nothing, as columns for IBANs take no other number."""
    return text if _IBAN.fullmatch(text) else ""


def fetch(statement: LiteralString, parameters: Any) -> list[Any]:
    """Every row of a query."""
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        rows: list[Any] = cursor.fetchall()
        return rows


def as_json(value: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> str:
    """A mapping as a JSON column takes it; or several, for `jsonb_to_recordset`, which beats arrays of text by far."""
    return json.dumps(value, ensure_ascii=False)


def from_json(value: Any) -> dict[str, Any]:
    """What a JSON column holds, where the driver gave its text."""
    found: dict[str, Any] = json.loads(value)
    return found
