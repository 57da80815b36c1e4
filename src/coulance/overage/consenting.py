"""Giving, deciding on and ending consents. A consent is never edited: the next one of its scope supersedes it."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fractions import Fraction
from hashlib import sha256
from typing import Any

from django.db import connection, transaction
from django.db.models import Q

from coulance.catalog import queries as catalog
from coulance.customers import queries as customers
from coulance.customers.queries import ContactRow
from coulance.notices import queries as notices
from coulance.overage.errors import Rule, UnableToConsentError
from coulance.overage.models import Consent
from coulance.platform import audit
from coulance.services import queries as services
from coulance_core.kernel import Money, require_aware, show
from coulance_core.overage.terms import Limit

HOWS = ("portal", "link", "operator", "import")


@dataclass(frozen=True, slots=True)
class Scope:
    """Where a consent sits: on a service (all its charges, or one), on a pool of the account, or on the account.

    `service` is an id. Without `service` and `pool` it is the account's.
    """

    service: int | None = None
    pool: str = ""
    group: str = ""
    charge: str = ""

    @property
    def kind(self) -> str:
        """`service`, `pool` or `account`."""
        return "service" if self.service is not None else "pool" if self.pool else "account"


@dataclass(frozen=True, slots=True)
class Shown:
    """What was on the screen when the word was given: the terms' version, the rate in words, the text."""

    terms: str
    rate: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class NewConsent:
    """A consent to be given. `limit` as typed and shown, its quantity in `unit`; `period_name` empty: standing.

    `how` is `portal`, `link`, `operator` or `import`; `came_from` says from where. `address`: which of the contact's
    addresses stands behind it; empty is their mail address.
    """

    account: int
    contact: str
    scope: Scope
    limit: Limit
    unit: str
    shown: Shown
    how: str
    came_from: str = ""
    period_name: str = ""
    pre_acknowledged: Money | None = None
    address: str = ""


@dataclass(frozen=True, slots=True)
class Given:
    """A consent's id. `pending`: waits for the provider's approval. `dormant`: no verified contact stands behind it.

    `superseded`: the one that it took the place of. `new`: False where it was there already.
    """

    id: int
    pending: bool = False
    dormant: bool = False
    superseded: int | None = None
    new: bool = field(default=True)


def give_consent(
    *,
    new: NewConsent,
    at: datetime,
    actor: str,
    reason: str = "",
    used: Fraction | None = None,
    used_amount: Money | None = None,
    most: Money | None = None,
) -> Given:
    """Record a customer's consent; it is in force from `at`, and the earlier one of its scope ends then.

    `used` is the billable use past the allowance so far in the period, in `new.unit`, and `used_amount` what is
    payable for it: a limit cannot be lower. Above the provider's `approval_above`, or above `most` where credit rules
    say how far this customer may go, it waits for `decide_consent`, and the earlier one stays in force; so does a limit
    whose amount nobody can tell. A contact who is not verified may consent: it is dormant until they are. Raises
    `UnableToConsentError`.
    """
    at = require_aware(at)
    terms = catalog.catalog().overage
    contact = _contact(new)
    _checked(new)
    if used is not None and new.limit.quantity is not None and new.limit.quantity < used:
        raise UnableToConsentError(
            Rule.BELOW_USE,
            f"{show(used)} {new.unit} past the allowance are used already: a limit of {show(new.limit.quantity)} "
            f"{new.unit} would be below that; choose {show(used)} {new.unit} or more",
        )
    if used_amount is not None and new.limit.amount is not None and new.limit.amount < used_amount:
        raise UnableToConsentError(
            Rule.BELOW_USE,
            f"{used_amount} is used already: a limit of {new.limit.amount} would be below that; choose {used_amount} "
            f"or more",
        )
    address = new.address or contact.email or contact.phone
    with transaction.atomic():
        _lock(new.account)
        verified = _verified(new.account, address)
        if _above(new.limit.amount, terms.reachable_above) and not verified:
            raise UnableToConsentError(
                Rule.CONTACT_NOT_REACHABLE,
                f"a limit above {terms.reachable_above} wants a contact who is known to be reachable: verify "
                f"{address or contact.name} first, or choose {terms.reachable_above} or less",
            )
        pending = _above(new.limit.amount, terms.approval_above) or _above(new.limit.amount, most)
        superseded = None
        if not pending:
            superseded = _supersede(new, at, actor, pending=False)
        _supersede(new, at, actor, pending=True)
        row = _insert(new, contact, address, at, actor, reason, approval_needed=pending)
        _told("consent.given", row, actor, at, reason)
        return Given(row.pk, pending, not verified, superseded)


