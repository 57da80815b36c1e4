"""An explanation recomputes, or says where it does not."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coulance_core.kernel import Explanation, ExplanationError, Fact, Rounding, Step, round_to, show

NUMBERS = st.fractions(min_value=-1000, max_value=1000, max_denominator=1000)


@given(st.lists(NUMBERS, min_size=2, max_size=5), st.sampled_from(["add", "multiply", "min", "max"]), st.integers(0, 4))
def test_what_is_built_recomputes_and_survives_json(values: list[Fraction], op: str, digits: int) -> None:
    build = Explanation.build("test.rule", terms="plan@2026-01-01")
    for i, value in enumerate(values):
        build.fact(f"v{i}", value)
    build.step("result", op, *(f"v{i}" for i in range(len(values))))
    build.step("rounded", "round", "result", str(digits), "half_up")
    made = build.freeze()
    numbers = made.recompute()
    assert numbers["rounded"] == round_to(numbers["result"], digits, Rounding.HALF_UP) == build.number("rounded")
    assert Explanation.from_json(made.to_json()) == made
    assert f"rounded = result rounded half up to {digits} decimals = {show(numbers['rounded'])}" in made.render()


@given(NUMBERS, NUMBERS, NUMBERS.filter(lambda x: x != 0))
def test_a_forged_result_is_found_even_in_a_child(a: Fraction, b: Fraction, lie: Fraction) -> None:
    honest = Explanation.build("child").fact("a", a).fact("b", b).step("sum", "add", "a", "b").freeze()
    forged = Explanation("child", facts=honest.facts, steps=(Step("sum", "add", ("a", "b"), str(a + b + lie)),))
    assert Explanation.build("parent").child(honest).freeze().recompute() == {}
    with pytest.raises(ExplanationError, match="sum is stated as"):
        Explanation.build("parent").child(forged).freeze().recompute()


def test_words_are_facts_but_not_numbers() -> None:
    made = Explanation.build("r").fact("convention", "drop_floor").fact("n", 8928).freeze()
    assert made.recompute() == {"n": Fraction(8928)}


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (Step("x", "add", ("nowhere", "1"), "1"), "neither stated nor a number"),
        (Step("x", "exec", ("1", "2"), "3"), "no operation 'exec'"),
        (Step("x", "subtract", ("1",), "1"), "no operation 'subtract' on 1"),
    ],
)
def test_a_step_that_cannot_be_done_is_refused(step: Step, message: str) -> None:
    with pytest.raises(ExplanationError, match=message):
        Explanation("r", facts=(Fact("a", "1"),), steps=(step,)).recompute()


def test_a_name_is_stated_once() -> None:
    with pytest.raises(ExplanationError, match="stated twice"):
        Explanation.build("r").fact("a", 1).step("a", "add", "a", "1")
