"""What other monitoring saw, brought to the checks it is of."""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from coulance.sla import looks, rates
from coulance.sla import queries as sla
from coulance.sla.looks import Look
from coulance.sla.rates import Slot


class Brought(NamedTuple):
    """What became of it: new, known already, and the names that no check here has."""

    accepted: int
    doubles: int
    unknown: tuple[str, ...]


def bring(*, source: str, seen: Iterable[tuple[str, datetime, bool, str]], at: datetime, actor: str) -> Brought:
    """Take in what a source (`kuma:main`) saw by its own names (name, when, up, another name or none). A name is that
    of a check of kind `outside`.

    Raises `UnableToTakeLooksError`; names that nobody knows are told, and stop nothing.
    """
    known = _Known("outside")
    found = [
        Look(number, when, up) for name, when, up, also in seen if (number := known.number(name, also)) is not None
    ]
    taken = looks.take_outside(source=source, looks=found, at=at, actor=actor)
    return Brought(taken.accepted, taken.doubles, known.unknown())


def bring_counts(
    *, source: str, counted: Iterable[tuple[str, datetime, int, int]], at: datetime, actor: str
) -> Brought:
    """The same of what a source counted (name, where its slot begins, requests, errors), of checks of `requests`."""
    known = _Known("requests")
    found = [
        Slot(number, when, requests, errors)
        for name, when, requests, errors in counted
        if (number := known.number(name)) is not None
    ]
    taken = rates.take(source=source, slots=found, at=at, actor=actor)
    return Brought(taken.accepted, taken.doubles, known.unknown())


class _Known:
    """Which check is meant by a source's names."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._found: dict[str, int | None] = {}

    def number(self, name: str, also: str = "") -> int | None:
        if name not in self._found:
            check = sla.outside_check(name, kind=self._kind)
            if check is None and also:
                check = sla.outside_check(also, kind=self._kind)
            self._found[name] = check.id if check else None
        return self._found[name]

    def unknown(self) -> tuple[str, ...]:
        return tuple(sorted(name for name, number in self._found.items() if number is None))
