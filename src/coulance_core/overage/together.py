"""What shares a word is settled together, of whatever kind: one consent, one amount, one bill within it.

Quantities (transfer, what is stored over time, pools) take of the limit in the order of use. A percentile or a peak is
used up at no instant, so ports take what quantities leave, one after the other. The close and whoever watches a period
while it runs call the same function, so that no kind is left out of the limit in one of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from coulance_core.kernel import Money
from coulance_core.overage.bursts import Port, SettledPort, settle_port
from coulance_core.overage.limit import amount_for
from coulance_core.overage.settle import Attacks, Meter, Settled, settle
from coulance_core.overage.terms import Consent, Facts, Limit, PriceTerms

ZERO = Fraction(0)


@dataclass(frozen=True, slots=True)
class Taken:
    """What is billable of some allowances, as a limit that they share has to know it.

    `amount`: what is payable for it, rounded up to cents; None where nothing is. `quantities` by unit.
    """

    amount: Money | None
    quantities: Mapping[str, Fraction]

    @classmethod
    def of(cls, billable: Sequence[tuple[Fraction, str, PriceTerms]]) -> "Taken":
        """Of (quantity, unit, terms) each.

        >>> from coulance_core.catalog.terms import PerUnit
        >>> terms = PriceTerms("v", PerUnit(Fraction(1, 10)), "EUR", Fraction(21))
        >>> taken = Taken.of([(Fraction(100), "GB", terms), (Fraction(5), "GB", terms), (ZERO, "seat", terms)])
        >>> str(taken.amount), taken.quantities
        ('12.71 EUR', {'GB': Fraction(105, 1)})
        """
        amount: Money | None = None
        quantities: dict[str, Fraction] = {}
        for quantity, unit, terms in billable:
            if quantity:
                due = amount_for(quantity, terms)
                amount = due if amount is None else amount + due
                quantities[unit] = quantities.get(unit, ZERO) + quantity
        return cls(amount, quantities)


def settle_together(
    meters: Sequence[tuple[Meter, Facts]], ports: Sequence[tuple[Port, Facts]], *, attacks: Attacks = ()
) -> tuple[tuple[Settled, ...], tuple[SettledPort, ...]]:
    """Settle a period of all that shares its consents, each with its own facts; in the order they were given."""
    settled = settle([meter for meter, _ in meters], [facts for _, facts in meters], attacks=attacks)
    billable = [(got.billable, meter.unit, meter.terms) for (meter, _), got in zip(meters, settled, strict=True)]
    ranked: list[SettledPort] = []
    for port, facts in ports:
        against = attacks(port.unit) if callable(attacks) else attacks
        done = settle_port(port, less(facts, Taken.of(billable), port.unit), attacks=against)
        billable.append((done.overage, port.unit, port.terms))
        ranked.append(done)
    return settled, tuple(ranked)


def less(facts: Facts, taken: Taken, unit: str) -> Facts:
    """The same facts, with limits lowered by what is billable of others that share them."""
    return replace(facts, consents=tuple(lowered(one, taken, unit) for one in facts.consents))


def lowered(consent: Consent, taken: Taken, unit: str) -> Consent:
    """The same consent for an allowance in `unit`, less what is billable of others."""
    limit, spent, drawn = consent.limit, taken.amount, taken.quantities.get(unit, ZERO)
    amount, quantity = limit.amount, limit.quantity
    if amount is not None and spent is not None and amount.currency == spent.currency:
        amount = Money(max(amount.minor - spent.minor, 0), amount.currency)
    if quantity is not None:
        quantity = max(quantity - drawn, ZERO)
    return replace(consent, limit=Limit(amount, quantity, limit.typed))
