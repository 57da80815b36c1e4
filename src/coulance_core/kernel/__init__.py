"""The words every room speaks: money, prices, quantities, periods, explanations, refusals."""

from coulance_core.kernel.explanation import Explanation, ExplanationError, Fact, Step
from coulance_core.kernel.money import Currency, CurrencyMismatchError, Money, UnitPrice, currency
from coulance_core.kernel.period import (
    Period,
    PeriodError,
    anchored_date,
    anchored_period,
    civil_midnight,
    require_aware,
)
from coulance_core.kernel.quantity import Dimension, Quantity, Unit, UnitError, unit
from coulance_core.kernel.refusal import Refusal
from coulance_core.kernel.rounding import Rounding, exact, round_to, show

__all__ = [
    "Currency",
    "CurrencyMismatchError",
    "Dimension",
    "Explanation",
    "ExplanationError",
    "Fact",
    "Money",
    "Period",
    "PeriodError",
    "Quantity",
    "Refusal",
    "Rounding",
    "Step",
    "Unit",
    "UnitError",
    "UnitPrice",
    "anchored_date",
    "anchored_period",
    "civil_midnight",
    "currency",
    "exact",
    "require_aware",
    "round_to",
    "show",
    "unit",
]
