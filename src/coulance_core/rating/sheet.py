"""A worksheet: states facts and steps while rating does the arithmetic, then freezes into an `Explanation`.

The kernel's builder evaluates each step from text, which is right for the few and too slow for a closing run. Here
the caller computes and the sheet writes down; that what it wrote recomputes is held by property tests on every model.
"""

from fractions import Fraction

from coulance_core.kernel import Explanation, Fact, Step, show


def text(value: Fraction) -> str:
    """An exact number as it is written."""
    return str(value.numerator) if value.denominator == 1 else show(value)


class Sheet:
    """Collects an explanation. Each method returns the value it was given, so that arithmetic reads in one line."""

    __slots__ = ("children", "conventions", "facts", "notes", "steps")

    def __init__(self) -> None:
        self.facts: list[Fact] = []
        self.steps: list[Step] = []
        self.conventions: list[str] = []
        self.notes: list[str] = []
        self.children: list[Explanation] = []

    def fact(self, name: str, value: Fraction, unit: str = "", source: str = "") -> Fraction:
        """State a number."""
        self.facts.append(Fact(name, text(value), unit, source))
        return value

    def step(self, name: str, op: str, operands: tuple[str, ...], value: Fraction, unit: str = "") -> Fraction:
        """State that `name = op(operands) = value`; operands are names or numbers as `text` writes them."""
        self.steps.append(Step(name, op, operands, text(value), unit))
        return value

    def freeze(self, rule: str, terms: str = "") -> Explanation:
        """The finished explanation."""
        return Explanation(
            rule,
            terms,
            tuple(self.facts),
            tuple(self.steps),
            tuple(self.conventions),
            tuple(self.notes),
            tuple(self.children),
        )
