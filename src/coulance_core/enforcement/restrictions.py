"""Restrictions of a service by source: what holds is their union, and each source lifts only its own.

A customer who pays ends what arrears imposed and nothing else; one who raises a limit ends what the limit imposed. So
nothing is ever "switched on again": a restriction is lifted, and what the others want still holds.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Source(StrEnum):
    """Who restricts. Only the same source lifts."""

    OVERAGE = "overage"
    """The customer's own limit, or what must be acknowledged. Ends by the customer, at any hour."""
    ARREARS = "arrears"
    """An unpaid debt, by its own rules."""
    SECURITY = "security"
    """An operator, against abuse or an attack. Ends by an operator."""
    ORDER = "order"
    """A court or an authority. Ends by its issuer, recorded by an operator."""
    CUSTOMER = "customer"
    """The customer asked for it."""


class Action(StrEnum):
    """What is done to the network, and nothing else: data, console and portal stay within reach."""

    PAUSE = "pause"
    THROTTLE = "throttle"
    BLACKHOLE = "blackhole"
    """One address, as the target of an attack; the others go on."""


class RestrictionError(ValueError):
    """A restriction that cannot be: a throttle without a rate, a blackhole without an address."""


@dataclass(frozen=True, slots=True)
class Restriction:
    """One restriction of one service. `ref` is what caused it: placed twice for the same cause, it is the same.

    `rate_bps` is bits a second, of a throttle; `address` an IP address, of a blackhole. `observe`: recorded only.
    """

    source: Source
    ref: str
    action: Action
    placed_at: datetime
    rate_bps: int | None = None
    address: str = ""
    observe: bool = False
    lifted_at: datetime | None = None

    def __post_init__(self) -> None:
        if not self.ref:
            raise RestrictionError("a restriction needs what caused it: ref is empty")
        if (self.action is Action.THROTTLE) != (self.rate_bps is not None):
            raise RestrictionError("a throttle has a rate in bits a second, and nothing else has")
        if self.rate_bps is not None and self.rate_bps <= 0:
            raise RestrictionError(f"a throttle leaves something: expected more than 0 bit/s, not {self.rate_bps}")
        if (self.action is Action.BLACKHOLE) != bool(self.address):
            raise RestrictionError("a blackhole names one address, and nothing else does")


@dataclass(frozen=True, slots=True)
class Desired:
    """What should hold: paused or not, the lowest rate of those that throttle, and which addresses are blackholed.

    >>> Desired().words
    'free'
    """

    paused: bool = False
    rate_bps: int | None = None
    blackholed: frozenset[str] = frozenset()

    @property
    def words(self) -> str:
        """As a person reads it."""
        said = ["paused"] if self.paused else []
        if self.rate_bps is not None:
            said.append(f"throttled to {self.rate_bps} bit/s")
        said.extend(f"{address} blackholed" for address in sorted(self.blackholed))
        return ", ".join(said) or "free"

    def to_json(self) -> dict[str, object]:
        """As plain JSON values; `from_json` reads it back equal."""
        return {"paused": self.paused, "rate_bps": self.rate_bps, "blackholed": sorted(self.blackholed)}

    @classmethod
    def from_json(cls, data: dict[str, object]) -> "Desired":
        """The value that `to_json` wrote. Raises `RestrictionError` for anything else."""
        try:
            paused, rate, holes = data["paused"], data["rate_bps"], data["blackholed"]
        except (KeyError, TypeError) as error:
            raise RestrictionError(f"expected paused, rate_bps and blackholed, not {data!r}") from error
        fine = isinstance(paused, bool) and isinstance(holes, list) and all(isinstance(h, str) for h in holes)
        whole = rate is None or (isinstance(rate, int) and not isinstance(rate, bool))
        if not (fine and whole) or not isinstance(holes, list):
            raise RestrictionError(f"expected a flag, whole bits a second and a list of addresses, not {data!r}")
        return cls(bool(paused), rate if isinstance(rate, int) else None, frozenset(holes))


FREE = Desired()
"""Nothing is restricted."""


def effective(restrictions: Iterable[Restriction]) -> Desired:
    """The union of those that are in force: any pause pauses, the lowest rate binds, every address adds up.

    >>> from datetime import UTC
    >>> t = datetime(2026, 10, 1, tzinfo=UTC)
    >>> limit = Restriction(Source.OVERAGE, "2026-10", Action.PAUSE, t)
    >>> debt = Restriction(Source.ARREARS, "case-7", Action.THROTTLE, t, rate_bps=256_000)
    >>> effective([limit, debt]).words
    'paused, throttled to 256000 bit/s'
    """
    paused, rate, holes = False, None, set()
    for one in restrictions:
        if one.observe or one.lifted_at is not None:
            continue
        if one.action is Action.PAUSE:
            paused = True
        elif one.action is Action.BLACKHOLE:
            holes.add(one.address)
        elif one.rate_bps is not None:
            rate = one.rate_bps if rate is None else min(rate, one.rate_bps)
    return Desired(paused, rate, frozenset(holes))


@dataclass(frozen=True, slots=True)
class Difference:
    """What must change for the real state to become the desired one. Empty when nothing must."""

    pause: bool | None = None
    rate: tuple[int | None] | None = None
    """The new rate, in a tuple: no rate is a change too."""
    add: frozenset[str] = frozenset()
    remove: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return self.pause is not None or self.rate is not None or bool(self.add) or bool(self.remove)


def difference(desired: Desired, observed: Desired) -> Difference:
    """From what is observed to what is desired.

    >>> bool(difference(Desired(True), Desired(True))), difference(Desired(False), Desired(True)).pause
    (False, False)
    """
    return Difference(
        desired.paused if desired.paused != observed.paused else None,
        (desired.rate_bps,) if desired.rate_bps != observed.rate_bps else None,
        desired.blackholed - observed.blackholed,
        observed.blackholed - desired.blackholed,
    )
