"""Writing the register. In the caller's transaction, so that a restriction stands or falls with what caused it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_address
from typing import Any

from django.db import connection, transaction
from psycopg.types.json import Jsonb

from coulance.platform import audit
from coulance_core.enforcement.restrictions import Action, Restriction, RestrictionError, Source
from coulance_core.kernel import require_aware

CHANNEL = "coulance_enforcement"
"""NOTIFY on it wakes the executor at commit."""


class UnableToRestrictError(ValueError):
    """The restriction cannot be, or the caller may not lift it."""


@dataclass(frozen=True, slots=True)
class Placed:
    """The restriction, and whether it was placed now or had been already."""

    id: int
    new: bool


def place(
    *,
    service: int,
    source: Source,
    ref: str,
    reason: str,
    action: Action,
    actor: str,
    at: datetime,
    rate_bps: int | None = None,
    address: str = "",
    observe: bool = False,
) -> Placed:
    """Restrict a service's network. The same source and cause place it once while it is open.

    With `observe` it is recorded, and nothing else happens. Raises `UnableToRestrictError` for what cannot be.
    """
    at = require_aware(at)
    address = _address(address) if address else ""
    try:
        Restriction(source, ref, action, at, rate_bps, address, observe)
    except RestrictionError as error:
        raise UnableToRestrictError(str(error)) from error
    if not reason.strip():
        raise UnableToRestrictError("a restriction needs a reason that the customer could be told")
    with transaction.atomic(), connection.cursor() as cursor:
        # The service's work row first: whoever changes a service's register queues here.
        _touch(cursor, service, at, act=not observe)
        cursor.execute(
            "INSERT INTO enforcement_restriction"
            " (service_id, source, ref, reason, action, rate_bps, address, observe, placed_at, placed_by)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
            " ON CONFLICT (service_id, source, ref, action, address, observe) WHERE lifted_at IS NULL DO NOTHING"
            " RETURNING id",
            [service, source.value, ref, reason, action.value, rate_bps, address, observe, at, actor],
        )
        row = cursor.fetchone()
        if row is None:
            cursor.execute(
                "SELECT id, rate_bps FROM enforcement_restriction WHERE service_id = %s AND source = %s AND ref = %s"
                " AND action = %s AND address = %s AND observe = %s AND lifted_at IS NULL",
                [service, source.value, ref, action.value, address, observe],
            )
            there, rate = cursor.fetchone()
            if rate != rate_bps:
                raise UnableToRestrictError(
                    f"{ref} throttles to {rate} bit/s already, not {rate_bps}: lift that first, or name another cause"
                )
            return Placed(there, new=False)
        audit.record(
            actor=actor,
            act="restriction.observed" if observe else "restriction.placed",
            subject=f"service:{service}",
            at=at,
            reason=reason,
            detail={
                "source": source.value,
                "ref": ref,
                "action": action.value,
                "rate_bps": rate_bps,
                "address": address,
            },
        )
        return Placed(row[0], new=True)


def lift(
    *, service: int, source: Source, actor: str, reason: str, at: datetime, ref: str | None = None, address: str = ""
) -> int:
    """Lift what this source imposed (of this cause, or address, when given); returns how many. Others stay.

    Whoever lifts names the source they speak for: a payment lifts arrears, never a security pause.
    """
    at = require_aware(at)
    if not reason.strip():
        raise UnableToRestrictError("lifting needs a reason")
    with transaction.atomic(), connection.cursor() as cursor:
        _touch(cursor, service, at, act=True)
        cursor.execute(
            "UPDATE enforcement_restriction SET lifted_at = greatest(%s, placed_at), lifted_by = %s, lift_reason = %s"
            " WHERE service_id = %s AND source = %s AND lifted_at IS NULL AND (%s::text IS NULL OR ref = %s)"
            " AND (%s = '' OR address = %s) RETURNING id",
            [at, actor, reason, service, source.value, ref, ref, address, _address(address) if address else ""],
        )
        lifted = [row[0] for row in cursor.fetchall()]
        if lifted:
            audit.record(
                actor=actor,
                act="restriction.lifted",
                subject=f"service:{service}",
                at=at,
                reason=reason,
                detail={"source": source.value, "ref": ref, "restrictions": lifted},
            )
        return len(lifted)


def set_target(
    *, service: int, driver: str, identity: str, parameters: Mapping[str, Any], actor: str, at: datetime
) -> None:
    """Say where a service's network is reached. Its state is looked at again, as another target may show another."""
    at = require_aware(at)
    if not driver.strip() or not identity.strip():
        raise UnableToRestrictError("a target needs a driver, and the identity that must be read back there")
    held: list[Any] = [service, driver, identity, Jsonb(dict(parameters))]
    with transaction.atomic(), connection.cursor() as cursor:
        _touch(cursor, service, at, act=True)
        cursor.execute(
            "INSERT INTO enforcement_target (service_id, driver, identity, parameters) VALUES (%s, %s, %s, %s)"
            " ON CONFLICT (service_id, driver) DO UPDATE"
            " SET identity = excluded.identity, parameters = excluded.parameters",
            held,
        )
        audit.record(
            actor=actor,
            act="target.set",
            subject=f"service:{service}",
            at=at,
            detail={"driver": driver, "identity": identity, "parameters": dict(parameters)},
        )


