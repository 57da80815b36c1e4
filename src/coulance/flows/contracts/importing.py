"""Time entries from CSV (our own, Kimai's, Toggl's) and tickets: every fault with its line; all of a file or none.

Local times are read in a zone that is given. Entries of a tool that names no id are known by contract, person and
beginning, so that the same export read twice is there once.
"""

import csv
import io
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time
from fractions import Fraction
from zoneinfo import ZoneInfo

from django.db import transaction

from coulance.contracts import queries, working
from coulance.contracts.errors import ContractsError
from coulance.contracts.ticketing import NewEvent
from coulance.contracts.working import NewWork, Recorded
from coulance.flows.contracts.ticketing import Incoming, receive
from coulance_core.contracts.terms import Work
from coulance_core.kernel import exact
from coulance_core.sla.clocks import EventKind

MOST_BYTES = 20 * 1024 * 1024


class UnableToImportError(ContractsError):
    """A file that can't be taken as it is. `faults` are (line, what), all of them; nothing was written."""

    def __init__(self, faults: list[tuple[int, str]]) -> None:
        self.faults = faults
        super().__init__("; ".join(f"line {line}: {what}" for line, what in faults[:20]))


@dataclass(frozen=True, slots=True)
class _Row:
    """A line of a file by its column's names, in small letters."""

    line: int
    values: Mapping[str, str]

    def get(self, *names: str) -> str:
        """The first of some columns that says something."""
        return next((self.values[n].strip() for n in names if self.values.get(n, "").strip()), "")


def import_work(
    *, text: str, form: str, zone: str, contract: str = "", work: Work = Work.CORRECTIVE, actor: str, at: datetime,
    reason: str = "",
) -> Recorded:  # fmt: skip
    """Write down all entries of a CSV; `form` is `plain`, `kimai` or `toggl`.

    `contract` is whose all are; else each line names it: its column `contract`, the project's or the customer's name.
    `work` is the class where neither a tag nor the activity names one. Raises `UnableToImportError`.
    """
    known = {c.key: c.id for c in queries.contracts()}
    read = {"plain": _plain, "kimai": _kimai, "toggl": _toggl}[form]
    faults: list[tuple[int, str]] = []
    found: list[NewWork] = []
    twice: Counter[str] = Counter()
    for row in _rows(text, faults):
        try:
            named = [row.get(column) for column in ("contract", "project", "customer", "client")]
            key = contract or next((name for name in named if name in known), "")
            if key not in known:
                raise ValueError(f"no contract: expected one of {', '.join(sorted(known)[:20]) or 'none yet'}")
            one = read(row, known[key], key, ZoneInfo(zone), work)
            twice[one.key] += 1
            if twice[one.key] > 1:
                raise ValueError(f"the entry {one.key} stands in this file already")
            found.append(one)
        except (ValueError, KeyError) as error:
            faults.append((row.line, str(error)))
    if faults:
        raise UnableToImportError(faults)
    return working.record_work(work=found, actor=actor, at=at, reason=reason)


def _rows(text: str, faults: list[tuple[int, str]]) -> Iterator[_Row]:
    if len(text) > MOST_BYTES:
        raise UnableToImportError([(1, f"a file has at most {MOST_BYTES} bytes")])
    body = text.removeprefix("\ufeff")
    first = body.partition("\n")[0]
    reader = csv.reader(io.StringIO(body), delimiter=";" if first.count(";") > first.count(",") else ",", strict=True)
    names: list[str] = []
    try:
        for values in reader:
            if not names:
                names = [v.strip().lower().replace(" ", "_") for v in values]
                continue
            if not any(v.strip() for v in values):
                continue
            if len(values) != len(names):
                faults.append((reader.line_num, f"{len(values)} fields: expected {len(names)}, as the heading has"))
                continue
            yield _Row(reader.line_num, dict(zip(names, values, strict=True)))
    except csv.Error as error:
        faults.append((reader.line_num, str(error)))


