"""Writing the services room: starting, changing and ending services, and saying which series feeds them.

Days are civil days in the zone of the service's account, half open: a service that ends on 1 October ran in September.
"""

from collections.abc import Collection, Mapping
from datetime import date, datetime
from typing import Any

from django.db import IntegrityError, transaction

from coulance.customers import queries as customers
from coulance.services import pricing
from coulance.services.models import Series, Service, Subscription
from coulance.services.pricing import PriceToAgree, UnableToAgreePriceError, write_prices
from coulance_core.kernel import Money

__all__ = [
    "KINDS",
    "PriceToAgree",
    "UnableToAgreePriceError",
    "UnableToAssignSeriesError",
    "UnableToChangePlanError",
    "UnableToEndServiceError",
    "UnableToStartServiceError",
    "agree_price",
    "assign_series",
    "change_plan",
    "end_price",
    "end_service",
    "reinstate_service",
    "replace_subscriptions",
    "start_service",
    "write_prices",
    "write_series",
    "write_services",
]
KINDS = ("vps", "colo", "web", "mail", "storage", "managed", "other")
"""What kinds of service there are; pictures and words differ by it, amounts do not."""


class UnableToStartServiceError(ValueError):
    """The service cannot be started as asked."""


class UnableToChangePlanError(ValueError):
    """The plan cannot be changed as asked."""


class UnableToEndServiceError(ValueError):
    """The service cannot be ended as asked."""


class UnableToAssignSeriesError(ValueError):
    """The series cannot be assigned as asked."""


def start_service(
    *,
    account: str,
    external_id: str,
    name: str,
    kind: str,
    started_on: date,
    plan: str,
    quantity: int = 1,
    pool: str = "",
    billed_until: date | None = None,
) -> int:
    """Start a service of an account (external id) on a plan; gives the service's id.

    `billed_until`, of a service that was taken over: its base fees before that day were billed elsewhere.
    """
    if kind not in KINDS:
        raise UnableToStartServiceError(f"service {external_id!r}: kind {kind!r}: expected {', '.join(KINDS)}")
    if quantity < 1:
        raise UnableToStartServiceError(f"service {external_id!r}: quantity {quantity}: expected 1 or more")
    if not external_id.strip() or not name.strip() or not plan:
        raise UnableToStartServiceError(f"service {external_id!r}: it needs an external id, a name and a plan")
    with transaction.atomic():
        owner = customers.account(account)
        if Service.objects.filter(external_id=external_id).exists():
            raise UnableToStartServiceError(f"service {external_id!r} is there already")
        service = Service.objects.create(
            account_id=owner.id,
            external_id=external_id,
            name=name,
            kind=kind,
            started_on=started_on,
            pool=pool,
            billed_until=billed_until,
        )
        Subscription.objects.create(service=service, plan=plan, quantity=quantity, valid_from=started_on)
    return service.pk


def change_plan(*, service: str, plan: str, from_date: date, quantity: int | None = None) -> None:
    """From a day on, another plan or another number of the same one; what was planned for later days is dropped.

    Without `quantity` it stays what it was. Raises `UnableToChangePlanError` when the service does not run that day.
    """
    with transaction.atomic():
        row = Service.objects.select_for_update().filter(external_id=service).first()
        if row is None:
            raise UnableToChangePlanError(f"no service {service!r}")
        if from_date < row.started_on or (row.ended_on is not None and from_date >= row.ended_on):
            raise UnableToChangePlanError(
                f"service {service!r} runs from {row.started_on} to {row.ended_on or 'no end'}, not on {from_date}"
            )
        if quantity is not None and quantity < 1:
            raise UnableToChangePlanError(f"service {service!r}: quantity {quantity}: expected 1 or more")
        subscriptions = Subscription.objects.filter(service=row)
        current = subscriptions.filter(valid_from__lte=from_date).order_by("-valid_from").first()
        number = quantity or (current.quantity if current else 1)
        subscriptions.filter(valid_from__gte=from_date).delete()
        if current is not None and current.valid_from < from_date:
            current.valid_until = from_date
            current.save(update_fields=["valid_until"])
        Subscription.objects.create(
            service=row, plan=plan, quantity=number, valid_from=from_date, valid_until=row.ended_on
        )


def end_service(*, service: str, on: date) -> None:
    """End a service: `on` is the first day on which it no longer runs."""
    with transaction.atomic():
        row = Service.objects.select_for_update().filter(external_id=service).first()
        if row is None:
            raise UnableToEndServiceError(f"no service {service!r}")
        if on <= row.started_on:
            raise UnableToEndServiceError(
                f"service {service!r} started {row.started_on}: expected a later day, not {on}"
            )
        subscriptions = Subscription.objects.filter(service=row)
        subscriptions.filter(valid_from__gte=on).delete()
        last = subscriptions.order_by("-valid_from").first()
        if last is not None and (last.valid_until is None or last.valid_until > on or last.valid_until == row.ended_on):
            last.valid_until = on
            last.save(update_fields=["valid_until"])
        row.ended_on = on
        row.save(update_fields=["ended_on"])


