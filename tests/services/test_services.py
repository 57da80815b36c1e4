"""Services, subscriptions and series: what the operations do, and what the database refuses whoever asks."""

from datetime import date
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction

from coulance.customers import operations as customers
from coulance.services import operations, queries


@pytest.fixture
def vps(db: Any) -> int:
    """One account with a VPS since January."""
    customers.create_account(
        external_id="c1", name="Ada", kind="business", country="NL", currency="EUR", zone="Europe/Amsterdam",
        language="nl",
    )  # fmt: skip
    return operations.start_service(
        account="c1", external_id="s1", name="web1", kind="vps", started_on=date(2026, 1, 10), plan="vps-s"
    )


def _spans(service: int) -> list[tuple[str, int, str, str]]:
    rows = queries.subscriptions([service]).get(service, ())
    return [(r.plan, r.quantity, str(r.valid_from), str(r.valid_until)) for r in rows]


def test_a_plan_changes_from_a_day_on(vps: int) -> None:
    operations.change_plan(service="s1", plan="vps-m", from_date=date(2026, 3, 15))
    assert _spans(vps) == [("vps-s", 1, "2026-01-10", "2026-03-15"), ("vps-m", 1, "2026-03-15", "None")]
    operations.change_plan(service="s1", plan="vps-l", from_date=date(2026, 3, 15), quantity=2)
    assert _spans(vps) == [("vps-s", 1, "2026-01-10", "2026-03-15"), ("vps-l", 2, "2026-03-15", "None")]
    operations.change_plan(service="s1", plan="seats", from_date=date(2026, 2, 1))
    assert _spans(vps) == [("vps-s", 1, "2026-01-10", "2026-02-01"), ("seats", 1, "2026-02-01", "None")]
    operations.change_plan(service="s1", plan="vps-m", from_date=date(2026, 1, 10))
    assert _spans(vps) == [("vps-m", 1, "2026-01-10", "None")]


def test_a_service_ends_and_its_later_plans_with_it(vps: int) -> None:
    operations.change_plan(service="s1", plan="vps-m", from_date=date(2026, 9, 1))
    operations.end_service(service="s1", on=date(2026, 8, 1))
    assert _spans(vps) == [("vps-s", 1, "2026-01-10", "2026-08-01")]
    assert queries.service("s1").ended_on == date(2026, 8, 1)
    operations.end_service(service="s1", on=date(2026, 8, 15))
    assert _spans(vps) == [("vps-s", 1, "2026-01-10", "2026-08-15")]


NEW = {"account": "c1", "external_id": "s2", "name": "x", "kind": "vps", "started_on": date(2026, 1, 1), "plan": "p"}
CHANGE = {"service": "s1", "plan": "x", "from_date": date(2026, 2, 9)}
REFUSED = [
    (operations.change_plan, {**CHANGE, "from_date": date(2026, 1, 9)}, "not on 2026-01-09"),
    (operations.change_plan, {**CHANGE, "service": "s9"}, "no service 's9'"),
    (operations.change_plan, {**CHANGE, "quantity": 0}, "expected 1 or more"),
    (operations.end_service, {"service": "s1", "on": date(2026, 1, 10)}, "expected a later day"),
    (operations.start_service, {**NEW, "external_id": "s1"}, "there already"),
    (operations.start_service, {**NEW, "kind": "boat"}, "kind 'boat'"),
    (operations.start_service, {**NEW, "quantity": 0}, "expected 1 or more"),
    (operations.assign_series, {"key": "k", "service": "s9", "meter": "traffic"}, "no service 's9'"),
]


@pytest.mark.parametrize(("operation", "asked", "what"), REFUSED)
def test_what_cannot_be_is_refused(vps: int, operation: Any, asked: dict[str, Any], what: str) -> None:
    before = _spans(vps)
    with pytest.raises(ValueError, match=what) as refused:
        operation(**asked)
    assert type(refused.value).__name__.startswith("UnableTo")
    assert _spans(vps) == before
    assert len(queries.services()) == 1


INSERT = "INSERT INTO services_subscription (service_id, plan, quantity, valid_from, valid_until)"


@pytest.mark.parametrize(
    "statement",
    [
        f"{INSERT} VALUES ({{id}}, 'x', 1, '2026-05-01', NULL)",
        f"{INSERT} VALUES ({{id}}, 'x', 1, '2025-05-01', '2026-01-11')",
        "UPDATE services_subscription SET quantity = 0",
        "UPDATE services_subscription SET valid_until = valid_from",
        "UPDATE services_service SET ended_on = started_on",
        "UPDATE services_service SET external_id = ''",
        "UPDATE customers_account SET billing_day = 32",
        "UPDATE customers_account SET country = 'nl'",
        "UPDATE customers_account SET kind = 'friend'",
    ],
)
def test_the_database_refuses_it_too(vps: int, statement: str) -> None:
    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement.format(id=vps))
    assert _spans(vps) == [("vps-s", 1, "2026-01-10", "None")]


