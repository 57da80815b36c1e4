"""Why an amount is what it is, as a value that can be rendered anywhere and recomputed by anyone.

An `Explanation` names its rule and the version of the terms, states the facts it started from, and lists its
arithmetic as steps. Each step is one operation on earlier names or literal numbers, so `recompute()` can do the sum
again without the code that did it first: the property that every explanation recomputes is what makes it true.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import Any

from coulance_core.kernel.rounding import Rounding, exact, round_to, show


class ExplanationError(ValueError):
    """A step does not give what it says, or names something that was never stated."""


@dataclass(frozen=True, slots=True)
class Fact:
    """What the decision started from: a name, a value (a number as `show` writes it, or a word), a unit, a source."""

    name: str
    value: str
    unit: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """One operation: `name = op(operands)`, its result stated.

    `op` is one of add, subtract, multiply, divide, min, max, ceil_divide (whole packages), floor_divide, negate, round.
    An operand is the name of a fact or an earlier step, or a literal number. `round` takes (value, digits, rule).
    """

    name: str
    op: str
    operands: tuple[str, ...]
    result: str
    unit: str = ""


def _apply(op: str, values: list[Fraction]) -> Fraction:
    match op, values:
        case "add", _:
            return sum(values, Fraction(0))
        case "subtract", [a, b]:
            return a - b
        case "multiply", _:
            product = Fraction(1)
            for value in values:
                product *= value
            return product
        case "divide", [a, b]:
            return a / b
        case "min", [_, *_]:
            return min(values)
        case "max", [_, *_]:
            return max(values)
        case "ceil_divide", [a, b]:
            return Fraction(-((-a) // b))
        case "floor_divide", [a, b]:
            return Fraction(a // b)
        case "negate", [a]:
            return -a
    raise ExplanationError(f"no operation {op!r} on {len(values)} operands")


_SYMBOL = {"add": " + ", "subtract": " - ", "multiply": " x ", "divide": " / "}


@dataclass(frozen=True, slots=True)
class Explanation:
    """A decision's reasons: rule, terms version, facts, arithmetic, conventions, notes, and what it rests on.

    >>> e = Explanation.build("rating.standard", terms="vps-s@2026-01-01")
    >>> e = e.fact("used", 1200, "GB", "meter out").fact("included", 1000, "GB").fact("price", "0.10", "EUR/GB")
    >>> e = e.step("overage", "subtract", "used", "included", unit="GB")
    >>> e = e.step("amount", "multiply", "overage", "price", unit="EUR")
    >>> e.number("amount")
    Fraction(20, 1)
    >>> print(e.freeze().render())
    rating.standard (terms vps-s@2026-01-01)
      used = 1200 GB [meter out]
      included = 1000 GB
      price = 0.1 EUR/GB
      overage = used - included = 200 GB
      amount = overage x price = 20 EUR
    """

    rule: str
    terms: str = ""
    facts: tuple[Fact, ...] = ()
    steps: tuple[Step, ...] = ()
    conventions: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    children: tuple["Explanation", ...] = field(default=())

    @staticmethod
    def build(rule: str, *, terms: str = "") -> "ExplanationBuilder":
        """A builder that computes each step as it is stated, so that what is explained is what was done."""
        return ExplanationBuilder(rule, terms)

    def recompute(self) -> dict[str, Fraction]:
        """Do the arithmetic again from the facts; returns every number by name.

        Raises `ExplanationError` when a step's stated result is not what its operands give, here or in a child.
        """
        for child in self.children:
            child.recompute()
        known: dict[str, Fraction] = {}
        for fact in self.facts:
            try:
                known[fact.name] = exact(fact.value)
            except ValueError:
                continue  # a word, such as a convention's name
        for step in self.steps:
            result = _evaluate(step.op, step.operands, known)
            if result != exact(step.result):
                raise ExplanationError(
                    f"{self.rule}: {step.name} is stated as {step.result} but computes to {show(result)}"
                )
            known[step.name] = result
        return known

    def render(self, indent: str = "") -> str:
        """As plain text, one line a fact and a step; children indented below."""
        return "\n".join(self._lines(indent))

    def _lines(self, indent: str) -> Iterable[str]:
        yield f"{indent}{self.rule}" + (f" (terms {self.terms})" if self.terms else "")
        for fact in self.facts:
            yield (
                f"{indent}  {fact.name} = {fact.value}"
                + (f" {fact.unit}" if fact.unit else "")
                + (f" [{fact.source}]" if fact.source else "")
            )
        for step in self.steps:
            yield f"{indent}  {step.name} = {formula(step)} = {step.result}" + (f" {step.unit}" if step.unit else "")
        for convention in self.conventions:
            yield f"{indent}  convention: {convention}"
        for note in self.notes:
            yield f"{indent}  note: {note}"
        for child in self.children:
            yield from child._lines(indent + "  ")

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values, empty parts left out; `from_json` reads it back equal."""
        out: dict[str, Any] = {"rule": self.rule}
        if self.terms:
            out["terms"] = self.terms
        if self.facts:
            out["facts"] = [[f.name, f.value, f.unit, f.source] for f in self.facts]
        if self.steps:
            out["steps"] = [[s.name, s.op, list(s.operands), s.result, s.unit] for s in self.steps]
        if self.conventions:
            out["conventions"] = list(self.conventions)
        if self.notes:
            out["notes"] = list(self.notes)
        if self.children:
            out["children"] = [child.to_json() for child in self.children]
        return out

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Explanation":
        """The explanation that `to_json` wrote."""
        return cls(
            data["rule"],
            data.get("terms", ""),
            tuple(Fact(*row) for row in data.get("facts", ())),
            tuple(
                Step(name, op, tuple(operands), result, unit)
                for name, op, operands, result, unit in data.get("steps", ())
            ),
            tuple(data.get("conventions", ())),
            tuple(data.get("notes", ())),
            tuple(cls.from_json(child) for child in data.get("children", ())),
        )