def reinstate_service(*, service: str, ended_on: date | None) -> None:
    """Take an end back: the service runs on its last plan again, until `ended_on` (none: with no end).

    Raises `UnableToEndServiceError` where it isn't ended, or an earlier end is asked for.
    """
    with transaction.atomic():
        row = Service.objects.select_for_update().filter(external_id=service).first()
        if row is None or row.ended_on is None:
            raise UnableToEndServiceError(f"service {service!r} has no end that could be taken back")
        if ended_on is not None and ended_on < row.ended_on:
            raise UnableToEndServiceError(f"service {service!r} ends on {row.ended_on}: {ended_on} is before that")
        last = Subscription.objects.filter(service=row).order_by("-valid_from").first()
        if last is not None and last.valid_until == row.ended_on:
            last.valid_until = ended_on
            last.save(update_fields=["valid_until"])
        row.ended_on = ended_on
        row.save(update_fields=["ended_on"])


def agree_price(
    *,
    service: str,
    plan: str,
    amount: Money,
    words: str = "",
    from_date: date,
    until: date | None = None,
    actor: str,
    reason: str,
    at: datetime,
) -> int:
    """Agree a base fee for a service in place of its plan's; gives its id.

    It is for a whole cycle of the plan and all units, holds while the service is on that plan, on the civil days
    [from_date, until), and ends what was agreed before from that day on. `words` print behind the plan's name.
    Raises `UnableToAgreePriceError`.
    """
    with transaction.atomic():
        return pricing.agree_price(
            service=service, plan=plan, amount=amount, words=words, from_date=from_date, until=until,
            actor=actor, reason=reason, at=at,
        )  # fmt: skip


def end_price(*, service: str, on: date, actor: str, reason: str, at: datetime) -> bool:
    """From a day on, the plan's own price again, also where another was agreed for later; whether anything changed.

    Raises `UnableToAgreePriceError`.
    """
    with transaction.atomic():
        return pricing.end_price(service=service, on=on, actor=actor, reason=reason, at=at)


def assign_series(*, key: str, service: str, meter: str) -> int:
    """Say which service and meter a series counts for; gives its id. The same again changes nothing.

    A series that counts for another service already is refused: its past would move to another customer.
    """
    if not key.strip() or not meter:
        raise UnableToAssignSeriesError("a series needs a key and a meter")
    with transaction.atomic():
        target = Service.objects.filter(external_id=service).first()
        if target is None:
            raise UnableToAssignSeriesError(f"no service {service!r}")
        row, made = Series.objects.get_or_create(key=key, defaults={"service": target, "meter": meter})
        if not made and (row.service_id, row.meter) != (target.pk, meter):
            raise UnableToAssignSeriesError(
                f"series {key!r} counts for another service or meter already; send new samples under a new key"
            )
    return row.pk


def write_services(*, rows: Collection[tuple[int, Mapping[str, Any]]]) -> dict[str, int]:
    """Make or change many services, each with its account's id, in the caller's transaction; ids by external id."""
    fields = ("name", "kind", "started_on", "ended_on", "pool", "billed_until")
    found = [
        Service(account_id=account, external_id=row["external_id"], **{field: row[field] for field in fields})
        for account, row in rows
    ]
    Service.objects.bulk_create(
        found, batch_size=2000, update_conflicts=True, unique_fields=["external_id"], update_fields=list(fields)
    )
    wanted = [service.external_id for service in found]
    return dict(Service.objects.filter(external_id__in=wanted).values_list("external_id", "id"))


def replace_subscriptions(*, rows: Mapping[int, Collection[tuple[str, int, date, date | None]]]) -> None:
    """Give services (ids) these subscriptions and no others: (plan, quantity, from, until); within a transaction."""
    try:
        with transaction.atomic():
            Subscription.objects.filter(service__in=list(rows)).delete()
            Subscription.objects.bulk_create(
                (
                    Subscription(service_id=service, plan=plan, quantity=quantity, valid_from=since, valid_until=until)
                    for service, own in rows.items()
                    for plan, quantity, since, until in own
                ),
                batch_size=2000,
            )
    except IntegrityError as error:
        raise UnableToChangePlanError(f"a service has one plan a day: {error}") from error


def write_series(*, rows: Collection[tuple[str, int, str]]) -> None:
    """Assign many new series: (key, service id, meter), in the caller's transaction."""
    Series.objects.bulk_create(
        (Series(key=key, service_id=service, meter=meter) for key, service, meter in rows), batch_size=2000
    )
