"""Restrictions by hand: pause, throttle or blackhole with a reason, and lift what a person may lift.

A limit pause ends by the customer, arrears by payment: both by their own rules, not here. What an operator, an order's
issuer or the customer asked for is placed and lifted here.
"""

import csv
import io
import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction

from coulance.catalog import queries as catalog
from coulance.enforcement import operations, queries
from coulance.enforcement.operations import UnableToRestrictError
from coulance.enforcement.queries import RestrictionRow
from coulance.platform import webhooks
from coulance.services import queries as services
from coulance_core.enforcement.restrictions import Action, Source

BY_HAND = (Source.SECURITY, Source.CUSTOMER, Source.ORDER)
"""Sources that a person speaks for."""


class UnableToEnforceError(ValueError):
    """What was asked can't be; the message says why, for whoever asked."""


@dataclass(frozen=True, slots=True)
class Enforced:
    """What was placed, whether it was there already, and whether any driver reaches the service."""

    restriction: int
    new: bool
    reached: bool


def service_id(name: str) -> int:
    """The row of a service by its id. Raises `UnableToEnforceError`."""
    try:
        return services.service(name).id
    except services.UnableToFindServiceError as fault:
        raise UnableToEnforceError(str(fault)) from fault


def restrict(
    *,
    service: str,
    action: Action,
    reason: str,
    actor: str,
    at: datetime,
    source: Source = Source.SECURITY,
    ref: str = "",
    rate_bps: int | None = None,
    address: str = "",
    observe: bool = False,
) -> Enforced:
    """Restrict a service's network by hand; it is executed at commit. Without `ref` it is a cause of its own.

    Raises `UnableToEnforceError` for what can't be, and for sources that no person speaks for.
    """
    if source not in BY_HAND:
        raise UnableToEnforceError(f"{source} restricts by its own rules; by hand: {', '.join(BY_HAND)}")
    row = service_id(service)
    ref = ref.strip() or f"by-hand/{uuid.uuid5(uuid.NAMESPACE_OID, f'{service}/{at.isoformat()}')}"
    try:
        with transaction.atomic():
            placed = operations.place(
                service=row,
                source=source,
                ref=ref,
                reason=reason,
                action=action,
                rate_bps=rate_bps,
                address=address,
                observe=observe,
                actor=actor,
                at=at,
            )
            if placed.new and not observe:
                webhooks.emit(
                    event="restriction.placed",
                    data={"service": service, "source": source, "action": action, "address": address, "ref": ref},
                    at=at,
                )
    except UnableToRestrictError as fault:
        raise UnableToEnforceError(str(fault)) from fault
    return Enforced(placed.id, placed.new, not queries.unreached(services=[row]))


def release(*, restriction: int, reason: str, actor: str, at: datetime) -> RestrictionRow:
    """Lift one restriction that a person placed, by its number. Raises `UnableToEnforceError` for any other."""
    found = queries.restriction(restriction)
    if found is None:
        raise UnableToEnforceError(f"there is no restriction {restriction}")
    _judge(found)
    one = found.restriction
    try:
        with transaction.atomic():
            operations.lift(
                service=found.service, source=one.source, ref=one.ref, address=one.address, actor=actor, reason=reason,
                at=at,
            )  # fmt: skip
            if not one.observe:
                webhooks.emit(
                    event="restriction.lifted",
                    data={"service": found.service_name, "source": one.source, "action": one.action, "ref": one.ref},
                    at=at,
                )
    except UnableToRestrictError as fault:
        raise UnableToEnforceError(str(fault)) from fault
    return found


def release_service(
    *, service: str, reason: str, actor: str, at: datetime, source: Source | None = None, address: str = ""
) -> list[RestrictionRow]:
    """Lift all that persons placed on a service (of one source, or address); gives what was lifted.

    Raises `UnableToEnforceError` where nothing is left that a person may lift.
    """
    row = service_id(service)
    if source is not None and source not in BY_HAND:
        raise UnableToEnforceError(_not_by_hand(source))
    held = queries.restrictions(services=[row])
    own = [
        one for one in held
        if one.restriction.source in BY_HAND and source in (None, one.restriction.source)
        and address in ("", one.restriction.address)
    ]  # fmt: skip
    if not own:
        others = sorted({_not_by_hand(one.restriction.source) for one in held if one.restriction.source not in BY_HAND})
        raise UnableToEnforceError("; ".join([f"nothing that was placed by hand restricts {service}", *others]))
    with transaction.atomic():
        for one in own:
            release(restriction=one.id, reason=reason, actor=actor, at=at)
    return own


def _judge(found: RestrictionRow) -> None:
    if found.restriction.lifted_at is not None:
        raise UnableToEnforceError(f"restriction {found.id} was lifted at {found.restriction.lifted_at:%F %T} UTC")
    if found.restriction.source not in BY_HAND:
        raise UnableToEnforceError(_not_by_hand(found.restriction.source))


