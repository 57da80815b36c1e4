"""Records of campaigns: who is to be invited, who was, how far it is. In the caller's transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import IntegrityError, connection, transaction

from coulance.overage.campaign_models import Campaign, Invitation
from coulance.overage.errors import UnableToRecordError
from coulance.overage.models import Consent
from coulance.platform import audit
from coulance_core.kernel import require_aware
from coulance_core.overage.closing import pool_meter


@dataclass(frozen=True, slots=True)
class InvitationRow:
    """An invitation, or one to be sent. `provisional` is the consent that holds until it is answered."""

    id: int
    campaign: int
    account: int
    service: int | None
    charge: str
    contact: str
    provisional: int | None
    message: str
    queued_at: datetime | None
    fault: str


@dataclass(frozen=True, slots=True)
class CampaignRow:
    """A campaign and how far it is: in all, sent, that can't be sent, answered by a word of their own since."""

    id: int
    name: str
    state: str
    per_hour: int
    started_at: datetime
    started_by: str
    reason: str
    invited: int
    sent: int
    failed: int
    answered: int
    provisional: int


def begin(
    *,
    name: str,
    per_hour: int,
    invitations: Sequence[tuple[int, int | None, str, str, int | None]],
    actor: str,
    reason: str,
    at: datetime,
) -> int:
    """Begin a campaign with its invitations: (account, service, charge, contact, provisional consent or none).

    Without a service it is about everything of the account.

    Raises `UnableToRecordError` for a name that is taken, or without a reason.
    """
    if not name.strip() or not reason.strip() or per_hour < 1:
        raise UnableToRecordError("a campaign has a name, a reason, and sends at least one an hour")
    try:
        with transaction.atomic():
            row = Campaign.objects.create(
                name=name.strip(), per_hour=per_hour, started_at=require_aware(at), started_by=actor,
                reason=reason.strip(),
            )  # fmt: skip
    except IntegrityError as error:
        raise UnableToRecordError(f"there is a campaign {name!r} already: another name, or go on with that") from error
    Invitation.objects.bulk_create(
        [
            Invitation(
                campaign=row, account_id=account, service_id=service, charge=charge, contact=contact,
                provisional=provisional,
            )
            for account, service, charge, contact, provisional in invitations
        ],
        batch_size=1000,
    )  # fmt: skip
    audit.record(
        actor=actor, act="campaign.started", subject=f"campaign:{row.name}", at=at, reason=reason.strip(),
        detail={"invited": len(invitations), "per_hour": per_hour},
    )  # fmt: skip
    return int(row.pk)


def set_state(*, campaign: int, state: str, actor: str, reason: str, at: datetime) -> None:
    """Pause it, or let it go on. Raises `UnableToRecordError`."""
    if not reason.strip():
        raise UnableToRecordError("say why")
    done = Campaign.objects.filter(pk=campaign).exclude(state="done").update(state=state)
    if not done:
        raise UnableToRecordError(f"there is no campaign {campaign} that is not done")
    name = Campaign.objects.get(pk=campaign).name
    audit.record(
        actor=actor, act=f"campaign.{state}", subject=f"campaign:{name}", at=require_aware(at), reason=reason.strip()
    )


def next_due(*, at: datetime) -> InvitationRow | None:
    """The next invitation of a running campaign that its pace allows now, locked; none when there is none.

    At most `per_hour` are queued in any hour.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT i.id FROM overage_invitation i JOIN overage_campaign c ON c.id = i.campaign_id"
            " WHERE c.state = 'running' AND i.queued_at IS NULL AND c.per_hour > ("
            "   SELECT count(*) FROM overage_invitation d WHERE d.campaign_id = c.id AND d.queued_at > %s)"
            " ORDER BY i.campaign_id, i.id LIMIT 1 FOR UPDATE OF i SKIP LOCKED",
            [require_aware(at) - timedelta(hours=1)],
        )
        found = cursor.fetchone()
    return None if found is None else _row(Invitation.objects.get(pk=found[0]))


def mark(*, invitation: int, message: str, fault: str, at: datetime) -> None:
    """It was queued now under that key, or can't be, and why."""
    Invitation.objects.filter(pk=invitation).update(message=message, fault=fault, queued_at=require_aware(at))


def finish() -> None:
    """Close campaigns of which nothing is left to send."""
    left = Invitation.objects.filter(queued_at__isnull=True).values("campaign")
    Campaign.objects.filter(state="running").exclude(pk__in=left).update(state="done")


def campaigns() -> list[CampaignRow]:
    """Every campaign, the newest first."""
    out = []
    for row in Campaign.objects.order_by("-started_at", "-id"):
        rows = list(Invitation.objects.filter(campaign=row))
        words = Consent.objects.filter(
            account__in={one.account_id for one in rows}, provisional=False, given_at__gte=row.started_at
        ).values_list("account_id", "service_id", "pool", "pool_group", "charge")
        answered = {_about(*word) for word in words}
        out.append(
            CampaignRow(
                id=row.pk, name=row.name, state=row.state, per_hour=row.per_hour, started_at=row.started_at,
                started_by=row.started_by, reason=row.reason, invited=len(rows),
                sent=sum(one.queued_at is not None and not one.fault for one in rows),
                failed=sum(bool(one.fault) for one in rows),
                answered=sum(not answered.isdisjoint(_bound_by(one)) for one in rows),
                provisional=sum(one.provisional is not None for one in rows),
            )
        )  # fmt: skip
    return out


_Scope = tuple[int, int | None, str]
"""What a word is about: an account, a service of it or none, and a charge or a pool's meter."""


def _about(account: int, service: int | None, pool: str, group: str, charge: str) -> _Scope:
    return account, service, pool_meter(pool, group) if pool else charge


def _bound_by(one: Invitation) -> set[_Scope]:
    """The words that answer an invitation: about just that, or about more."""
    account, service, charge = one.account_id, one.service_id, one.charge
    whole: _Scope = (account, None, "")
    if service is None:
        return {whole}
    if charge.startswith("pool:"):
        return {(account, None, charge), whole}
    return {(account, service, charge), (account, service, ""), whole}


def _row(row: Invitation) -> InvitationRow:
    return InvitationRow(
        row.pk, row.campaign_id, row.account_id, row.service_id, row.charge, row.contact, row.provisional, row.message,
        row.queued_at, row.fault,
    )  # fmt: skip
