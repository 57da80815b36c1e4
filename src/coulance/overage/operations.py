"""Writing the records of overage, in the caller's transaction: a word stands or falls with what it causes."""

from coulance.overage.calling import (
    attempt_phone_task,
    close_phone_task,
    open_phone_task,
    settle_phone_tasks,
)
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
from coulance.overage.standings import keep as keep_standings

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
    "attempt_phone_task",
    "close_phone_task",
    "decide_consent",
    "give_consent",
    "keep_standings",
    "lapse_provisional",
    "open_phone_task",
    "record_attack",
    "record_settlements",
    "record_warning",
    "settle_phone_tasks",
    "take_over_consent",
    "withdraw_attack",
    "withdraw_consent",
]
