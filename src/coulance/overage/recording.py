"""Recording what happened: warnings told, acknowledgements, attacks, and what periods were settled at."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from typing import Any

from django.db import IntegrityError, transaction

from coulance.overage.errors import UnableToRecordError
from coulance.overage.meters import MeterRef
from coulance.overage.models import Acknowledgement, Attack, Settlement, Warned
from coulance.platform import audit
from coulance_core.kernel import Money, UnitError, require_aware, show, unit
from coulance_core.overage.terms import Absorbed


def record_warning(
    *,
    meter: MeterRef,
    period_name: str,
    threshold: str,
    counts: bool,
    used: Fraction,
    at: datetime,
    message: str = "",
) -> bool:
    """Record that a threshold of a period was crossed and by which message it was told. Whether it was new.

    `counts`: the threshold lies at or before the whole allowance, so its message is the warning that overage needs.
    """
    _, new = Warned.objects.get_or_create(
        account_id=meter.account,
        meter=meter.key,
        period_name=period_name,
        threshold=threshold,
        defaults={"counts": counts, "used": show(used), "at": require_aware(at), "message": message},
    )
    return new


def acknowledge(
    *,
    meter: MeterRef,
    period_name: str,
    contact: str,
    how: str,
    source: str,
    actor: str,
    at: datetime,
    reason: str = "",
) -> bool:
    """Record that a person acted on a warning of this period: by `portal`, `link`, or told to an `operator`.

    By a `payment` they say that they know what ran up, where the terms let that count; it proves no warning.

    `source` names the act; the same counts once. Any other proves that the period's warning reached somebody. Whether
    it was new. Raises `UnableToRecordError`.
    """
    if how not in ("portal", "link", "operator", "payment"):
        raise UnableToRecordError(f"how: expected portal, link, operator or payment, not {how!r}")
    if how == "operator" and not reason.strip():
        raise UnableToRecordError("say whom you spoke, and how they were known")
    with transaction.atomic():
        _, new = Acknowledgement.objects.get_or_create(
            source=source,
            defaults={
                "account_id": meter.account,
                "meter": meter.key,
                "period_name": period_name,
                "at": require_aware(at),
                "contact": contact,
                "how": how,
                "recorded_by": actor,
                "reason": reason,
            },
        )
        if new:
            audit.record(
                actor=actor, act="overage.acknowledged", subject=f"account:{meter.account}", at=at, reason=reason,
                detail={"meter": meter.key, "period": period_name, "contact": contact, "how": how},
            )  # fmt: skip
        return new


def record_attack(
    *,
    service: int,
    start: datetime,
    until: datetime,
    evidence: str,
    actor: str,
    reason: str,
    at: datetime,
    at_most: Fraction | None = None,
    in_unit: str = "",
) -> int:
    """Record traffic that was done to a service: what its samples carried then is no use of the customer's.

    `at_most` bounds it, in `in_unit`. Returns its id. Raises `UnableToRecordError`.
    """
    if require_aware(until) <= require_aware(start):
        raise UnableToRecordError(f"an attack ends after it starts: {until.isoformat()} is not after its start")
    if not evidence.strip() or not reason.strip():
        raise UnableToRecordError("an attack needs its evidence (a capture, a report, a graph) and a reason")
    if at_most is not None:
        try:
            unit(in_unit)
        except UnitError as error:
            raise UnableToRecordError(f"at_most: {error}") from error
        if at_most < 0:
            raise UnableToRecordError(f"at_most: expected 0 or more, not {show(at_most)}")
    with transaction.atomic():
        row = Attack.objects.create(
            service_id=service,
            start=start,
            until=until,
            evidence=evidence,
            at_most="" if at_most is None else show(at_most),
            unit="" if at_most is None else in_unit,
            recorded_at=require_aware(at),
            recorded_by=actor,
            reason=reason,
        )
        audit.record(
            actor=actor, act="attack.recorded", subject=f"service:{service}", at=at, reason=reason,
            detail={"attack": row.pk, "evidence": evidence},
        )  # fmt: skip
        return row.pk


def withdraw_attack(*, attack: int, actor: str, reason: str, at: datetime) -> None:
    """Take back that there was an attack. Raises `UnableToRecordError`."""
    if not reason.strip():
        raise UnableToRecordError("say why it was none")
    with transaction.atomic():
        done = Attack.objects.filter(pk=attack, withdrawn_at__isnull=True).update(
            withdrawn_at=require_aware(at), withdrawn_by=actor, withdraw_reason=reason
        )
        if not done:
            raise UnableToRecordError(f"there is no attack {attack} on record, or it was withdrawn before")
        audit.record(actor=actor, act="attack.withdrawn", subject=f"attack:{attack}", at=at, reason=reason)


@dataclass(frozen=True, slots=True)
class NewSettlement:
    """What a meter's period came to. Quantities in `unit`; `cost` and `on_budget` before tax."""

    meter: MeterRef
    period_name: str
    unit: str
    metered: Fraction
    included: Fraction
    overage: Fraction
    billable: Fraction
    absorbed: Mapping[Absorbed, Fraction]
    cost: Money
    on_budget: Money
    observed: bool
    facts: Mapping[str, Any] | None = None
    """The ground it was settled on, so that it can be settled again."""


def record_settlements(*, new: Sequence[NewSettlement], at: datetime) -> None:
    """Keep what these meters' periods came to, each as its next revision."""
    require_aware(at)
    if not new:
        return
    latest: dict[tuple[int, str, str], int] = {}
    found = Settlement.objects.filter(
        account__in={one.meter.account for one in new}, period_name__in={one.period_name for one in new}
    )
    for account, period, meter, revision in found.values_list("account_id", "period_name", "meter", "revision"):
        key = (account, period, meter)
        latest[key] = max(latest.get(key, 0), revision)
    try:
        with transaction.atomic():
            Settlement.objects.bulk_create([_row(one, latest, at) for one in new])
    except IntegrityError as error:
        raise UnableToRecordError(f"settled by somebody else at the same time: {error}") from error


def _row(one: NewSettlement, latest: Mapping[tuple[int, str, str], int], at: datetime) -> Settlement:
    meter = one.meter
    return Settlement(
        account_id=meter.account,
        meter=meter.key,
        service_id=meter.service,
        pool=meter.key.removeprefix("pool:") if meter.pool else "",
        charge=meter.charge,
        period_name=one.period_name,
        revision=latest.get((meter.account, one.period_name, meter.key), 0) + 1,
        observed=one.observed,
        unit=one.unit,
        metered=show(one.metered),
        included=show(one.included),
        overage=show(one.overage),
        billable=show(one.billable),
        absorbed={reason.value: show(quantity) for reason, quantity in one.absorbed.items() if quantity},
        cost=one.cost.minor,
        on_budget=one.on_budget.minor,
        facts=None if one.facts is None else dict(one.facts),
        currency=one.cost.currency,
        settled_at=at,
    )
