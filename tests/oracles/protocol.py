"""A suite is a module with `run(case, data) -> Outcome` and, where a file is no plain list, `cases(document)`."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any


class Status(StrEnum):
    """How a case ended."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


class MalformedCaseError(ValueError):
    """The case itself lacks something or has it in a wrong form: the case fails, with this message."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of one case. `reason` says why it was skipped, or what failed; the two values show the difference."""

    status: Status
    reason: str = ""
    expected: Any = None
    got: Any = None

    @classmethod
    def passed(cls) -> "Outcome":
        """As expected."""
        return cls(Status.PASSED)

    @classmethod
    def failed(cls, expected: Any, got: Any, reason: str = "") -> "Outcome":
        """Not as expected."""
        return cls(Status.FAILED, reason, expected, got)

    @classmethod
    def skipped(cls, reason: str) -> "Outcome":
        """Not run, and why."""
        return cls(Status.SKIPPED, reason)

    @classmethod
    def compare(cls, expected: Any, got: Any, reason: str = "") -> "Outcome":
        """Passed when the two are equal."""
        return cls.passed() if expected == got else cls.failed(expected, got, reason)


@dataclass(frozen=True, slots=True)
class Suite:
    """A named suite: how to run one case, and how to find the cases in a document (None: the usual places)."""

    name: str
    run: Callable[[dict[str, Any], Path | None], Outcome]
    cases: Callable[[Any], Iterable[tuple[str, Any]]] | None = None
