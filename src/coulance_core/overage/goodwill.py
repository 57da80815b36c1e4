"""Goodwill: giving back all or part of a billable overage, knowing what it costs and whom it is for.

A grant never exceeds what is left of the line it is on. Beside the decision stand the customer's habit, by a named
rule that one odd month can't fool, what the use cost us, and how soon the customer's margin earns that back.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from fractions import Fraction
from statistics import median
from types import MappingProxyType

from coulance_core.kernel import Explanation, Money, Refusal, Rounding, UnitPrice
from coulance_core.kernel import unit as unit_named

ZERO = Fraction(0)


class GoodwillError(ValueError):
    """A grant that cannot be: of nothing, of more than is left, or in another currency."""


class Cause(StrEnum):
    """Why goodwill is given."""

    ATTACK = "attack"
    """Traffic that was done to the customer."""
    MOVING_AWAY = "moving_away"
    """Fetching their data to go elsewhere: never overage."""
    ONE_OFF = "one_off"
    """Once, and far from what they ever use."""
    FIRST_TIME = "first_time"
    """The first time above the allowance."""
    OTHER = "other"
    """Anything else; the reason says what."""


class By(StrEnum):
    """What a grant is stated as."""

    AMOUNT = "amount"
    SHARE = "share"
    """A share of the line as it was billed."""
    CAP = "cap"
    """The most that is to be paid of the line; what is left above it is given."""


@dataclass(frozen=True, slots=True)
class Grant:
    """How much is given. Exactly one of `amount` (for an amount or a cap) and `share` (0 to 1) is there."""

    by: By
    amount: Money | None = None
    share: Fraction | None = None

    def __post_init__(self) -> None:
        if self.by is By.SHARE:
            if self.share is None or self.amount is not None or not 0 < self.share <= 1:
                raise GoodwillError(f"a share is above 0 and at most 1 (100 %), not {self.share}")
        elif self.amount is None or self.share is not None or self.amount.minor < (self.by is By.AMOUNT):
            raise GoodwillError(f"expected {'an amount above' if self.by is By.AMOUNT else 'a cap of at least'} 0")


@dataclass(frozen=True, slots=True)
class Granted:
    """What a grant comes to on a line, before tax, and why; the explanation's step `granted` is the amount."""

    amount: Money
    left: Money
    """Of the line, afterwards."""
    explanation: Explanation


def granted(line: Money, left: Money, grant: Grant, *, rounding: Rounding = Rounding.HALF_UP) -> Granted:
    """What `grant` comes to on a line billed at `line`, of which earlier credits left `left`. Raises `GoodwillError`.

    >>> eur = lambda text: Money.of(text, "EUR")
    >>> str(granted(eur("200.00"), eur("200.00"), Grant(By.SHARE, share=Fraction(1, 3))).amount)
    '66.67 EUR'
    >>> str(granted(eur("200.00"), eur("133.33"), Grant(By.CAP, eur("50.00"))).amount)
    '83.33 EUR'
    """
    code = line.currency
    if grant.amount is not None and grant.amount.currency != code:
        raise GoodwillError(f"the line is in {code}, the grant in {grant.amount.currency}")
    if left > line or left.minor < 0:
        raise GoodwillError(f"of {line} there can't be {left} left")
    why = Explanation.build(f"overage.goodwill.{grant.by.value}")
    why.fact("billed", line.amount, code).fact("left", left.amount, code, "after earlier credits")
    if grant.share is not None:
        digits = len(line.decimal().partition(".")[2])
        why.fact("share", grant.share).step("share exact", "multiply", "billed", "share", unit=code)
        why.step("granted", "round", "share exact", str(digits), rounding.value, unit=code)
    elif grant.amount is not None and grant.by is By.AMOUNT:
        why.fact("amount", grant.amount.amount, code).step("granted", "add", "amount", unit=code)
    elif grant.amount is not None:
        why.fact("cap", grant.amount.amount, code).step("above the cap", "subtract", "left", "cap", unit=code)
        why.step("granted", "max", "above the cap", 0, unit=code)
    amount = Money.of(why.number("granted"), code)
    if amount.minor <= 0:
        raise GoodwillError(f"this gives nothing: {left} of {line} is left")
    if amount > left:
        raise GoodwillError(f"only {left} of {line} is left to give, not {amount}")
    why.step("left after", "subtract", "left", "granted", unit=code)
    return Granted(amount, left - amount, why.freeze())


@dataclass(frozen=True, slots=True)
class PastUse:
    """A period's use beside what was included, in one unit."""

    period: str
    used: Fraction
    included: Fraction

    @property
    def above(self) -> bool:
        """Whether it was above what was included."""
        return self.used > self.included


