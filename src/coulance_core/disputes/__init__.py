"""Disputes: what is contested of a bill and held, whose turn it is, and what a decision credits. Pure."""

from coulance_core.disputes.clock import Clock, clock, stopped_days
from coulance_core.disputes.contesting import Contested, ContestedLine, contested, worth
from coulance_core.disputes.deciding import CREDIT_TYPE, Decision, decide
from coulance_core.disputes.opening import Earlier, OpenRefusal, may_open
from coulance_core.disputes.terms import (
    MAY_FOLLOW,
    Contest,
    DisputeError,
    Grounds,
    Hold,
    Outcome,
    Policy,
    State,
    Step,
    StepKind,
    Way,
)

__all__ = [
    "CREDIT_TYPE",
    "MAY_FOLLOW",
    "Clock",
    "Contest",
    "Contested",
    "ContestedLine",
    "Decision",
    "DisputeError",
    "Earlier",
    "Grounds",
    "Hold",
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
    "stopped_days",
    "worth",
]
