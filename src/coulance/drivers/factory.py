"""Drivers from what the provider file says of them."""

from collections.abc import Callable, Mapping
from datetime import datetime

from coulance.drivers.command import Command
from coulance.drivers.nftables import Nftables
from coulance.drivers.proxmox import Proxmox
from coulance.drivers.record import RecordOnly
from coulance.drivers.webhook import WebhookDriver
from coulance.enforcement.ports import Driver, DriverError, Observed, TargetRow
from coulance.platform import secret_store
from coulance.platform.instance import InstanceError
from coulance_core.catalog.terms import Driver as Terms
from coulance_core.catalog.terms import DriverKind
from coulance_core.enforcement.restrictions import Desired


class _Broken:
    """Stands for a driver that can't be made: whatever needs it fails with the reason, and the others work."""

    def __init__(self, why: str) -> None:
        self.why = why

    def nearest(self, desired: Desired) -> Desired:
        return desired

    def read(self, target: TargetRow) -> Observed:  # noqa: ARG002 - the port's signature
        raise DriverError(self.why)

    def write(self, target: TargetRow, desired: Desired, *, key: str) -> str:  # noqa: ARG002 - the port's signature
        raise DriverError(self.why)


def drivers(terms: Mapping[str, Terms], *, now: Callable[[], datetime]) -> dict[str, Driver]:
    """A driver for each of the file's. Secrets are read when they are needed: a new one is in force at once."""
    made: dict[str, Driver] = {}
    for key, one in terms.items():
        try:
            made[key] = driver(one, now=now)
        except DriverError as error:
            made[key] = _Broken(f"driver {key}: {error}")
    return made


def driver(terms: Terms, *, now: Callable[[], datetime]) -> Driver:
    """The driver that these terms describe. Raises `DriverError` for a file that can't be read."""
    match terms.kind:
        case DriverKind.NFTABLES:
            return Nftables(
                prefix=terms.prefix, nft=terms.nft, table=terms.table, keep=terms.keep, timeout_s=terms.timeout_s
            )
        case DriverKind.PROXMOX:
            return Proxmox(
                url=terms.url,
                token=_secret(terms),
                verify=terms.verify,
                ca_file=terms.ca_file,
                timeout_s=terms.timeout_s,
            )
        case DriverKind.WEBHOOK:
            return WebhookDriver(
                url=terms.url,
                read_url=terms.read_url,
                secret=_secret(terms),
                now=now,
                networks=terms.networks,
                ca_file=terms.ca_file,
                timeout_s=terms.timeout_s,
            )
        case DriverKind.COMMAND:
            return Command(terms.command, secret=_secret(terms) if terms.secret else None, timeout_s=terms.timeout_s)
        case DriverKind.RECORD:
            return RecordOnly()


def _secret(terms: Terms) -> Callable[[], str]:
    def read() -> str:
        try:
            value = secret_store.secret(terms.secret)
        except (secret_store.UnableToKeepSecretError, InstanceError) as error:
            raise DriverError(f"the secret {terms.secret!r} can't be read: {error}") from error
        if not value:
            raise DriverError(f"the secret {terms.secret!r} is not set: coulance secret set {terms.secret}")
        return value

    return read
