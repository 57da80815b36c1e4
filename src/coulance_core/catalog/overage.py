"""The provider's own terms of overage: who decides, who is warned when, and what happens when use must stop."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

from coulance_core.catalog.faults import Fault, refuse
from coulance_core.kernel import Money


class Control(StrEnum):
    """Whether the customer decides how far overage may go."""

    CONTRACT = "contract"
    """Overage was agreed in the contract: it is billed as it was used, without limit. Nothing here applies."""
    OBSERVE = "observe"
    """Billed as by contract; what the limits would have done is recorded."""
    ENFORCE = "enforce"
    """Nothing is billed without consent and warning, and use stops at the limit."""


class Action(StrEnum):
    """What a provider does when use must stop."""

    PAUSE = "pause"
    """Pause the service's network, and nothing else."""
    THROTTLE = "throttle"
    """Slow it down to `throttle_to`; wants the customer's word."""
    ABSORB = "absorb"
    """Let it run, and charge nothing more."""
    WARN = "warn"
    """Warn only. What runs on is absorbed, as ever."""


class Of(StrEnum):
    """What a threshold is a share or an amount of."""

    ALLOWANCE = "allowance"
    """A share of what is included."""
    LIMIT = "limit"
    """A share of the way from the allowance to where use must stop."""
    QUANTITY = "quantity"
    """A quantity used, in `unit`."""
    OVERAGE = "overage"
    """Accrued overage in money, before tax; `unit` is its currency."""
    BURST = "burst"
    """Minutes of burst left, of a percentile port."""
    FORECAST = "forecast"
    """A share of the allowance that will have been used by the period's end, at this pace."""
    UNUSUAL = "unusual"
    """Use that is unlike this service: so many times the usual of the hour, for hours."""


FORETOLD = (Of.FORECAST, Of.UNUSUAL)
"""What lies on no axis of use: looked at by the hour, against the service's own past."""


@dataclass(frozen=True, slots=True)
class Threshold:
    """A point at which someone is told, once a period, by its key. Shares are fractions: 4/5 is 80 percent."""

    key: str
    of: Of
    value: Fraction
    unit: str = ""

    def __post_init__(self) -> None:
        refuse(f"threshold {self.key!r}", self.faults())

    def faults(self) -> Iterator[Fault]:
        """Everything wrong with it."""
        if not self.key:
            yield Fault("key", "a threshold needs a key: it is told once by that name")
        if self.value <= 0:
            yield Fault("value", f"expected more than 0, not {self.value}")
        if self.of is Of.LIMIT and self.value > 1:
            yield Fault("value", f"expected a share of the limit up to 1, not {self.value}")


ALL = Threshold("100 %", Of.ALLOWANCE, Fraction(1))
"""The warning that overage needs in any case: at or before the whole allowance."""
USUAL = (Threshold("80 %", Of.ALLOWANCE, Fraction(4, 5)), ALL, Threshold("80 % of limit", Of.LIMIT, Fraction(4, 5)))


def civil_time(text: str) -> int | None:
    """Minutes after midnight of a text such as `22:00`; None for another.

    >>> civil_time("07:30"), civil_time("24:00")
    (450, None)
    """
    hour, sep, minute = text.partition(":")
    if not sep or len(hour) != 2 or len(minute) != 2 or not (hour + minute).isdecimal():
        return None
    return int(hour) * 60 + int(minute) if int(hour) < 24 and int(minute) < 60 else None


@dataclass(frozen=True, slots=True)
class CreditRule:
    """How far a customer may go without asking: limits above `most` want the provider's approval.

    It holds for accounts younger than so many days, for those who paid at least `late` invoices more than a week late
    in the last twelve months, for services on some `plans`; where several are said, for those to whom all apply. Said
    of nobody in particular it holds for everybody.
    """

    most: Money
    younger_than_days: int | None = None
    late: int | None = None
    plans: tuple[str, ...] = ()

    def faults(self) -> Iterator[Fault]:
        """Everything wrong with it."""
        if self.most.minor < 0:
            yield Fault("most", f"expected 0 or more, not {self.most}")
        if self.younger_than_days is not None and not 1 <= self.younger_than_days <= 3660:
            yield Fault("younger_than_days", f"expected 1 to 3660, not {self.younger_than_days}")
        if self.late is not None and not 1 <= self.late <= 100:
            yield Fault("late", f"expected 1 to 100, not {self.late}")


