"""What an operator may do: a permission for each kind of act, a role for each kind of job. Least privilege by default.

>>> sorted(PERMISSIONS[Role.SUPPORT])
[<Permission.SEE: 'see'>, <Permission.SUPPORT: 'support'>]
"""

from collections.abc import Mapping
from enum import StrEnum


class Permission(StrEnum):
    """A kind of act. A view or act asks for exactly one."""

    SEE = "see"
    """Read everything that the console shows."""
    SUPPORT = "support"
    """Help a customer: send a message again, answer what bounced."""
    BILLING = "billing"
    """Make and send paper: close a period, take parked accounts up again, credit notes, the sending queue."""
    MONEY = "money"
    """Book, allocate, reverse and refund payments."""
    PLANS = "plans"
    """Change what services are sold for."""
    OPERATE = "operate"
    """Look after the machinery: quarantine, collectors, replay, alarms."""
    PEOPLE = "people"
    """Let operators in, say what they may do, shut them out."""


class Role(StrEnum):
    """A kind of job at a provider."""

    VIEWER = "viewer"
    SUPPORT = "support"
    BILLING = "billing"
    OPERATIONS = "operations"
    ADMIN = "admin"


PERMISSIONS: Mapping[Role, frozenset[Permission]] = {
    Role.VIEWER: frozenset({Permission.SEE}),
    Role.SUPPORT: frozenset({Permission.SEE, Permission.SUPPORT}),
    Role.BILLING: frozenset({Permission.SEE, Permission.SUPPORT, Permission.BILLING, Permission.MONEY}),
    Role.OPERATIONS: frozenset({Permission.SEE, Permission.SUPPORT, Permission.OPERATE, Permission.PLANS}),
    Role.ADMIN: frozenset(Permission),
}


def may(operator: object, permission: Permission) -> bool:
    """Whether this operator may do that. Somebody inactive, no operator, or of a role that is gone may do nothing."""
    if not (getattr(operator, "is_active", False) and getattr(operator, "is_staff", False)):
        return False
    try:
        return permission in PERMISSIONS[Role(getattr(operator, "role", ""))]
    except ValueError:
        return False
