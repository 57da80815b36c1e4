"""The provider's own terms for the fair ways out: when a cheaper plan is advised, and how goodwill is given."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from coulance_core.catalog.faults import Fault, refuse
from coulance_core.kernel import Money, UnitPrice


@dataclass(frozen=True, slots=True)
class AdviceTerms:
    """When another plan is advised: it saves `saves` a period on average and `share` percent of what is paid, was the
    cheaper in `in_periods` of the last `of_periods`, and was not advised unasked within `every` periods.

    `smaller`: also plans with a lower fee, which may lack what isn't metered. `retroactive`: whether a larger plan may
    be taken for a past period instead of its overage. `mail`: those who pay overage again and again are told unasked.
    """

    saves: Money | None = None
    share: Fraction = Fraction(10)
    in_periods: int = 4
    of_periods: int = 6
    every: int = 3
    smaller: bool = False
    retroactive: bool = False
    mail: bool = False

    def __post_init__(self) -> None:
        refuse("advice", self.faults())

    def faults(self) -> Iterator[Fault]:
        """Everything wrong with it."""
        if self.saves is not None and self.saves.minor < 0:
            yield Fault("saves", f"expected 0 or more, not {self.saves}")
        if not 0 <= self.share <= 100:
            yield Fault("share", f"expected 0 to 100 percent, not {self.share}")
        if not 1 <= self.of_periods <= 36:
            yield Fault("of_periods", f"expected 1 to 36, not {self.of_periods}")
        if not 1 <= self.in_periods <= self.of_periods:
            yield Fault("in_periods", f"expected 1 to {self.of_periods} (of_periods), not {self.in_periods}")
        if self.every < 1:
            yield Fault("every", f"expected 1 or more, not {self.every}")


@dataclass(frozen=True, slots=True)
class GoodwillTerms:
    """How goodwill is proposed and bounded.

    `costs`: what one more unit costs the provider. `margin`: percent of a base fee that is left over. `cost_first`:
    once or for the first time, the customer pays no more than that cost; where it isn't known, `one_off` and
    `first_time` percent are given. `budgets`: what one person of a role may give a calendar month; when there are any,
    a role without one may give nothing. `offer`: what is proposed for a first time or a single time is offered to the
    customer, when their overage invoice waits for their choice.
    """

    costs: tuple[UnitPrice, ...] = ()
    margin: Fraction | None = None
    cost_first: bool = True
    one_off: Fraction = Fraction(50)
    first_time: Fraction = Fraction(25)
    budgets: tuple[tuple[str, Money], ...] = ()
    offer: bool = False

    def __post_init__(self) -> None:
        refuse("goodwill", self.faults())

    def faults(self) -> Iterator[Fault]:
        """Everything wrong with it."""
        for cost in self.costs:
            if cost.amount < 0:
                yield Fault("costs", f"expected 0 or more, not {cost}")
        if self.margin is not None and not 0 < self.margin <= 100:
            yield Fault("margin", f"expected more than 0 and at most 100 percent, not {self.margin}")
        for name in ("one_off", "first_time"):
            if not 0 <= getattr(self, name) <= 100:
                yield Fault(name, f"expected 0 to 100 percent, not {getattr(self, name)}")
        for role, amount in self.budgets:
            if amount.minor < 0:
                yield Fault("budgets", f"{role}: expected 0 or more, not {amount}")
