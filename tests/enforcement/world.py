"""Services to restrict, and a driver that is a small network of its own: it can be down, lie, and be someone else."""

import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from django.db import connection

from coulance.enforcement import operations
from coulance.enforcement.ports import DriverError, Observed, TargetRow
from coulance_core.enforcement.restrictions import FREE, Desired

T0 = datetime(2026, 10, 1, 9, tzinfo=UTC)
ACTOR = "operator:anna"


def make_services(*names: str) -> dict[str, int]:
    """Services of one account, by name."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO customers_account (external_id, name, kind, country, address, currency, zone, language)"
            " VALUES ('C1', 'Customer', 'business', 'NL', '{}', 'EUR', 'Europe/Amsterdam', 'en') RETURNING id"
        )
        (account,) = cursor.fetchone()
        out = {}
        for name in names:
            cursor.execute(
                "INSERT INTO services_service (account_id, external_id, name, kind, started_on)"
                " VALUES (%s, %s, %s, 'vps', '2026-01-01') RETURNING id",
                [account, name, name],
            )
            (out[name],) = cursor.fetchone()
        return out


class Clock:
    """Time that passes when told."""

    def __init__(self) -> None:
        self.at = T0

    def __call__(self) -> datetime:
        return self.at

    def tick(self, seconds: float = 1) -> datetime:
        self.at += timedelta(seconds=seconds)
        return self.at


@dataclass
class Network:
    """A driver whose targets are entries of a dictionary."""

    states: dict[str, Desired] = field(default_factory=dict)
    identities: dict[str, str] = field(default_factory=dict)
    down: bool = False
    deaf: bool = False
    """Takes orders and does nothing."""
    writes: list[tuple[str, Desired, str]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def nearest(self, desired: Desired) -> Desired:
        return desired

    def read(self, target: TargetRow) -> Observed:
        if self.down:
            raise DriverError("the router does not answer")
        return Observed(
            self.identities.get(target.service, target.identity), self.states.get(target.service, FREE), "seen"
        )

    def write(self, target: TargetRow, desired: Desired, *, key: str) -> str:
        if self.down:
            raise DriverError("the router does not answer")
        with self.lock:
            self.writes.append((target.service, desired, key))
            if not self.deaf:
                self.states[target.service] = desired
        return "taken"


def reach(services: dict[str, int], driver: str = "router") -> None:
    """Give each service a target of that driver."""
    for name, service in services.items():
        operations.set_target(service=service, driver=driver, identity=name, parameters={}, actor=ACTOR, at=T0)
