"""Disputes: what is contested of a bill and held, whose turn it is, and what a decision credits. Pure."""

from coulance_core.disputes.clock import Clock, clock, stopped_days
from coulance_core.disputes.contesting import BY_WHOLE, Contested, ContestedLine, Debt, contested, worth
from coulance_core.disputes.deciding import CREDIT_TYPE, Decision, decide
from coulance_core.disputes.opening import Earlier, OpenRefusal, may_open
from coulance_core.disputes.policy_file import parse_policy
from coulance_core.disputes.terms import (
    MAY_FOLLOW,
    Contest,
    Decider,
    DecideRefusal,
    DisputeError,
    Grounds,
    Hold,
    Mediator,
    Outcome,
    Policy,
    State,
    Step,
    StepKind,
    Way,
)

__all__ = [
    "BY_WHOLE",
    "CREDIT_TYPE",
    "MAY_FOLLOW",
    "Clock",
    "Contest",
    "Contested",
    "ContestedLine",
    "Debt",
    "DecideRefusal",
    "Decider",
    "Decision",
    "DisputeError",
    "Earlier",
    "Grounds",
    "Hold",
    "Mediator",
    "OpenRefusal",
    "Outcome",
    "Policy",
    "State",
    "Step",
    "StepKind",
    "Way",
    "clock",
    "contested",
    "decide",
    "may_open",
    "parse_policy",
    "stopped_days",
    "worth",
]
