"""Readers of other monitoring: Uptime Kuma, Pingdom, Upptime's history, Prometheus' answers, CSV. Pure, from values.

Each gives what was seen by the source's own name for what it watches; which check of ours that is says the flow. What
can't be read is refused with its place, and nothing of it is taken.
"""

import csv
import io
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from prometheus_client.parser import text_string_to_metric_families

MOST = 200_000


class UnableToReadUptimeError(ValueError):
    """What a source sent isn't what it sends; the message says where."""


class Seen(NamedTuple):
    """What a source saw: its name for it, when (aware), whether it was up; `also` is another name it has for it."""

    name: str
    at: datetime
    up: bool
    also: str = ""


class Counted(NamedTuple):
    """What a source counted of something by its name, in the slot that begins at an instant (aware)."""

    name: str
    at: datetime
    requests: int
    errors: int


def kuma(body: Any) -> list[Seen]:
    """An Uptime Kuma webhook: `{"heartbeat": {"status": 0|1|2|3, "time": ...}, "monitor": {"name": ...}}`.

    Pending (2) and maintenance (3) say neither up nor down. A test of the webhook has no heartbeat: nothing is seen.
    Kuma writes UTC without saying so, unless `timezoneOffset` beside says otherwise; `time` is UTC always.
    """
    if not isinstance(body, Mapping):
        raise UnableToReadUptimeError("expected an object with heartbeat and monitor")
    beat, monitor = body.get("heartbeat"), body.get("monitor")
    if beat is None:
        return []
    if not isinstance(beat, Mapping) or not isinstance(monitor, Mapping) or not isinstance(monitor.get("name"), str):
        raise UnableToReadUptimeError("heartbeat and monitor.name: expected as Uptime Kuma sends them")
    if beat.get("status") not in (0, 1, 2, 3):
        raise UnableToReadUptimeError(f"heartbeat.status is {beat.get('status')!r}: expected 0, 1, 2 or 3")
    if beat["status"] > 1:
        return []
    return [Seen(monitor["name"], instant(beat.get("time"), "heartbeat.time"), beat["status"] == 1)]


def pingdom(body: Any) -> list[Seen]:
    """A webhook of Pingdom: `check_name` and `check_id`, `current_state`, `state_changed_timestamp` (seconds).

    Of uptime checks the states are UP and DOWN, of transaction checks SUCCESS and FAILING; what isn't sure yet
    (UNCONFIRMED_DOWN), unknown or paused says nothing. A check is known by its name, or by its number, which stays when
    somebody renames it.
    """
    if not isinstance(body, Mapping) or not isinstance(body.get("check_name"), str):
        raise UnableToReadUptimeError("check_name: expected as Pingdom sends it")
    state = body.get("current_state")
    if state not in _PINGDOM:
        raise UnableToReadUptimeError(f"current_state is {state!r}: expected {', '.join(_PINGDOM)}")
    up = _PINGDOM[state]
    if up is None:
        return []
    at = instant(body.get("state_changed_timestamp"), "state_changed_timestamp")
    number = body.get("check_id")
    return [Seen(body["check_name"], at, up, str(number) if type(number) is int else "")]


_PINGDOM = {
    "UP": True, "SUCCESS": True, "DOWN": False, "FAILING": False, "UNCONFIRMED_DOWN": None, "UNKNOWN": None,
    "PAUSED": None,
}  # fmt: skip


def kuma_metrics(text: str, at: datetime) -> list[Seen]:
    """The page `/metrics` of Uptime Kuma, as asked for at an instant: `monitor_status{monitor_name="Shop",...} 1`."""
    out: list[Seen] = []
    try:
        for family in text_string_to_metric_families(text):
            out += [
                Seen(one.labels.get("monitor_name", ""), at, one.value == 1)
                for one in family.samples
                if one.name == "monitor_status" and one.value in (0, 1)  # neither pending nor maintenance
            ]
    except ValueError as error:
        raise UnableToReadUptimeError(f"this is no page of metrics: {str(error)[:200]}") from error
    if not out and "monitor_status" not in text:
        raise UnableToReadUptimeError("monitor_status: expected as Uptime Kuma's /metrics has it")
    return out


def generic(body: Any) -> list[Seen]:
    """`{"looks": [{"name": ..., "at": ..., "up": true}, ...]}`; `at` is ISO 8601 or seconds since 1970."""
    rows = body.get("looks") if isinstance(body, Mapping) else None
    if not isinstance(rows, list) or len(rows) > MOST:
        raise UnableToReadUptimeError(f"looks: expected a list of at most {MOST}")
    out = []
    for n, row in enumerate(rows):
        if not isinstance(row, Mapping) or not isinstance(row.get("name"), str) or type(row.get("up")) is not bool:
            raise UnableToReadUptimeError(f"looks[{n}]: expected name, at and up (true or false)")
        out.append(Seen(row["name"], instant(row.get("at"), f"looks[{n}].at"), row["up"]))
    return out


