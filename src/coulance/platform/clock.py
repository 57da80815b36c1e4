"""The one place that reads the clock. Only cli, console, api and tasks call it; everything below takes instants in."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo


def now() -> datetime:
    """This instant, aware, in UTC."""
    return datetime.now(UTC)  # noqa: TID251 - this is the clock


def today(zone: str) -> date:
    """The civil date now in a zone such as `Europe/Amsterdam`. Raises ZoneInfoNotFoundError for an unknown zone."""
    return now().astimezone(ZoneInfo(zone)).date()
