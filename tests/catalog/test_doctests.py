"""The worked examples in the docstrings of the three rooms."""

import doctest

import pytest

from coulance.catalog import faults, proposal
from coulance.customers import checks


@pytest.mark.parametrize("module", [faults, proposal, checks], ids=lambda module: module.__name__)
def test_the_worked_examples_work(module: object) -> None:
    ran = doctest.testmod(module)  # type: ignore[arg-type]
    assert ran.attempted > 0
    assert ran.failed == 0
