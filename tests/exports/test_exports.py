"""Exports for accountants, read back by readers of our own: order, sizes, references, totals, the journal's sums."""

import csv
import io
import re
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from coulance.catalog import operations as catalog
from coulance.catalog.reader import read_provider_file
from coulance.flows.exports import datev, xaf
from coulance.flows.exports.books import Books, UnableToExportError, books, decimal
from coulance.ledger import queries as ledger
from coulance_core.ledger import AccountClass, account_class
from tests.catalog import EXAMPLE
from tests.payments.till import DAY, ON, customer

AT = datetime(2026, 12, 1, 9, 30, 15, 123_000, tzinfo=UTC)
FIRST, LAST = date(2026, 11, 1), date(2026, 11, 30)

# The sequence of each element in XmlAuditfileFinancieel3.2.xsd, as far as we write it: ? may lack, * may repeat.
ORDER = {
    "auditfile": "header company",
    "header": "fiscalYear startDate endDate curCode dateCreated softwareDesc? softwareVersion?",
    "company": "companyIdent? companyName taxRegistrationCountry taxRegIdent customersSuppliers? generalLedger?"
    " periods? openingBalance? transactions?",
    "customersSuppliers": "customerSupplier*",
    "customerSupplier": "custSupID custSupName? taxRegistrationCountry? taxRegIdent? custSupTp? streetAddress*",
    "streetAddress": "streetname? country?",
    "generalLedger": "ledgerAccount*",
    "ledgerAccount": "accID accDesc accTp",
    "periods": "period*",
    "period": "periodNumber periodDesc? startDatePeriod endDatePeriod",
    "openingBalance": "opBalDate linesCount totalDebit totalCredit obLine*",
    "obLine": "nr accID amnt amntTp",
    "transactions": "linesCount totalDebit totalCredit journal*",
    "journal": "jrnID desc jrnTp? transaction*",
    "transaction": "nr desc? periodNumber trDt sourceID? trLine*",
    "trLine": "nr accID docRef effDate amnt amntTp custSupID? invRef?",
}
SIZES = {
    "accID": 35,
    "custSupID": 35,
    "custSupName": 50,
    "nr": 35,
    "taxRegIdent": 30,
    "softwareVersion": 20,
    "sourceID": 35,
}
VALUES = {
    "amnt": r"[0-9]{1,18}\.[0-9]{2}",
    "totalDebit": r"[0-9]{1,18}\.[0-9]{2}",
    "totalCredit": r"[0-9]{1,18}\.[0-9]{2}",
    "amntTp": "[DC]",
    "accTp": "[BMP]",
    "custSupTp": "[BCOS]",
    "jrnTp": "[BCGMOPSTYZ]",
    "trDt": r"\d{4}-\d\d-\d\d",
    "effDate": r"\d{4}-\d\d-\d\d",
    "curCode": "[A-Z]{3}",
    "taxRegistrationCountry": "[A-Z]{2}",
    "periodNumber": "[0-9]{1,3}",
    "linesCount": "[0-9]{1,10}",
}


@pytest.fixture
def month(db: Any) -> Books:
    """A month with invoices, a credit note, payments, an overpayment; one thing of the month before."""
    catalog.apply_catalog(file=read_provider_file(EXAMPLE), actor="tests", at=datetime(2026, 1, 1, tzinfo=UTC))
    anna, ben = customer("Änna & <Zoon>"), customer("ben")
    before = anna.invoice("old", 12100, on=date(2026, 10, 20))
    anna.pays(12100, before, on=date(2026, 10, 25))
    anna.invoice("o", 6050, on=date(2026, 10, 28))
    anna.invoice("a", 24200)
    ben.invoice("b", 12100, overage=True)
    ben.credit("b", 1000)
    anna.pays(30000, on=ON + DAY)
    ben.pays(20000, on=ON + DAY)
    return books(start=FIRST, end=LAST)


