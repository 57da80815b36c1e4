"""Base fees agreed for one service: made, changed and taken back. Private to the room; `operations` is the way in."""

from collections.abc import Collection
from datetime import date, datetime
from typing import NamedTuple

from coulance.platform import audit
from coulance.services.models import AgreedPrice, Service
from coulance_core.kernel import Money, require_aware


class PriceToAgree(NamedTuple):
    """A price to agree for a service (external id) on a plan, on the days [start, end)."""

    service: str
    plan: str
    amount: Money
    words: str
    start: date
    end: date | None


class UnableToAgreePriceError(ValueError):
    """The price can't be agreed, or taken back, as asked."""


def agree_price(
    *,
    service: str,
    plan: str,
    amount: Money,
    words: str,
    from_date: date,
    until: date | None = None,
    actor: str,
    reason: str,
    at: datetime,
) -> int:
    """Agree a base fee for a service while it is on a plan, from a day on; gives its id. See `operations`."""
    row = _row(service)
    if not reason.strip():
        raise UnableToAgreePriceError(f"service {service!r}: say why: what is billed depends on it")
    if amount.minor < 0:
        raise UnableToAgreePriceError(f"service {service!r}: a price of {amount}: expected 0 or more")
    if len(words) > 120 or any(ord(char) < 32 for char in words):
        raise UnableToAgreePriceError(
            f"service {service!r}: {words[:40]!r}: expected one line of at most 120 characters"
        )
    first, last = max(from_date, row.started_on), until
    if last is not None and last <= first:
        raise UnableToAgreePriceError(f"service {service!r}: from {first} until {last}: expected a later day")
    _cut(row, first)
    later = AgreedPrice.objects.filter(service=row, valid_from__gt=first).order_by("valid_from").first()
    if later is not None and (last is None or last > later.valid_from):
        raise UnableToAgreePriceError(
            f"service {service!r}: a price is agreed from {later.valid_from} on: end this one until then, or that first"
        )
    made = AgreedPrice.objects.create(
        service=row,
        plan=plan,
        amount=amount.minor,
        currency=amount.currency,
        words=words.strip(),
        valid_from=first,
        valid_until=last,
        reason=reason.strip()[:500],
        actor=actor,
        recorded_at=require_aware(at),
    )
    detail = {"plan": plan, "amount": str(amount), "from": first.isoformat(), "until": last and last.isoformat()}
    audit.record(actor=actor, act="price.agreed", subject=f"service:{service}", at=at, reason=reason, detail=detail)
    return int(made.pk)


def write_prices(*, rows: Collection[PriceToAgree], actor: str, reason: str, at: datetime) -> None:
    """Agree many prices for services that have none yet, in the caller's transaction, who tells the audit trail."""
    ids = dict(Service.objects.filter(external_id__in=[row.service for row in rows]).values_list("external_id", "id"))
    AgreedPrice.objects.bulk_create(
        (
            AgreedPrice(
                service_id=ids[row.service],
                plan=row.plan,
                amount=row.amount.minor,
                currency=row.amount.currency,
                words=row.words,
                valid_from=row.start,
                valid_until=row.end,
                reason=reason.strip()[:500],
                actor=actor,
                recorded_at=require_aware(at),
            )
            for row in rows
        ),
        batch_size=2000,
    )


def end_price(*, service: str, on: date, actor: str, reason: str, at: datetime) -> bool:
    """From a day on, the plan's own price again; whether anything changed. See `operations`."""
    row = _row(service)
    if not reason.strip():
        raise UnableToAgreePriceError(f"service {service!r}: say why: what is billed depends on it")
    later, _ = AgreedPrice.objects.filter(service=row, valid_from__gt=on).delete()
    changed = _cut(row, on) or bool(later)
    if changed:
        detail = {"on": on.isoformat()}
        audit.record(actor=actor, act="price.ended", subject=f"service:{service}", at=at, reason=reason, detail=detail)
    return changed


def _cut(row: Service, on: date) -> bool:
    """End what holds on a day; one that begins on it goes whole (the audit trail keeps what it was)."""
    held = AgreedPrice.objects.filter(service=row, valid_from__lte=on).order_by("-valid_from").first()
    if held is None or (held.valid_until is not None and held.valid_until <= on):
        return False
    if held.valid_from == on:
        held.delete()
    else:
        held.valid_until = on
        held.save(update_fields=["valid_until"])
    return True


def _row(service: str) -> Service:
    row = Service.objects.select_for_update().filter(external_id=service).first()
    if row is None:
        raise UnableToAgreePriceError(f"no service {service!r}")
    return row
