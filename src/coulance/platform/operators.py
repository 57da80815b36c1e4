"""The people who run this system: making them, and letting them in by a link that works once."""

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import IntegrityError, transaction
from django.db.models import Q

from coulance.platform import audit, sign_in_policy
from coulance.platform.models import Operator, SignInLink
from coulance.platform.roles import Role
from coulance_core.kernel import require_aware

LINK_LASTS = timedelta(minutes=30)
"""How long a sign-in link works unless told otherwise."""


class UnableToMakeOperatorError(ValueError):
    """The name is taken, or the address or password won't do."""


class UnableToChangeOperatorError(ValueError):
    """There is no such operator or role, no reason was given, or nobody would be left to let people in."""


class UnableToMakeLinkError(LookupError):
    """There is no such operator, or they may not sign in."""


class UnableToSignInError(PermissionError):
    """The link is unknown, used or expired."""


@dataclass(frozen=True, slots=True)
class Person:
    """What may be known of an operator."""

    name: str
    email: str
    active: bool
    has_password: bool
    last_sign_in: datetime | None
    role: Role
    has_second_factor: bool = False


def make_operator(
    *, name: str, email: str, at: datetime, actor: str, password: str | None = None, role: Role | None = None
) -> Person:
    """Make an operator. Without a password they sign in by link only.

    Without a role the first operator is an admin, since somebody has to let the others in; later ones may only look.
    """
    require_aware(at)
    if not name.strip():
        raise UnableToMakeOperatorError("an operator needs a name to sign in with")
    if role is None:
        role = Role.VIEWER if Operator.objects.filter(role=Role.ADMIN, is_active=True).exists() else Role.ADMIN
    candidate = Operator(username=name.strip(), email=email.strip(), is_staff=True, date_joined=at, role=role)
    try:
        if email:
            validate_email(email.strip())
        if password is not None:
            validate_password(password, candidate)
        Operator.username_validator(name.strip())
    except ValidationError as fault:
        raise UnableToMakeOperatorError(" ".join(fault.messages)) from fault
    if password is None:
        candidate.set_unusable_password()
    else:
        candidate.set_password(password)
    try:
        with transaction.atomic():
            candidate.save()
            audit.record(
                actor=actor,
                act="operator.made",
                subject=f"operator:{candidate.username}",
                at=at,
                detail={"role": role.value},
            )
    except IntegrityError as fault:
        raise UnableToMakeOperatorError(f"there is already an operator {name.strip()}") from fault
    return _of(candidate)


def operators() -> Sequence[Person]:
    """Every operator, by name."""
    safer = sign_in_policy.with_second_factor()
    return [replace(_of(row), has_second_factor=row.pk in safer) for row in Operator.objects.order_by("username")]


def operator(name: str) -> Person:
    """One operator. Raises UnableToChangeOperatorError."""
    for person in operators():
        if person.name == name:
            return person
    raise UnableToChangeOperatorError(f"there is no operator {name}; see: coulance operator list")


def _of(row: Operator) -> Person:
    return Person(
        name=row.username,
        email=row.email,
        active=row.is_active,
        has_password=row.has_usable_password(),
        last_sign_in=row.last_login,
        role=Role(row.role),
    )


def change_role(*, name: str, role: Role, actor: str, reason: str, at: datetime) -> Person:
    """Give an operator another role. It holds from their next page on. Raises UnableToChangeOperatorError."""
    require_aware(at)
    with transaction.atomic():
        row = _changeable(name, reason)
        before = row.role
        if before == role:
            return _of(row)
        row.role = role.value
        row.save(update_fields=["role"])
        _somebody_is_left()
        detail = {"before": before, "role": role.value}
        audit.record(
            actor=actor, act="operator.role_changed", subject=f"operator:{name}", at=at, reason=reason, detail=detail
        )
    return _of(row)


def change_access(*, name: str, active: bool, actor: str, reason: str, at: datetime) -> Person:
    """Shut an operator out, from their next page on, or let them in again. Raises UnableToChangeOperatorError."""
    require_aware(at)
    with transaction.atomic():
        row = _changeable(name, reason)
        if row.is_active == active:
            return _of(row)
        row.is_active = active
        row.save(update_fields=["is_active"])
        _somebody_is_left()
        if not active:
            SignInLink.objects.filter(operator=row, used_at__isnull=True).delete()
        act = "operator.let_in" if active else "operator.shut_out"
        audit.record(actor=actor, act=act, subject=f"operator:{name}", at=at, reason=reason)
    return _of(row)


def _changeable(name: str, reason: str) -> Operator:
    if not reason.strip():
        raise UnableToChangeOperatorError("say why: what an operator may do is changed for a stated reason")
    # Every admin's row, and this one: two admins who demote each other at once must not both succeed.
    rows = {
        row.username: row
        for row in Operator.objects.select_for_update().filter(Q(role=Role.ADMIN) | Q(username=name)).order_by("id")
    }
    if name not in rows:
        raise UnableToChangeOperatorError(f"there is no operator {name}; see: coulance operator list")
    return rows[name]


def _somebody_is_left() -> None:
    if not Operator.objects.filter(role=Role.ADMIN, is_active=True, is_staff=True).exists():
        raise UnableToChangeOperatorError("this is the last active admin: make another first")


def make_link(*, name: str, at: datetime, actor: str, lasts: timedelta = LINK_LASTS) -> str:
    """The secret of a link that signs this operator in once, until it expires. Addresses are the console's business."""
    require_aware(at)
    operator = Operator.objects.filter(username=name, is_active=True).first()
    if operator is None:
        raise UnableToMakeLinkError(f"there is no active operator {name}; see: coulance operator list")
    secret = secrets.token_urlsafe(32)
    with transaction.atomic():
        # Links are short-lived: old ones are of no use to anybody.
        SignInLink.objects.filter(expires_at__lt=at).delete()
        SignInLink.objects.create(operator=operator, secret_hash=_hash(secret), made_at=at, expires_at=at + lasts)
        audit.record(actor=actor, act="operator.link_made", subject=f"operator:{name}", at=at)
    return secret


def use_link(*, secret: str, at: datetime) -> Operator:
    """Use a link up; returns the operator to sign in (`django.contrib.auth.login`). Raises UnableToSignInError.

    Two uses at once: the UPDATE lets one of them have it. (It names no other table: a join would become a subselect,
    which the one that waits doesn't look at again.)
    """
    require_aware(at)
    with transaction.atomic():
        link = SignInLink.objects.filter(secret_hash=_hash(secret), used_at__isnull=True, expires_at__gt=at)
        used = link.update(used_at=at)
        operator = Operator.objects.filter(
            sign_in_links__secret_hash=_hash(secret), is_active=True, sign_in_links__used_at=at
        ).first()
        if not used or operator is None:
            raise UnableToSignInError(
                "this sign-in link was used already, has expired, or never was; make another: coulance operator link"
            )
        audit.record(
            actor=f"operator:{operator.username}",
            act="operator.signed_in_by_link",
            subject=f"operator:{operator.username}",
            at=at,
        )
    return operator


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