def _check(element: Any) -> Iterator[str]:
    name = etree.QName(element).localname
    names = [etree.QName(found).localname for found in element]
    if name in ORDER:
        allowed = "".join(
            f"(?:{part.rstrip('?*')} )" + {"?": "?", "*": "*"}.get(part[-1], "") for part in ORDER[name].split()
        )
        if not re.fullmatch(allowed, "".join(f"{found} " for found in names)):
            yield f"{name} holds {names}"
    elif names:
        yield f"{name} is not to hold anything"
    else:
        text = element.text or ""
        if not text.strip() or len(text) > SIZES.get(name, 9999) or not re.fullmatch(VALUES.get(name, r"(?s).*"), text):
            yield f"{name}: {text!r}"
    for found in element:
        yield from _check(found)


def _read_xaf(given: Books) -> Any:
    return etree.fromstring("".join(xaf.xaf(given, created_on=AT.date())).encode())


def _texts(element: Any, path: str) -> list[str]:
    return [str(found.text) for found in element.findall("/".join(f"{{{xaf.NAMESPACE}}}{p}" for p in path.split("/")))]


def _signed(lines: list[Any]) -> list[tuple[str, Decimal]]:
    out = []
    for line in lines:
        (account,), (amount,), (side,) = (_texts(line, name) for name in ("accID", "amnt", "amntTp"))
        out.append((account, Decimal(amount) if side == "D" else -Decimal(amount)))
    return out


def test_xaf_has_the_schemas_order_and_its_totals_hold(month: Books) -> None:
    root = _read_xaf(month)
    assert list(_check(root)) == []
    lines = root.findall(f".//{{{xaf.NAMESPACE}}}trLine")
    told = _signed(lines)
    (debit,), (credit,), (count,) = (
        _texts(root, f"company/transactions/{name}") for name in ("totalDebit", "totalCredit", "linesCount")
    )
    assert Decimal(debit) == sum(amount for _, amount in told if amount > 0) == Decimal(credit)
    assert int(count) == len(lines) == sum(len(entry.postings) for entry in month.entries)
    for transaction in root.findall(f".//{{{xaf.NAMESPACE}}}transaction"):
        assert sum(amount for _, amount in _signed(transaction.findall(f"{{{xaf.NAMESPACE}}}trLine"))) == 0
    # Whatever is named is told before.
    accounts = set(_texts(root, "company/generalLedger/ledgerAccount/accID"))
    assert {account for account, _ in told} <= accounts
    known = set(_texts(root, "company/customersSuppliers/customerSupplier/custSupID"))
    assert set(_texts(root, "company/transactions/journal/transaction/trLine/custSupID")) == known
    assert set(_texts(root, "company/transactions/journal/transaction/periodNumber")) <= set(
        _texts(root, "company/periods/period/periodNumber")
    )
    assert len(known) == 2


def test_xaf_opens_and_moves_to_where_the_trial_balance_is(month: Books) -> None:
    root = _read_xaf(month)
    opening = _signed(root.findall(f".//{{{xaf.NAMESPACE}}}obLine"))
    assert sum(amount for _, amount in opening) == 0
    reached: dict[str, Decimal] = defaultdict(Decimal)
    for account, amount in [*opening, *_signed(root.findall(f".//{{{xaf.NAMESPACE}}}trLine"))]:
        reached[account] += amount
    for row in ledger.trial_balance():
        if account_class(row.account) in (AccountClass.ASSETS, AccountClass.LIABILITIES):
            assert reached[row.account] == Decimal(row.balance.decimal()), row.account
    assert reached[xaf.RESULT] == -Decimal("150.00")  # October's revenue without tax


def test_each_entry_is_in_the_journal_where_it_is_looked_for(month: Books) -> None:
    root = _read_xaf(month)
    found = {
        _texts(journal, "jrnID")[0]: len(_texts(journal, "transaction/nr"))
        for journal in root.findall(f".//{{{xaf.NAMESPACE}}}journal")
    }
    assert (found["VERKOOP"], found["BANK"]) == (3, 2)
    assert sum(found.values()) == len(month.entries)
    references = _texts(root, "company/transactions/journal/transaction/trLine/invRef")
    assert all(re.fullmatch(r"[BOC]2026-\d+", reference) for reference in references), references


def _read_datev(lines: Iterator[bytes]) -> list[list[str]]:
    text = b"".join(lines).decode("cp1252")
    assert text.endswith("\r\n")
    assert "\n" not in text.replace("\r\n", "")
    return list(csv.reader(io.StringIO(text, newline=""), delimiter=";"))


