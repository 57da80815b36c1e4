# ruff: noqa: E501 - a table reads best with a case a line
"""Malformed customer files: each fault with file, line, column and cell; every one at once; and nothing written."""

from pathlib import Path
from typing import Any

import pytest

from coulance.catalog import operations as catalog_operations
from coulance.catalog import queries as catalog
from coulance.catalog.faults import Faults
from coulance.catalog.reader import read_provider_file
from coulance.customers import queries as customers
from coulance.flows.customer_file import read_files
from coulance.flows.import_customers import UnableToImportCustomersError, import_customers
from coulance.services import queries as services
from tests.catalog import EXAMPLE
from tests.customers.test_import import ACCOUNT, AT, CONTACT, SERIES, SERVICE, sheet

GOOD = sheet(ACCOUNT, CONTACT, SERVICE, SERIES)
SUBSCRIPTION = {"record": "subscription", "service": "s1", "plan": "vps-s", "from": "2026-02-01"}
NO_PLAN = {**SERVICE, "plan": ""}

# what it is; the rows; line and column of the fault (or the line alone); what it says
ROWS = [
    ("an account without a country", [{**ACCOUNT, "country": ""}], "2:8", ["country (cell H2)", "an empty cell"]),
    ("a country by its name", [{**ACCOUNT, "country": "Netherlands"}], "2:8", ["'Netherlands'", "two capital letters"]),
    ("a country in small letters", [{**ACCOUNT, "country": "nl"}], "2:8", ["'nl'", "did you mean 'NL'?"]),
    ("a country that is called otherwise", [{**ACCOUNT, "country": "UK"}], "2:8", ["'UK'", "did you mean 'GB'?"]),
    ("an unknown kind", [{**ACCOUNT, "kind": "busines"}], "2:7", ["consumer, business or public", "did you mean 'business'?"]),
    ("a VAT number with a wrong digit", [{**ACCOUNT, "vat_id": "NL004495446B01"}], "2:9", ["vat_id (cell I2)", "check digits do not fit"]),
    ("a VAT number of another country", [{**ACCOUNT, "vat_id": "DE136695976"}], "2:9", ["begins with NL"]),
    ("a consumer with a VAT number", [{**ACCOUNT, "kind": "consumer", "vat_id": "NL004495445B01"}], "2:9", ["a consumer with a VAT number"]),
    ("a billing day of 32", [{**ACCOUNT, "billing_day": "32"}], "2:17", ["'32'", "from 1 to 31"]),
    ("an unknown currency", [{**ACCOUNT, "currency": "EURO"}], "2:27", ["ISO 4217"]),
    ("a language by its name", [{**ACCOUNT, "language": "dutch"}], "2:15", ["such as nl or de-AT"]),
    ("an account twice", [ACCOUNT, {**ACCOUNT, "name": "Other"}], "3:2", ["account 'c1' is there twice, first at all.csv:2"]),
    ("a contact of nobody", [ACCOUNT, {**CONTACT, "account": "c11"}], "3:2", ["no account 'c11'", "did you mean 'c1'?"]),
    ("an address that is none", [ACCOUNT, {**CONTACT, "email": "ada@molen"}], "3:11", ["'ada@molen'", "name@example.com"]),
    ("an unknown role", [ACCOUNT, {**CONTACT, "roles": "biling"}], "3:13", ["'biling'", "did you mean 'billing'?"]),
    ("an unknown channel", [ACCOUNT, {**CONTACT, "channels": "fax"}], "3:16", ["email, sms, post or portal"]),
    ("a channel without its address", [ACCOUNT, {**CONTACT, "email": ""}], "3:11", ["since channels has email"]),
    ("neither yes nor no", [ACCOUNT, {**CONTACT, "may_incur_cost": "maybe"}], "3:14", ["yes or no"]),
    ("a mailbox on no service", [ACCOUNT, {**CONTACT, "mailbox_service": "s9"}], "3:26", ["no service 's9'"]),
    ("an unknown plan", [ACCOUNT, {**SERVICE, "plan": "vps-ss"}], "3:20", ["unknown plan 'vps-ss'", "did you mean 'vps-s'?"]),
    ("a service without a plan", [ACCOUNT, NO_PLAN], "3:20", ["an empty cell", "the plan it is on"]),
    ("a day the other way round", [ACCOUNT, {**SERVICE, "started_on": "01-02-2026"}], "3:18", ["'01-02-2026'", "2026-01-31"]),
    ("a day after all calendars", [ACCOUNT, {**SERVICE, "started_on": "9999-12-31"}], "3:18", ["from 1900 to 2199"]),
    ("a day that is none", [ACCOUNT, {**SERVICE, "started_on": "2026-02-30"}], "3:18", ["a day that exists"]),
    ("an end before the start", [ACCOUNT, {**SERVICE, "ended_on": "2026-01-01"}], "3:19", ["it ends on 2026-01-01"]),
    ("a plan that begins later", [ACCOUNT, {**SERVICE, "started_on": "2025-12-01"}], "3:18", ["plan 'vps-s' begins on 2026-01-01"]),
    ("a quantity of nothing", [ACCOUNT, {**SERVICE, "quantity": "0"}], "3:21", ["'0'", "from 1 to"]),
    ("an unknown kind of service", [ACCOUNT, {**SERVICE, "kind": "server"}], "3:7", ["vps, colo, web"]),
    ("a plan in another currency", [{**ACCOUNT, "currency": "USD"}, SERVICE], "3:20", ["plan 'vps-s' is in EUR, and account 'c1' in USD"]),
    ("two plans at once", [ACCOUNT, NO_PLAN, {**SUBSCRIPTION, "until": "2026-07-01"}, {**SUBSCRIPTION, "from": "2026-06-01"}], "4:23", ["overlaps the one from 2026-06-01 (all.csv:5)"]),
    ("a plan before the service", [ACCOUNT, NO_PLAN, {**SUBSCRIPTION, "from": "2026-01-15"}], "4:22", ["days on which the service runs: 2026-02-01 to no end"]),
    ("a plan told twice", [ACCOUNT, SERVICE, SUBSCRIPTION], "3:20", ["rows for subscriptions at all.csv:4", "one of the two"]),
    ("a subscription of nothing", [ACCOUNT, SERVICE, {**SUBSCRIPTION, "service": "s11"}], "4:4", ["no service 's11'", "did you mean 's1'?"]),
    ("an unknown meter", [ACCOUNT, SERVICE, {**SERIES, "meter": "trafic"}], "4:25", ["unknown meter 'trafic'", "did you mean 'traffic'?"]),
    ("a series of nothing", [ACCOUNT, {**SERIES, "service": "s7"}], "3:4", ["no service 's7'"]),
    ("a series twice", [ACCOUNT, SERVICE, SERIES, {**SERIES, "meter": "port"}], "5:5", ["series 'sw1/1' is there twice"]),
    ("an unknown kind of row", [{**ACCOUNT, "record": "acount"}], "2:1", ["'acount'", "did you mean 'account'?"]),
    ("a cell that says nothing", [{**ACCOUNT, "plan": "vps-s"}], "2:20", ["an empty cell", "plan says nothing of a row for account"]),
]  # fmt: skip

