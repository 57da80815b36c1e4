"""What other monitoring saw, brought to the checks it is of."""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from coulance.sla import looks
from coulance.sla import queries as sla
from coulance.sla.looks import Look


class Brought(NamedTuple):
    """What became of it: new, known already, and the names that no check here has."""

    accepted: int
    doubles: int
    unknown: tuple[str, ...]


def bring(*, source: str, seen: Iterable[tuple[str, datetime, bool]], at: datetime, actor: str) -> Brought:
    """Take in what a source (`kuma:main`) saw by its own names. A name is that of a check of kind `outside`.

    Raises `UnableToTakeLooksError`; names that nobody knows are told, and stop nothing.
    """
    known: dict[str, int | None] = {}
    found: list[Look] = []
    for name, when, up in seen:
        if name not in known:
            check = sla.outside_check(name)
            known[name] = check.id if check else None
        number = known[name]
        if number is not None:
            found.append(Look(number, when, up))
    taken = looks.take_outside(source=source, looks=found, at=at, actor=actor)
    unknown = tuple(sorted(name for name, number in known.items() if number is None))
    return Brought(taken.accepted, taken.doubles, unknown)