def _plain(row: _Row, contract: int, key: str, zone: ZoneInfo, work: Work) -> NewWork:  # noqa: ARG001 - as the others
    """Columns: key, began_at, minutes (or seconds, hours), who; and work, free, text, ticket, contract."""
    if not row.get("key"):
        raise ValueError("no key: expected what names the entry once")
    began = _instant(row.get("began_at"), zone)
    for column, unit in (("seconds", 1), ("minutes", 60), ("hours", 3600)):
        if row.get(column):
            seconds = _whole(row.get(column), unit)
            break
    else:
        raise ValueError("no time: expected minutes, seconds or hours")
    free = row.get("free").lower()
    if free not in ("", "yes", "no", "true", "false", "1", "0"):
        raise ValueError(f"free: expected yes or no, not {free!r}")
    return NewWork(
        contract, row.get("key"), began, seconds, _who(row.get("who")), _work(row.get("work"), work),
        free in ("yes", "true", "1"), row.get("text"), row.get("ticket"),
    )  # fmt: skip


def _kimai(row: _Row, contract: int, key: str, zone: ZoneInfo, work: Work) -> NewWork:
    """Kimai's export: Date, From, To, Duration, User, Customer, Project, Activity, Description, Tags."""
    first, last = row.get("from", "begin"), row.get("to", "end")
    began = _instant(f"{row.get('date')} {first or '00:00'}", zone)
    seconds = _kimai_duration(row.get("duration"), first, last)
    return _tool("kimai", row, contract, key, began, seconds, row.get("user", "username", "name"), work)


def _kimai_duration(text: str, first: str, last: str) -> int:
    """How long it took: as a clock or in hours, or whole seconds, as Kimai's own files have it.

    A whole number may be either: what the times say decides, and nothing is longer than they are.
    """
    span = _minutes(last) - _minutes(first) if first and last else None
    if span is not None:
        span = (span % 1440 or 1440 * (first == last)) * 60
    if not text and span is not None:
        return span
    if text.isdigit():
        if span is None:
            raise ValueError(f"duration {text!r}: hours or seconds? expected 1:30, or the columns From and To beside")
        readings = [seconds for seconds in (int(text), int(text) * 3600) if seconds <= span + 60]
        if not readings:
            raise ValueError(f"duration {text!r} is longer than from {first} to {last}")
        return min(readings, key=lambda seconds: abs(span - seconds))
    seconds = _duration(text)
    if span is not None and seconds > span + 60:
        raise ValueError(f"duration {text!r} is longer than from {first} to {last}")
    return seconds


def _minutes(text: str) -> int:
    try:
        clock = time.fromisoformat(text if len(text) > 4 else f"0{text}")
    except ValueError:
        raise ValueError(f"{text!r}: expected a time such as 09:30") from None
    return clock.hour * 60 + clock.minute


def _toggl(row: _Row, contract: int, key: str, zone: ZoneInfo, work: Work) -> NewWork:
    """Toggl's detailed report: User, Client, Project, Description, Start date, Start time, Duration, Tags."""
    began = _instant(f"{row.get('start_date')} {row.get('start_time')}", zone)
    return _tool("toggl", row, contract, key, began, _duration(row.get("duration")), row.get("user", "email"), work)


def _tool(
    tool: str, row: _Row, contract: int, key: str, began: datetime, seconds: int, who: str, work: Work
) -> NewWork:  # fmt: skip
    named = [t.strip().lower() for t in (*row.get("tags").split(","), row.get("activity", "task"))]
    classes = [w for w in Work if w.value in named]
    if len(classes) > 1:
        raise ValueError(f"tags name several classes of work: {', '.join(w.value for w in classes)}")
    number = row.get("id", "entry_id") or f"{key}/{_who(who)}/{began.isoformat()}"
    return NewWork(
        contract, f"{tool}/{number}"[:200], began, seconds, _who(who), classes[0] if classes else work, "free" in named,
        row.get("description"),
    )  # fmt: skip