def decide_consent(*, consent: int, approve: bool, actor: str, reason: str, at: datetime) -> Given:
    """The provider's decision on a consent that waits for it: in force from now, or refused, with the reason.

    Raises `UnableToConsentError`.
    """
    at = require_aware(at)
    if not reason.strip():
        raise UnableToConsentError(Rule.INCOMPLETE, "say why: the customer is told the reason")
    with transaction.atomic():
        row = _one(consent)
        if not row.approval_needed or row.decided_at is not None or row.ended_at is not None:
            raise UnableToConsentError(Rule.NOT_PENDING, f"consent {consent} does not wait for a decision")
        superseded = None
        change: dict[str, Any] = {
            "approved": approve, "decided_at": at, "decided_by": actor, "decision_reason": reason,
        }  # fmt: skip
        if approve:
            earlier = _same_scope(row).filter(ended_at__isnull=True).exclude(pk=row.pk)
            superseded = _end(earlier, at, "superseded", actor, f"by consent {row.pk}")
        else:
            change |= {"ended_at": at, "ended_why": "refused", "ended_by": actor, "end_reason": reason}
        Consent.objects.filter(pk=row.pk).update(**change)
        _told("consent.approved" if approve else "consent.refused", row, actor, at, reason)
        return Given(row.pk, False, not _verified(row.account_id, row.address), superseded)


def withdraw_consent(*, consent: int, actor: str, reason: str, at: datetime) -> None:
    """End a consent: what is used from now on is not charged. Raises `UnableToConsentError` when it ended before."""
    at = require_aware(at)
    if not reason.strip():
        raise UnableToConsentError(Rule.INCOMPLETE, "say why the consent is withdrawn")
    with transaction.atomic():
        row = _one(consent)
        if row.ended_at is not None:
            raise UnableToConsentError(
                Rule.NOT_IN_FORCE, f"consent {consent} ended {row.ended_at.isoformat()} ({row.ended_why})"
            )
        _end(Consent.objects.filter(pk=row.pk), at, "withdrawn", actor, reason)
        _told("consent.withdrawn", row, actor, at, reason)


def lapse_provisional(*, at: datetime, actor: str = "worker") -> list[int]:
    """End the provisional limits that nobody confirmed in time, as of the instant they should have been; their ids."""
    at = require_aware(at)
    with transaction.atomic():
        due = Consent.objects.filter(provisional=True, ended_at__isnull=True, confirm_by__lte=at)
        rows = list(due.select_for_update().order_by("id"))
        for row in rows:
            assert row.confirm_by is not None
            _end(Consent.objects.filter(pk=row.pk), row.confirm_by, "lapsed", actor, "not confirmed in time")
            _told("consent.lapsed", row, actor, at, "not confirmed in time")
        return [row.pk for row in rows]


def take_over_consent(
    *,
    new: NewConsent,
    source_key: str,
    at: datetime,
    actor: str,
    reason: str,
    confirm_by: datetime | None = None,
) -> Given | None:
    """Take a limit over from an earlier contract, provisionally: it counts its imported contact as verified until a
    bounce, and lapses at `confirm_by` (by the provider's `provisional_days` when none) unless confirmed.

    The same `source_key` is taken over once. None where the customer has given a word of their own on that scope.
    Raises `UnableToConsentError`.
    """
    at = require_aware(at)
    contact = _contact(new)
    _checked(new)
    if not source_key.strip() or not reason.strip():
        raise UnableToConsentError(Rule.INCOMPLETE, "a limit that is taken over names its source and the clause")
    days = catalog.catalog().overage.provisional_days
    latest = at + timedelta(days=days)
    until = latest if confirm_by is None else require_aware(confirm_by)
    if not at < until <= latest:
        raise UnableToConsentError(Rule.INCOMPLETE, f"confirm_by: expected within {days} days of {at.isoformat()}")
    with transaction.atomic():
        _lock(new.account)
        there = Consent.objects.filter(source_key=source_key).first()
        if there is not None:
            return Given(there.pk, new=False)
        if _scoped(new).filter(ended_at__isnull=True, provisional=False).exists():
            return None
        superseded = _supersede(new, at, actor, pending=False)
        row = _insert(
            new, contact, new.address or contact.email or contact.phone, at, actor, reason,
            provisional=True, confirm_by=until, source_key=source_key,
        )  # fmt: skip
        _told("consent.taken_over", row, actor, at, reason)
        return Given(row.pk, superseded=superseded)


def _contact(new: NewConsent) -> ContactRow:
    found = next((c for c in customers.contacts([new.account]) if c.external_id == new.contact), None)
    if found is None:
        raise UnableToConsentError(Rule.NO_SUCH_CONTACT, f"the account has no contact {new.contact!r}")
    if not found.may_incur_cost:
        raise UnableToConsentError(
            Rule.CONTACT_MAY_NOT_INCUR_COST,
            f"{found.name} ({new.contact}) may not incur cost for this account: somebody who may has to consent",
        )
    return found


