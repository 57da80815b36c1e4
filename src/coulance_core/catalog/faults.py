"""Faults in terms: every one of an object is found, each with the field it is in and what was expected."""

from collections.abc import Iterable
from typing import NamedTuple


class Fault(NamedTuple):
    """What is wrong: the path of the field inside its object (`price.tiers[1].up_to`) and one sentence."""

    field: str
    message: str

    def under(self, prefix: str) -> "Fault":
        """The same fault, seen from the object that holds this one under `prefix`."""
        return Fault(f"{prefix}.{self.field}" if self.field else prefix, self.message)

    def __str__(self) -> str:
        return f"{self.field}: {self.message}" if self.field else self.message


class TermsError(ValueError):
    """Terms that cannot be. `faults` lists every fault found, so that a file's reader reports them all at once."""

    def __init__(self, subject: str, faults: Iterable[Fault]) -> None:
        self.subject = subject
        self.faults = tuple(faults)
        super().__init__(f"{subject}: " + "; ".join(map(str, self.faults)))


def refuse(subject: str, faults: Iterable[Fault]) -> None:
    """Raise `TermsError` with these faults; returns when there are none."""
    found = tuple(faults)
    if found:
        raise TermsError(subject, found)
