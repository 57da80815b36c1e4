"""The suite itself: each kind of case by a number of our own, what it refuses, and the shared file if it is there."""

import os
from pathlib import Path
from typing import Any

import pytest

from tests.oracles.charge_models import run
from tests.oracles.protocol import MalformedCaseError, Status, Suite
from tests.oracles.runner import load, run_document

_FOLDER = Path(os.environ.get("COULANCE_CASES") or Path(__file__).resolve().parents[2] / ".." / "shared" / "data")
SHARED = _FOLDER / "charge_models" / "cases.shared.json"


def ranges(*rows: tuple[object, object, object, object]) -> dict[str, Any]:
    keys = ("from_value", "to_value", "per_unit_amount", "flat_amount")
    return {"ranges": [dict(zip(keys, row, strict=True)) for row in rows]}


TWO = ranges((0, 100, "2", "10"), (101, None, 1, None))
BLOCKS = {"tiers": [{"block": 100, "max_blocks": 10, "price": "1"}, {"block": 1000, "max_blocks": -1, "price": 0.5}]}

CASES: list[tuple[str, dict[str, Any], dict[str, Any], dict[str, Any]]] = [
    ("graduated", TWO, {"quantity": 0}, {"expected_amount": "10"}),
    ("graduated", TWO, {"quantity": "100.5"}, {"expected_amount": "210.5"}),
    ("graduated", TWO, {"quantity": 0.1}, {"expected_amount": 10.2}),
    ("volume", TWO, {"quantity": "100.5"}, {"expected_amount": "100.5"}),
    ("volume_prorated", TWO, {"quantity_prorated": 33.5, "full_units": 101}, {"expected_amount": "33.5"}),
    ("package", {"amount": "3", "package_size": 10, "free_units": None}, {"quantity": 11}, {"expected_amount": "6"}),
    ("tiered_blocks_all_tiers", BLOCKS, {"quantity": "1001"}, {"expected_amount": "10.5"}),
    ("tiered_blocks_top_tier", BLOCKS, {"quantity": "1001"}, {"expected_amount": "1.0"}),
    ("standard", {"amount": 0.0125}, {"quantity": "3"}, {"expected_amount": "0.0375"}),
    ("minimum_commitment_true_up", {"commitment_cents": 200}, {"fees_cents": [150, 80]}, {"expected_amount": "0"}),
    (
        "proration_coefficient",
        {"period": ["2024-02-01", "2024-02-29"]},
        {"active": ["2024-02-20", "2024-02-29"]},
        {"expected_coefficient": 0.3448275862068966},
    ),
    (
        "proration_in_advance_annual",
        {"billing_cycle_day": 1, "period": "annual"},
        {"start": "2023-01-01", "end": None, "target": "2024-06-01"},
        {"expected_cycles": "2.000000000"},
    ),
    (
        "time_weighted_sum",
        {"from": "2024-02-01T00:00:00Z", "to": "2024-02-29T23:59:59.999Z"},
        {"initial": 10, "events": [{"t": "2024-02-15T12:00:00Z", "delta": -5}]},
        {"expected_aggregation": "7.5"},
    ),
    (
        "recurring_sum_prorated_by_day",
        {"from": "2024-02-01T00:00:00Z", "to": "2024-02-29T23:59:59Z", "days": 29},
        {"events": [{"t": "2024-02-20T08:00:00Z", "v": 1}]},
        {"expected_aggregation": "0.34483"},
    ),
    (
        "recurring_sum_prorated_by_day",  # a part of a cycle: what was there before counts for the part's days
        {"from": "2023-05-15T00:00:00Z", "to": "2023-05-31T23:59:59Z", "days": 31},
        {"events": [{"t": "2023-03-01T00:00:00Z", "v": 5}, {"t": "2023-05-20T00:00:00Z", "v": "n/a"}]},
        {"expected_aggregation": "2.74194"},
    ),
    (
        "time_weighted_sum",
        {"from": "2023-08-17T00:00:00Z", "to": "2023-09-01T00:00:00Z", "days": 30},
        {"initial": 10, "events": []},
        {"expected_aggregation": "5"},
    ),
]


@pytest.mark.parametrize(("model", "parameters", "given", "expected"), CASES)
def test_a_case_of_each_kind(
    model: str, parameters: dict[str, Any], given: dict[str, Any], expected: dict[str, Any]
) -> None:
    case = {"model": model, "parameters": parameters, "input": given, **expected}
    assert run(case).status is Status.PASSED, run(case)
    [key] = expected
    wrong = run({**case, key: "123.4567"})
    assert (wrong.status, wrong.expected) == (Status.FAILED, "123.4567")


def test_an_amount_that_ends_is_not_rounded_to_fit() -> None:
    case = {"model": "standard", "parameters": {"amount": "1.234"}, "input": {"quantity": 1}, "expected_amount": "1.23"}
    assert run(case).status is Status.FAILED


def test_unknown_models_are_skipped_with_the_reason() -> None:
    unknown = run({"model": "astrology"})
    assert (unknown.status, unknown.reason.startswith("unknown model 'astrology'")) == (Status.SKIPPED, True)


@pytest.mark.parametrize(
    "case",
    [
        {},
        {"model": "graduated", "input": {"quantity": 1}},
        {"model": "dunning_campaign_multi_currency"},
        {"model": "graduated", "parameters": TWO, "input": {"quantity": "many"}, "expected_amount": "1"},
        {"model": "graduated", "parameters": TWO, "input": {}, "expected_amount": "1"},
        {"model": "graduated", "parameters": TWO, "input": {"quantity": True}, "expected_amount": "1"},
        {"model": "graduated", "parameters": TWO, "input": {"quantity": 1}, "expected_amount": None},
    ],
)
def test_malformed_cases_say_so(case: dict[str, Any]) -> None:
    with pytest.raises(MalformedCaseError):
        run(case)


@pytest.mark.skipif(not SHARED.exists(), reason=f"the shared case file is not here ({SHARED})")
def test_the_shared_cases_pass() -> None:
    said: list[str] = []
    counts = run_document(Suite("charge_models", run), load(SHARED), None, said.append)
    assert counts[Status.FAILED] == 0, "\n".join(said)
    assert counts[Status.SKIPPED] == 0
    assert counts[Status.PASSED] >= 156


CAMPAIGN: dict[str, Any] = {
    "model": "dunning_campaign_multi_currency",
    "parameters": {"max_attempts": 2, "days_between_attempts": 1, "thresholds_cents": {"EUR": 500}},
    "input": {
        "timeline": [
            {"t": "2026-01-01", "overdue": {"EUR": 400}},
            {"t": "2026-01-02T10:00Z", "expect_attempts": {}},
            {"t": "2026-01-02T12:00Z", "overdue_add": {"EUR": 100}},
            {"t": "2026-01-03T10:00Z", "expect_attempts": {"EUR": 1}},
            {"t": "2026-01-04T10:00Z", "expect_attempts": {"EUR": 1}},
            {"t": "2026-01-05T10:00Z", "expect_attempts": {"EUR": 2}},
            {"t": "2026-01-09T10:00Z", "expect_attempts": {"EUR": 2}},
        ]
    },
}


def test_a_dunning_campaign_counts_attempts_by_currency_from_its_threshold_on() -> None:
    assert run(CAMPAIGN).status is Status.PASSED, run(CAMPAIGN)
    wrong = {**CAMPAIGN, "parameters": {**CAMPAIGN["parameters"], "max_attempts": 1}}
    assert run(wrong).status is Status.FAILED
