"""The agent's two questions to the server: what to look at, and here is what was seen.

Both over HTTPS with the agent's own token, which may do nothing else. Plain HTTP is refused but to this machine, for
tests and tunnels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx

from coulance_probe import VERSION
from coulance_probe.spool import Kept


class ServerError(Exception):
    """The server can't be reached, or answers what can't be used. Tried again later."""


class RefusedError(Exception):
    """The server doesn't know this agent: its token is wrong or was taken back."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What the server did with a batch: the looks it has now, whether new or not, and those it can't use."""

    accepted: int
    doubles: int
    unknown: int


class Server:
    """A Coulance installation, by its address and this agent's token."""

    def __init__(self, url: str, token: str, timeout_s: float = 20.0) -> None:
        parts = urlsplit(url)
        local = parts.hostname in ("127.0.0.1", "::1", "localhost")
        if parts.scheme != "https" and not (parts.scheme == "http" and local):
            raise ValueError(f"{url}: expected an https:// address")
        self._client = httpx.Client(
            base_url=url.rstrip("/"),
            timeout=timeout_s,
            headers={"authorization": f"Bearer {token}", "user-agent": f"coulance-probe/{VERSION}"},
            trust_env=False,
        )

    def checks(self) -> list[dict[str, Any]]:
        """What this agent is to look at."""
        rows = self._ask("GET", "/api/v1/probe/checks").get("checks")
        if not isinstance(rows, list):
            raise ServerError("no list of checks in the answer")
        return rows

    def hand_over(self, looks: Sequence[Kept], sent_at: int, lost: int) -> Taken:
        """Give looks to the server. `sent_at` is this machine's clock, so that the server sees how far it is off."""
        rows = [[k.seq, k.check, k.at, k.up, k.ms, k.why] for k in looks]
        answer = self._ask("POST", "/api/v1/probe/looks", {"sent_at": sent_at, "lost": lost, "looks": rows})
        try:
            return Taken(int(answer["accepted"]), int(answer["doubles"]), int(answer["unknown"]))
        except (KeyError, TypeError, ValueError) as error:
            raise ServerError(f"the answer doesn't say what was accepted: {answer!r:.200}") from error

    def _ask(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        try:
            answer = self._client.request(method, path, json=body)
        except httpx.HTTPError as error:
            raise ServerError(str(error) or type(error).__name__) from error
        if answer.status_code in (401, 403):
            raise RefusedError(f"{answer.status_code}: the token isn't known here, or may not do this")
        if answer.status_code != 200:
            raise ServerError(f"status {answer.status_code}: {answer.text[:200]}")
        try:
            found = answer.json()
        except ValueError as error:
            raise ServerError("the answer is no JSON") from error
        if not isinstance(found, dict):
            raise ServerError("the answer is no object")
        return found

    def close(self) -> None:
        """Let go of connections."""
        self._client.close()
