"""Writing the records of overage, in the caller's transaction: a word stands or falls with what it causes."""

from coulance.overage.consenting import (
    Given,
    NewConsent,
    Scope,
    Shown,
    decide_consent,
    give_consent,
    lapse_provisional,
    take_over_consent,
    withdraw_consent,
)
from coulance.overage.errors import OverageError, Rule, UnableToConsentError, UnableToRecordError
from coulance.overage.meters import MeterRef
from coulance.overage.recording import (
    NewSettlement,
    acknowledge,
    record_attack,
    record_settlements,
    record_warning,
    withdraw_attack,
)

__all__ = [
    "Given",
    "MeterRef",
    "NewConsent",
    "NewSettlement",
    "OverageError",
    "Rule",
    "Scope",
    "Shown",
    "UnableToConsentError",
    "UnableToRecordError",
    "acknowledge",
    "decide_consent",
    "give_consent",
    "lapse_provisional",
    "record_attack",
    "record_settlements",
    "record_warning",
    "take_over_consent",
    "withdraw_attack",
    "withdraw_consent",
]
