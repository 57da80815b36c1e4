"""Asking an HTTP API for JSON: bounded in time and size, certificates checked, every fault in words."""

import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any, TypeVar

import httpx
import msgspec

from coulance.integrations.collectors.harvest import Now, UnableToCollectError
from coulance_core.catalog.collectors import Collector

LARGEST_ANSWER = 128 * 1024 * 1024
_T = TypeVar("_T")


class UnableToAskSoMuchError(UnableToCollectError):
    """The server refuses a question for its size: ask for less."""


class Api:
    """One API under a base address, with a collector's terms. Use it in a `with`."""

    def __init__(self, collector: Collector, headers: Mapping[str, str], now: Now, *, secret: str) -> None:
        self.collector, self.now, self.secret = collector, now, secret
        verify: ssl.SSLContext | bool = False
        if collector.url.startswith("https"):
            verify = _context(collector)
        self.client = httpx.Client(
            base_url=collector.url,
            headers={"Accept": "application/json", "User-Agent": "coulance", **headers},
            timeout=collector.timeout_s,
            verify=verify,
            follow_redirects=False,  # a redirect would carry our token elsewhere
            trust_env=False,
        )

    def __enter__(self) -> "Api":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.client.close()

    def get(self, path: str, shape: type[_T], **params: str) -> _T:
        """The answer to a GET, as `shape`. Raises `UnableToCollectError`."""
        return self.read(self.client.build_request("GET", path, params=params), shape)

    def post(self, path: str, shape: type[_T], **form: str) -> _T:
        """The answer to a POST of a form, as `shape`."""
        return self.read(self.client.build_request("POST", path, data=form), shape)

    def read(self, request: httpx.Request, shape: type[_T]) -> _T:
        """Send a request and read its JSON. The answer's size is bounded while it comes."""
        where = request.url.path
        with self._said(where):
            answer = self.client.send(request, stream=True)
            try:
                body = bytearray()
                for part in answer.iter_bytes():
                    body += part
                    if len(body) > LARGEST_ANSWER:
                        raise UnableToAskSoMuchError(f"{where}: the answer is larger than {LARGEST_ANSWER} bytes")
            finally:
                answer.close()
        self._judge(answer, where, bytes(body))
        try:
            return msgspec.json.decode(body, type=shape, strict=False)
        except (msgspec.DecodeError, UnicodeDecodeError) as fault:
            kind = answer.headers.get("Content-Type", "none")
            raise UnableToCollectError(
                f"{where}: the answer is not what this API gives: {fault} (content type {kind})"
            ) from fault

    @contextmanager
    def _said(self, where: str) -> Iterator[None]:
        try:
            yield
        except httpx.TimeoutException as fault:
            raise UnableToCollectError(f"{where}: no answer within {self.collector.timeout_s} s") from fault
        except httpx.ConnectError as fault:
            said = str(fault)
            hint = "; if the server has a certificate of your own authority, name it as ca_file" * (
                "CERTIFICATE" in said
            )
            raise UnableToCollectError(f"{self.collector.url}: can't connect: {said}{hint}") from fault
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as fault:
            raise UnableToCollectError(f"{where}: {type(fault).__name__}: {fault}") from fault

    def _judge(self, answer: httpx.Response, where: str, body: bytes) -> None:
        status = answer.status_code
        if status == 200:
            return
        told = _told(body)
        said = f"{where}: status {status}" + (f": {told}" if told else "")
        if status in (401, 403):
            raise UnableToCollectError(f"{said}; check the secret {self.secret!r} and what it may do")
        if 300 <= status < 400:
            raise UnableToCollectError(f"{said}: it sends us elsewhere; write the address it means as url")
        if status in (413, 422):
            raise UnableToAskSoMuchError(said)
        after = _retry_after(answer.headers.get("Retry-After", ""), self.now()) if status in (429, 503) else 0
        raise UnableToCollectError(said, retry_after_s=after)


def _context(collector: Collector) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=collector.ca_file or None)
    except (OSError, ssl.SSLError) as fault:
        raise UnableToCollectError(f"ca_file {collector.ca_file!r} can't be read: {fault}") from fault
    if not collector.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _told(body: bytes) -> str:
    """What an error's body says, shortly."""
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return " ".join(body[:200].decode(errors="replace").split())
    if isinstance(found, dict):
        for name in ("error", "message", "errors", "detail"):
            if found.get(name):
                return str(found[name])[:300]
    return str(found)[:200]


def _retry_after(text: str, now: datetime) -> int:
    """Seconds that a Retry-After header asks for: a number, or a date."""
    if text.strip().isdecimal():
        return int(text)
    try:
        return max(int((parsedate_to_datetime(text) - now).total_seconds()), 0)
    except (TypeError, ValueError):
        return 0


def number(value: Any) -> int | None:
    """A counter as an API has it: a whole number, also as a text or a float; `None` for anything else.

    >>> number("18446744073709551615"), number(12.0), number(None), number("x"), number(True)
    (18446744073709551615, 12, None, None, None)
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and value.strip().isdecimal():
        return int(value)
    return None