# what it is; file name and bytes; where the fault stands; what it says
FILES = [
    ("an empty file", "all", b"", "all.csv:", ["the file is empty"]),
    ("an unknown column", "all", GOOD.replace("vat_id", "vat_nr").encode(), "all.csv:1:9", ["unknown column 'vat_nr'", "did you mean 'vat_id'?"]),
    ("a column twice", "accounts", b"account,name,kind,country,name\n", "accounts.csv:1:5", ["column 'name' is there twice, first as column 2"]),
    ("a column without a name", "accounts", b"account,name,,country\n", "accounts.csv:1:3", ["a column without a name"]),
    ("a column that is not there", "accounts", b"account,name,kind\nc1,x,business\n", "accounts.csv:2", ["the file has no column 'country'"]),
    ("rows of nobody knows what", "stuff", b"account,name\nc1,x\n", "stuff.csv:1", ["what the rows are is not told", "a column 'record'"]),
    ("a cell too many", "accounts", b"account,name,kind,country\nc1,Molen, Zoon & Co,business,NL\n", "accounts.csv:2", ["5 cells", "4, one for each column"]),
    ("a quote left open", "accounts", b'account,name,kind,country\nc1,"Molen,business,NL\n', "accounts.csv:2", ["does not read as CSV"]),
    ("Windows-1252", "accounts", "account,name,kind,country\nc1,Café,business,NL\n".encode("cp1252"), "accounts.csv:2", ["byte e9 is not utf-8", "'é'", "--encoding cp1252"]),
    ("UTF-16", "accounts", "account,name\n".encode("utf-16"), "accounts.csv:", ["the file is UTF-16"]),
    ("a spreadsheet", "accounts", b"PK\x03\x04....", "accounts.csv:", ["the file is a spreadsheet"]),
    ("zero bytes", "accounts", b"account,name,kind,country\nc1,\x00,business,NL\n", "accounts.csv:2", ["a zero byte"]),
]  # fmt: skip


