"""The second factor: what is still missing for a session, and how allauth's parts are fitted to our operators.

allauth keeps, in the session, a record of each way in which its user proved who they are. The rules here read those:

- who has a second factor must have shown it in this session, at most `LASTS` ago, however they signed in;
- who has none must enrol where one is demanded (`platform.sign_in_policy`), and may do so only from a sign-in link:
  else a stolen password would be enough to put the thief's telephone in its owner's place;
- an act that moves money wants a proof at most `FRESH` old.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.internal.flows.login import get_authentication_records, record_authentication
from allauth.mfa.adapter import DefaultMFAAdapter
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AbstractUser
from django.http import HttpRequest

from coulance.platform import at_rest, audit, clock, sign_in_policy

LASTS = timedelta(hours=12)
"""How long a second factor counts for a session: a working day."""
FRESH = timedelta(minutes=30)
"""How old a proof may be for an act that moves money."""
ENROL_WITHIN = timedelta(minutes=30)
"""How long after signing in by a link a second factor can be set up."""
LINK = "link"


class Missing(Enum):
    """What a session lacks."""

    NOTHING = 0
    CODE = 1
    ENROLMENT = 2


def missing(request: HttpRequest, *, at: datetime) -> Missing:
    """What this signed-in session lacks before it may see anything."""
    if sign_in_policy.enrolled(user_of(request).pk):
        return Missing.NOTHING if _newest(request, "mfa", at) <= LASTS else Missing.CODE
    return Missing.ENROLMENT if sign_in_policy.policy().demanded else Missing.NOTHING


def is_fresh(request: HttpRequest, *, at: datetime) -> bool:
    """Whether who works here has proved it lately: by the second factor if they have one, else by any factor.

    An operator without a password and without a second factor could only sign in again by a new link: where no second
    factor is demanded (on this machine alone) they are not asked, as the link proved access to the machine itself.
    """
    if sign_in_policy.enrolled(user_of(request).pk):
        return _newest(request, "mfa", at) <= FRESH
    return _newest(request, "", at) <= FRESH or not user_of(request).has_usable_password()


def may_enrol(request: HttpRequest, *, at: datetime) -> bool:
    """Whether a second factor can be set up from this session."""
    if not sign_in_policy.policy().demanded:
        return is_fresh(request, at=at)
    return _newest(request, LINK, at) <= ENROL_WITHIN


def record_link(request: HttpRequest, user: AbstractBaseUser) -> None:
    """Note that this session began with a sign-in link: one factor."""
    record_authentication(request, user, method=LINK)


def _newest(request: HttpRequest, method: str, at: datetime) -> timedelta:
    """How long ago this session proved itself by that method (empty: by any)."""
    records = get_authentication_records(request, user_of(request))
    ages = [
        timedelta(seconds=at.timestamp() - float(each["at"])) for each in records if method in ("", each.get("method"))
    ]
    return min(ages, default=timedelta.max)


def user_of(request: HttpRequest) -> AbstractUser:
    """The operator who signed in."""
    user = request.user
    assert isinstance(user, AbstractUser), "a guarded view has an operator"
    return user


class SignInAdapter(DefaultAccountAdapter):  # type: ignore[misc]
    """allauth's account part for operators: no signing up, no mails, no flashed messages; signing in is audited."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:  # noqa: ARG002 - allauth's signature
        """Operators are made by admins."""
        return False

    def add_message(self, *args: Any, **kwargs: Any) -> None:
        """Our pages say what happened themselves."""

    def send_notification_mail(self, *args: Any, **kwargs: Any) -> None:
        """Nothing is mailed: the audit log has it."""

    def login(self, request: HttpRequest, user: AbstractBaseUser) -> None:
        """Open the session, and write down by which factors."""
        records = get_authentication_records(request, user)
        super().login(request, user)
        audit.record(
            actor=f"operator:{user.get_username()}",
            act="operator.signed_in",
            subject=f"operator:{user.get_username()}",
            at=clock.now(),
            detail={"by": [_way(each) for each in records]},
        )


def _way(record: Mapping[str, Any]) -> str:
    return str(record.get("type") or record.get("method"))


class SecondFactorAdapter(DefaultMFAAdapter):  # type: ignore[misc]
    """allauth's mfa part: secrets are kept encrypted; the telephone shows our name and the operator's."""

    def get_totp_label(self, user: AbstractBaseUser) -> str:
        """The operator's name."""
        return str(user.get_username())

    def get_totp_issuer(self) -> str:
        """Which system it is, by its host."""
        return f"Coulance {self._get_site_name()}"

    def encrypt(self, text: str) -> str:
        """Encrypt a secret with a key of the instance, so that a dump of the database tells none."""
        return at_rest.seal(text).decode("ascii")

    def decrypt(self, encrypted_text: str) -> str:
        """What was encrypted."""
        return at_rest.unseal(encrypted_text.encode("ascii"))
