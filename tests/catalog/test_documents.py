"""The examples, the published schema, the reader and the documentation say the same."""

import re
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coulance.catalog.faults import Faults
from coulance.catalog.provider_file import json_schema
from coulance.catalog.reader import read_provider_file, read_sources
from coulance.catalog.reference import reference
from coulance.catalog.sources import Sources, from_texts
from coulance.catalog.toml_tree import parse_toml
from coulance.flows.customer_file import RECORDS
from tests.catalog import EXAMPLE, SMALL

ROOT = EXAMPLE.parent.parent
SCHEMA = jsonschema.Draft202012Validator(json_schema())
EXAMPLES = sorted(EXAMPLE.parent.rglob("*.toml"))


def plain(value: Any) -> Any:
    """TOML's values as JSON has them."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value.isoformat() if hasattr(value, "isoformat") else value


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_the_examples_fit_the_schema_that_they_name(path: Path) -> None:
    text = path.read_text()
    first = text.splitlines()[0]
    assert first.startswith("#:schema ")
    assert (path.parent / first.removeprefix("#:schema ")).resolve() == ROOT / "docs" / "provider.schema.json"
    assert list(SCHEMA.iter_errors(plain(tomllib.loads(text)))) == []


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_the_tree_has_the_values_of_tomllib(path: Path) -> None:
    faults = Faults()
    assert parse_toml(path.read_text(), path.name, faults).plain() == tomllib.loads(path.read_text())
    assert not faults


def test_the_example_shows_every_price_model_it_promises() -> None:
    catalog = read_provider_file(EXAMPLE).catalog
    assert catalog is not None
    charges = [charge for versions in catalog.plans.values() for version in versions for charge in version.charges]
    assert {type(c.price).__name__ for c in charges} >= {"PerUnit", "Graduated", "Volume", "Package"}
    assert {str(c.measure.aggregation) for c in charges} == {
        "sum", "percentile", "peak", "time_weighted", "unique_count",
    }  # fmt: skip
    assert any(c.pool for c in charges)
    assert any(c.commitment for c in charges)
    assert any(c.minimum_spend for c in charges)
    assert any(c.maximum_spend for c in charges)
    assert [v.valid_from.month for v in catalog.plans["vps-m"]] == [1, 9], "a price change within the demo's months"


def test_the_documentation_has_the_reference_of_this_version() -> None:
    text = (ROOT / "docs" / "plans.md").read_text()
    assert text.endswith(reference()), "its last part is what coulance schema --markdown prints"


def test_the_documentations_examples_are_sound(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "plans.md").read_text()
    blocks = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    whole = [block for block in blocks if block.startswith("[")]
    parts = [block for block in blocks if not block.startswith("[")]
    assert (len(whole), len(parts)) == (2, 2)
    meters = '[meters.port]\nname = "Port"\nkind = "delta"\nunit = "B"\n'
    charges = [
        f'[plans.p{i}]\nname = "P"\n[[plans.p{i}.versions]]\nfrom = 2026-01-01\n'
        f'[plans.p{i}.versions.charges.c]\nname = "C"\nmeter = "port"\n{part}'
        for i, part in enumerate(parts)
    ]
    path = tmp_path / "p.toml"
    path.write_text("\n".join([SMALL.replace("plans.vps", "plans.v"), meters, *whole, *charges]))
    assert [str(fault) for fault in read_provider_file(path).faults] == []


def test_the_documentation_names_every_column_of_the_import() -> None:
    text = (ROOT / "docs" / "customers.md").read_text()
    for record, columns in RECORDS.items():
        assert f"`{record}`" in text
        for column in columns:
            assert f"`{column}`" in text, f"{column} of {record}"


# Whatever the schema refuses, the reader refuses: any one value of a sound file replaced, renamed or taken out.
SOUND = tomllib.loads(SMALL)
VALUES = st.one_of(
    st.sampled_from(["", " ", "x", "21 %", "5.00 EUR", "5 EUR/GB", "1 GB", "eur", "NL", "out", "sum", "2026-01-01"]),
    st.integers(-5, 500),
    st.floats(-5, 5).filter(lambda x: x != int(x)),
    st.booleans(),
    st.dates(),
    st.just([]),
    st.just({}),
    st.lists(st.just({}), min_size=1, max_size=2),
)


def _paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [found for key, item in inner for found in [(*path, key), *_paths(item, (*path, key))]]


def _toml(value: Any) -> str:
    """A value as inline TOML."""
    if isinstance(value, dict):
        return "{" + ", ".join(f'"{key}" = {_toml(item)}' for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return value.isoformat() if hasattr(value, "isoformat") else repr(value)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_what_the_schema_refuses_the_reader_refuses(data: st.DataObject) -> None:
    def copy(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: copy(item) for key, item in value.items()}
        return [copy(item) for item in value] if isinstance(value, list) else value

    document = copy(SOUND)
    *way, last = data.draw(st.sampled_from(_paths(document)))
    holder = document
    for key in way:
        holder = holder[key]
    how = data.draw(st.sampled_from(["replace", "remove", "rename"]))
    if how == "replace":
        holder[last] = data.draw(VALUES)
    elif how == "rename" and isinstance(holder, dict):
        holder[data.draw(st.sampled_from(["x", "X Y", "naem", "versions", "from"]))] = holder.pop(last)
    else:
        del holder[last]
    text = "\n".join(f'"{key}" = {_toml(value)}' for key, value in document.items())
    assert parse_toml(text, "p.toml", Faults()).plain() == tomllib.loads(text)
    refused = next(SCHEMA.iter_errors(plain(document)), None)
    faults = Faults()
    file = read_sources(Sources((("p.toml", text),)))
    assert from_texts(file.sources, faults).plain() == {k: v for k, v in document.items() if k != "include"}
    if refused is not None:
        assert file.faults, f"the schema refuses it: {refused.message}"
    assert (file.catalog is None) == bool(file.faults)


@settings(max_examples=150, deadline=None)
@given(
    at=st.integers(0, len(SMALL)),
    gone=st.integers(0, 30),
    new=st.text(st.sampled_from("\"'[]{}=.,#\n ab1-é\\\x00"), max_size=4),
)
def test_any_slip_of_the_pen_is_told_where_it_is(at: int, gone: int, new: str) -> None:
    text = SMALL[:at] + new + SMALL[at + gone :]
    file = read_sources(Sources((("p.toml", text),)))
    assert (file.catalog is None) == bool(file.faults)
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        assert file.faults
    for fault in file.faults:
        assert fault.place.file == "p.toml"
        assert 0 <= fault.place.line <= text.count("\n") + 2
