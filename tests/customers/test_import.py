"""Importing customers from CSV: shown first, whole or not at all, the same again changes nothing."""

import threading
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from coulance.catalog import operations as catalog_operations
from coulance.catalog import queries as catalog
from coulance.catalog.faults import Faults
from coulance.catalog.reader import read_provider_file
from coulance.customers import queries as customers
from coulance.flows.customer_file import read_files
from coulance.flows.import_customers import ImportPlan, UnableToImportCustomersError, import_customers
from coulance.services import queries as services
from coulance.services.operations import end_service
from tests.catalog import EXAMPLE

AT = datetime(2026, 10, 5, 12, 0, tzinfo=UTC)
ROOT = EXAMPLE.parent
Run = Callable[..., ImportPlan]

HEAD = (
    "record,account,contact,service,series,name,kind,country,vat_id,address,email,phone,roles,may_incur_cost,"
    "language,channels,billing_day,started_on,ended_on,plan,quantity,from,until,pool,meter,"
    "mailbox_service,currency,billed_until"
)


def sheet(*rows: dict[str, str], head: str = HEAD) -> str:
    """A file of several kinds of rows, from dicts."""
    columns = head.split(",")
    lines = [head]
    for row in rows:
        assert set(row) <= set(columns), row
        lines.append(",".join(row.get(column, "") for column in columns))
    return "\n".join(lines) + "\n"


ACCOUNT = {"record": "account", "account": "c1", "name": "Molen BV", "kind": "business", "country": "NL"}
CONTACT = {"record": "contact", "account": "c1", "contact": "ada", "name": "Ada", "email": "ada@molen.example",
           "roles": "billing owner", "channels": "email", "may_incur_cost": "yes"}  # fmt: skip
SERVICE = {"record": "service", "account": "c1", "service": "s1", "name": "web1", "kind": "vps",
           "started_on": "2026-02-01", "plan": "vps-s"}  # fmt: skip
SERIES = {"record": "series", "service": "s1", "series": "sw1/1", "meter": "traffic"}


@pytest.fixture
def run(db: Any, tmp_path: Path) -> Run:
    """Imports texts by file name, against the example catalog."""
    catalog_operations.apply_catalog(file=read_provider_file(EXAMPLE), actor="tests", at=AT)

    def run(apply: bool = True, encoding: str = "utf-8", closed: str | None = None, **texts: str | bytes) -> ImportPlan:
        paths = []
        for name, text in texts.items():
            path = tmp_path / f"{name}.csv"
            path.write_bytes(text if isinstance(text, bytes) else text.encode())
            paths.append(path)
        faults = Faults()
        rows = read_files(paths, faults, encoding=encoding)
        return import_customers(
            rows=rows, faults=faults, catalog=catalog.catalog(), sold=catalog.plans_sold(), apply=apply,
            actor="tests", at=AT, closed_period=closed,
        )  # fmt: skip

    return run


def _everything() -> tuple[Any, ...]:
    return (
        [row._replace(pseudonym=None) for row in customers.accounts()],  # type: ignore[arg-type]
        customers.contacts(customers.account_ids()),
        services.accounts_for_close(customers.account_ids()),
    )


def test_shown_first_and_written_when_asked(run: Run) -> None:
    text = sheet(ACCOUNT, CONTACT, SERVICE, SERIES)
    plan = run(apply=False, all=text)
    assert (plan.faults, plan.writes, plan.count("service", "created")) == ((), 4, 1)
    assert customers.account_ids() == []
    run(all=text)
    [account] = customers.accounts()
    assert (account.external_id, account.currency, account.zone, account.language, account.billing_day) == (
        "c1", "EUR", "Europe/Amsterdam", "nl", 1,
    )  # fmt: skip
    [contact] = customers.contacts([account.id])
    assert (contact.roles, contact.may_incur_cost, contact.language) == (["billing", "owner"], True, "nl")
    [found] = services.accounts_for_close([account.id])
    [service] = found.services
    assert service.subscriptions == (services.SubscriptionRow("vps-s", 1, date(2026, 2, 1), None),)
    assert [(s.key, s.meter) for s in service.series] == [("sw1/1", "traffic")]


def test_the_same_again_changes_nothing(run: Run) -> None:
    text = sheet(ACCOUNT, CONTACT, SERVICE, SERIES)
    run(all=text)
    before = _everything()
    again = run(all=text)
    assert again.writes == 0
    assert again.count("account", "unchanged") == again.count("series", "unchanged") == 1
    assert _everything() == before


