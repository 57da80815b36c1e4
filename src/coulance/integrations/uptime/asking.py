"""Asking a Prometheus server what it saw or counted, in pieces it takes; and Uptime Kuma what it sees now."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx

from coulance.integrations.uptime.reading import (
    Counted,
    Seen,
    UnableToReadUptimeError,
    counted,
    kuma_metrics,
    prometheus,
)

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


def _pieces(since: datetime, until: datetime, step: int) -> Iterator[tuple[datetime, datetime]]:
    while since <= until:
        end = min(until, since + timedelta(seconds=step * _MOST_POINTS))
        yield since, end
        since = end + timedelta(seconds=step)


def ask_counts(
    url: str, *, requests: str, errors: str, label: str, since: datetime, until: datetime, step: int
) -> list[Counted]:
    """What a server counted in slots of `step` seconds that lie within `since` and `until`: two expressions, such as
    `sum by (instance) (increase(http_requests_total[5m]))` for slots of 300. Raises `UnableToReadUptimeError`."""
    first = datetime.fromtimestamp(-(-since.timestamp() // step) * step, UTC) + timedelta(seconds=step)
    last = datetime.fromtimestamp(until.timestamp() // step * step, UTC)
    out: list[Counted] = []
    with httpx.Client(base_url=url.rstrip("/"), timeout=30, trust_env=False) as client:
        for start, end in _pieces(first, last, step):
            asked = _ask(client, requests, start, end, step)
            out += counted(asked, _ask(client, errors, start, end, step), label, step)
    return out


def ask_kuma(url: str, *, key: str, at: datetime) -> list[Seen]:
    """What Uptime Kuma sees now, from its page of metrics by an API key of it. Raises `UnableToReadUptimeError`."""
    try:
        with httpx.Client(timeout=30, trust_env=False) as client:
            answer = client.get(url.rstrip("/") + "/metrics", auth=("", key))
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise UnableToReadUptimeError(f"Uptime Kuma didn't answer: {error}") from error
    if answer.status_code != 200:
        raise UnableToReadUptimeError(f"Uptime Kuma answered {answer.status_code}: is the API key right?")
    return kuma_metrics(answer.text, at)