def _not_by_hand(source: Source) -> str:
    if source is Source.OVERAGE:
        return "a limit pause ends by the customer: by a limit with room, an acknowledgement, or the period's end"
    return f"{source} lifts by its own rules, not by hand"


@dataclass(frozen=True, slots=True)
class TargetGiven:
    """A target as it was written: where a service's network is reached."""

    service: str
    driver: str
    identity: str
    parameters: Mapping[str, Any]


def set_target(*, given: TargetGiven, actor: str, at: datetime) -> None:
    """Say where a service's network is reached. Raises `UnableToEnforceError`."""
    if fault := _fault_of(given, _drivers()):
        raise UnableToEnforceError(fault)
    _set(given, actor, at)


def remove_target(*, service: str, driver: str, reason: str, actor: str, at: datetime) -> None:
    """Forget where a service's network is reached. Raises `UnableToEnforceError`."""
    row = service_id(service)
    try:
        if not operations.remove_target(service=row, driver=driver, actor=actor, reason=reason, at=at):
            raise UnableToEnforceError(f"{service} has no target of driver {driver!r}")
    except UnableToRestrictError as fault:
        raise UnableToEnforceError(str(fault)) from fault


@dataclass(frozen=True, slots=True)
class TargetsRead:
    """A file of targets: what is in it, what is new or changed, and every fault with its line."""

    given: tuple[TargetGiven, ...] = ()
    changed: tuple[TargetGiven, ...] = ()
    faults: tuple[str, ...] = ()


COLUMNS = ("service", "driver", "identity", "parameters")


def read_targets(text: str, *, name: str = "targets") -> TargetsRead:
    """Targets from CSV with the columns service, driver, identity and parameters (JSON); writes nothing."""
    faults: list[str] = []
    rows = csv.DictReader(io.StringIO(text.removeprefix("\ufeff")))
    missing = [column for column in COLUMNS[:3] if column not in (rows.fieldnames or ())]
    if missing:
        return TargetsRead(faults=(f"{name}:1: no column {missing[0]}: expected {', '.join(COLUMNS)}",))
    if unknown := [column for column in rows.fieldnames or () if column not in COLUMNS]:
        return TargetsRead(faults=(f"{name}:1: column {unknown[0]!r}: expected {', '.join(COLUMNS)}",))
    drivers, seen = _drivers(), set()
    given: list[TargetGiven] = []
    for row in rows:
        place = f"{name}:{rows.line_num}"
        held = {column: (row.get(column) or "").strip() for column in COLUMNS}
        if None in row:
            faults.append(f"{place}: more values than columns; JSON with commas wants quotes around it")
            continue
        try:
            parameters = json.loads(held["parameters"] or "{}")
        except ValueError as error:
            faults.append(f'{place}: parameters: {error}; expected JSON such as {{"addresses": ["192.0.2.7"]}}')
            continue
        if not isinstance(parameters, dict):
            faults.append(f'{place}: parameters: expected a JSON object such as {{"addresses": ["192.0.2.7"]}}')
            continue
        one = TargetGiven(held["service"], held["driver"], held["identity"], parameters)
        if fault := _fault_of(one, drivers):
            faults.append(f"{place}: {fault}")
        elif (one.service, one.driver) in seen:
            faults.append(f"{place}: {one.service} at {one.driver} is there twice")
        else:
            given.append(one)
        seen.add((one.service, one.driver))
    if faults:
        return TargetsRead(faults=tuple(faults))
    known = {(t.service, t.driver): t for t in queries.all_targets()}
    changed = [
        one for one in given
        if (old := known.get((one.service, one.driver))) is None
        or (old.identity, dict(old.parameters)) != (one.identity, dict(one.parameters))
    ]  # fmt: skip
    return TargetsRead(tuple(given), tuple(changed))


def import_targets(*, changed: Sequence[TargetGiven], actor: str, at: datetime) -> int:
    """Write what a file changes: all of it, or nothing."""
    with transaction.atomic():
        for one in changed:
            _set(one, actor, at)
    return len(changed)


def _drivers() -> list[str]:
    try:
        return sorted(catalog.catalog().drivers)
    except catalog.UnableToFindCatalogError:
        return []


def _fault_of(given: TargetGiven, drivers: Sequence[str]) -> str:
    if given.driver not in drivers:
        known = f"expected one of {', '.join(drivers)}" if drivers else "there are none: add [drivers.NAME]"
        return f"no driver {given.driver!r} in the provider file; {known}"
    if not given.identity.strip():
        return "expected the identity that must be read back there"
    if len(given.identity) > 200:
        return "the identity is longer than 200 characters"
    try:
        services.service(given.service)
    except services.UnableToFindServiceError as fault:
        return str(fault)
    return ""


def _set(given: TargetGiven, actor: str, at: datetime) -> None:
    try:
        operations.set_target(
            service=service_id(given.service),
            driver=given.driver,
            identity=given.identity,
            parameters=given.parameters,
            actor=actor,
            at=at,
        )
    except UnableToRestrictError as fault:
        raise UnableToEnforceError(str(fault)) from fault
