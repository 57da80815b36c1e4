"""An overage invoice that waits for its customer: what is asked, what each choice issues, and what silence does."""

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

from coulance.catalog import queries as catalogs
from coulance.flows.settling_first import asking, settling, waiting
from coulance.flows.settling_first.waiting import Waiting
from coulance.flows.settling_first.ways import Chosen, UnableToChooseError, Way, issue, sources
from coulance.invoicing import check, holding
from coulance.invoicing import queries as documents
from coulance.invoicing.crediting import as_if_issued
from coulance.ledger import check as ledger_check
from coulance.overage import ways_out
from coulance_core.invoicing import DocumentKind, Lowering, lowered
from coulance_core.kernel import Explanation, Money
from tests.closing.world import World
from tests.overage.fair import ALWAYS
from tests.settling_first.waiting_room import CLOSED, choose, held, link, paper, waiting_world

DAY = timedelta(days=1)
BASE = ("B2026-0002", "2026-07-05", "2026-07-19", "12.10")
"""July's base fee, billed at once whatever becomes of June's overage."""


@pytest.fixture
def room(db: Any, store_here: Path, tmp_path: Path) -> World:
    """3000 GB once, 1000 included: 200.00 of overage, 242.00 with tax, which waits."""
    return waiting_world(tmp_path)


def sound() -> None:
    """Numbers without gaps, sums that hold, a journal that agrees."""
    assert [str(fault) for fault in check.check_documents()] == []
    assert [str(fault) for fault in ledger_check.check_ledger()] == []


def test_the_base_invoice_goes_at_once_and_the_overage_waits(room: World) -> None:
    assert paper() == [BASE]
    row = held()
    assert (row.gross.decimal(), row.told, row.until) == ("242.00", 1, CLOSED + 3 * DAY)
    assert documents.row_of(document=row.document).number is None
    sound()
    found = settling.offered(account=row.account, document=row.document, at=CLOSED)
    assert found is not None
    assert [(way.key, way.total.decimal() if way.total is not None else "") for way in found.ways] == [
        ("pay", "242.00"),
        ("plan:vps-1:vps-m", "18.15"),  # 25.00 - 10.00, and tax
        ("contest", "0.00"),
    ]
    assert link()


@pytest.mark.parametrize(
    ("way", "issued"),
    [
        ("pay", [("V2026-0001", "2026-07-06", "2026-07-20", "242.00")]),
        ("plan:vps-1:vps-m", [("V2026-0001", "2026-07-06", "2026-07-20", "18.15")]),
    ],
)
def test_a_choice_issues_it_dated_that_day(room: World, way: str, issued: Any) -> None:
    done = choose(way, CLOSED + DAY)
    assert paper() == [BASE, *issued]
    assert list(done.numbers) == [number for number, *_ in issued]
    assert holding.held() == []
    (row,) = holding.held(ended=True)
    assert (row.way, row.ended_by, row.made) == (way, "contact:boss", done.numbers)
    sound()
    assert settling.issue_lapsed(at=CLOSED + 4 * DAY) == []
    assert paper() == [BASE, *issued]


def test_silence_issues_it_after_72_hours_and_no_sooner(room: World) -> None:
    assert settling.issue_lapsed(at=CLOSED + 3 * DAY - timedelta(seconds=1)) == []
    (done,) = settling.issue_lapsed(at=CLOSED + 3 * DAY)
    assert (done.way, done.numbers) == ("silence", ("V2026-0001",))
    assert paper() == [BASE, ("V2026-0001", "2026-07-08", "2026-07-22", "242.00")]
    with pytest.raises(UnableToChooseError, match="settled already"):
        settling.choose(
            account=documents.document(number="V2026-0001").row.account,
            document=documents.document(number="V2026-0001").row.id, way="pay", digest="", language="en",
            contact="boss", how="link", came_from="", at=CLOSED + 4 * DAY,
        )  # fmt: skip
    sound()


def test_an_operator_releases_it_with_a_reason(room: World) -> None:
    document = held().document
    with pytest.raises(settling.UnableToReleaseError, match="say why"):
        settling.release(document=document, reason=" ", actor="operator:anna", at=CLOSED)
    done = settling.release(document=document, reason="they called: send it", actor="operator:anna", at=CLOSED)
    assert done.numbers == ("V2026-0001",)
    with pytest.raises(settling.UnableToReleaseError, match="settled before"):
        settling.release(document=document, reason="again", actor="operator:anna", at=CLOSED)
    (row,) = holding.held(ended=True)
    assert (row.way, row.ended_by, row.reason) == ("released", "operator:anna", "they called: send it")


