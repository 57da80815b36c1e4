"""What collecting and reminding may cost a debtor, by the law pack, with the arithmetic."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from coulance_core.arrears.packs import Band, CostRule, FeeRule, LawPack, Per
from coulance_core.kernel import Explanation, Money, currency


@dataclass(frozen=True, slots=True)
class Cost:
    """What is charged, and why."""

    amount: Money
    explanation: Explanation


def collection_costs(pack: LawPack, rule: CostRule, debts: Sequence[tuple[str, Money]]) -> Cost:
    """The costs of collecting these debts (a name and its principal each, above zero, in the rule's currency).

    Counted over their sum, or over each by itself, as the rule says.
    """
    build = Explanation.build("arrears.collection_costs", terms=pack.version)
    parts: list[str] = []
    whole = sum(amount.minor for _, amount in debts)
    groups = [("the claim", whole)] if rule.per is Per.CLAIM else [(name, m.minor) for name, m in debts]
    for name, minor in groups:
        child = _of(pack, rule, Money(minor, rule.currency), name)
        build.child(child.explanation)
        build.fact(f"costs of {name}", child.amount.amount, rule.currency)
        parts.append(f"costs of {name}")
    build.step("costs", "add", *parts, unit=rule.currency)
    if rule.cites:
        build.convention(rule.cites)
    return Cost(Money.of(build.number("costs"), rule.currency), build.freeze())


def _of(pack: LawPack, rule: CostRule, amount: Money, name: str) -> Cost:
    value = amount.amount
    below, band = _band(rule, value)
    digits = currency(rule.currency).exponent
    e = Explanation.build("arrears.costs_of", terms=pack.version)
    e.fact("principal", value, rule.currency, name)
    e.fact("band from", below, rule.currency).fact("base", band.base, rule.currency).fact("percent", band.percent, "%")
    e.step("above", "subtract", "principal", "band from", unit=rule.currency)
    e.step("hundredths", "multiply", "above", "percent")
    e.step("share", "divide", "hundredths", 100, unit=rule.currency)
    e.step("by the band", "add", "base", "share", unit=rule.currency)
    e.step("at least", "max", "by the band", rule.minimum, unit=rule.currency)
    last = "at least"
    if rule.maximum is not None:
        e.step("at most", "min", last, rule.maximum, unit=rule.currency)
        last = "at most"
    e.step("costs", "round", last, str(digits), rule.rounding.value, unit=rule.currency)
    return Cost(Money.of(e.number("costs"), rule.currency), e.freeze())


def _band(rule: CostRule, value: Fraction) -> tuple[Fraction, Band]:
    below = Fraction(0)
    for band in rule.bands:
        if band.up_to is None or value < band.up_to or (rule.inclusive and value == band.up_to):
            return below, band
        below = band.up_to
    raise AssertionError("the last band has no top")


def reminder_fee(pack: LawPack | None, rule: FeeRule | None, wanted: Money, *, before: int) -> Cost:
    """What a reminder costs that comes after `before` others: what the policy wants, as far as the law allows."""
    e = Explanation.build("arrears.reminder_fee", terms=pack.version if pack else "")
    e.fact("the policy's fee", wanted.amount, wanted.currency).fact("reminders before", before)
    most = wanted.amount
    if rule is not None:
        e.fact("free", rule.free, "reminders", rule.cites)
        # What the law lets one cost in another currency nobody says: then it costs nothing.
        told = rule.most.currency == wanted.currency
        most = rule.most.amount if told and before >= rule.free else Fraction(0)
    e.fact("the most", most, wanted.currency)
    e.step("fee", "min", "the policy's fee", "the most", unit=wanted.currency)
    return Cost(Money.of(e.number("fee"), wanted.currency), e.freeze())