def formula(step: Step) -> str:
    """A step's right-hand side as people write it: `used - included`.

    >>> formula(Step("packages", "ceil_divide", ("used", "100"), "13"))
    'used / 100, rounded up to whole'
    """
    if step.op in _SYMBOL:
        return _SYMBOL[step.op].join(step.operands)
    if step.op == "round":
        value, digits, rule = step.operands
        return f"{value} rounded {rule.replace('_', ' ')} to {digits} decimals"
    if step.op in ("ceil_divide", "floor_divide"):
        return f"{step.operands[0]} / {step.operands[1]}, rounded {'up' if step.op[0] == 'c' else 'down'} to whole"
    if step.op == "negate":
        return f"-{step.operands[0]}"
    return f"{'the least' if step.op == 'min' else 'the greatest'} of {', '.join(step.operands)}"


def _evaluate(op: str, operands: tuple[str, ...], known: Mapping[str, Fraction]) -> Fraction:
    if op == "round":
        value, digits, rule = operands
        return round_to(_operand(value, known), int(digits), Rounding(rule))
    return _apply(op, [_operand(o, known) for o in operands])


def _operand(text: str, known: Mapping[str, Fraction]) -> Fraction:
    if text in known:
        return known[text]
    try:
        return exact(text)
    except ValueError:
        raise ExplanationError(f"{text!r} is neither stated nor a number") from None


class ExplanationBuilder:
    """Collects facts and steps, computing as it goes. Chainable; `freeze()` gives the `Explanation`."""

    __slots__ = ("_children", "_conventions", "_facts", "_known", "_notes", "_rule", "_steps", "_terms")

    def __init__(self, rule: str, terms: str) -> None:
        self._rule, self._terms = rule, terms
        self._facts: list[Fact] = []
        self._steps: list[Step] = []
        self._conventions: list[str] = []
        self._notes: list[str] = []
        self._children: list[Explanation] = []
        self._known: dict[str, Fraction] = {}

    def fact(
        self, name: str, value: int | str | Decimal | Fraction, unit: str = "", source: str = ""
    ) -> "ExplanationBuilder":
        """State a fact. A number becomes usable in steps; a string that is no number is a word."""
        if isinstance(value, str):
            try:
                number = exact(value)
            except ValueError:
                self._facts.append(Fact(name, value, unit, source))
                return self
        else:
            number = exact(value)
        self._new(name)
        self._known[name] = number
        self._facts.append(Fact(name, show(number), unit, source))
        return self

    def step(
        self, name: str, op: str, *operands: str | int | Decimal | Fraction, unit: str = ""
    ) -> "ExplanationBuilder":
        """Do one operation on names or numbers, and state its result under `name`."""
        self._new(name)
        texts = tuple(o if isinstance(o, str) else show(exact(o)) for o in operands)
        self._known[name] = result = _evaluate(op, texts, self._known)
        self._steps.append(Step(name, op, texts, show(result), unit))
        return self

    def convention(self, text: str) -> "ExplanationBuilder":
        """Name a convention that was used; it prints on the invoice."""
        self._conventions.append(text)
        return self

    def note(self, text: str) -> "ExplanationBuilder":
        """Say something a person should know."""
        self._notes.append(text)
        return self

    def child(self, explanation: "Explanation") -> "ExplanationBuilder":
        """Rest on another explanation."""
        self._children.append(explanation)
        return self

    def number(self, name: str) -> Fraction:
        """The value of a fact or step."""
        return self._known[name]

    def has(self, name: str) -> bool:
        """Whether a number was stated under `name`."""
        return name in self._known

    def freeze(self) -> Explanation:
        """The finished value."""
        return Explanation(
            self._rule,
            self._terms,
            tuple(self._facts),
            tuple(self._steps),
            tuple(self._conventions),
            tuple(self._notes),
            tuple(self._children),
        )

    def _new(self, name: str) -> None:
        if name in self._known:
            raise ExplanationError(f"{self._rule}: {name!r} is stated twice")