def test_neighbouring_subscriptions_are_no_overlap(vps: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO services_subscription (service_id, plan, quantity, valid_from, valid_until) "
            "VALUES (%s, 'x', 1, '2025-12-01', '2026-01-10')",
            [vps],
        )
    assert [span[0] for span in _spans(vps)] == ["x", "vps-s"]


def test_series_are_found_by_key_and_the_index_knows_when_it_is_old(vps: int) -> None:
    assert queries.series_index() == {}
    first = operations.assign_series(key="sw1/ge-0/0/1", service="s1", meter="port")
    ref = queries.series_index()["sw1/ge-0/0/1"]
    assert (ref.id, ref.meter, ref.service_id, ref.zone) == (first, "port", vps, "Europe/Amsterdam")
    assert queries.series_index() is queries.series_index(), "kept while nothing changes"
    assert operations.assign_series(key="sw1/ge-0/0/1", service="s1", meter="port") == first
    with pytest.raises(operations.UnableToAssignSeriesError, match="another service or meter"):
        operations.assign_series(key="sw1/ge-0/0/1", service="s1", meter="traffic")
    operations.assign_series(key="b", service="s1", meter="port")
    assert set(queries.series_index()) == {"sw1/ge-0/0/1", "b"} == set(queries.series_refs(["sw1/ge-0/0/1", "b", "?"]))
    customers.update_account(external_id="c1", zone="Europe/London")
    assert queries.series_index()["b"].zone == "Europe/London"


def test_the_index_sees_what_another_process_did(committed_db: Any) -> None:
    customers.create_account(
        external_id="c1", name="Ada", kind="business", country="NL", currency="EUR", zone="UTC", language="nl"
    )
    service = operations.start_service(
        account="c1", external_id="s1", name="x", kind="vps", started_on=date(2026, 1, 1), plan="p"
    )
    operations.assign_series(key="a", service="s1", meter="m")
    assert set(queries.series_index()) == {"a"}
    with committed_db.connect() as other:
        other.execute("INSERT INTO services_series (key, service_id, meter) VALUES ('b', %s, 'm')", [service])
        assert set(queries.series_index()) == {"a", "b"}
        other.execute("DELETE FROM services_series WHERE key = 'a'")
    assert set(queries.series_index()) == {"b"}


def test_accounts_for_close_brings_everything_in_few_queries(vps: int, django_queries: Any) -> None:
    for number in range(2, 30):
        customers.create_account(
            external_id=f"c{number}", name="x", kind="consumer", country="DE", currency="EUR", zone="Europe/Berlin",
            language="de", billing_day=31,
        )  # fmt: skip
        operations.start_service(
            account=f"c{number}", external_id=f"v{number}", name="x", kind="vps", started_on=date(2026, 2, 1), plan="p"
        )
        operations.assign_series(key=f"k{number}", service=f"v{number}", meter="traffic")
    ids = [row.id for row in queries.customers.accounts()]
    with django_queries() as ran:
        found = queries.accounts_for_close(ids)
    assert len(ran) == 5
    assert [each.account.id for each in found] == ids
    last = found[-1]
    assert (last.account.external_id, last.account.billing_day) == ("c29", 31)
    [service] = last.services
    assert (service.external_id, [s.key for s in service.series]) == ("v29", ["k29"])
    assert service.subscriptions == (queries.SubscriptionRow("p", 1, date(2026, 2, 1), None),)
    assert found[0].services[0].series == ()
    assert queries.accounts_for_close([]) == []


def test_who_is_on_a_plan(vps: int) -> None:
    operations.change_plan(service="s1", plan="vps-m", from_date=date(2026, 6, 1), quantity=3)
    assert queries.plans_in_use(date(2026, 2, 1)) == {"vps-s": 1, "vps-m": 1}
    assert queries.plans_in_use(date(2026, 6, 1)) == {"vps-m": 1}
    [user] = queries.services_on_plan("vps-m", date(2026, 2, 1))
    assert user == ("s1", "web1", "c1", 3)


@pytest.fixture
def django_queries() -> Any:
    """A context that counts the queries within it."""
    from django.test.utils import CaptureQueriesContext

    return lambda: CaptureQueriesContext(connection)
