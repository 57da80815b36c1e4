"""Runs a case file: one line for each case that fails or is skipped, and the counts last."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from tests.oracles.protocol import MalformedCaseError, Outcome, Status, Suite

_NAMES = ("id", "case", "name", "title")


class CaseFileError(ValueError):
    """The file cannot be read as a case file at all."""


def load(path: Path) -> Any:
    """The JSON document in `path`; raises `CaseFileError` saying what is wrong and where."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CaseFileError(f"{path}: cannot be read: {error}") from error
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise CaseFileError(
            f"{path}: line {error.lineno}, column {error.colno}: not valid JSON: {error.msg}"
        ) from error


def usual_cases(document: Any) -> Iterable[tuple[str, Any]]:
    """The cases of a plain list, or of an object that holds a list called `cases`; each with the best name it has."""
    if isinstance(document, dict):
        document = document.get("cases")
    if not isinstance(document, list):
        raise CaseFileError('expected a list of cases, or an object with a list "cases"')
    for number, case in enumerate(document, 1):
        yield name_of(case, number), case


def name_of(case: Any, number: int) -> str:
    """What a case calls itself, else its place in the file.

    >>> name_of({"id": "c64_clean"}, 1), name_of({"n": 5}, 2), name_of("oops", 3)
    ('c64_clean', 'case 2', 'case 3')
    """
    if isinstance(case, dict):
        for key in _NAMES:
            if isinstance(case.get(key), str | int):
                return str(case[key])
    return f"case {number}"


def run_case(suite: Suite, case: Any, data: Path | None) -> Outcome:
    """One case to its outcome. Nothing a case holds may stop the run: what it raises fails that case alone."""
    if not isinstance(case, dict):
        return Outcome(Status.FAILED, f"malformed case: expected an object, got {type(case).__name__}")
    try:
        return suite.run(case, data)
    except MalformedCaseError as error:
        return Outcome(Status.FAILED, f"malformed case: {error}")
    except KeyError as error:
        return Outcome(Status.FAILED, f"malformed case: no field {error}")
    except Exception as error:  # a fault in one case must not hide the others
        return Outcome(Status.FAILED, f"raised {type(error).__name__}: {error}")


def run_document(
    suite: Suite, document: Any, data: Path | None, say: Callable[[str], object] = print
) -> dict[Status, int]:
    """Run every case of a loaded document; says each failure and skip, and the counts last. Returns the counts."""
    counts = dict.fromkeys(Status, 0)
    for name, case in (suite.cases or usual_cases)(document):
        outcome = run_case(suite, case, data)
        counts[outcome.status] += 1
        if outcome.status is Status.FAILED:
            say(f"FAILED {name}" + (f": {outcome.reason}" if outcome.reason else ""))
            if outcome.expected is not None or outcome.got is not None:
                say(f"  expected {outcome.expected}")
                say(f"  got      {outcome.got}")
        elif outcome.status is Status.SKIPPED:
            say(f"SKIPPED {name}: {outcome.reason}")
    say(f"{counts[Status.PASSED]} passed, {counts[Status.FAILED]} failed, {counts[Status.SKIPPED]} skipped")
    return counts
