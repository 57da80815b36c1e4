"""Files that a bank never sent so: each is refused with where and what, in a table. Nothing of any is taken."""

import time
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from coulance.integrations.bank.errors import UnableToReadBankFileError
from coulance.integrations.bank.reading import read_bank_file
from coulance.integrations.bank.writing import camt, mt940
from coulance_core.kernel import Money
from coulance_core.payments.bank import BankEntry, BankStatement

DAY = date(2026, 11, 20)
AT = datetime(2026, 11, 21, 6, tzinfo=UTC)


def good() -> BankStatement:
    entries = (
        BankEntry(DAY, Money(12_100, "EUR"), value_on=DAY, remittance="Invoice B2026-000017"),
        BankEntry(DAY, Money(-2_100, "EUR"), value_on=DAY, remittance="Rent"),
    )
    return BankStatement(
        "NL20INGB0001234567",
        "EUR",
        entries,
        number="117",
        opening=Money(0, "EUR"),
        closing=Money(10_000, "EUR"),
        opened_on=DAY,
        closed_on=DAY,
    )


XML = camt([good()], message_id="M1", created_at=AT)
SWIFT = mt940([good()]).encode("ascii")


def xml(old: bytes, new: bytes) -> bytes:
    assert old in XML, old
    return XML.replace(old, new, 1)


def without(first: bytes, last: bytes) -> bytes:
    return XML[: XML.index(first)] + XML[XML.index(last) + len(last) :]


def swift(old: str, new: str) -> bytes:
    text = SWIFT.decode()
    assert old in text, (old, text)
    return text.replace(old, new, 1).encode()


BOMB = b'<?xml version="1.0"?><!DOCTYPE d [<!ENTITY a "ha"><!ENTITY b "' + b"&a;" * 50 + b'">]><Document>&b;</Document>'
OUTSIDE = b'<?xml version="1.0"?><!DOCTYPE d SYSTEM "file:///etc/passwd"><Document/>'

