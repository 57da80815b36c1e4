"""What is controlled: one allowance of an account in a period, of a service's charge or of a pool."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MeterRef:
    """An allowance: a charge of a service, or a pool of an account (with the group that pools by itself).

    `services` are the ids of those that draw on it.

    >>> MeterRef.of_service(7, 12, "vps-12", "out").key, MeterRef.of_pool(7, "fleet", "blue", (12, 13)).key
    ('vps-12/out', 'pool:fleet/blue')
    """

    account: int
    key: str
    services: tuple[int, ...]
    charge: str = ""
    pool: str = ""
    group: str = ""

    @classmethod
    def of_service(cls, account: int, service: int, external_id: str, charge: str) -> "MeterRef":
        """A charge of a service."""
        return cls(account, f"{external_id}/{charge}", (service,), charge)

    @classmethod
    def of_pool(cls, account: int, pool: str, group: str, services: tuple[int, ...]) -> "MeterRef":
        """A pool: its key and group, as settlements name it."""
        return cls(account, f"pool:{pool}" + (f"/{group}" if group else ""), services, "", pool, group)

    @property
    def service(self) -> int | None:
        """The service whose allowance it is; None for a pool."""
        return None if self.pool else self.services[0]