def test_datev_bookings_hold_the_format(month: Books) -> None:
    head, names, *rows = _read_datev(datev.buchungsstapel(month, datev.DatevTerms(), created_at=AT))
    assert (len(head), len(names)) == (31, 125)
    assert head[:6] == ["EXTF", "700", "21", "Buchungsstapel", "13", "20261201093015123"]
    assert head[10:16] == ["1001", "1", "20260101", "4", "20261101", "20261130"]
    assert head[21] == "EUR"
    assert names[113] == "Festschreibung"
    assert names[117] == "Generalumkehr (GU)"
    assert rows
    for row in rows:
        assert len(row) == 125
        assert re.fullmatch(r"[0-9]{1,10},[0-9]{2}", row[0])
        assert row[1] == "S"
        assert re.fullmatch(r"[0-9]{4,5}", row[6])
        assert re.fullmatch(r"[0-9]{4,5}", row[7])
        assert re.fullmatch(r"[0-3][0-9]11", row[9])
        assert re.fullmatch(r"[A-Za-z0-9$&%*+\-/]{1,36}", row[10])
        assert 0 < len(row[13]) <= 60


def test_datev_bookings_sum_to_the_journal(month: Books) -> None:
    _, _, *rows = _read_datev(datev.buchungsstapel(month, datev.DatevTerms(), created_at=AT))
    by_number: dict[str, Decimal] = defaultdict(Decimal)
    for row in rows:
        amount = Decimal(row[0].replace(",", "."))
        by_number[row[6]] += amount
        by_number[row[7]] -= amount
    wanted: dict[str, Decimal] = defaultdict(Decimal)
    for entry in month.entries:
        for posting in entry.postings:
            code = posting.account
            number = datev.SKR03.get(code) or datev.SKR03.get(code.partition(":")[0])
            owner = month.customer(entry)
            assert owner is not None
            key = number or datev.debtor_account(owner.id, datev.DatevTerms())
            wanted[key] += Decimal(decimal(posting.amount, "EUR"))
    assert dict(by_number) == dict(wanted)
    _, _, *debtors = _read_datev(datev.debitoren(month, datev.DatevTerms(), created_at=AT))
    assert {row[0] for row in debtors} == {key for key in by_number if len(key) == 5}


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"consultant": 1}, "1001 to 9999999"),
    ({"account_length": 9}, "4 to 8"),
    ({"year_starts": 13}, "1 to 12"),
    ({"accounts": {"revenue": "82000"}}, "up to 4 digits"),
    ({"accounts": {"revenue": "8200"}}, "no account number for"),
]


@pytest.mark.parametrize(("wrong", "why"), WRONG)
def test_datev_terms_that_can_not_be_are_refused(month: Books, wrong: dict[str, Any], why: str) -> None:
    with pytest.raises(UnableToExportError, match=why):
        list(datev.buchungsstapel(month, datev.DatevTerms(**wrong), created_at=AT))


def test_spans_that_a_format_can_not_hold_are_refused(month: Books) -> None:
    two_years = books(start=date(2025, 12, 1), end=LAST)
    with pytest.raises(UnableToExportError, match="fiscal year"):
        list(datev.buchungsstapel(two_years, datev.DatevTerms(), created_at=AT))
    with pytest.raises(UnableToExportError, match="fiscal year"):
        list(xaf.xaf(books(start=date(2025, 11, 1), end=LAST), created_on=AT.date()))
    with pytest.raises(UnableToExportError, match="before the first"):
        books(start=LAST, end=FIRST)


def test_names_that_a_format_can_not_hold_are_spelt_as_near_as_it_can(month: Books) -> None:
    assert datev._text("Łódź \N{CJK UNIFIED IDEOGRAPH-6E2C} „Ünï“;\n" + "x" * 80, 20) == '"?ódz ? „Ünï“; xxxxxx"'


def test_the_command_writes_whole_files_or_none(tmp_path: Path) -> None:
    from click.testing import CliRunner

    from coulance.cli.ledger import export

    done = CliRunner().invoke(export, ["--format", "xaf", "--output", str(tmp_path / "books.xaf")])
    assert done.exit_code == 2
    assert "wants --from and --to" in done.output
    assert list(tmp_path.iterdir()) == []
