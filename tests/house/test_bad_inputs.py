"""How many malformed inputs are tried, by door: the tables are counted, so that nobody has to be believed.

Each row of these tables is one input with what must be said of it; the tests beside a table try them all and hold that
nothing was changed, or that only the good part was taken where that is the promise.
"""

from importlib import import_module

import pytest

# the door               | tables: module and name
DOORS = {
    "provider file": ("catalog.test_malformed_files CASES",),
    "customer import": ("customers.test_malformed_csv ROWS", "customers.test_malformed_csv FILES"),
    "take-over": ("takeover.test_faults FAULTS", "takeover.test_faults DOUBTS"),
    "API": ("api.test_bad_requests TABLE",),
    "usage batches": ("usage.test_api MALFORMED", "usage.test_api BAD_ROWS"),
    "remote write": ("collectors.test_remote_write REFUSED", "collectors.test_remote_write NOT_TAKEN"),
    "bank files": ("bank.test_bad_files BAD",),
    "payments": ("payments.test_flows BAD", "payments.test_scenarios BAD"),
}
AT_LEAST = {
    "provider file": 40,
    "customer import": 20,
    "take-over": 10,
    "API": 20,
    "usage batches": 30,
    "remote write": 12,
    "bank files": 40,
    "payments": 10,
}


def rows(door: str) -> list[str]:
    """The inputs of a door, in words."""
    found = []
    for table in DOORS[door]:
        module, name = table.split(" ")
        for row in getattr(import_module(f"tests.{module}"), name):
            words = row if isinstance(row, str) else getattr(row, "name", None) or row[0]
            found.append(f"{name} {words}")
    return found


@pytest.mark.parametrize("door", DOORS)
def test_a_door_is_tried_with_enough_and_no_input_twice(door: str) -> None:
    found = rows(door)
    assert len(found) >= AT_LEAST[door], f"{door}: {len(found)}"
    assert len(set(found)) == len(found)


def test_the_doors_that_others_write_to_are_tried_with_more_than_a_hundred_inputs() -> None:
    outside = ("API", "usage batches", "remote write", "bank files", "take-over", "customer import")
    assert sum(len(rows(door)) for door in outside) >= 150
