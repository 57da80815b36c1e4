"""The published samples of MT940 and camt, read and compared with their expected parses."""

import json
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from coulance.integrations.bank.camt import message, read_camt
from coulance.integrations.bank.errors import UnableToReadBankFileError
from coulance.integrations.bank.mt940 import messages
from coulance.integrations.bank.reading import decoded
from tests.bank import published

pytestmark = pytest.mark.data

WRONG = "camt053.v2.wrong"
AFTER_THE_LAST_ENTRY = {"jejik/ing.sta": "\nD000004C000002D25,24C28,71\n-XXX"}
"""What stands after the closing balance is about the statement; the published parse hangs it on the last entry."""


@pytest.fixture(scope="module")
def bank(cases: Path) -> Path:
    return cases / "bank"


def _mt940(path: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A file's tags as the published parses have them: one flat head, whose later values win, and all entries."""
    head: dict[str, Any] = {}
    entries: list[dict[str, Any]] = []
    for found in messages(decoded(path.read_bytes(), name=path.name), name=path.name):
        head.update(found.read.data)
        entries += [entry.data for entry in found.read.transactions]
    return head, entries


def _reference(fields: dict[str, Any]) -> tuple[str, str]:
    """What a :61: says of references, as one text, and the lines that a :86: added to the customer's reference.

    The published parses cut the line after 16 characters, through the // between the two references; ours doesn't.
    """
    own, _, added = str(fields.get("customer_reference") or "").partition("\n")
    bank = fields.get("bank_reference")
    return own + (f"//{bank}" if bank else "") + str(fields.get("extra_details") or ""), added


def test_every_field_of_every_mt940_sample(bank: Path) -> None:
    expected = json.loads((bank / "mt940" / "expected.json").read_text(encoding="utf-8"))
    assert len(expected) == 49
    compared = 0
    different = []
    for name, sample in sorted(expected.items()):
        head, entries = _mt940(bank / "mt940" / "mt940_tests" / name)
        for key, value in sample["statement"].items():
            compared += 1
            got = head.get(key)
            if isinstance(value, dict):
                assert got is not None, (name, key)
                amount = got.amount
                got = {
                    "amount": str(amount.amount),
                    "currency": amount.currency,
                    "date": str(got.date),
                    "status": got.status,
                }
            if got != value:
                different.append((name, key, value, got))
        if len(entries) != len(sample["transactions"]):
            different.append((name, "entries", len(sample["transactions"]), len(entries)))
            continue
        for number, (fields, read) in enumerate(zip(sample["transactions"], entries, strict=True)):
            references = {"customer_reference", "bank_reference", "extra_details"} & set(fields)
            if any(read.get(key) != fields[key] for key in references):
                compared += len(references)
                (line, added), (my_line, my_added) = _reference(fields), _reference(read)
                # Where a :86: without a reference took the customer's away, only the rest of the line is told.
                if not (my_line == line or (not fields.get("customer_reference") and my_line.endswith(line))):
                    different.append((name, number, line, my_line))
                if added != my_added:
                    different.append((name, number, added, my_added))
                fields = {key: value for key, value in fields.items() if key not in references}
            for key, value in fields.items():
                compared += 1
                got = read.get(key)
                if key == "amount":
                    got = {"amount": str(got.amount), "currency": got.currency}
                    # The published parse leaves a reversed credit (RC) positive; it takes money back.
                    if fields["status"] == "RC":
                        value = {**value, "amount": f"-{value['amount']}"}
                elif key in ("date", "entry_date"):
                    got = str(got)
                elif key == "transaction_details":
                    value = value.removesuffix(AFTER_THE_LAST_ENTRY.get(name, ""))
                if got != value:
                    different.append((name, number, key, value, got))
    assert different == [], different
    assert compared > 1500


def _samples(bank: Path) -> list[Path]:
    return sorted((bank / "camt" / "samples").glob("*.xml"))


def test_every_fact_of_every_camt_sample(bank: Path) -> None:
    samples = [path for path in _samples(bank) if path.stem != WRONG]
    assert len(samples) == 16
    compared = 0
    different = []
    for path in samples:
        expected = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        for what, theirs, ours in published.camt(expected, message(path, name=path.name)):
            compared += 1
            if theirs != ours:
                different.append((path.name, what, theirs, ours))
    assert different == [], different
    assert compared > 1000


def test_the_wrong_sample_is_refused_for_what_it_lacks(bank: Path) -> None:
    path = bank / "camt" / "samples" / f"{WRONG}.xml"
    with pytest.raises(UnableToReadBankFileError) as refused:
        list(read_camt(path, name=path.name))
    assert str(refused.value) == (
        "camt053.v2.wrong.xml: there is no statement in it; expected an element Stmt after the group header"
    )


def test_the_schemas_agree_on_which_samples_are_well_formed(bank: Path) -> None:
    """Our readers take what ISO's schemas take: what a schema refuses is refused, or is known here by name."""
    refused = {}
    for path in _samples(bank):
        tree = etree.parse(str(path))
        space = etree.QName(tree.getroot()).namespace or ""
        schema = bank / "camt" / "assets" / f"{space.rsplit(':', 1)[-1]}.xsd"
        if not schema.exists():
            continue
        checked = etree.XMLSchema(etree.parse(str(schema)))
        if not checked.validate(tree):
            refused[path.stem] = str(checked.error_log[0].message)[:60]
    assert WRONG in refused
    for path in _samples(bank):
        if path.stem not in refused:
            assert message(path, name=path.name).records
