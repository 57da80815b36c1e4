"""Records of the fair ways out: advice told, goodwill given, plans taken for a period. In the caller's transaction."""

from datetime import datetime
from typing import Any, NamedTuple

from django.db import IntegrityError, connection, transaction

from coulance.invoicing.debiting import taken_back
from coulance.overage.errors import UnableToRecordError
from coulance.overage.ways_out_models import Advised, Goodwill, PlanForPeriod
from coulance_core.kernel import Money, require_aware


class GoodwillRow(NamedTuple):
    """A grant of goodwill. `taken_back`: a debit note took its credit note back, so it counts in no budget."""

    document: int
    line: int
    amount: Money
    cause: str
    reason: str
    granted_by: str
    granted_at: datetime
    credit_note: str
    taken_back: bool = False


def last_advised(*, service: int) -> str | None:
    """The newest period up to which a service's customer was advised, such as `2026-10`; none: never."""
    found: str | None = (
        Advised.objects.filter(service=service).order_by("-period_name").values_list("period_name", flat=True).first()
    )
    return found


def record_advice(*, service: int, period_name: str, plan: str, saved: Money, actor: str, at: datetime) -> bool:
    """Say that a customer is told now; false when they were told of that period before."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO overage_advised (service_id, period_name, plan, saved, currency, told_at, told_by)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT (service_id, period_name) DO NOTHING",
            [service, period_name, plan, saved.minor, saved.currency, require_aware(at), actor],
        )
        return bool(cursor.rowcount)


def goodwill_spent(*, actor: str, month: str, currency: str, lock: bool = False) -> Money:
    """What somebody gave in a month, but for what was taken back by a debit note.

    With `lock`, nobody else of that name gives until the transaction ends.
    """
    if lock:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"goodwill/{actor}/{month}"])
    rows = Goodwill.objects.filter(granted_by=actor, month=month, currency=currency)
    given = dict(rows.values_list("credit_note", "amount"))
    back = taken_back(given)
    return Money(sum(amount for note, amount in given.items() if note not in back), currency)


def record_goodwill(
    *,
    account: int,
    document: int,
    line: int,
    amount: Money,
    cost: Money | None,
    cause: str,
    reason: str,
    role: str,
    month: str,
    credit_note: str,
    explanation: dict[str, Any],
    actor: str,
    at: datetime,
) -> None:
    """Record what was given by a credit note."""
    Goodwill.objects.create(
        account_id=account,
        document_id=document,
        line_no=line,
        amount=amount.minor,
        currency=amount.currency,
        cost=None if cost is None else cost.minor,
        cause=cause,
        reason=reason,
        role=role,
        granted_by=actor,
        granted_at=require_aware(at),
        month=month,
        credit_note=credit_note,
        explanation=explanation,
    )


def goodwill(*, account: int | None = None, month: str | None = None, limit: int = 1000) -> list[GoodwillRow]:
    """Grants, of an account or a month when given, the newest first."""
    rows = Goodwill.objects.order_by("-granted_at", "-id")
    if account is not None:
        rows = rows.filter(account=account)
    if month is not None:
        rows = rows.filter(month=month)
    found = list(rows[:limit])
    back = taken_back([r.credit_note for r in found])
    return [
        GoodwillRow(
            r.document_id, r.line_no, Money(r.amount, r.currency), r.cause, r.reason, r.granted_by, r.granted_at,
            r.credit_note, r.credit_note in back,
        )
        for r in found
    ]  # fmt: skip


def difference_billed(*, credit_note: str) -> str:
    """The invoice with the difference of a plan taken instead of what this credit note gave back; else empty."""
    found = PlanForPeriod.objects.filter(credit_note=credit_note).exclude(credit_note="").values_list("invoice").first()
    return str(found[0]) if found else ""


def record_plan_for_period(
    *,
    service: int,
    period_name: str,
    plan: str,
    instead_of: str,
    credit_note: str,
    invoice: str,
    overage: Money,
    difference: Money,
    reason: str,
    actor: str,
    at: datetime,
) -> None:
    """Record a plan that was taken for one period. Raises `UnableToRecordError` when one was taken before."""
    try:
        with transaction.atomic():
            PlanForPeriod.objects.create(
                service_id=service,
                period_name=period_name,
                plan=plan,
                instead_of=instead_of,
                credit_note=credit_note,
                invoice=invoice,
                overage=overage.minor,
                difference=difference.minor,
                currency=overage.currency,
                reason=reason,
                accepted_by=actor,
                accepted_at=require_aware(at),
            )
    except IntegrityError as error:
        raise UnableToRecordError(f"a plan was taken for {period_name} before: it is taken once") from error