def _checked(new: NewConsent) -> None:
    scope, limit = new.scope, new.limit
    (account,) = customers.accounts([new.account])
    if scope.service is not None:
        own = services.services([scope.service])
        if not own or own[0].account_id != new.account:
            raise UnableToConsentError(Rule.NOT_OF_ACCOUNT, f"service {scope.service} is not the account's")
    for amount in (limit.amount, new.pre_acknowledged):
        if amount is not None and amount.currency != account.currency:
            raise UnableToConsentError(
                Rule.WRONG_CURRENCY, f"the account pays in {account.currency}, and the limit is in {amount.currency}"
            )
    if limit.quantity is not None and not new.unit:
        raise UnableToConsentError(Rule.INCOMPLETE, "a limit in quantity needs its unit")
    if scope.charge and scope.service is None:
        raise UnableToConsentError(Rule.INCOMPLETE, "only a service's consent names a charge")
    if new.how not in HOWS or not new.shown.terms:
        raise UnableToConsentError(
            Rule.INCOMPLETE, f"expected how it was given ({', '.join(HOWS)}) and under which terms"
        )
    if new.pre_acknowledged is not None and limit.amount is not None and new.pre_acknowledged > limit.amount:
        raise UnableToConsentError(
            Rule.INCOMPLETE, f"no more than the limit of {limit.amount} can be acknowledged beforehand"
        )


def _above(amount: Money | None, bound: Money | None) -> bool:
    """Whether a limit is above a bound; one without an amount in the bound's currency is."""
    if bound is None:
        return False
    return amount is None or amount.currency != bound.currency or amount > bound


def _verified(account: int, address: str) -> bool:
    known = notices.verified_addresses(account=account)
    compared = notices.compared(address)
    return compared in known and not notices.dead_among([address])


def _lock(account: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('overage'), %s::int)", [account % 2**31])


def _scoped(new: NewConsent) -> Any:
    scope = new.scope
    return Consent.objects.filter(
        account=new.account, service=scope.service, pool=scope.pool, pool_group=scope.group, charge=scope.charge,
        period_name=new.period_name,
    )  # fmt: skip


def _same_scope(row: Consent) -> Any:
    return Consent.objects.filter(
        account=row.account_id, service=row.service_id, pool=row.pool, pool_group=row.pool_group, charge=row.charge,
        period_name=row.period_name,
    )  # fmt: skip


def _supersede(new: NewConsent, at: datetime, actor: str, *, pending: bool) -> int | None:
    waits = Q(approval_needed=True, approved__isnull=True)
    found = _scoped(new).filter(waits if pending else ~waits, ended_at__isnull=True)
    return _end(found, at, "superseded", actor, "by a later consent")


def _end(found: Any, at: datetime, why: str, actor: str, reason: str) -> int | None:
    last: int | None = None
    for row in found:
        Consent.objects.filter(pk=row.pk).update(
            ended_at=max(at, row.given_at), ended_why=why, ended_by=actor, end_reason=reason
        )
        last = row.pk
    return last


def _insert(
    new: NewConsent, contact: ContactRow, address: str, at: datetime, actor: str, reason: str, **more: Any
) -> Consent:
    limit, scope = new.limit, new.scope
    amount = limit.amount
    named = new.pre_acknowledged if amount is None else amount
    code = named.currency if named is not None else ""
    return Consent.objects.create(
        account_id=new.account,
        scope=scope.kind,
        service_id=scope.service,
        pool=scope.pool,
        pool_group=scope.group,
        charge=scope.charge,
        period_name=new.period_name,
        amount=None if amount is None else amount.minor,
        currency=code,
        quantity="" if limit.quantity is None else show(limit.quantity),
        unit="" if limit.quantity is None else new.unit,
        typed=limit.typed,
        pre_acknowledged=None if new.pre_acknowledged is None else new.pre_acknowledged.minor,
        terms=new.shown.terms,
        rate_shown=new.shown.rate,
        text_shown=new.shown.text,
        text_hash=sha256(new.shown.text.encode()).hexdigest(),
        contact=contact.external_id,
        address=address,
        how=new.how,
        came_from=new.came_from,
        given_at=at,
        given_by=actor,
        reason=reason,
        **more,
    )


def _one(consent: int) -> Consent:
    account = Consent.objects.filter(pk=consent).values_list("account_id", flat=True).first()
    if account is None:
        raise UnableToConsentError(Rule.NOT_IN_FORCE, f"there is no consent {consent}")
    _lock(account)
    return Consent.objects.select_for_update().get(pk=consent)


def _told(act: str, row: Consent, actor: str, at: datetime, reason: str) -> None:
    limit = {"amount": row.amount, "currency": row.currency, "quantity": row.quantity, "unit": row.unit}
    audit.record(
        actor=actor, act=act, subject=f"account:{row.account_id}", at=at, reason=reason,
        detail={"consent": row.pk, "scope": row.scope, "service": row.service_id, "pool": row.pool, **limit},
    )  # fmt: skip
