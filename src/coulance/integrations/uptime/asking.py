"""Asking a Prometheus server what it saw, in pieces it takes."""

from datetime import datetime, timedelta

import httpx

from coulance.integrations.uptime.reading import Seen, UnableToReadUptimeError, prometheus

_MOST_POINTS = 10_000
"""Prometheus answers at most 11,000 a series."""


def _ask(client: httpx.Client, query: str, since: datetime, until: datetime, step: int) -> object:
    try:
        answer = client.get(
            "/api/v1/query_range",
            params={"query": query, "start": since.timestamp(), "end": until.timestamp(), "step": step},
        )
        found: object = answer.json()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise UnableToReadUptimeError(f"Prometheus didn't answer: {error}") from error
    return found


def ask_prometheus(url: str, *, query: str, label: str, since: datetime, until: datetime, step: int) -> list[Seen]:
    """What a server saw from `since` to `until`, a value a step (its own five minutes of looking back included, so that
    an outage it didn't see itself shows as silence five minutes late at most). Raises `UnableToReadUptimeError`."""
    out: list[Seen] = []
    with httpx.Client(base_url=url.rstrip("/"), timeout=30, trust_env=False) as client:
        while since < until:
            end = min(until, since + timedelta(seconds=step * _MOST_POINTS))
            out += prometheus(_ask(client, query, since, end, step), label)
            since = end + timedelta(seconds=step)
    return out
