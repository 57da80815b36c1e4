"""A consent as it is read: where it sits, when it is in force, and what it says in core's words."""

from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction

from coulance.overage.meters import MeterRef
from coulance.overage.models import Consent
from coulance_core.kernel import Money, exact
from coulance_core.overage.terms import Limit, Span


@dataclass(frozen=True, slots=True)
class ConsentRow:
    """A consent on record. `limit.quantity` is in `unit`; without a `period_name` it is standing."""

    id: int
    account: int
    scope: str
    service: int | None
    pool: str
    group: str
    charge: str
    period_name: str
    limit: Limit
    unit: str
    pre_acknowledged: Money | None
    terms: str
    rate_shown: str
    text_shown: str
    text_hash: str
    contact: str
    address: str
    how: str
    came_from: str
    provisional: bool
    confirm_by: datetime | None
    given_at: datetime
    given_by: str
    reason: str
    approval_needed: bool
    approved: bool | None
    decided_at: datetime | None
    decided_by: str
    decision_reason: str
    ended_at: datetime | None
    ended_why: str

    @property
    def ref(self) -> str:
        """How explanations name it."""
        return str(self.id)

    @property
    def pending(self) -> bool:
        """Whether it waits for the provider's approval."""
        return self.approval_needed and self.approved is None and self.ended_at is None

    @property
    def in_force_from(self) -> datetime:
        """When it came in force, if it did: as given, or when it was approved."""
        return self.decided_at if self.decided_at is not None else self.given_at

    @property
    def span(self) -> Span | None:
        """When it is in force; None: never was. A provisional one ends when it should have been confirmed."""
        if self.approval_needed and not self.approved:
            return None
        ends = [end for end in (self.ended_at, self.confirm_by) if end is not None]
        end = min(ends, default=None)
        return None if end is not None and end <= self.in_force_from else Span(self.in_force_from, end)

    def in_force_at(self, at: datetime) -> bool:
        """Whether it is in force at an instant."""
        span = self.span
        return span is not None and span.start <= at and (span.end is None or at < span.end)

    @property
    def nearness(self) -> int:
        """How near to a meter it sits: 0 the account, 1 a pool or a service, 2 one charge of a service."""
        return 0 if self.scope == "account" else 2 if self.charge else 1

    def governs(self, meter: MeterRef) -> bool:
        """Whether the meter's allowance is within its scope. A pool is not within its members' scope."""
        if self.account != meter.account:
            return False
        if self.scope == "account":
            return True
        if self.scope == "pool":
            return (self.pool, self.group) == (meter.pool, meter.group)
        return not meter.pool and self.service in meter.services and self.charge in ("", meter.charge)


def consent_row(row: Consent) -> ConsentRow:
    """From the table."""
    quantity: Fraction | None = exact(row.quantity) if row.quantity else None
    return ConsentRow(
        id=row.pk,
        account=row.account_id,
        scope=row.scope,
        service=row.service_id,
        pool=row.pool,
        group=row.pool_group,
        charge=row.charge,
        period_name=row.period_name,
        limit=Limit(None if row.amount is None else Money(row.amount, row.currency), quantity, row.typed),
        unit=row.unit,
        pre_acknowledged=None if row.pre_acknowledged is None else Money(row.pre_acknowledged, row.currency),
        terms=row.terms,
        rate_shown=row.rate_shown,
        text_shown=row.text_shown,
        text_hash=row.text_hash,
        contact=row.contact,
        address=row.address,
        how=row.how,
        came_from=row.came_from,
        provisional=row.provisional,
        confirm_by=row.confirm_by,
        given_at=row.given_at,
        given_by=row.given_by,
        reason=row.reason,
        approval_needed=row.approval_needed,
        approved=row.approved,
        decided_at=row.decided_at,
        decided_by=row.decided_by,
        decision_reason=row.decision_reason,
        ended_at=row.ended_at,
        ended_why=row.ended_why,
    )