def _import(tmp_path: Path, files: dict[str, bytes], **more: Any) -> tuple[str, ...]:
    """Try to import; gives the faults it was refused for, as text."""
    catalog_operations.apply_catalog(file=read_provider_file(EXAMPLE), actor="tests", at=AT)
    faults = Faults()
    for name, text in files.items():
        (tmp_path / f"{name}.csv").write_bytes(text)
    rows = read_files([tmp_path / f"{name}.csv" for name in files], faults)
    with pytest.raises(UnableToImportCustomersError) as refused:
        import_customers(
            rows=rows, faults=faults, catalog=catalog.catalog(), sold=catalog.plans_sold(), apply=True, actor="tests",
            at=AT, **more,
        )  # fmt: skip
    assert customers.account_ids() == []
    assert services.services() == []
    return tuple(map(str, refused.value.faults))


@pytest.mark.parametrize(("what", "rows", "where", "says"), ROWS, ids=[row[0] for row in ROWS])
def test_a_malformed_row(
    db: Any, tmp_path: Path, what: str, rows: list[dict[str, str]], where: str, says: list[str]
) -> None:
    told = _import(tmp_path, {"all": sheet(*rows).encode()})
    here = [line for line in told if line.startswith(f"all.csv:{where}:")]
    assert any(all(word in line for word in says) for line in here), "\n".join(told)


@pytest.mark.parametrize(("what", "name", "text", "where", "says"), FILES, ids=[row[0] for row in FILES])
def test_a_malformed_file(
    db: Any, tmp_path: Path, what: str, name: str, text: bytes, where: str, says: list[str]
) -> None:
    told = _import(tmp_path, {name: text})
    here = [line for line in told if line.startswith(where)]
    assert any(all(word in line for word in says) for line in here), "\n".join(told)


def test_every_fault_is_told_at_once_and_good_rows_are_not_written(db: Any, tmp_path: Path) -> None:
    bad = [
        ACCOUNT,
        {**ACCOUNT, "account": "c2", "country": "nl", "billing_day": "0"},
        {**CONTACT, "email": "nobody"},
        {**SERVICE, "plan": "vps-xxl"},
        {**SERIES, "meter": "trafic"},
    ]
    told = _import(tmp_path, {"all": sheet(*bad).encode(), "series": b"service,series,meter\ns1,,traffic\n"})
    assert [line.split(": ")[0] for line in told] == [
        "all.csv:3:8", "all.csv:3:17", "all.csv:4:11", "all.csv:5:20", "all.csv:6:25", "series.csv:2:2",
    ]  # fmt: skip


def test_a_cell_over_two_lines_keeps_the_count(db: Any, tmp_path: Path) -> None:
    text = 'account,name,kind,country,address\nc1,A,business,NL,"Dijk 1\n0000 AA Nergens"\nc2,B,business,nl,x\n'
    [told] = _import(tmp_path, {"accounts": text.encode()})
    assert told.startswith("accounts.csv:4:4: country (cell D3): 'nl'"), "line 4 of the text, row 3 of the sheet"
