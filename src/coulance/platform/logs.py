"""Logs: plain lines for a terminal, one JSON object a line for a machine (COULANCE_LOG_FORMAT=json), never a secret.

Everything that logs, Django and procrastinate included, passes `redact` last: it takes out what looks like a token, a
password in an address, a mail address or an IBAN, and the very values of this instance's secrets wherever they stand.
What belongs together carries the same `request`: it is bound for a request over HTTP, goes along with the jobs that the
request wrote, and is bound again while they run.
"""

import json
import logging
import os
import re
import secrets
import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from coulance.platform import instance

if TYPE_CHECKING:  # the settings import us, and so does every command
    from procrastinate import App, JobContext
    from procrastinate.worker import Worker

REQUEST = "_request"
"""The argument by which a job carries its request; it is taken out before the job runs."""

_HIDDEN = "[...]"
_KEYS = re.compile(
    r"passw|secret|authori[sz]ation|cookie|api_?key|^token$|_token$|credential|passphrase", re.IGNORECASE
)
# Each keeps what a person needs to find the thing, and nothing that opens it or names somebody.
_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\b(cl_[0-9a-f]{10})_[A-Za-z0-9_-]+"), rf"\1_{_HIDDEN}"),
    (re.compile(r"\bwhsec_[A-Za-z0-9+/=_-]+"), f"whsec_{_HIDDEN}"),
    (re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{6,}"), rf"\1 {_HIDDEN}"),
    (re.compile(r"(?i)\b(set-cookie|cookie)\s*:\s*[^\r\n]+"), rf"\1: {_HIDDEN}"),
    (re.compile(r"(?i)\b(coulance_session|csrftoken|sessionid)=[^;\s&'\"]+"), rf"\1={_HIDDEN}"),
    (re.compile(r"([a-z][a-z0-9+.-]*://)[^/\s:@'\"]*:[^/\s@'\"]*@"), rf"\1{_HIDDEN}@"),
    (re.compile(r"([a-z][a-z0-9+.-]*://)[^/\s:@'\"]{8,}@"), rf"\1{_HIDDEN}@"),
    (re.compile(r"(/(?:sign-in|my/enter|answer|hooks/[a-z]+)/)[A-Za-z0-9_.:-]{12,}"), rf"\1{_HIDDEN}"),
    (re.compile(r"(?i)\b((?:password|passwd|secret|api_?key|access_?token)['\"]?\s*[=:]\s*)['\"]?[^\s,;'\"&)}]+"),
     rf"\1{_HIDDEN}"),
    (re.compile(r"[\w.+-]+@((?:[\w-]+\.)+[A-Za-z]{2,})"), rf"{_HIDDEN}@\1"),
    (re.compile(r"\b([A-Z]{2}\d{2})(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,4})?\b"), rf"\1{_HIDDEN}"),
)  # fmt: skip


class _Known:
    """The values of the instance's secrets, read again when their directory changed."""

    def __init__(self) -> None:
        self.values: tuple[str, ...] = ()
        self._stamp: float = -1
        self._looked: float = -60

    def current(self) -> tuple[str, ...]:
        now = time.monotonic()
        if now - self._looked < 5:
            return self.values
        self._looked = now
        try:
            directory = instance.current().secrets_dir
            stamp = directory.stat().st_mtime
            if stamp != self._stamp:
                found = {line.strip() for path in directory.iterdir() for line in path.read_text().splitlines()}
                self.values = tuple(sorted((v for v in found if len(v) >= 8), key=len, reverse=True))
                self._stamp = stamp
        except (OSError, UnicodeDecodeError):
            pass
        return self.values


_known = _Known()


def hide(text: str) -> str:
    """A text without secrets and without what names a person.

    >>> hide("GET with Bearer cl_0123456789_abcDEF from anna@example.nl")
    'GET with Bearer [...] from [...]@example.nl'
    """
    for value in _known.current():
        if value in text:
            text = text.replace(value, _HIDDEN)
    for pattern, kept in _PATTERNS:
        text = pattern.sub(kept, text)
    return text


def redact(entry: Mapping[str, Any]) -> dict[str, Any]:
    """The last thing before a line is written: hides secrets in every value, however deep."""
    return {key: _HIDDEN if _KEYS.search(str(key)) else _redacted(value) for key, value in entry.items()}