def prometheus(body: Any, label: str = "instance") -> list[Seen]:
    """The answer of Prometheus' `query_range` (or `query`) for `probe_success` or `up`: each series by a label."""
    data = body.get("data") if isinstance(body, Mapping) else None
    if not isinstance(data, Mapping) or body.get("status") != "success":
        raise UnableToReadUptimeError(f"Prometheus answered {str(body)[:200]}")
    out = []
    for n, series in enumerate(data.get("result", [])):
        name = series.get("metric", {}).get(label)
        if not isinstance(name, str):
            raise UnableToReadUptimeError(f"data.result[{n}] has no label {label!r}")
        for at, value in series.get("values") or [series["value"]]:
            if value not in ("0", "1"):
                raise UnableToReadUptimeError(f"data.result[{n}] is {value!r} at {at}: expected 0 or 1")
            out.append(Seen(name, datetime.fromtimestamp(float(at), UTC), value == "1"))
    return out


def table(text: str) -> list[Seen]:
    """CSV with the columns name, at and up (1 or 0, true or false, up or down)."""
    rows = csv.DictReader(io.StringIO(text.removeprefix("\ufeff")))
    missing = {"name", "at", "up"} - set(rows.fieldnames or ())
    if missing:
        raise UnableToReadUptimeError(f"line 1: expected the columns name, at and up; {min(missing)} is missing")
    words = {"1": True, "true": True, "up": True, "0": False, "false": False, "down": False}
    out = []
    for row in rows:
        said = (row["up"] or "").strip().lower()
        if said not in words or not row["name"]:
            raise UnableToReadUptimeError(f"line {rows.line_num}: up is {row['up']!r}: expected 1 or 0")
        out.append(Seen(row["name"], instant(row["at"], f"line {rows.line_num}: at"), words[said]))
    return out


def counted(requests: Any, errors: Any, label: str, step: int) -> list[Counted]:
    """Two answers of Prometheus' `query_range`, of requests and of errors, in steps as long as a slot: a value at an
    instant is of the slot that ends there, as `increase(...[5m])` counts it.

    Prometheus extrapolates: counts are rounded to whole ones, and errors are never more than requests. Where it says
    nothing of errors, there were none.
    """
    of: dict[tuple[str, int], dict[str, int]] = {}
    for what, body in (("requests", requests), ("errors", errors)):
        for name, at, value in _values(body, label):
            slot = of.setdefault((name, round(at) - step), {})
            slot[what] = round(value)
    return [
        Counted(name, datetime.fromtimestamp(at, UTC), slot["requests"], min(slot.get("errors", 0), slot["requests"]))
        for (name, at), slot in sorted(of.items())
        if "requests" in slot
    ]


def _values(body: Any, label: str) -> Iterable[tuple[str, float, float]]:
    data = body.get("data") if isinstance(body, Mapping) else None
    if not isinstance(data, Mapping) or body.get("status") != "success":
        raise UnableToReadUptimeError(f"Prometheus answered {str(body)[:200]}")
    for n, series in enumerate(data.get("result", [])):
        name = series.get("metric", {}).get(label)
        if not isinstance(name, str):
            raise UnableToReadUptimeError(f"data.result[{n}] has no label {label!r}: sum by ({label}) (...)")
        for at, value in series.get("values") or [series["value"]]:
            number = float(value)
            if number != number or not 0 <= number < 2**53:  # NaN is what a division by nothing gives
                raise UnableToReadUptimeError(f"data.result[{n}] is {value!r} at {at}: expected a count")
            yield name, float(at), number


def counted_table(text: str) -> list[Counted]:
    """CSV with the columns name, at, requests and errors; `at` is where the slot begins."""
    rows = csv.DictReader(io.StringIO(text.removeprefix("\ufeff")))
    out = []
    for row in rows:
        where = f"line {rows.line_num}"
        given = [(row[column] or "").strip() for column in ("requests", "errors")]
        if not row["name"] or not all(one.isdecimal() for one in given):
            raise UnableToReadUptimeError(f"{where}: expected a name, and whole numbers of requests and errors")
        out.append(Counted(row["name"], instant(row["at"], f"{where}: at"), int(given[0]), int(given[1])))
    return out


def counts(text: str) -> bool:
    """Whether a CSV counts requests, by its first line."""
    head = next(csv.reader(io.StringIO(text.removeprefix("\ufeff"))), [])
    return {"name", "at", "requests", "errors"} <= set(head)


def upptime(name: str, commits: Iterable[tuple[datetime, str]]) -> list[Seen]:
    """The history of an Upptime site: commits of `history/<site>.yml` with their messages.

    Upptime commits when a state changes: "🟥 Site is down (0 in 0 ms) [skip ci] [upptime]"; degraded counts as up.
    """
    out = []
    for at, message in commits:
        head = message.lstrip()
        if "is down" in head[:200]:
            out.append(Seen(name, at, False))
        elif "is up" in head[:200] or "degraded" in head[:200]:
            out.append(Seen(name, at, True))
    return sorted(out, key=lambda one: one.at)


def instant(value: Any, where: str) -> datetime:
    """An aware instant from ISO 8601 (UTC where it says none) or seconds since 1970."""
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return datetime.fromtimestamp(value, UTC)
        found = datetime.fromisoformat(str(value).strip())
    except (ValueError, OverflowError, OSError):
        raise UnableToReadUptimeError(
            f"{where} is {value!r}: expected an instant, such as 2026-10-05T10:00:00Z"
        ) from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def git_log(text: str) -> list[tuple[datetime, str]]:
    """The lines of `git log --format='%cI %s'`: when, and the message."""
    out = []
    for number, line in enumerate(text.splitlines(), 1):
        at, _, message = line.partition(" ")
        if line.strip():
            out.append((instant(at, f"line {number}"), message))
    return out
