"""The words of overage control: what may be charged, on whose word, after which warning, and why the rest is not."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from fractions import Fraction

from coulance_core.catalog.faults import Fault, refuse
from coulance_core.catalog.terms import PriceModel
from coulance_core.kernel import Money, require_aware


class Absorbed(StrEnum):
    """Why a unit past the allowance is not charged. The order is the order of precedence, dearest reason last."""

    ATTACK = "attack"
    """Traffic that was done to the customer; it does not draw on the allowance either."""
    TOLERANCE = "tolerance"
    """Free by the contract: the part right above the allowance."""
    PAUSED = "paused"
    """Used while we were pausing or throttling the service: our own delay."""
    NO_CONSENT = "no_consent"
    """No consent to overage was in force all the time that the sample covers."""
    DORMANT = "dormant"
    """There was a consent, and no verified contact behind it."""
    NOT_WARNED = "not_warned"
    """The warning of this period had not arrived."""
    NOT_ACKNOWLEDGED = "not_acknowledged"
    """Overage had run past the amount up to which a delivered warning is enough, and nobody had acknowledged."""
    ABOVE_LIMIT = "above_limit"
    """Past the limit that the customer set."""


@dataclass(frozen=True, slots=True)
class Span:
    """Instants [start, end); without an end it lasts."""

    start: datetime
    end: datetime | None = None

    def __post_init__(self) -> None:
        require_aware(self.start)
        if self.end is not None and require_aware(self.end) < self.start:
            raise ValueError(f"a span ends after it starts: {self.end.isoformat()} is before {self.start.isoformat()}")


@dataclass(frozen=True, slots=True)
class PriceTerms:
    """What overage costs, as the limit has to know it: the price, the tax on it, and a maximum spend.

    `tax_rate` in percent. `tax_included`: whether the customer's limit speaks of the amount with tax (consumers), so
    that the limit is the amount payable; prices that contain their tax already have a rate of 0 here. `version` names
    the terms, as in `vps-s@2026-01-01`.
    """

    version: str
    price: PriceModel
    currency: str
    tax_rate: Fraction = Fraction(0)
    tax_included: bool = True
    maximum_spend: Fraction | None = None

    def __post_init__(self) -> None:
        refuse(f"price terms {self.version!r}", self.faults())

    def faults(self) -> Iterator[Fault]:
        """Everything wrong with it."""
        if self.tax_rate < 0:
            yield Fault("tax_rate", f"expected 0 percent or more, not {self.tax_rate}")
        if self.maximum_spend is not None and self.maximum_spend < 0:
            yield Fault("maximum_spend", f"expected 0 or more, not {self.maximum_spend}")


@dataclass(frozen=True, slots=True)
class Limit:
    """How far overage may go in a period: the amount payable, the quantity past the allowance, or both as shown.

    Whichever the customer typed, the other was computed and shown beside it; both are kept. While the terms are the
    ones it was given under, what was typed binds; after a price change the tighter of the two binds, until the
    customer confirms. `quantity` is in the measure's unit and None where no quantity belongs to it (a free tier
    without end).
    """

    amount: Money | None
    quantity: Fraction | None
    typed: str = "amount"
    """`amount` or `quantity`."""

    def __post_init__(self) -> None:
        refuse("limit", self.faults())

    def faults(self) -> Iterator[Fault]:
        """Everything wrong with it."""
        if self.typed not in ("amount", "quantity"):
            yield Fault("typed", f"expected amount or quantity, not {self.typed!r}")
        elif getattr(self, self.typed) is None:
            yield Fault(self.typed, "a limit needs what was typed")
        if self.amount is not None and self.amount.minor < 0:
            yield Fault("amount", f"expected 0 or more, not {self.amount}")
        if self.quantity is not None and self.quantity < 0:
            yield Fault("quantity", f"expected 0 or more, not {self.quantity}")


@dataclass(frozen=True, slots=True)
class Consent:
    """A customer's word that overage may be charged, up to a limit, while it is in force.

    `verified`: when a contact who may incur cost stood verified behind it; outside these spans it is dormant.
    `terms`: the version of the prices it was given under. `pre_acknowledged`: the accrued overage up to which the
    customer asked not to be stopped for an acknowledgement (a standing consent may say so up to its limit).
    """

    ref: str
    in_force: Span
    limit: Limit
    terms: str
    verified: tuple[Span, ...] = ()
    pre_acknowledged: Money | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """What was the case while a period ran.

    `warned`: spans in which this period's own warning counted as delivered (evidence that a bounce voided ends it).
    `acknowledged`: instants, after the allowance was first passed, at which a person acted on a warning. `paused`: from
    our decision to pause or throttle until it was lifted. `exposure`: accrued overage above which an acknowledgement
    is needed; None asks for none.
    """

    consents: tuple[Consent, ...] = ()
    warned: tuple[Span, ...] = ()
    acknowledged: tuple[datetime, ...] = ()
    paused: tuple[Span, ...] = ()
    exposure: Money | None = None