def test_nothing_is_chosen_that_was_not_shown(room: World) -> None:
    with pytest.raises(UnableToChooseError, match="has changed since"):
        choose("pay", CLOSED, digest="0" * 64)
    with pytest.raises(UnableToChooseError, match="Choose one"):
        choose("dance", CLOSED)
    with pytest.raises(UnableToChooseError, match="Only the owner"):
        settling.choose(
            account=held().account + 1, document=held().document, way="pay", digest="", language="en", contact="boss",
            how="link", came_from="", at=CLOSED,
        )  # fmt: skip
    assert held().ended_at is None


def test_the_plan_reverts_by_itself_and_late_samples_lower_nothing(room: World) -> None:
    choose("plan:vps-1:vps-m", CLOSED + DAY)
    room.use("vps-1", {"2026-06-15": 2500, "2026-07-10": 100})
    room.close("2026-07", (CLOSED + 31 * DAY).isoformat())
    numbers = [number for number, *_ in paper()]
    assert numbers == ["B2026-0002", "V2026-0001"]
    assert [row.number for row in documents.documents(kind="credit_note")] == []
    assert documents.documents(period_name="2026-08", state="issued")[0].gross.decimal() == "12.10"
    sound()


def test_the_next_month_leaves_out_whose_invoice_still_waits(room: World) -> None:
    report = room.close("2026-07", (CLOSED + 31 * DAY).isoformat())
    assert [(problem.reason, "waits for the customer" in problem.detail) for problem in report.parked] == [
        ("overage_waits", True)
    ]
    settling.issue_lapsed(at=CLOSED + 31 * DAY)
    assert not room.close("2026-07", (CLOSED + 32 * DAY).isoformat()).parked
    sound()


def test_sharing_the_cost_by_the_policy(db: Any, store_here: Path, tmp_path: Path) -> None:
    waiting_world(tmp_path, (400, 400, 400, 3000), goodwill='\n[goodwill]\noffer = true\ncosts = ["0.01 EUR/GB"]\n')
    row = held()
    found = settling.offered(account=row.account, document=row.document, at=CLOSED)
    assert found is not None
    share = next(way for way in found.ways if way.key == "share")
    assert share.total is not None
    assert share.total.decimal() == "24.20"  # they pay our cost: 2000 GB at 0.01, and tax
    done = choose("share", CLOSED + DAY)
    assert done.numbers == ("V2026-0001", "C2026-0001")
    assert [row[3] for row in paper() if row[0][0] in "CV"] == ["-217.80", "242.00"]
    (given,) = ways_out.goodwill(account=row.account)
    assert (given.amount.decimal(), given.granted_by) == ("180.00", "policy:settle-first")
    sound()


def test_a_habit_is_not_shared_and_below_the_amount_nothing_waits(db: Any, store_here: Path, tmp_path: Path) -> None:
    waiting_world(tmp_path, ALWAYS[:4], goodwill="\n[goodwill]\noffer = true\n")
    row = held()
    found = settling.offered(account=row.account, document=row.document, at=CLOSED)
    assert found is not None
    assert "share" not in [way.key for way in found.ways]


def test_each_currency_has_its_own_amount(room: World) -> None:
    catalog = catalogs.catalog()
    _, draft, _ = as_if_issued(held().document)

    def waits(*above: str) -> bool:
        terms = replace(catalog.overage, hold_above=tuple(Money.of(*one.split()) for one in above))
        made = lowered(
            draft, [Lowering(1, Money.of("1.00", "EUR"), "-", Explanation.build("x").freeze())],
            kind=DocumentKind.OVERAGE_INVOICE, due_on=draft.issued_on, tax_point=draft.issued_on, reason="a cent",
        )  # fmt: skip
        return waiting.waits(replace(catalog, overage=terms), made)

    assert [waits("50.00 EUR", "60.00 USD"), waits("60.00 USD", "50.00 EUR"), waits("60.00 USD")] == [True, True, False]
    assert waits("240.78 EUR", "1.00 USD")
    assert not waits("240.79 EUR")
    with pytest.raises(ValueError, match="one amount a currency"):
        replace(catalog.overage, hold_above=(Money(1, "EUR"), Money(2, "EUR")))


