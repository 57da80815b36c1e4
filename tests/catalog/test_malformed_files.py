# ruff: noqa: E501 - a table reads best with a case a line
"""Malformed provider files: each fault with its place, what was expected and the nearest name; and nothing changes."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from coulance.catalog import operations, queries
from coulance.catalog.provider_file import json_schema
from coulance.catalog.reader import read_provider_file
from tests.catalog import SMALL

AT = datetime(2026, 10, 5, 12, 0, tzinfo=UTC)


@dataclass(frozen=True)
class Case:
    """`old` becomes `new` in the small file; the fault stands at `where` (line:column) and says all of `says`."""

    name: str
    old: str
    new: str
    where: str
    says: tuple[str, ...]
    by_schema: bool = False
    """Whether the published schema refuses it too."""


PRICE = 'price = "0.10 EUR/GB"'
INCLUDED = 'included = "100 GB"'
CASES = [
    # TOML itself
    Case("a value missing", 'name = "Small BV"', "name =", "2:7", ("a value is missing after =",)),
    Case("text without quotes", 'country = "NL"\ncurrency', "country = NL\ncurrency", "3:11", ('quotes around it: "NL"',)),
    Case("a quote left open", 'zone = "Europe/Amsterdam"', 'zone = "Europe/Amsterdam', "5:25", ("a quote is left open here",)),
    Case("a bracket left open", "[meters.traffic]", "[meters.traffic", "20:16", ("a table's name is left open",)),
    Case("a key twice", "payment_days = 14", "payment_days = 14\npayment_days = 15", "7:1", ("written twice", "line 6")),
    Case("a table twice", "[plans.vps]\n", "[plans.vps]\n[plans.vps]\n", "26:1", ("written twice", "line 25")),
    Case("a unit without quotes", INCLUDED, "included = 100 GB", "36:16", ("a number with a unit and no quotes: 100 GB",)),
    Case("a day that is none", "from = 2026-01-01", "from = 2026-02-30", "29:8", ("no such date", "2026-01-31")),
    Case("a colon", "payment_days = 14", "payment_days: 14", "6:13", ("a colon after the key", "equals sign")),
    # keys and names
    Case("an unknown key", "payment_days", "payement_days", "6:1", ("unknown key 'payement_days'", "did you mean 'payment_days'?"), True),
    Case("an unknown table", "[meters.traffic]", "[meter.traffic]", "20:2", ("unknown key 'meter'", "did you mean 'meters'?"), True),
    Case("an unknown meter", 'meter = "traffic"', 'meter = "trafic"', "34:9", ("unknown meter 'trafic'", "did you mean 'traffic'?")),
    Case("an unknown pool", PRICE, 'pool = "fleet"', "37:8", ("unknown pool 'fleet'", "there are none")),
    Case("an unknown tax class", 'name = "VPS"', 'name = "VPS"\ntax_class = "standart"', "27:13", ("unknown tax class 'standart'", "did you mean 'standard'?")),
    Case("no rate of the class that plans have", 'class = "standard"', 'class = "normal"', "28:13", ("no tax rate has the class 'standard'", "expected one of normal")),
    Case("a name with capitals", "plans.vps", "plans.VPS", "25:8", ("'VPS' as a name", "small letters"), True),
    Case("a key missing", 'country = "NL"\ncurrency', "currency", "1:2", ("'country' is missing", "established in"), False),
    Case("a series missing", 'credit = { format = "C{year}-{number:06d}" }\n', "", "15:2", ("'credit' is missing",), True),
    # values
    Case("a float", '"0.10 EUR/GB"', "0.10", "37:9", ("0.1 is a number with a point", 'such as "0.10 EUR/GB"'), True),
    Case("a float rate", '"21 %"', "21.0", "11:8", ("21.0 is a number with a point", '"21 %"'), True),
    Case("a float where a whole number is meant", "payment_days = 14", "payment_days = 14.5", "6:16", ("14.5 is a number with a point",), True),
    Case("a text where a number is meant", "payment_days = 14", 'payment_days = "14"', "6:16", ("'14' is a text", "a whole number from 0 to 365"), True),
    Case("a number out of range", "payment_days = 14", "payment_days = 400", "6:16", ("400", "from 0 to 365"), True),
    Case("a day with quotes", "from = 2026-01-01", 'from = "1 January"', "29:8", ("'1 January' is a text", "a day without quotes"), True),
    Case("a day with a time", "from = 2026-01-01", "from = 2026-01-01T00:00:00Z", "29:8", ("a date with a time",)),
    Case("an unknown kind", 'kind = "delta"', 'kind = "detla"', "22:8", ("'detla'", "delta, counter or gauge", "did you mean 'delta'?"), True),
    Case("an unknown direction", 'direction = "out"', 'direction = "outbound"', "35:13", ("out, in, both", "did you mean 'out'?"), True),
    Case("an unknown unit", "100 GB", "100 Gb", "36:12", ("unknown unit 'Gb'", "did you mean 'GB'?")),
    Case("another name for a unit", "EUR/GB", "EUR/Mbps", "37:9", ("unknown unit 'Mbps'", "did you mean 'Mbit/s'?")),
    Case("a quantity without a unit", "100 GB", "100", "36:12", ("'100'", 'such as "1000 GB"'), True),
    Case("a price without a unit", "0.10 EUR/GB", "0.10 EUR", "37:9", ("'0.10 EUR'", 'such as "0.10 EUR/GB"'), True),
    Case("a comma in a price", "0.10 EUR/GB", "0,10 EUR/GB", "37:9", ("'0,10 EUR/GB'", 'such as "0.10 EUR/GB"'), True),
    Case("a negative price", "0.10 EUR/GB", "-0.10 EUR/GB", "37:9", ("'-0.10 EUR/GB'",), True),
    Case("a currency in small letters", 'currency = "EUR"', 'currency = "eur"', "4:12", ("'eur'", "did you mean 'EUR'?"), True),
    Case("a price in another currency", "0.10 EUR/GB", "0.10 USD/GB", "37:9", ("a price in USD", "expected EUR")),
    Case("finer than a cent", "5.00 EUR/month", "5.001 EUR/month", "30:8", ("5.001 EUR is finer than the currency", "2 decimals")),
    Case("an unknown interval", "5.00 EUR/month", "5.00 EUR/week", "30:8", ("'5.00 EUR/week'", "month, quarter, half-year, year"), True),
    Case("an unknown zone", "Europe/Amsterdam", "Europe/Amsterdm", "5:8", ("did you mean 'Europe/Amsterdam'?",)),
    Case("a country by its name", 'country = "NL"\ncurrency', 'country = "Netherlands"\ncurrency', "3:11", ("two capital letters",), True),
    Case("an empty name", 'name = "Small BV"', 'name = " "', "2:8", ("an empty text",)),
    Case("a rate of a hundred percent", '"21 %"', '"121 %"', "11:8", ("expected 0 to 100 percent, not 121",)),
    # what only the whole tells
    Case("two versions from one day", "[plans.vps.versions.charges", "[[plans.vps.versions]]\nfrom = 2026-01-01\n\n[plans.vps.versions.charges", "33:8", ("another version from 2026-01-01", "p.toml:29:8")),
    Case("tiers that fall", PRICE, 'price = { model = "graduated", tiers = [{ up_to = "2 TB", price = "0.10 EUR/GB" }, { up_to = "1 TB" }, { price = "0.05 EUR/GB" }] }', "37:94", ("tiers rise: expected more than 2000, not 1000",)),
    Case("a last tier with an end", PRICE, 'price = { model = "volume", tiers = [{ up_to = "2 TB", price = "0.10 EUR/GB" }] }', "37:48", ("the last tier is open",)),
    Case("an unknown model", PRICE, 'price = { model = "graduate", tiers = [] }', "37:19", ("'graduate'", "did you mean 'graduated'?"), True),
    Case("no tiers", PRICE, 'price = { model = "graduated", tiers = [] }', "37:40", ("an empty list", "at least 1"), True),
    Case("another dimension", INCLUDED, 'included = "100 Mbit/s"', "36:12", ("expected data like the measure's GB, not Mbit/s",)),
    Case("a percentile without its convention", 'direction = "out"', 'direction = "out"\naggregation = "percentile"', "32:29", ("names its convention",)),
    Case("bits of a counter", 'kind = "delta"', 'kind = "counter"', "20:9", ("a counter needs 32 or 64 as counter_bits", "none is said")),
    Case("an allowance and a commitment", INCLUDED, INCLUDED + '\ncommitment = { quantity = "1 GB", fee = "1.00 EUR/month" }', "37:14", ("not both",)),
    Case("no price", PRICE + "\n", "", "32:29", ("'price' is missing", "or a pool")),
    Case("two series with one format", "V{year}", "B{year}", "17:22", ("gives the same numbers as the series at p.toml:16:19",)),
    Case("a series without a number", "C{year}-{number:06d}", "C{year}", "18:21", ("expected {number} or {number:06d} once",)),
    Case("a tax rate twice", "[series]", '[[tax]]\ncountry = "NL"\nclass = "standard"\nrate = "9 %"\nfrom = 2020-01-01\ncode = "X"\n\n[series]', "19:8", ("already defined at p.toml:8:3",)),
    Case("a price beyond all prices", "5.00 EUR/month", "99999999999999999999.00 EUR/month", "30:8", ("larger than any price", "999999999999")),
    Case("a letter that can't be printed", "Small BV", "Small\\u0000 BV", "2:8", ("a character that can't be printed",)),
    Case("a day before all calendars", "from = 2026-01-01", "from = 0001-01-01", "29:8", ("0001-01-01", "from 1900 to 2199")),
    Case("a day after all calendars", "from = 2026-01-01", "from = 9999-12-31", "29:8", ("9999-12-31", "from 1900 to 2199")),
    Case("nested too deeply", "[provider]", "x = " + "[" * 3000 + "]" * 3000 + "\n[provider]", "1:1", ("nested too deeply",)),
    # included files
    Case("an included file that is not there", "[provider]", 'include = ["more/*.toml"]\n[provider]', "1:12", ("no file is called 'more/*.toml'",)),
    Case("an included file outside", "[provider]", 'include = ["../x.toml"]\n[provider]', "1:12", ("'../x.toml'", "below this file's folder")),
    Case("a file that includes itself", "[provider]", 'include = ["p.toml"]\n[provider]', "1:12", ("includes itself", "p.toml > p.toml")),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_malformed_file(db: Any, tmp_path: Path, case: Case) -> None:
    root = tmp_path / "p.toml"
    root.write_text(SMALL)
    applied = operations.apply_catalog(file=read_provider_file(root), actor="tests", at=AT)
    assert SMALL.count(case.old) >= 1
    root.write_text(SMALL.replace(case.old, case.new))
    file = read_provider_file(root)
    told = [str(fault) for fault in file.faults]
    here = [line for line in told if line.startswith(f"p.toml:{case.where}:")]
    assert any(all(word in line for word in case.says) for line in here), "\n".join(told)
    with pytest.raises(operations.UnableToApplyCatalogError):
        operations.apply_catalog(file=file, actor="tests", at=AT)
    assert [revision.id for revision in queries.revisions()] == [applied.revision]
    if case.by_schema:
        import tomllib

        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(_json(tomllib.loads(root.read_text())), json_schema())


def _json(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_json(item) for item in value]
    return value.isoformat() if hasattr(value, "isoformat") else value


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    root = tmp_path / "p.toml"
    text = SMALL
    for old, new in (
        ('country = "NL"\ncurrency', 'country = "nl"\ncurrency'),
        ("payment_days", "payement_days"),
        ('"21 %"', "21.0"),
        ('kind = "delta"', 'kind = "detla"'),
        ('meter = "traffic"', 'meter = "trafic"'),
        ("5.00 EUR/month", "5.00 EUR/week"),
        ("100 GB", "100 Gb"),
        ("0.10 EUR/GB", "0.10 USD/GB"),
    ):
        text = text.replace(old, new)
    root.write_text(text)
    assert [fault.place.line for fault in read_provider_file(root).faults] == [3, 6, 11, 22, 30, 34, 36]
    root.write_text(text.replace('"0.10 USD/GB"', "0.10 EUR/GB").replace("6d}", "6d"))
    lines = [fault.place.line for fault in read_provider_file(root).faults]
    assert 37 in lines, "a syntax error is told beside the others"
    assert {3, 6, 11, 22, 30, 36} <= set(lines)


def test_a_fault_in_an_included_file_names_that_file(tmp_path: Path) -> None:
    root = tmp_path / "p.toml"
    head, plans = SMALL.split("[plans.vps]")
    root.write_text('include = ["plans/*.toml"]\n' + head)
    (tmp_path / "plans").mkdir()
    (tmp_path / "plans" / "a.toml").write_text("[plans.vps]" + plans)
    assert read_provider_file(root).faults == ()
    (tmp_path / "plans" / "b.toml").write_text(("[plans.vps]" + plans).replace("out", "outt"))
    told = [str(fault) for fault in read_provider_file(root).faults]
    assert told == [
        "plans/b.toml:1:8: plans.vps: plans.vps is already defined at plans/a.toml:1:8; expected each name once"
    ]


def test_files_that_are_no_text(tmp_path: Path) -> None:
    root = tmp_path / "p.toml"
    root.write_bytes(SMALL.encode() + b"# caf\xe9\n")
    [fault, *_] = read_provider_file(root).faults
    assert "p.toml is not UTF-8" in str(fault)
    told = [str(fault) for fault in read_provider_file(tmp_path / "absent.toml").faults]
    assert "absent.toml: No such file or directory" in told[0]
    assert len(told) == 1, "a file that cannot be read lacks nothing else"