# what is wrong | the file | what must be said
BAD: list[tuple[str, bytes, str]] = [
    ("an empty file", b"", "bad: the file is empty"),
    ("only blanks", b" \r\n\t\r\n", "bad: the file is empty"),
    ("zeros, as a broken download leaves", bytes(5000), "bad: the file is empty"),
    ("a ZIP archive", b"PK\x03\x04rest", "bad: this is a ZIP archive; unpack it"),
    ("a PDF statement", b"%PDF-1.7 ...", "bad: this is a PDF; ask the bank for MT940 or camt.053"),
    ("a CSV export", b"date;amount\n2026-11-20;12,00\n", "neither MT940"),
    ("HTML of an expired session", b"<html><body>Sign in</body></html>", "the root is html of no namespace"),
    ("XML of another kind", b"<invoice xmlns='urn:x'/>", "the root is invoice of urn:x"),
    ("a payment order", XML.replace(b"camt.053.001.08", b"pain.001.001.03"), "expected Document of camt.052"),
    ("a version to come", XML.replace(b"camt.053.001.08", b"camt.053.001.13"), "versions 2 to 8"),
    ("a document type", OUTSIDE, "it has a document type (DOCTYPE)"),
    ("an entity bomb", BOMB, "it has a document type (DOCTYPE)"),
    ("cut off in the middle", XML[: len(XML) // 2], "not well-formed XML"),
    ("cut off before the end", XML[:-20], "not well-formed XML"),
    ("two roots", XML + XML.split(b"?>", 1)[1], "not well-formed XML"),
    ("not the encoding it says", XML.replace(b"Rent", b"Caf\xe9"), "not well-formed XML"),
    (
        "no statement",
        XML[: XML.index(b"<Stmt>")] + XML[XML.index(b"</BkToCstmrStmt>") :],
        "there is no statement in it",
    ),
    ("no header", without(b"<GrpHdr>", b"</GrpHdr>"), "no group header (GrpHdr) before the statement"),
    (
        "no account",
        XML[: XML.index(b"<Acct>")] + XML[XML.index(b"</Acct>") + 7 :],
        "no account; expected an element Acct",
    ),
    ("an account without a number", xml(b"<IBAN>NL20INGB0001234567</IBAN>", b""), "an account without a number"),
    ("a currency nobody has", XML.replace(b"EUR", b"EUX"), "unknown currency 'EUX'"),
    ("no closing balance", XML.replace(b"CLBD", b"XXXX"), "has no closing balance (CLBD)"),
    ("no opening balance", XML.replace(b"OPBD", b"XXXX"), "has no opening balance (OPBD or PRCD)"),
    ("an amount in words", xml(b">121.00<", b">many<"), "'many' is no amount"),
    ("an amount with a comma", xml(b">121.00<", b">121,00<"), "'121,00' is no amount"),
    ("an amount below zero", xml(b">121.00<", b">-121.00<"), "'-121.00' is no amount"),
    ("an amount without end", xml(b">121.00<", b">1" + b"0" * 400 + b"<"), "is no amount"),
    ("an amount that is no number", xml(b">121.00<", b">NaN<"), "'NaN' is no amount"),
    ("a tenth of a cent", xml(b">121.00<", b">121.001<"), "finer than its minor unit"),
    ("neither debit nor credit", XML.replace(b"DBIT", b"DEBT"), "CdtDbtInd is 'DEBT'; expected CRDT or DBIT"),
    ("a day that is none", xml(b"<Dt>2026-11-20</Dt>", b"<Dt>2026-02-30</Dt>"), "'2026-02-30' is no day"),
    ("an entry changed", xml(b">121.00<", b">122.00<"), "does not add up: opening 0.00 EUR + 2 entries of 101.00 EUR"),
    ("an entry left out", without(b"<Ntry>", b"</Ntry>"), "1 entry of -21.00 EUR"),
    ("a balance in another currency", xml(b'Ccy="EUR">100.00', b'Ccy="USD">100.00'), "closing balance is in USD"),
    ("an entry in another currency", xml(b'Ccy="EUR">121.00', b'Ccy="USD">121.00'), "is in USD, the account in EUR"),
    ("MT940 cut off", SWIFT[: SWIFT.index(b":62F:")], "this statement has no closing balance (:62F:)"),
    ("MT940 without an account", swift(":25:NL20INGB0001234567\r\n", ""), "a message without an account"),
    ("MT940 without its beginning", swift(":60F:C261120EUR0,00\r\n", ""), "no opening balance (:60F:)"),
    ("MT940 with an amount in words", swift("C121,00NTRF", "CmanyNTRF"), "line 5: can't be read as MT940"),
    ("MT940 with a 13th month", swift(":61:2611201120", ":61:2613201120"), "line 5: can't be read as MT940"),
    ("MT940 that does not add up", swift("C121,00", "C121,01"), "does not add up: opening 0.00 EUR"),
    ("MT940 with two currencies", swift(":62F:C261120EUR", ":62F:C261120USD"), "closing balance is in USD"),
    ("MT940 in a currency nobody has", SWIFT.replace(b"EUR", b"EUX"), "the balances' currency is 'EUX'"),
    ("a mark of UTF-16 and odd bytes", b"\xff\xfe:\x002\x000\x00:\x00x", "it says it is utf-16, but this is not"),
]


@pytest.mark.parametrize(("wrong", "data", "why"), BAD, ids=[case[0] for case in BAD])
def test_a_bad_file_is_refused_with_where_and_why(tmp_path: Path, wrong: str, data: bytes, why: str) -> None:
    path = tmp_path / "bad"
    path.write_bytes(data)
    began = time.monotonic()
    with pytest.raises(UnableToReadBankFileError) as refused:
        read_bank_file(path)
    assert why in str(refused.value)
    assert str(refused.value).startswith("bad")
    assert len(str(refused.value)) < 400
    assert time.monotonic() - began < 20


def test_the_good_ones_beside_them_are_read(tmp_path: Path) -> None:
    for data in (XML, SWIFT, SWIFT.replace(b"\r\n", b"\n"), SWIFT.replace(b"\r\n", b"\r"), b"\xef\xbb\xbf" + SWIFT):
        path = tmp_path / "good"
        path.write_bytes(data)
        (read,) = read_bank_file(path)
        assert [entry.amount.minor for entry in read.entries] == [12_100, -2_100]
        assert read.closing == Money(10_000, "EUR")


def test_a_missing_file_and_a_wrong_encoding_are_named(tmp_path: Path) -> None:
    with pytest.raises(UnableToReadBankFileError, match="can't be opened"):
        read_bank_file(tmp_path / "none")
    path = tmp_path / "bad"
    path.write_bytes(SWIFT + b"\xe9")
    with pytest.raises(UnableToReadBankFileError, match="there is no encoding 'klingon'"):
        read_bank_file(path, encoding="klingon")
    with pytest.raises(UnableToReadBankFileError, match="not ascii"):
        read_bank_file(path, encoding="ascii")


def test_several_statements_and_pages_in_one_file(tmp_path: Path) -> None:
    path = tmp_path / "two"
    path.write_bytes(SWIFT + SWIFT.replace(b":28C:117/1", b":28C:118/1"))
    assert [statement.number for statement in read_bank_file(path)] == ["117", "118"]
    second = SWIFT.replace(b":28C:117/1", b":28C:117/2").replace(b":60F:C261120EUR0,00", b":60M:C261120EUR100,00")
    path.write_bytes(SWIFT.replace(b":62F:", b":62M:") + second.replace(b"EUR100,00\r\n-", b"EUR200,00\r\n-"))
    (joined,) = read_bank_file(path)
    assert (joined.page, len(joined.entries), joined.closing) == ("1-2", 4, Money(20_000, "EUR"))


# the bank's way to write :86: | IBAN | name | end-to-end id | reference | text
DIALECTS: list[tuple[str, str, tuple[str, str, str, str, str]]] = [
    (
        "ABN AMRO",
        "/TRTP/SEPA OVERBOEKING/IBAN/NL91ABNA0417164300/BIC/ABNANL2A/NAME/J JANSE\nN/REMI/FACTUUR 17/EREF/E-1",
        ("NL91ABNA0417164300", "J JANSEN", "E-1", "", "FACTUUR 17"),
    ),
    (
        "ABN AMRO, labels",
        "SEPA OVERBOEKING IBAN: NL91ABNA0417164300\nNAAM: J JANSEN\nOMSCHRIJVING: FACTUUR 17 KENMERK: E-2",
        ("NL91ABNA0417164300", "J JANSEN", "E-2", "", "FACTUUR 17"),
    ),
    (
        "ABN AMRO, giro",
        "GIRO   428428 KPN - DIGITENNE    BETALINGSKENM.  000000042188659\n5314606715            BETREFT FACTUUR",
        ("", "", "", "0000000421886595", "GIRO 428428 KPN - DIGITENNE BETALINGSKENM. 000000042188659 5314606715"),
    ),
    (
        "ING",
        "/EREF/E-3//CNTP/NL47INGB9999999999/INGBNL2A/J JANSEN/ROSMALEN//REMI/USTD//Nota 17/",
        ("NL47INGB9999999999", "J JANSEN", "E-3", "", "Nota 17"),
    ),
    (
        "ING, structured",
        "/CNTP/NL47INGB9999999999/INGBNL2A/J JANSEN///REMI/STRD/CUR/5000056789012345/",
        ("NL47INGB9999999999", "J JANSEN", "", "5000056789012345", "CUR/5000056789012345"),
    ),
    (
        "Rabobank",
        "/EREF/NOTPROVIDED/ORDP//NAME/J JANSEN/REMI/Reference 17/ISDT/2013-01-02",
        ("", "J JANSEN", "", "", "Reference 17"),
    ),
    (
        "SNS, ASN",
        "NL47INGB9999999999 hr g paulissen\nBetaling sieraden",
        ("NL47INGB9999999999", "hr g paulissen", "", "", "Betaling sieraden"),
    ),
    (
        "Knab",
        "FACTUUR 201403110\nREK: NL65INGB0123456789/NAAM: PICQER",
        ("NL65INGB0123456789", "PICQER", "", "", "FACTUUR 201403110"),
    ),
    (
        "Triodos",
        "000>100987654321\n>20ALGEMENE TUSSENREKENING KOS>21TEN VAN 01-10>31NL47TRIO0390123456",
        ("NL47TRIO0390123456", "", "", "", "ALGEMENE TUSSENREKENING KOSTEN VAN 01-10"),
    ),
    (
        "bunq",
        "/TRTP/SCT/IBAN/NL02BUNQ2025378591/NAME/A. Bee/REMI/hosting/EREF/NOTPROVIDED",
        ("NL02BUNQ2025378591", "A. Bee", "", "", "hosting"),
    ),
    ("plain words", "just a text", ("", "", "", "", "just a text")),
]


@pytest.mark.parametrize(("bank", "text", "said"), DIALECTS, ids=[case[0] for case in DIALECTS])
def test_each_banks_way_to_say_who_and_what(bank: str, text: str, said: tuple[str, str, str, str, str]) -> None:
    from coulance.integrations.bank.details import read_details

    found = read_details(text)
    iban, name, end_to_end, reference, words = said
    assert (found.iban, found.name, found.end_to_end_id) == (iban, name, end_to_end)
    assert (found.structured_reference, found.remittance.startswith(words)) == (reference, True), found


def test_returns_are_seen_whatever_the_bank_calls_them() -> None:
    from coulance.integrations.bank.details import read_details

    assert read_details("/TRTP/SEPA TERUGBOEKING/IBAN/NL91ABNA0417164300/RTRN/MD06").return_reason == "MD06"