@dataclass(frozen=True, slots=True)
class OverageTerms:
    """How overage is controlled.

    `tolerance` in percent of the allowance is free. `exposure`: accrued overage above which somebody must acknowledge.
    Consents above `reachable_above` want a contact who is reachable at once, above `approval_above` the provider's
    approval. `budget`: what may be absorbed for one customer in 12 months before pauses come earlier. `lag_s`: how long
    a pause takes from the beginning of a sample. An overage invoice above `hold_above` waits `hold_hours` for the
    customer's choice. A limit taken over from an earlier contract lapses after `provisional_days`.
    """

    control: Control = Control.CONTRACT
    action: Action = Action.PAUSE
    throttle_to: Fraction | None = None
    """Bits a second."""
    tolerance: Fraction = Fraction(0)
    exposure: Money | None = None
    warn_at: tuple[Threshold, ...] = USUAL
    reachable_above: Money | None = None
    approval_above: Money | None = None
    budget: Money | None = None
    ports: Action | None = None
    """What happens at a percentile port that nobody agreed to overage for; None: as `action`. A throttle holds it to
    its commit. Where a limit is in force it is held to the rate that the limit reaches, whatever this says, unless use
    is absorbed or only warned of."""
    levels: Action = Action.ABSORB
    """The same of levels (stored data, seats): no pause of a network ends them, so they are absorbed, or warned of."""
    remind_hours: int = 24
    """How long nobody may have answered before they are told again, of an allowance that is used up."""
    quiet_from: str = ""
    quiet_until: str = ""
    """Civil times of the customer between which nobody is disturbed, such as 22:00 and 07:00."""
    lag_s: int = 360
    hold_above: tuple[Money, ...] = ()
    """One a currency: invoices in another never wait."""
    hold_hours: int = 72
    provisional_days: int = 60
    credit: tuple[CreditRule, ...] = ()
    paying_resumes: bool = False
    """Whether paying what ran up acknowledges it, and so ends a pause that waits for that. It raises no limit."""
    webhook_counts: bool = False
    """Whether a warning that a customer's own webhook took (2xx) counts as delivered. It never counts as reached."""

    def __post_init__(self) -> None:
        refuse("overage", self.faults())

    def faults(self) -> Iterator[Fault]:
        """Everything wrong with it."""
        if (self.action is Action.THROTTLE) != (self.throttle_to is not None):
            yield Fault("throttle_to", "action throttle needs the rate to throttle to, and no other has one")
        if self.throttle_to is not None and (self.throttle_to <= 0 or self.throttle_to % 8):
            yield Fault("throttle_to", f"expected whole bytes a second, more than none, not {self.throttle_to} bit/s")
        if not 0 <= self.tolerance <= 100:
            yield Fault("tolerance", f"expected 0 to 100 percent, not {self.tolerance}")
        keys = [threshold.key for threshold in self.warn_at]
        if len(set(keys)) < len(keys):
            yield Fault("warn_at", f"each once, not {keys}")
        shares = [t.value for t in self.warn_at if t.of is Of.ALLOWANCE]
        if self.control is not Control.CONTRACT and not any(share <= 1 for share in shares):
            yield Fault("warn_at", 'expected a warning at or before "100 %": without one nothing may be charged')
        for name in ("exposure", "reachable_above", "approval_above", "budget"):
            amount = getattr(self, name)
            if amount is not None and amount.minor < 0:
                yield Fault(name, f"expected 0 or more, not {amount}")
        codes = [amount.currency for amount in self.hold_above]
        if len(set(codes)) < len(codes):
            yield Fault("hold_above", f"expected one amount a currency, not {', '.join(map(str, self.hold_above))}")
        for amount in self.hold_above:
            if amount.minor < 0:
                yield Fault("hold_above", f"expected 0 or more, not {amount}")
        for n, rule in enumerate(self.credit):
            for fault in rule.faults():
                yield fault.under(f"credit[{n}]")
        if self.levels not in (Action.ABSORB, Action.WARN):
            yield Fault("levels", f"expected absorb or warn: pausing a network ends no level, not {self.levels.value}")
        if not 1 <= self.remind_hours <= 168:
            yield Fault("remind_hours", f"expected 1 to 168, not {self.remind_hours}")
        for name in ("quiet_from", "quiet_until"):
            if (text := getattr(self, name)) and civil_time(text) is None:
                yield Fault(name, f'expected a civil time such as "22:00", not {text!r}')
        if bool(self.quiet_from) != bool(self.quiet_until):
            yield Fault("quiet_until", "quiet hours begin and end: give both or neither")
        if self.lag_s < 0:
            yield Fault("lag_s", f"expected 0 or more, not {self.lag_s}")
        if not 0 <= self.hold_hours <= 72:
            yield Fault("hold_hours", f"expected 0 to 72, not {self.hold_hours}")
        if not 1 <= self.provisional_days <= 60:
            yield Fault("provisional_days", f"expected 1 to 60, not {self.provisional_days}")
