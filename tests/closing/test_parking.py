"""An account that cannot be billed is left out with its reason, all others are billed; mended, just it is billed."""

from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner, Result
from django.db import connection

from coulance.cli import close as command
from coulance.customers import queries as customers
from coulance.flows.closing import chunk as chunk_flow
from coulance.flows.closing import close_period as flow
from coulance.flows.closing.close_period import UnableToCloseError
from coulance.invoicing.writing import lane_of
from coulance.services import operations as services
from coulance.services import queries as service_rows
from coulance.usage import operations as usage
from tests.closing.world import World, closing_instant

LATER = """
[plans.later]
name = "Later"
[[plans.later.versions]]
from = 2026-11-01
[plans.later.versions.charges.out]
name = "Traffic out"
meter = "traffic"
direction = "out"
price = "0.10 EUR/GB"
"""


def three(world: World) -> World:
    """Three accounts that used 50 GB each."""
    world.provider(more=LATER)
    for ref in ("a", "b", "c"):
        world.account(ref).service(f"{ref}1", "bounded", account=ref, meter="traffic")
        world.use(f"{ref}1", {"2026-10-02": 50})
    return world


def no_terms(world: World) -> Callable[[], Any]:
    world.service("b2", "later", "2026-10-20", account="b")
    return lambda: services.change_plan(service="b2", plan="node", from_date=services_start())


def services_start() -> Any:
    return service_rows.service("b2").started_on


def days_taken(world: World) -> Callable[[], Any]:
    world.service("b2", "vps", "2026-10-20", account="b")
    lane, service = lane_of(service_rows.service("b2").id, "base"), service_rows.service("b2").id
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO invoicing_billed_days (lane, service_id, days) VALUES (%s, %s, '[2026-10-20,2026-10-25)')",
            [lane, service],
        )

    def mend() -> None:
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM invoicing_billed_days WHERE lane = %s", [lane])

    return mend


def wrong_counters(world: World) -> Callable[[], Any]:
    (series,) = service_rows.series_of([service_rows.service("b1").id])[service_rows.service("b1").id]
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE usage_day_page SET data = set_byte(data, %s, 77) WHERE page = %s",
            [series.id % 160 * 24 + 5, series.id // 160],
        )
    return usage.recount


def foreign_plan(world: World) -> Callable[[], Any]:
    world.service("b2", "usd", "2026-10-20", account="b")
    return lambda: services.change_plan(service="b2", plan="node", from_date=services_start())


@pytest.mark.parametrize(
    ("poison", "reason", "detail"),
    [
        (no_terms, "terms_missing", "later"),
        (days_taken, "UnableToBillTwiceError", "a day of a base fee is billed already"),
        (wrong_counters, "counters_disagree", "2026-10-02"),
        (foreign_plan, "DocumentError", "is priced in USD"),
    ],
)
def test_the_account_at_fault_is_parked_alone_and_billed_once_mended(
    world: World, poison: Callable[[World], Callable[[], Any]], reason: str, detail: str
) -> None:
    three(world)
    mend = poison(world)
    report = world.close("2026-10")
    (parked,) = report.parked
    assert (parked.account, parked.reason) == (customers.account("b").id, reason)
    assert detail in parked.detail
    assert report.totals.documents == {"overage_invoice": 2, "usage_statement": 2}
    assert world.papers("b", kinds="BVCU") == ""
    still = world.close("2026-10")  # nothing was mended: it is tried, and parked again
    assert (len(still.parked), still.totals.documents) == (1, {})
    assert world.close("2026-10", retry_parked=False, dry_run=True).totals.documents == {}
    mend()
    done = world.close("2026-10")
    assert done.parked == ()
    assert done.totals.documents["overage_invoice"] == 1
    assert "V2026-0003 2026-10: 5.00 + 1.05\n  overage b1 10-01..11-01 50 GB at 0.1: 5.00" in world.papers("b")
    assert world.close("2026-10").totals.documents == {}