def test_below_the_amount_of_its_currency_nothing_waits(db: Any, store_here: Path, tmp_path: Path) -> None:
    waiting_world(tmp_path, more='\n[overage]\nhold_above = ["242.00 EUR", "60.00 USD"]\n')
    assert catalogs.catalog().overage.hold_above == (Money(24200, "EUR"), Money(6000, "USD"))
    assert holding.held(ended=None) == []
    assert [number for number, *_ in paper()] == ["B2026-0002", "V2026-0001"]


def test_numbers_are_taken_before_the_newest_day_is_read(room: World) -> None:
    """Else somebody who issues over midnight could come between, and a later number carry an earlier day."""
    with CaptureQueriesContext(connection) as asked:
        choose("pay", CLOSED + DAY)
    order = [
        "lock" if "invoicing_number_series" in one["sql"] and "FOR UPDATE" in one["sql"] else "newest"
        for one in asked
        if "max(issued_on)" in one["sql"] or ("invoicing_number_series" in one["sql"] and "FOR UPDATE" in one["sql"])
    ]
    assert order[:2] == ["lock", "newest"]


def test_whom_a_crash_left_unasked_is_asked_once(
    db: Any, store_here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*, at: datetime) -> int:
        if at == CLOSED:
            raise KeyboardInterrupt
        return 0

    with monkeypatch.context() as patched:
        patched.setattr("coulance.flows.closing.close_period.ask_all", killed)
        with pytest.raises(KeyboardInterrupt):
            waiting_world(tmp_path)
    assert (held().told_at, paper()) == (None, [BASE])
    assert settling.issue_lapsed(at=CLOSED + 9 * DAY) == []  # nobody was asked: nobody was silent
    assert asking.ask_all(at=CLOSED + DAY) == 1
    assert held().until == CLOSED + 4 * DAY
    assert asking.ask_all(at=CLOSED + DAY) == 0


def test_what_waits_by_command_and_api(room: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from django.test import Client

    from coulance.platform import clock
    from tests.api.conftest import make_token

    monkeypatch.setattr(clock, "now", lambda: CLOSED)
    headers = {"Authorization": f"Bearer {make_token('invoices:read', 'invoices:write')}"}
    path = "/api/v1/waiting-invoices"
    (one,) = Client().get(path, headers=headers).json()["items"]
    assert (one["gross"], one["asked"], one["until"]) == (
        {"amount": "242.00", "currency": "EUR"},
        1,
        "2026-07-08T09:00:00Z",
    )
    release = f"{path}/{one['document']}/release"
    body = {"reason": "they asked for it by telephone"}
    done = Client().post(release, body, content_type="application/json", headers=headers).json()
    assert (done["way"], done["issued"], done["reason"]) == ("released", ["V2026-0001"], body["reason"])
    assert Client().post(release, body, content_type="application/json", headers=headers).status_code == 409
    assert Client().get(path, headers=headers).json()["items"] == []
    assert len(Client().get(path + "?settled=true", headers=headers).json()["items"]) == 1


class Instalments:
    """A way that another capability brings: shown only when it is there, and only for what it applies to."""

    key = "instalments"

    def ways(self, of: Waiting, *, at: datetime) -> list[Way]:
        """Offered above 200.00."""
        if of.row.gross.minor <= 200_00:
            return []
        return [Way(self.key, "Pay in three parts", ("Three times a third.",), "In three parts", of.row.gross)]

    def take(self, of: Waiting, way: str, by: Chosen) -> list[str]:
        """The invoice is issued; the plan would be made here."""
        return [issue(of, by)]


def test_a_way_of_another_capability_plugs_in(room: World) -> None:
    with override_settings(SETTLE_FIRST_WAYS=["tests.settling_first.test_settling.Instalments"]):
        sources.cache_clear()
        done = choose("instalments", CLOSED + DAY)
    sources.cache_clear()
    assert (done.way, done.numbers) == ("instalments", ("V2026-0001",))


def test_by_command(room: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from contextlib import nullcontext

    from click.testing import CliRunner

    from coulance.cli import overage_waiting as command
    from coulance.platform import clock

    monkeypatch.setattr(command, "working_database", nullcontext)
    monkeypatch.setattr(clock, "now", lambda: CLOSED)
    shown = CliRunner().invoke(command.waiting, []).output
    assert "acme  2026-06  242.00 EUR  until 2026-07-08 09:00 UTC, 1 asked by mail" in shown
    done = CliRunner().invoke(command.release, [str(held().document), "--reason", "they called"])
    assert done.output == "issued as V2026-0001\n"
    assert "released by cli:" in CliRunner().invoke(command.waiting, ["--settled"]).output
