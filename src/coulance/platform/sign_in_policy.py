"""Whether operators must have a second factor, and taking one away from somebody who lost theirs.

Unless somebody decided otherwise, it is demanded as soon as the instance answers to a name that others can reach: a
console on 127.0.0.1 alone is entered by whoever may log in to the machine, and by nobody else.
"""

from dataclasses import dataclass
from datetime import datetime

from allauth.mfa.models import Authenticator
from django.conf import settings
from django.db import transaction

from coulance.platform import audit
from coulance.platform.models import Operator, SignInPolicy
from coulance_core.kernel import require_aware


class UnableToChangePolicyError(ValueError):
    """No reason was given, or there is no such operator."""


@dataclass(frozen=True, slots=True)
class Policy:
    """Whether a second factor is demanded, and whether somebody decided that (else it follows from the address)."""

    demanded: bool
    decided: bool
    public: bool


def policy() -> Policy:
    """What holds now."""
    row = SignInPolicy.objects.filter(pk=1).first()
    public = bool(settings.COULANCE_PUBLIC)
    if row is None or row.second_factor is None:
        return Policy(public, False, public)
    return Policy(row.second_factor, True, public)


def decide(*, second_factor: bool | None, actor: str, reason: str, at: datetime) -> Policy:
    """Demand a second factor of every operator, or not; None lets it follow from the address again."""
    require_aware(at)
    if not reason.strip():
        raise UnableToChangePolicyError("say why: this changes who can get in")
    with transaction.atomic():
        SignInPolicy.objects.update_or_create(pk=1, defaults={"second_factor": second_factor})
        audit.record(
            actor=actor,
            act="sign_in_policy.decided",
            subject="sign_in_policy",
            at=at,
            reason=reason,
            detail={"second_factor": second_factor},
        )
    return policy()


def enrolled(operator: int) -> bool:
    """Whether this operator has a second factor."""
    return bool(Authenticator.objects.filter(user_id=operator, type=Authenticator.Type.TOTP).exists())


def with_second_factor() -> frozenset[int]:
    """Every operator who has one."""
    return frozenset(Authenticator.objects.filter(type=Authenticator.Type.TOTP).values_list("user_id", flat=True))


def take_second_factor(*, name: str, actor: str, reason: str, at: datetime) -> bool:
    """Remove an operator's second factor and recovery codes, for somebody who lost theirs; False when there was none.

    They enrol again from a sign-in link, where a second factor is demanded.
    """
    require_aware(at)
    if not reason.strip():
        raise UnableToChangePolicyError("say why: this lets somebody in with one factor")
    with transaction.atomic():
        row = Operator.objects.select_for_update().filter(username=name).first()
        if row is None:
            raise UnableToChangePolicyError(f"there is no operator {name}; see: coulance operator list")
        removed, _ = Authenticator.objects.filter(user_id=row.pk).delete()
        if removed:
            subject = f"operator:{name}"
            audit.record(actor=actor, act="operator.second_factor_taken", subject=subject, at=at, reason=reason)
    return bool(removed)