class Habit(StrEnum):
    """What a period's overage is, beside the periods before it."""

    ONE_OFF = "one_off"
    """More than `factor` times the median of the periods before, none of which was above its allowance."""
    FIRST_TIME = "first_time"
    """No period before it was above its allowance; but it isn't far from them, or they are too few to say."""
    REPEATED = "repeated"
    """A period before it was above its allowance too."""
    WITHIN = "within"
    """It was not above its allowance."""


@dataclass(frozen=True, slots=True)
class History:
    """The verdict on a habit, with the figures it rests on."""

    habit: Habit
    median: Fraction | None
    earlier: tuple[PastUse, ...]
    explanation: Explanation


def history(this: PastUse, earlier: Sequence[PastUse], *, unit: str, factor: int = 3, at_least: int = 3) -> History:
    """Judge a period against those before it (oldest first): once, the first time, or a habit.

    A median, because one odd month among the earlier ones must not decide. Needs `at_least` earlier periods to speak
    of once.

    >>> past = [PastUse(str(n), Fraction(gb), Fraction(1000)) for n, gb in enumerate((400, 390, 410, 400))]
    >>> history(PastUse("now", Fraction(3000), Fraction(1000)), past, unit="GB").habit.value
    'one_off'
    """
    why = Explanation.build("overage.goodwill.habit")
    why.fact("used", this.used, unit, this.period).fact("included", this.included, unit)
    for one in earlier:
        why.fact(f"used in {one.period}", one.used, unit)
    over = sum(one.above for one in earlier)
    why.fact("earlier periods", len(earlier)).fact("of them above their allowance", over)
    middle = Fraction(median(one.used for one in earlier)) if earlier else None
    if middle is not None:
        why.fact("median before", middle, unit).fact("factor", factor)
        why.step("far above", "multiply", "factor", "median before", unit=unit)
    if not this.above:
        habit = Habit.WITHIN
    elif over:
        habit = Habit.REPEATED
    elif middle is not None and len(earlier) >= at_least and this.used > factor * middle:
        habit = Habit.ONE_OFF
    else:
        habit = Habit.FIRST_TIME
    why.convention(
        f"once: more than {factor} x the median of at least {at_least} periods before, none above its allowance"
    )
    return History(habit, middle, tuple(earlier), why.note(f"habit: {habit.value}").freeze())


@dataclass(frozen=True, slots=True)
class CostTerms:
    """What things cost the provider, where they care to say. `margin`: the share of a base fee that is left over.

    `per_unit` are marginal costs: what one more unit costs, not the price of the network spread over its traffic.
    """

    per_unit: tuple[UnitPrice, ...] = ()
    margin: Fraction | None = None

    def __post_init__(self) -> None:
        if self.margin is not None and not 0 < self.margin <= 1:
            raise GoodwillError(f"margin: expected a share above 0 and at most 1, not {self.margin}")

    def cost(self, quantity: Fraction, unit: str, code: str, rounding: Rounding = Rounding.UP) -> Money | None:
        """What `quantity` cost, rounded up; none where no cost is known for such a unit in this currency."""
        of = unit_named(unit)
        for price in self.per_unit:
            if price.currency == code and price.per.dimension is of.dimension:
                return Money.of(quantity * of.size / price.per.size * price.amount, code, rounding)
        return None


@dataclass(frozen=True, slots=True)
class Effect:
    """What a grant does to us: `cost` of the whole line's use and `loss` of it that the customer no longer covers.

    `months` until the customer's margin has earned the loss back: 0 when there is none, unknown without the terms.
    """

    given: Money
    cost: Money | None
    loss: Money | None
    margin: Money | None
    months: int | None
    explanation: Explanation


def effect(
    grant: Granted, *, quantity: Fraction, unit: str, base_fee: Money | None, terms: CostTerms | None = None
) -> Effect:
    """What giving `grant` costs us. `quantity` and `unit` are the line's; `base_fee` what they pay a month anyway."""
    terms = terms or CostTerms()
    code = grant.amount.currency
    why = Explanation.build("overage.goodwill.effect")
    why.fact("given", grant.amount.amount, code).fact("still paid", grant.left.amount, code)
    cost = terms.cost(quantity, unit, code)
    loss = margin = months = None
    if cost is not None:
        why.fact("quantity", quantity, unit).fact("cost", cost.amount, code, "marginal cost, provider's terms")
        why.step("not covered", "subtract", "cost", "still paid", unit=code)
        why.step("loss", "max", "not covered", 0, unit=code)
        loss = Money.of(why.number("loss"), code)
    if terms.margin is not None and base_fee is not None and base_fee.currency == code and base_fee.minor > 0:
        margin = Money.of(base_fee.amount * terms.margin, code, Rounding.DOWN)
        why.fact("margin a month", margin.amount, code)
    if loss is not None and margin is not None and margin.minor:
        why.step("months", "ceil_divide", "loss", "margin a month")
        months = int(why.number("months"))
    return Effect(grant.amount, cost, loss, margin, months, why.freeze())


