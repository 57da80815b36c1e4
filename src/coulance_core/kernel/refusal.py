"""A decision not to do something, as a value with a name."""

from dataclasses import dataclass, field
from enum import StrEnum

from coulance_core.kernel.explanation import Explanation


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why something is not done: a named code, one sentence for a person, and the explanation behind it.

    Codes are members of the deciding room's own `StrEnum`, in the order of their precedence.
    """

    code: StrEnum
    message: str
    explanation: Explanation | None = field(default=None)

    def __str__(self) -> str:
        return f"{self.code.name}: {self.message}"