def test_a_change_is_told_field_by_field(run: Run) -> None:
    run(all=sheet(ACCOUNT, CONTACT, SERVICE))
    plan = run(
        all=sheet({**ACCOUNT, "name": "Molen NV"}, {**CONTACT, "roles": "billing"}, {**SERVICE, "quantity": "3"})
    )
    told = {(item.record, item.external_id): item.details for item in plan.items}
    assert told["account", "c1"] == ("name: Molen BV -> Molen NV",)
    assert told["contact", "c1/ada"] == ("roles: billing | owner -> billing",)
    assert told["service", "s1"] == ("plan: vps-s from 2026-02-01 -> vps-s x3 from 2026-02-01",)
    assert customers.account("c1").name == "Molen NV"


def test_columns_a_file_lacks_leave_what_is_there(run: Run) -> None:
    run(all=sheet({**ACCOUNT, "vat_id": "NL004495445B01", "billing_day": "15", "currency": "EUR"}))
    plan = run(accounts="account,name,kind,country\nc1,Molen BV,business,NL\n")
    assert plan.writes == 0
    assert customers.account("c1").billing_day == 15


def test_plans_over_time_come_as_subscriptions(run: Run) -> None:
    service = {**SERVICE, "plan": "", "ended_on": "2026-10-01"}
    plans = [
        {"record": "subscription", "service": "s1", "plan": "vps-m", "from": "2026-06-15"},
        {"record": "subscription", "service": "s1", "plan": "vps-s", "from": "2026-02-01"},
    ]
    run(all=sheet(ACCOUNT, service, *plans))
    rows = services.subscriptions([services.service("s1").id])
    assert [tuple(map(str, row)) for own in rows.values() for row in own] == [
        ("vps-s", "1", "2026-02-01", "2026-06-15"),
        ("vps-m", "1", "2026-06-15", "2026-10-01"),
    ]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize(("encoding", "mark"), [("utf-8", ""), ("utf-8", "\ufeff"), ("cp1252", "")])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_files_as_spreadsheets_write_them(run: Run, delimiter: str, encoding: str, mark: str, newline: str) -> None:
    rows = [
        ["account", "name", "kind", "country", "address"],
        ["c1", '"Café ""Ü"" & Zn"', "business", "NL", '"Dijk 1|0000 AA Nergens"'],
    ]
    text = mark + newline.join(delimiter.join(cells) for cells in rows) + newline
    run(accounts=text.encode(encoding), encoding=encoding)
    account = customers.account("c1")
    assert (account.name, account.address) == ('Café "Ü" & Zn', ["Dijk 1", "0000 AA Nergens"])


def test_billed_days_keep_their_plan(run: Run) -> None:
    run(all=sheet(ACCOUNT, SERVICE))
    before = _everything()
    with pytest.raises(UnableToImportCustomersError, match="had before 2026-10-01, which is billed"):
        run(all=sheet(ACCOUNT, {**SERVICE, "plan": "vps-m"}), closed="2026-09")
    assert _everything() == before
    later = [
        {"record": "subscription", "service": "s1", "plan": "vps-s", "from": "2026-02-01"},
        {"record": "subscription", "service": "s1", "plan": "vps-m", "from": "2026-10-01"},
    ]
    assert run(all=sheet(ACCOUNT, *later), closed="2026-09").writes == 1


def test_billed_days_end_on_the_accounts_own_billing_day(run: Run) -> None:
    run(all=sheet({**ACCOUNT, "billing_day": "15"}, SERVICE))
    before = [{"record": "subscription", "service": "s1", "plan": "vps-s", "from": "2026-02-01"}]
    with pytest.raises(UnableToImportCustomersError, match="had before 2026-10-15, which is billed"):
        run(all=sheet(*before, {**before[0], "plan": "vps-m", "from": "2026-10-14"}), closed="2026-09")
    assert run(all=sheet(*before, {**before[0], "plan": "vps-m", "from": "2026-10-15"}), closed="2026-09").writes == 1


def test_an_empty_cell_does_not_bring_an_ended_service_back(run: Run) -> None:
    text = sheet(ACCOUNT, SERVICE)
    run(all=text)
    end_service(service="s1", on=date(2026, 9, 1))
    assert run(all=text).writes == 0
    assert services.service("s1").ended_on == date(2026, 9, 1)


