"""What a driver must do, whatever it drives. Drivers live in the `drivers` room and are handed in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from coulance_core.enforcement.restrictions import Desired


class DriverError(RuntimeError):
    """The target could not be reached, or answered what cannot be. Tried again later."""


class WrongTargetError(DriverError):
    """What is there is not the service that was meant: nothing was done, and somebody must look."""


@dataclass(frozen=True, slots=True)
class TargetRow:
    """Where a service's network is reached. `parameters` are the driver's own: addresses, a virtual machine's id.

    `last` is what was seen there last, by the record of acts; drivers that can look need it not.
    """

    service: str
    driver: str
    identity: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    last: Desired | None = None


@dataclass(frozen=True, slots=True)
class Observed:
    """What a target shows: who it is, and what holds there. `evidence` is its own words, kept as proof.

    Not `whole`: something holds in part (one of two addresses, a rule left over), so it is to be written again
    whatever is desired.
    """

    identity: str
    state: Desired
    evidence: str = ""
    whole: bool = True


class Driver(Protocol):
    """One way to act on networks. Reading changes nothing; writing the same twice is writing it once.

    A driver acts on the network alone: data, management and the customer's portal stay within reach. It raises
    `WrongTargetError` when the identity it reads back is not the target's, before it changes anything, and
    `DriverError` for trouble that may pass.
    """

    def nearest(self, desired: Desired) -> Desired:
        """What of it a target can hold: a rate in its own steps, never above what was asked."""
        ...

    def read(self, target: TargetRow) -> Observed:
        """What holds now."""
        ...

    def write(self, target: TargetRow, desired: Desired, *, key: str) -> str:
        """Bring the target to `desired`; returns its answer as evidence. `key` is the same for the same decision."""
        ...


class Reader(Protocol):
    """One look at everything that a router holds, asked about one target after another."""

    def read(self, target: TargetRow) -> Observed:
        """What held for the target when it was looked."""
        ...


@runtime_checkable
class ManyDriver(Driver, Protocol):
    """A driver that serves many targets by one look and one write. What holds of `Driver` holds here."""

    def look(self) -> Reader:
        """Look once at everything."""
        ...

    def write_many(self, seen: Reader, wanted: Sequence[tuple[TargetRow, Desired, str]]) -> list[str | DriverError]:
        """Bring all of them (target, desired, key) from what was seen to what is desired.

        Gives the evidence or fault of each, in their order.
        """
        ...
