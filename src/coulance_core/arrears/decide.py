"""The second law as a decision: what to do, what to undo, what is held up, and when to look again."""

from datetime import datetime

from coulance_core.arrears.decision import Decision, Intent, Lift
from coulance_core.arrears.facts import Facts
from coulance_core.arrears.packs import LawPack
from coulance_core.arrears.terms import Policy
from coulance_core.kernel import Refusal


def decide(policy: Policy, facts: Facts, at: datetime, *, law: LawPack | None = None) -> Decision:
    """Judge an account at an instant. Only what was known by then counts."""
    raise NotImplementedError


def may_execute(
    policy: Policy, facts: Facts, intent: Intent, at: datetime, *, law: LawPack | None = None
) -> Refusal | None:
    """Judge one intent again, at the write: None, or why not after all."""
    raise NotImplementedError


def lifts(policy: Policy, facts: Facts, at: datetime, *, law: LawPack | None = None) -> tuple[Lift, ...]:
    """What must be undone now."""
    raise NotImplementedError
