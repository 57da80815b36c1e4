"""Having a service's data deleted by a program of the provider's own: asked by signed HTTP, or run on this machine.

Who is there is asked first (`{"do": "read", "service", "identity", "parameters"}`, answered by `{"identity"}`; empty
where nothing is there), and again after. The order is the same with `"do": "delete"` and `"key"`, which is the same
for the same decision. By HTTP the look goes to `read_url` and the order to `url`, both as the webhook driver signs.
"""

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

from coulance.arrears.deletion_terms import DeletionKind, DeletionTerms
from coulance.arrears.ports import BackupTarget, DeletionError, DeletionPort
from coulance.drivers.webhook import WebhookDriver
from coulance.enforcement.ports import DriverError
from coulance.platform import programs, secret_store
from coulance.platform.instance import InstanceError

_LARGEST = 64 * 1024


class WebhookDeletion(WebhookDriver):
    """By signed HTTP."""

    def __init__(self, *, url: str, read_url: str, **more: Any) -> None:
        super().__init__(url=url, read_url=read_url, **more)
        self._order, self._look = url, read_url

    def identify(self, service: str, target: BackupTarget) -> str:
        """Who the receiver says is there."""
        return _identity(self._said(self._look, _asked(service, target, "read"), "read"))

    def delete(self, service: str, target: BackupTarget, *, key: str) -> str:
        """Post the order."""
        return self._said(self._order, {**_asked(service, target, "delete"), "key": key}, "delete").decode(
            errors="replace"
        )[:1000]

    def _said(self, url: str, held: dict[str, Any], what: str) -> bytes:
        try:
            return self._ask(url, held, what).body
        except DriverError as fault:
            raise DeletionError(str(fault)) from fault


class CommandDeletion:
    """By a program on this machine: JSON in, JSON out, no shell."""

    def __init__(self, command: tuple[str, ...], *, timeout_s: float) -> None:
        self._command, self._timeout = list(command), timeout_s

    def identify(self, service: str, target: BackupTarget) -> str:
        """Who the program says is there."""
        return _identity(self._run(_asked(service, target, "read")))

    def delete(self, service: str, target: BackupTarget, *, key: str) -> str:
        """Run it with the order."""
        return self._run({**_asked(service, target, "delete"), "key": key}).decode(errors="replace")[:1000]

    def _run(self, held: dict[str, Any]) -> bytes:
        name = self._command[0]
        try:
            ran = programs.run(
                self._command,
                timeout_s=self._timeout,
                largest=_LARGEST,
                environment={},
                given=json.dumps(held).encode(),
            )
        except programs.ProgramError as error:
            raise DeletionError(f"{name} {error}") from error
        if ran.status:
            raise DeletionError(
                f"{name} ended with status {ran.status}: {ran.fault[:500].strip() or 'it said nothing'}"
            )
        return ran.told


def deletion_port(terms: DeletionTerms, *, now: Callable[[], datetime]) -> DeletionPort:
    """What these terms describe. Raises `DeletionError` where they can't be followed."""
    if terms.kind is DeletionKind.COMMAND:
        return CommandDeletion(terms.command, timeout_s=terms.timeout_s)
    try:
        return WebhookDeletion(
            url=terms.url,
            read_url=terms.read_url,
            secret=_secret(terms.secret),
            now=now,
            networks=terms.networks,
            ca_file=terms.ca_file,
            timeout_s=terms.timeout_s,
        )
    except DriverError as fault:
        raise DeletionError(str(fault)) from fault


def _asked(service: str, target: BackupTarget, do: str) -> dict[str, Any]:
    return {"do": do, "service": service, "identity": target.identity, "parameters": dict(target.parameters)}


def _identity(body: bytes) -> str:
    try:
        found = json.loads(body)["identity"]
    except (ValueError, KeyError, TypeError) as error:
        raise DeletionError(f"it answered no identity: {body[:200]!r}") from error
    if not isinstance(found, str):
        raise DeletionError(f"it answered an identity that is no text: {found!r}")
    return found


def _secret(name: str) -> Callable[[], str]:
    def read() -> str:
        try:
            value = secret_store.secret(name)
        except (secret_store.UnableToKeepSecretError, InstanceError) as error:
            raise DriverError(f"the secret {name!r} can't be read: {error}") from error
        if not value:
            raise DriverError(f"the secret {name!r} is not set: coulance secret set {name}")
        return value

    return read