def remove_target(*, service: int, driver: str, actor: str, reason: str, at: datetime) -> bool:
    """Forget a target; refused while the service is restricted, since nobody could lift it there any more."""
    at = require_aware(at)
    with transaction.atomic(), connection.cursor() as cursor:
        _touch(cursor, service, at, act=True)
        cursor.execute(
            "SELECT count(*) FROM enforcement_restriction WHERE service_id = %s AND lifted_at IS NULL AND NOT observe",
            [service],
        )
        (held,) = cursor.fetchone()
        if held:
            raise UnableToRestrictError(f"the service has {held} restrictions: lift them before its target is removed")
        cursor.execute("DELETE FROM enforcement_target WHERE service_id = %s AND driver = %s", [service, driver])
        gone = bool(cursor.rowcount)
        if gone:
            audit.record(
                actor=actor, act="target.removed", subject=f"service:{service}", at=at, reason=reason,
                detail={"driver": driver},
            )  # fmt: skip
        return gone


def look_again(*, services: Sequence[int], at: datetime) -> int:
    """Ask for these services to be compared with the register, as the regular reconciliation does."""
    at = require_aware(at)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO enforcement_work (service_id, version, since, next_try, routine) SELECT s, 1, %s, %s, true"
            " FROM unnest(%s::bigint[]) AS s ORDER BY s ON CONFLICT (service_id) DO NOTHING",
            [at, at, list(services)],
        )
        count = int(cursor.rowcount)
        if count:
            cursor.execute("SELECT pg_notify(%s, '')", [CHANNEL])
        return count


def _touch(cursor: Any, service: int, at: datetime, *, act: bool) -> None:
    """Lock the service's register; with `act` its work is due now, and the executor is woken at commit."""
    cursor.execute("SELECT pg_advisory_xact_lock(hashtext('enforcement'), %s::int)", [service % 2**31])
    if not act:
        return
    cursor.execute(
        "INSERT INTO enforcement_work (service_id, version, since, next_try) VALUES (%s, 1, %s, %s)"
        " ON CONFLICT (service_id) DO UPDATE SET version = enforcement_work.version + 1, attempts = 0,"
        "   routine = false, since = excluded.since, next_try = least(enforcement_work.next_try, excluded.next_try)",
        [service, at, at],
    )
    cursor.execute("SELECT pg_notify(%s, %s)", [CHANNEL, str(service)])


def _address(text: str) -> str:
    try:
        return str(ip_address(text))
    except ValueError as error:
        raise UnableToRestrictError(f"{text!r} is no IP address: a blackhole names one, such as 192.0.2.7") from error
