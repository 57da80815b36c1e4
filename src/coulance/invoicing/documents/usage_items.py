"""The usage items of a document: which of them a line charges, and what the members of a pool come to together."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from coulance_core.kernel import exact


def item_of(line: Mapping[str, Any], usage: Iterable[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The usage item that a line charges: of the same service or pool; of several, the one whose figures it carries."""
    service = (line.get("service") or {}).get("id")
    if line.get("pool"):
        return next((u for u in usage if is_pool_of(line, u)), None)
    if service is None:
        return None
    found = [u for u in usage if (u.get("service") or {}).get("id") == service and not u.get("pool")]
    if len(found) < 2:
        return found[0] if found else None
    tests: tuple[Callable[[Mapping[str, Any]], bool], ...] = (
        lambda u: bool(u.get("charge") == line.get("charge")),
        lambda u: bool((u.get("unit"), u.get("charged", u.get("overage"))) == (line.get("unit"), line.get("quantity"))),
        lambda u: bool(u.get("unit") == line.get("unit")),
    )
    for same in tests:
        for item in found:
            if same(item):
                return item
    return None


def is_pool_of(line: Mapping[str, Any], item: Mapping[str, Any]) -> bool:
    """Whether an item is a member of the line's pool. The line has the pool's key, the item its name and its totals."""
    if not item.get("pool"):
        return False
    if line["pool"] in (item.get("pool_key"), item["pool"]):
        return True
    return item.get("pool_overage") is not None and (item["pool_overage"], item.get("unit")) == (
        line.get("quantity"),
        line.get("unit"),
    )


def pool_totals(members: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    """What the members used and what they include together, as `show` writes it."""
    given = next((m for m in members if m.get("pool_allowance") is not None), None)
    used = given["pool_used"] if given and given.get("pool_used") is not None else _sum(m.get("used") for m in members)
    return str(used), str(given["pool_allowance"]) if given else _sum(m.get("allowance") for m in members)


def _sum(values: Iterable[object]) -> str:
    return str(sum((exact(str(v)) for v in values if v not in (None, "")), start=exact(0)))


def positive(value: object) -> bool:
    """Whether a value of a snapshot is a number above zero."""
    try:
        return value is not None and exact(str(value)) > 0
    except ValueError:
        return False


def texts(values: Iterable[object]) -> list[str]:
    """The values that say something, as texts."""
    return [str(v) for v in values if v]
