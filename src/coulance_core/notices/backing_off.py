"""When a message that could not be handed over is tried again, and when that ends."""

from datetime import datetime, timedelta

from coulance_core.kernel import require_aware

GIVE_UP_AFTER = timedelta(days=5)
"""How long is tried in all: RFC 5321, 4.5.4.1, says at least four to five days."""

_PAUSES = tuple(timedelta(minutes=m) for m in (1, 5, 15, 30, 60, 120, 240))


def next_attempt(*, attempts: int, first: datetime, at: datetime) -> datetime | None:
    """The instant of the next attempt after `attempts` (1 or more) that failed for now; None: give up.

    `first` is when the first was made. Pauses grow from a minute to four hours.

    >>> from datetime import UTC
    >>> noon = datetime(2026, 11, 2, 12, tzinfo=UTC)
    >>> [int((next_attempt(attempts=n, first=noon, at=noon) - noon).total_seconds() // 60) for n in (1, 2, 3, 7, 40)]
    [1, 5, 15, 240, 240]
    >>> next_attempt(attempts=30, first=noon, at=noon + timedelta(days=5)) is None
    True
    """
    require_aware(at)
    require_aware(first)
    if attempts < 1:
        raise ValueError(f"expected 1 attempt or more, not {attempts}")
    if at - first >= GIVE_UP_AFTER:
        return None
    return at + _PAUSES[min(attempts, len(_PAUSES)) - 1]
