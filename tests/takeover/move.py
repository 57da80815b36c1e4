"""Reading, planning and applying in a line each, as the commands do it."""

from pathlib import Path

from coulance.flows.take_over.applying import Outcome, UnableToTakeOverError, compare, take_over
from coulance.integrations.takeover.reading import Source, read_source
from tests.takeover.conftest import AT
from tests.takeover.whmcs_source import Whmcs


def read(old: Whmcs, folder: Path) -> Source:
    return read_source(*old.write(folder))


def move(source: Source, *, apply: bool = True) -> Outcome:
    assert source.book is not None, source.findings
    try:
        return take_over(
            book=source.book, findings=source.findings, apply=apply, actor="cli:test", reason="we move", at=AT
        )
    except UnableToTakeOverError as error:
        return error.outcome


def report(source: Source) -> Outcome:
    assert source.book is not None
    return compare(book=source.book, findings=source.findings)


def stops(outcome: Outcome) -> list[str]:
    return [one.code for one in outcome.findings if one.stops]