def test_what_was_billed_elsewhere_is_kept_and_stays_once_months_are_closed(run: Run) -> None:
    taken_over = {**SERVICE, "billed_until": "2026-11-01"}
    plan = run(all=sheet(ACCOUNT, taken_over))
    assert not [note for note in plan.notes if "base fees" in note]
    (account,) = services.accounts_for_close(customers.account_ids())
    assert account.services[0].billed_until == date(2026, 11, 1)
    assert run(all=sheet(ACCOUNT, SERVICE), closed="2026-10").writes == 0  # an empty cell changes nothing
    with pytest.raises(UnableToImportCustomersError, match="months were billed by it since"):
        run(all=sheet(ACCOUNT, {**SERVICE, "billed_until": "2026-12-01"}), closed="2026-10")
    assert run(all=sheet(ACCOUNT, {**SERVICE, "billed_until": "2026-12-01"})).count("service", "changed") == 1


def test_what_is_probably_not_meant_is_noted(run: Run) -> None:
    plan = run(all=sheet(ACCOUNT, {**CONTACT, "roles": "technical"}, SERVICE, {**SERIES, "meter": "objects"}))
    assert plan.notes == [
        "account 'c1' has no contact with the role billing",
        (
            "service 's1' started on 2026-02-01: base fees are billed from then on; give billed_until if they were "
            "billed elsewhere up to some day"
        ),
        "series 'sw1/1' counts objects, which vps-s does not charge for",
    ]


@pytest.mark.parametrize(("column", "new"), [("billing_day", "15"), ("zone", "Europe/London")])
def test_who_was_billed_keeps_day_and_zone(run: Run, column: str, new: str) -> None:
    text = "account,name,kind,country,billing_day,zone\nc1,Molen BV,business,NL,1,Europe/Amsterdam\n"
    run(accounts=text)
    changed = text.replace("1,Europe", "15,Europe") if column == "billing_day" else text.replace("Amsterdam", "London")
    with pytest.raises(UnableToImportCustomersError, match=rf"{column} .*was billed to 2026-09 by"):
        run(accounts=changed, closed="2026-09")
    assert run(accounts=changed).writes == 1, "nothing is billed yet"


def test_the_import_is_in_the_audit_log(run: Run) -> None:
    from coulance.platform import audit

    run(all=sheet(ACCOUNT, SERVICE))
    [event] = audit.events(act="customers.imported")
    assert (event.actor, event.detail) == ("tests", {"account created": 1, "service created": 1})


def test_the_example_files_import(run: Run) -> None:
    texts = {path.stem: path.read_text() for path in (ROOT / "customers").glob("*.csv")}
    assert set(texts) == {"accounts", "contacts", "services", "series"}
    plan = run(**texts)
    assert plan.count("service", "created") >= 4
    assert plan.notes == []
    assert run(**texts).writes == 0


def test_a_thousand_customers_are_a_few_statements(run: Run, db: Any) -> None:
    from django.test.utils import CaptureQueriesContext

    rows = []
    for number in range(1000):
        rows += [{**ACCOUNT, "account": f"c{number}"}, {**SERVICE, "account": f"c{number}", "service": f"s{number}"}]
    with CaptureQueriesContext(db) as ran:
        plan = run(all=sheet(*rows))
    assert plan.count("account", "created") == 1000
    assert len(ran) < 40


def test_two_imports_at_once_take_turns(committed_db: Any, tmp_path: Path) -> None:
    catalog_operations.apply_catalog(file=read_provider_file(EXAMPLE), actor="tests", at=AT)
    path = tmp_path / "all.csv"
    path.write_text(sheet(ACCOUNT, CONTACT, SERVICE, SERIES))
    terms, sold = catalog.catalog(), catalog.plans_sold()
    start = threading.Barrier(3)
    writes: list[int] = []

    def run() -> None:
        faults = Faults()
        rows = read_files([path], faults)
        start.wait()
        try:
            plan = import_customers(
                rows=rows, faults=faults, catalog=terms, sold=sold, apply=True, actor="tests", at=AT
            )
            writes.append(plan.writes)
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(writes) == [0, 0, 4], "the first creates, the others find it there"
    assert len(services.services()) == 1
