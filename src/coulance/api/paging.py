"""Pages of a list: `limit` and an opaque `cursor`, which is where the page before ended.

A cursor holds the sort key of the last item, so a page is found by index however far on it is, and what comes to be or
goes meanwhile neither repeats an item nor leaves one out. Lists go from the oldest or from the newest, as each says.
"""

import base64
import json
from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeVar

from ninja import Query

from coulance.api.problems import Problem

MOST = 200
Limit = Annotated[int, Query(ge=1, le=MOST, description="How many items a page has, at most.")]
Cursor = Annotated[
    str | None,
    Query(max_length=400, description="`next` of the page before; without it, the first page."),
]
Item = TypeVar("Item")


def after(cursor: str | None, name: str, *shape: type) -> tuple[Any, ...] | None:
    """The sort key that a cursor of this list holds, of that shape; none for the first page. Raises `Problem`."""
    if cursor is None:
        return None
    try:
        raw = base64.b64decode(cursor.encode("ascii"), altchars=b"-_", validate=True)
        found = json.loads(raw)
        if (
            not isinstance(found, list)
            or len(found) != 1 + len(shape)
            or found[0] != name
            or any(type(value) is not kind for value, kind in zip(found[1:], shape, strict=True))
            or any(isinstance(value, int) and not 0 <= value < 2**63 for value in found[1:])
            or any(isinstance(value, str) and ("\0" in value or len(value) > 300) for value in found[1:])
        ):
            raise ValueError
    except (ValueError, RecursionError):
        raise Problem(
            422, "not-as-expected", "no cursor of this list: send `next` of a page, as it was", where="query.cursor"
        ) from None
    return tuple(found[1:])


def cursor_of(name: str, *key: Any) -> str:
    """The cursor after an item with this sort key."""
    return base64.urlsafe_b64encode(json.dumps([name, *key], separators=(",", ":")).encode()).decode()


def page(
    rows: Sequence[Item], limit: int, name: str, key: Callable[[Item], tuple[Any, ...]], show: Callable[[Item], Any]
) -> dict[str, Any]:
    """A page of `rows`, of which one more than `limit` was asked for: whether it is there says if there is more."""
    shown = rows[:limit]
    more = len(rows) > limit
    return {"items": [show(row) for row in shown], "next": cursor_of(name, *key(shown[-1])) if more else None}