def _redacted(value: Any) -> Any:
    if isinstance(value, str):
        return hide(value)
    if isinstance(value, Mapping):
        return {hide(str(key)): _HIDDEN if _KEYS.search(str(key)) else _redacted(each) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_redacted(each) for each in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return hide(str(value))


class _Lines(logging.Formatter):
    """Writes a record with the request it belongs to; secrets are taken out of every fact."""

    def __init__(self, form: str) -> None:
        super().__init__()
        self._form = form

    def format(self, record: logging.LogRecord) -> str:
        facts = {name: value for name in _OURS if (value := getattr(record, name, _NOTHING)) is not _NOTHING}
        if name := _request.get():
            facts["request"] = name
        if record.exc_info and record.exc_info[0]:
            facts["exception"] = self.formatException(record.exc_info)
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        head = {"at": at, "level": record.levelname.lower(), "logger": record.name, "event": record.getMessage()}
        return (_as_json if self._form == "json" else _as_text)(redact({**head, **facts}))


def _as_json(entry: dict[str, Any]) -> str:
    return json.dumps(entry)


def _as_text(entry: dict[str, Any]) -> str:
    head = f"{entry.pop('at')} {entry.pop('level').upper()} {entry.pop('logger')}: {entry.pop('event')}"
    trace = entry.pop("exception", None)
    return head + "".join(f" {key}={value}" for key, value in entry.items()) + (f"\n{trace}" if trace else "")


def formatter(form: str) -> logging.Formatter:
    """What writes a record, for LOGGING: `json` or `plain`."""
    return _Lines(form)


_NOTHING = object()
_OURS = ("method", "route", "status", "ms", "size", "task", "job", "outcome")
"""Facts that may stand beside the words of a line."""


def settings() -> dict[str, Any]:
    """Django's LOGGING. COULANCE_LOG is the level; COULANCE_LOG_FORMAT is plain, or json with the access log."""
    form = os.environ.get("COULANCE_LOG_FORMAT", "plain").lower()
    if form not in {"plain", "json"}:
        raise instance.InstanceError(f"COULANCE_LOG_FORMAT is {form!r}; it may be plain or json")
    level = os.environ.get("COULANCE_LOG", "WARNING").upper()
    if level not in logging.getLevelNamesMapping():
        raise instance.InstanceError(f"COULANCE_LOG is {level.lower()!r}; it may be debug, info, warning or error")
    flow = "INFO" if form == "json" or level in {"INFO", "DEBUG"} else "WARNING"
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"lines": {"()": "coulance.platform.logs.formatter", "form": form}},
        "filters": {
            "not_about_health": {
                "()": "django.utils.log.CallbackFilter",
                "callback": not_about_health,
            },
        },
        "handlers": {
            "stderr": {"class": "logging.StreamHandler", "formatter": "lines", "filters": ["not_about_health"]},
        },
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {"coulance.access": {"level": flow}, "coulance.jobs": {"level": flow}},
    }


def not_about_health(record: logging.LogRecord) -> bool:
    """A log filter: an unhealthy answer of the health checks is not an error of the request that asked."""
    request = getattr(record, "request", None)
    return getattr(request, "path", "") not in {"/healthz", "/readyz"}


_NAME = re.compile(r"[A-Za-z0-9._-]{8,64}")


_request: ContextVar[str | None] = ContextVar("request", default=None)


def begin_request(given: str | None) -> str:
    """Bind a request's name for all that is logged from here on: the one a proxy gave, or a new one."""
    name = given if given and _NAME.fullmatch(given) else secrets.token_hex(8)
    _request.set(name)
    return name


def end_request() -> None:
    """Forget the request that was bound."""
    _request.set(None)


def current_request() -> str | None:
    """The name of the request that this is done for, or None."""
    return _request.get()


# Jobs


def carry_requests(app: "App") -> None:
    """Have every job that is written carry the request during which it was (PROCRASTINATE_ON_APP_READY)."""
    manager = app.job_manager
    now, later = manager.batch_defer_jobs, manager.batch_defer_jobs_async

    def marked(jobs: list[Any]) -> list[Any]:
        name = _request.get()
        if not name:
            return jobs
        return [job.evolve(task_kwargs={**job.task_kwargs, REQUEST: name}) for job in jobs]

    def batch_defer_jobs(jobs: list[Any], connection: Any = None) -> list[Any]:
        return now(marked(jobs), connection)

    async def batch_defer_jobs_async(jobs: list[Any], connection: Any = None) -> list[Any]:
        return await later(marked(jobs), connection)

    manager.batch_defer_jobs = batch_defer_jobs  # type: ignore[method-assign]
    manager.batch_defer_jobs_async = batch_defer_jobs_async  # type: ignore[method-assign]


_jobs = logging.getLogger("coulance.jobs")


def around_job(call_next: Callable[[], Any], context: "JobContext", worker: "Worker") -> Any:  # noqa: ARG001
    """Task middleware of the worker: binds the job's request and its own number, and logs how it went."""
    _begin_job(context)
    began = time.monotonic()
    outcome = "failed"
    try:
        answer = call_next()
        outcome = "done"
        return answer
    finally:
        _end_job(context, outcome, began)


async def around_async_job(call_next: Callable[[], Any], context: "JobContext", worker: "Worker") -> Any:  # noqa: ARG001
    """The same around a job that is a coroutine."""
    _begin_job(context)
    began = time.monotonic()
    outcome = "failed"
    try:
        answer = await call_next()
        outcome = "done"
        return answer
    finally:
        _end_job(context, outcome, began)


def _begin_job(context: "JobContext") -> None:
    name = context.job.task_kwargs.pop(REQUEST, None)
    _request.set(str(name) if name else None)


def _end_job(context: "JobContext", outcome: str, began: float) -> None:
    facts = {"task": context.job.task_name, "job": context.job.id, "outcome": outcome}
    _jobs.info("job", extra={**facts, "ms": round((time.monotonic() - began) * 1000, 1)})
    _request.set(None)
