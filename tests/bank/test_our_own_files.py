"""Files of our own making: they validate against ISO's schemas, and read back as what was written."""

import string
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from coulance.integrations.bank.camt import read_camt
from coulance.integrations.bank.mt940 import read_mt940
from coulance.integrations.bank.writing import UnableToWriteBankFileError, camt, mt940
from coulance_core.kernel import Money
from coulance_core.payments.bank import BankEntry, BankStatement, StatementKind

AT = datetime(2026, 11, 21, 6, 0, tzinfo=UTC)
OURS = "NL20INGB0001234567"

plain = st.text(string.ascii_letters + string.digits, min_size=0, max_size=16)
words = st.lists(st.text(string.ascii_letters + string.digits + "().,+", min_size=1, max_size=20), max_size=8).map(
    " ".join
)
ibans = st.sampled_from(["", "NL91ABNA0417164300", "DE89370400440532013000", "BE68539007547034"])
entries = st.builds(
    BankEntry,
    booked_on=st.dates(date(2026, 11, 1), date(2026, 11, 30)),
    amount=st.integers(-1_000_000, 1_000_000).map(lambda cents: Money(cents, "EUR")),
    value_on=st.dates(date(2026, 10, 28), date(2026, 12, 2)),
    end_to_end_id=plain,
    remittance=words,
    counterparty_name=words.map(lambda text: text[:60].strip()),
    counterparty_iban=ibans,
    bank_ref=plain,
    is_reversal=st.booleans(),
    return_reason=st.sampled_from(["", "AC04", "MD06"]),
)


def statement(made: list[BankEntry]) -> BankStatement:
    opening = Money(12_345, "EUR")
    return BankStatement(
        OURS,
        "EUR",
        tuple(made),
        number="117",
        opening=opening,
        closing=Money(opening.minor + sum(entry.amount.minor for entry in made), "EUR"),
        opened_on=date(2026, 11, 1),
        closed_on=date(2026, 11, 30),
    )


def spoken(entry: BankEntry) -> BankEntry:
    """An entry as any format gives it back: the bank's code is the format's own."""
    return replace(entry, code="")


@given(st.lists(entries, max_size=6))
@settings(max_examples=30, deadline=None)
def test_camt_reads_back_equal(made: list[BankEntry]) -> None:
    written = statement(made)
    (read,) = read_camt(BytesIO(camt([written], message_id="M1", created_at=AT)), name="made")
    assert [spoken(entry) for entry in read.entries] == made
    assert replace(read, entries=(), form="") == replace(written, entries=())


@given(st.lists(entries, max_size=6))
@settings(max_examples=30, deadline=None)
def test_mt940_reads_back_equal(made: list[BankEntry]) -> None:
    written = statement([_swift(entry) for entry in made])
    (read,) = read_mt940(mt940([written]), name="made")
    assert [_joined(spoken(entry)) for entry in read.entries] == [_joined(entry) for entry in written.entries]
    assert replace(read, entries=(), form="", page="") == replace(written, entries=())


def _swift(entry: BankEntry) -> BankEntry:
    # A value day is within a year of the booking day, and an empty text says nothing that could be told from none.
    return replace(entry, value_on=entry.booked_on - timedelta(days=1))


def _joined(entry: BankEntry) -> BankEntry:
    """Where a line is cut at a space, the space is lost: that is the format's doing."""
    return replace(
        entry,
        remittance="".join(entry.remittance.split()),
        counterparty_name="".join(entry.counterparty_name.split()),
    )


def batch() -> list[BankEntry]:
    day = date(2026, 11, 20)
    parts = [
        BankEntry(
            day,
            Money(cents, "EUR"),
            value_on=day,
            end_to_end_id=f"E{cents}",
            bank_ref="BATCH-9",
            batch="B9",
            remittance="Ünïcode & <tags>",
            structured_reference="RF18539007547034",
        )
        for cents in (1000, 250, 99)
    ]
    return [BankEntry(day, Money(500, "EUR"), value_on=day, remittance="single"), *parts]


def test_a_batch_is_one_booking_and_reads_back_as_its_payments() -> None:
    written = camt([statement(batch())], message_id="M1", created_at=AT)
    assert written.count(b"<Ntry>") == 2
    (read,) = read_camt(BytesIO(written), name="made")
    assert [spoken(entry) for entry in read.entries] == batch()


def test_a_batch_without_its_payments_says_how_many_there_are() -> None:
    day = date(2026, 11, 20)
    whole = BankEntry(day, Money(1349, "EUR"), value_on=day, bank_ref="BATCH-9", batch="B9", batch_count=3)
    (read,) = read_camt(BytesIO(camt([statement([whole])], message_id="M1", created_at=AT)), name="made")
    assert [spoken(entry) for entry in read.entries] == [whole]


@pytest.mark.data
def test_what_we_write_validates_against_the_schemas(cases: Path) -> None:
    schemas = cases / "bank" / "camt" / "assets"
    returned = BankEntry(
        date(2026, 11, 21),
        Money(-1000, "EUR"),
        return_reason="AC04",
        is_reversal=True,
        counterparty_name="N",
        mandate_id="M-1",
        charges=Money(35, "EUR"),
    )
    whole = replace(statement([*batch(), returned]), page="1")
    for written, form in (
        (camt([whole], message_id="M1", created_at=AT), "camt.053.001.08"),
        (
            camt(
                [replace(whole, kind=StatementKind.NOTIFICATION, opening=None, closing=None)],
                message_id="M2",
                created_at=AT,
            ),
            "camt.054.001.08",
        ),
    ):
        schema = etree.XMLSchema(etree.parse(str(schemas / f"{form}.xsd")))
        tree = etree.fromstring(written)
        assert schema.validate(tree), schema.error_log


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        (BankEntry(date(2026, 11, 1), Money(1, "EUR"), end_to_end_id="E" * 36), "longer than 35"),
        (BankEntry(date(2026, 11, 1), Money(1, "EUR"), remittance="x" * 141), "longer than 140"),
        (BankEntry(date(2026, 11, 1), Money(1, "EUR"), remittance="a\x00b"), "what XML can't"),
    ],
)
def test_what_a_format_cannot_carry_is_refused(entry: BankEntry, why: str) -> None:
    with pytest.raises(UnableToWriteBankFileError, match=why):
        camt([statement([entry])], message_id="M1", created_at=AT)


def test_mt940_takes_only_swift_characters() -> None:
    with pytest.raises(UnableToWriteBankFileError, match="MT940 lacks"):
        mt940([statement([BankEntry(date(2026, 11, 1), Money(1, "EUR"), counterparty_name="Müller")])])