_SHARES: Mapping[Cause, Fraction] = MappingProxyType(
    {
        Cause.ATTACK: Fraction(1),
        Cause.MOVING_AWAY: Fraction(1),
        Cause.ONE_OFF: Fraction(1, 2),
        Cause.FIRST_TIME: Fraction(1, 4),
    }
)
_COST_FIRST = frozenset({Cause.ONE_OFF, Cause.FIRST_TIME})


@dataclass(frozen=True, slots=True)
class GoodwillPolicy:
    """What is proposed by cause: to pay no more than our cost, where that is known and asked for, else a share off.

    `budgets` are amounts a calendar month (the provider's zone) that one operator of a role may give, by the role's
    name; a role without one may give nothing, and without any budgets nobody is bounded.
    """

    shares: Mapping[Cause, Fraction] = field(default_factory=lambda: _SHARES)
    cost_first: frozenset[Cause] = _COST_FIRST
    costs: CostTerms = CostTerms()
    budgets: Mapping[str, Money] = field(default_factory=dict)
    factor: int = 3
    periods: int = 3

    def __post_init__(self) -> None:
        for cause, share in self.shares.items():
            if not 0 <= share <= 1:
                raise GoodwillError(f"shares.{cause.value}: expected 0 to 1, not {share}")


@dataclass(frozen=True, slots=True)
class Proposal:
    """What the policy proposes for a cause: `grant` is None where it proposes nothing."""

    cause: Cause
    grant: Grant | None
    granted: Granted | None
    why: str


def propose(
    cause: Cause,
    *,
    line: Money,
    left: Money,
    quantity: Fraction,
    unit: str,
    policy: GoodwillPolicy,
    rounding: Rounding = Rounding.HALF_UP,
) -> Proposal:
    """What to give for a cause, of what is left of a line. Proposes; a person grants."""
    cost = policy.costs.cost(quantity, unit, line.currency)
    share = policy.shares.get(cause, ZERO)
    if cost is not None and cause in policy.cost_first:
        how = Grant(By.CAP, min(cost, left))
        why = f"{cause.value}: they pay what it cost us, {cost}"
    elif share == 1:
        how, why = Grant(By.CAP, Money(0, line.currency)), f"{cause.value}: all that is left"
    elif share:
        how, why = Grant(By.SHARE, share=share), f"{cause.value}: {share} of it"
    else:
        return Proposal(cause, None, None, f"{cause.value}: the policy proposes nothing")
    try:
        return Proposal(cause, how, granted(line, left, how, rounding=rounding), why)
    except GoodwillError as error:
        return Proposal(cause, None, None, f"{cause.value}: {error}")


def cause_of(habit: Habit) -> Cause:
    """The cause that a habit suggests by itself; an attack or a move is known from elsewhere."""
    return {Habit.ONE_OFF: Cause.ONE_OFF, Habit.FIRST_TIME: Cause.FIRST_TIME}.get(habit, Cause.OTHER)


class BudgetCode(StrEnum):
    """Why a grant is not within a budget."""

    NO_BUDGET = "no_budget"
    OVER_BUDGET = "over_budget"


def within_budget(policy: GoodwillPolicy, role: str, *, spent: Money, amount: Money) -> Refusal | None:
    """Nothing, or why `amount` can't be given this month by someone of `role` who gave `spent` already."""
    if not policy.budgets:
        return None
    budget = policy.budgets.get(role)
    if budget is None or budget.currency != amount.currency:
        return Refusal(BudgetCode.NO_BUDGET, f"the role {role} has no goodwill budget in {amount.currency}")
    why = (
        Explanation.build("overage.goodwill.budget")
        .fact("budget a month", budget.amount, budget.currency, role)
        .fact("given this month", spent.amount, spent.currency)
        .fact("asked", amount.amount, amount.currency)
        .step("left in the budget", "subtract", "budget a month", "given this month", unit=budget.currency)
        .freeze()
    )
    if spent + amount > budget:
        left = Money(max(budget.minor - spent.minor, 0), budget.currency)
        return Refusal(BudgetCode.OVER_BUDGET, f"{left} of {budget} is left this month, not {amount}", why)
    return None
