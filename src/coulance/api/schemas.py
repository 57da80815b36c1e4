"""The forms that several parts of the API share: money, days, instants, ids, pages."""

import hashlib
import json
import re
from datetime import UTC, date, datetime
from typing import Annotated, Any, Generic, TypeVar

from django.http import HttpRequest
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from coulance.api.problems import Problem
from coulance_core import kernel
from coulance_core.kernel import currency as known_currency

Item = TypeVar("Item")


class Given(BaseModel):
    """What a request gives: unknown fields are refused, and nothing is taken for what it is not."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Shown(BaseModel):
    """What an answer shows."""


def _day(value: Any) -> Any:
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    if not isinstance(value, str) or not re.fullmatch(r"(19|20|21)\d\d-\d\d-\d\d", value):
        raise ValueError("expected a day as 2026-10-31, from 1900 to 2199")
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise ValueError("expected a day that exists, as 2026-10-31") from None


def _instant(value: Any) -> Any:
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str) or len(value) > 40:
        raise ValueError("expected an instant as 2026-10-31T12:00:00Z")
    try:
        found = datetime.fromisoformat(value)
        if found.tzinfo is None:
            raise ValueError
        found = found.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError("expected an instant with its offset, as 2026-10-31T12:00:00Z") from None
    if not 1900 <= found.year <= 2199:
        raise ValueError("expected an instant from 1900 to 2199")
    return found


def _text(value: str) -> str:
    if any((ord(c) < 32 and c not in "\n\r\t") or "\ud800" <= c <= "\udfff" for c in value):
        raise ValueError("expected a text without control characters")
    return value


def _spoken(value: str) -> str:
    if not value.strip():
        raise ValueError("expected words, not only spaces")
    return value


Day = Annotated[
    date,
    BeforeValidator(_day),
    WithJsonSchema(
        {"type": "string", "format": "date", "pattern": r"^(19|20|21)\d\d-\d\d-\d\d$", "examples": ["2026-10-31"]}
    ),
]
Instant = Annotated[
    datetime,
    BeforeValidator(_instant),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2026-10-31T12:00:00+00:00"]}),
]
Text = Annotated[str, AfterValidator(_text)]
Id = Annotated[str, AfterValidator(_text), AfterValidator(_spoken), Field(min_length=1, max_length=100)]
Reason = Annotated[
    str,
    AfterValidator(_text),
    AfterValidator(_spoken),
    Field(min_length=1, max_length=500, description="Why; it is kept in the audit log.", examples=["asked by phone"]),
]
PeriodName = Annotated[
    str, Field(pattern=r"^2[01]\d\d-(0[1-9]|1[0-2])$", description="A billing period.", examples=["2026-10"])
]


class Money(BaseModel):
    """An amount: decimal text in the currency's units, with all its decimals, so that no reader makes a float of it."""

    model_config = ConfigDict(
        extra="forbid", strict=True, json_schema_extra={"examples": [{"amount": "12.34", "currency": "EUR"}]}
    )

    amount: Annotated[str, Field(pattern=r"^-?[0-9]{1,12}(\.[0-9]{1,3})?$")]
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")]


def money(value: kernel.Money) -> dict[str, str]:
    """An amount, as answers show it."""
    return {"amount": value.decimal(), "currency": value.currency}


def amount_of(given: Money, where: str) -> kernel.Money:
    """The amount that a request gives. Raises `Problem` for a currency or decimals that aren't."""
    try:
        known_currency(given.currency)
        return kernel.Money.of(given.amount, given.currency)
    except ValueError as fault:
        raise Problem(422, "not-as-expected", str(fault), where=where) from fault


class Page(BaseModel, Generic[Item]):
    """A page of a list."""

    items: list[Item]
    next: Annotated[str | None, Field(description="Send it as `cursor` for the page after; null on the last one.")]


def etag(shown: Any) -> str:
    """The ETag of what is shown: other contents have another."""
    text = json.dumps(shown, sort_keys=True, default=str, separators=(",", ":"))
    return f'"{hashlib.sha256(text.encode()).hexdigest()[:16]}"'


_LONGEST_MATCH = 100


def judge_match(request: HttpRequest, now: str | None) -> None:
    """Refuse (412) a request whose If-Match is not the ETag of what is there now; none: nothing is there."""
    asked = request.headers.get("If-Match")
    if asked is not None and len(asked) > _LONGEST_MATCH:
        raise Problem(
            422, "not-as-expected", f"If-Match has at most {_LONGEST_MATCH} characters", where="header.If-Match"
        )
    if asked is None or (asked.strip() == "*" and now is not None):
        return
    if now is None or now not in [one.strip() for one in asked.split(",")]:
        is_now = f"it is {now} now" if now else "there is none"
        raise Problem(412, "changed-since", f"{is_now}: read it again, and decide again", where="header.If-Match")