def _who(text: str) -> str:
    if not text:
        raise ValueError("nobody: expected who did it")
    return text[:100]


def _work(text: str, default: Work) -> Work:
    try:
        return Work(text.lower()) if text else default
    except ValueError:
        raise ValueError(f"work: expected one of {', '.join(w.value for w in Work)}, not {text!r}") from None


def _whole(text: str, unit: int) -> int:
    seconds = exact(text.replace(",", ".")) * unit
    if seconds < 0 or seconds.denominator != 1:
        raise ValueError(f"{text!r}: expected a time of whole seconds, zero or more")
    return int(seconds)


def _duration(text: str) -> int:
    """`1:30`, `01:30:00`, or hours as `1.5` or `1,5`, to the nearest second."""
    parts = text.split(":")
    if len(parts) in (2, 3) and all(p.isdigit() for p in parts):
        hours, minutes, seconds = (*map(int, parts), 0)[:3]
        if minutes > 59 or seconds > 59:
            raise ValueError(f"duration {text!r}: expected minutes and seconds below 60")
        return hours * 3600 + minutes * 60 + seconds
    hours_ = exact(text.replace(",", ".")) if text else Fraction(-1)
    if hours_ < 0:
        raise ValueError(f"duration {text!r}: expected 1:30, 01:30:00 or 1.5")
    return round(hours_ * 3600)


_FORMS = ("%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%d-%m-%Y %H:%M", "%d.%m.%Y %H:%M", "%d/%m/%Y %H:%M")


def _instant(text: str, zone: ZoneInfo) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = _by_form(text)
    if found.tzinfo is None:
        local = found.replace(tzinfo=zone)
        if local.astimezone(UTC).astimezone(zone).replace(tzinfo=None) != found:
            raise ValueError(f"{text!r} was skipped by the clock in {zone.key}")
        found = local
    return found.astimezone(UTC)


def _by_form(text: str) -> datetime:
    for form in _FORMS:
        try:
            return datetime.strptime(text, form)  # noqa: DTZ007 - the zone follows
        except ValueError:
            continue
    raise ValueError(f"{text!r}: expected a time such as 2026-05-04 09:30")


def import_tickets(*, text: str, source: str, zone: str, actor: str, at: datetime) -> tuple[int, int]:
    """Tickets' events from CSV: number, at, event, and on openings subject, priority, account or contract or email.

    All or none; how many tickets and events are new. Raises `UnableToImportError`.
    """
    faults: list[tuple[int, str]] = []
    opened = events = 0
    with transaction.atomic():
        for row in _rows(text, faults):
            try:
                told = _told(row, source, ZoneInfo(zone))
                with transaction.atomic():
                    done = receive(told, actor=actor, at=at)
                opened, events = opened + done.opened, events + done.events
            except (ValueError, LookupError) as error:
                faults.append((row.line, str(error)))
        if faults:
            transaction.set_rollback(True)
    if faults:
        raise UnableToImportError(faults)
    return opened, events


def _told(row: _Row, source: str, zone: ZoneInfo) -> Incoming:
    instant_, name = _instant(row.get("at"), zone), row.get("event").lower()
    try:
        kind = EventKind(name)
    except ValueError:
        raise ValueError(f"event: expected one of {', '.join(k.value for k in EventKind)}, not {name!r}") from None
    opens = kind is EventKind.OPENED
    key = row.get("key") or f"{kind.value}/{instant_.isoformat()}"
    return Incoming(
        source, row.get("number"), row.get("subject"), instant_ if opens else None, row.get("priority"),
        row.get("account"), row.get("contract"), row.get("email"),
        () if opens else (NewEvent(key, instant_, kind, row.get("priority")),),
    )  # fmt: skip