def test_a_fault_that_nobody_foresaw_is_narrowed_down(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    three(world)
    bad = customers.account("b").id
    real = chunk_flow._documents

    def documents(run: Any, row: Any, *rest: Any) -> Any:
        if row.account.id == bad:
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1 / 0")  # the transaction is lost, unless somebody took care
        return real(run, row, *rest)

    monkeypatch.setattr(chunk_flow, "_documents", documents)
    report = world.close("2026-10")
    assert [(p.account, p.reason) for p in report.parked] == [(bad, "DataError")]
    assert report.totals.documents == {"overage_invoice": 2, "usage_statement": 2}


def test_an_interrupted_month_is_finished_before_the_next_begins(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    three(world)

    def power_cut(**_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(flow.invoicing, "assign_numbers", power_cut)
        with pytest.raises(KeyboardInterrupt):
            world.close("2026-10")
    for dry_run in (True, False):
        with pytest.raises(UnableToCloseError, match="run coulance close 2026-10 first"):
            world.close("2026-11", dry_run=dry_run)
    assert list(world.close("2026-10").numbers.values()) == [("V2026-0001", "V2026-0003")]
    assert world.close("2026-11").parked == ()


def run(*arguments: str) -> Result:
    return CliRunner().invoke(command.close, list(arguments))


@pytest.fixture
def here(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """The command, on the test's own database, on 4 November."""
    from contextlib import contextmanager

    from coulance.cli import session
    from coulance.platform import clock

    @contextmanager
    def database() -> Any:
        yield None

    monkeypatch.setattr(session, "working_database", database)
    monkeypatch.setattr(clock, "now", lambda: closing_instant("2026-10"))
    return three(world)


def test_the_command_closes_and_says_what_it_did(here: World) -> None:
    dry = run("2026-10", "--dry-run")
    assert dry.exit_code == 0, dry.output
    assert "2026-10 would be closed (nothing is written)" in dry.output
    assert "overage invoices" in dry.output
    assert here.papers("a") == ""
    done = run("2026-10")
    assert done.exit_code == 0, done.output
    for words in ("2026-10 is closed", "3, 15.00 EUR net", "V2026-0001 to V2026-0003", "accounts"):
        assert words in done.output
    again = run("2026-10")
    assert again.exit_code == 0
    assert "numbers" not in again.output


def test_the_command_ends_with_one_when_an_account_is_parked(here: World) -> None:
    no_terms(here)
    dry = run("2026-10", "--dry-run")
    assert dry.exit_code == 1
    done = run("2026-10")
    assert done.exit_code == 1
    assert "parked b: terms_missing" in done.output
    assert "Mend what parked them and run the same command again: it bills just those." in done.output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["2026-13"], "expected a month such as 2026-10"),
        (["october"], "expected a month such as 2026-10"),
        (["9999-12"], "expected a month such as 2026-10"),
        (["2026-10", "--at", "yesterday"], "expected an instant such as"),
        (["2026-10", "--rate", "PLN"], "expected CUR=RATE"),
        (["2026-10", "--rate", "PLN=0"], "expected CUR=RATE"),
        (["2026-10", "--rate", "pln=4.3"], "expected CUR=RATE"),
        (["2026-10", "--workers", "0"], "not in the range"),
        (["2026-12"], "a period is settled 3 days after its end"),
        (["2026-10", "--at", "2026-11-03T06:00"], "none of 3 accounts"),
    ],
)
def test_the_command_refuses_with_words_and_changes_nothing(here: World, arguments: list[str], words: str) -> None:
    answer = run(*arguments)
    assert answer.exit_code != 0
    assert words in answer.output + str(answer.exception)  # `coulance` itself prints what is an UnableTo... error
    assert isinstance(answer.exception, SystemExit | UnableToCloseError)
    assert here.papers("a") == ""


def test_rates_are_read_with_their_source(here: World) -> None:
    here.account("pole", national_tax_currency="PLN").service("p1", "bounded", account="pole", meter="traffic")
    here.use("p1", {"2026-10-02": 50})
    assert run("2026-10", "--rate", "PLN=4.31@NBP 215/A/2026").exit_code == 0
    assert here.snapshot("V2026-0004")["national"] == {
        "currency": "PLN", "rate": "4.31", "date": "2026-11-04", "tax": "4.53", "source": "NBP 215/A/2026"
    }  # fmt: skip
