"""A bill that waits is judged again before it is issued: what may not be charged, as is known by then, is not on it."""

from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest

from coulance.flows.settling_first import settling
from coulance.flows.settling_first.ways import UnableToChooseError
from coulance.invoicing import check, holding
from coulance.invoicing import queries as documents
from coulance.ledger import check as ledger_check
from coulance.notices import operations as notices
from coulance.notices import queries as sent
from coulance.overage import operations, queries
from coulance_core.notices import EvidenceKind
from tests.closing.world import World, check_explained, table
from tests.overage.test_close import became, even
from tests.overage.test_late_bounce import came_back
from tests.overage.world import account_id, at, consent, customer, meter, verify

CLOSED = datetime(2026, 11, 4, 6, tzinfo=UTC)
OVER = CLOSED + timedelta(hours=72)


def warned(key: str, service: str, when: str) -> None:
    """A warning about a service that its server took."""
    notices.queue_message(
        key=key, account=account_id(), kind="warning", to=[notices.Recipient("anna@bakery.example", "Anna")],
        language="en", subject="80 %", text="80 GB", at=at(when),
    )  # fmt: skip
    operations.record_warning(
        meter=meter(service), period_name="2026-10", threshold="80 %", counts=True, used=Fraction(80), at=at(when),
        message=key,
    )  # fmt: skip


@pytest.fixture
def waits(world: World) -> World:
    """210 GB past an allowance of 100, warned in time, a limit of 20.00: a bill of 24.20 that waits."""
    customer(world, more='hold_above = "10.00 EUR"\n[sending]\nfrom = "post@polder.example"\n')
    world.service("s1", "vps", meter="traffic")
    verify("2026-09-15")
    consent("2026-09-20", amount="20.00")
    even("s1", 10, world)
    warned("warn:1", "s1", "2026-10-08T12:01")
    became(EvidenceKind.ACCEPTED, "2026-10-08T12:02")
    world.close("2026-10")
    assert [row.gross.decimal() for row in holding.held()] == ["24.20"]
    return world


def sound() -> None:
    assert [str(fault) for fault in check.check_documents()] == []
    assert [str(fault) for fault in ledger_check.check_ledger()] == []


def test_a_warning_that_came_back_while_its_bill_waits_leaves_nothing_to_issue(waits: World) -> None:
    came_back("2026-10-09T09:00", "2026-11-05T08:00")  # within 72 hours: it had never arrived
    (done,) = settling.issue_lapsed(at=OVER)
    assert (done.way, done.numbers) == ("nothing", ())
    assert waits.papers(kinds="VC") == ""
    (row,) = holding.held(ended=True)
    assert (row.way, row.made) == ("nothing", ())
    assert "came back" in row.reason
    (settled,) = queries.settlements(account=account_id(), period_name="2026-10")
    assert (settled.revision, settled.billable) == (2, 0)
    mail = next(one for one in sent.messages(account=account_id()) if "/nothing/" in one.key)
    words = sent.text_of(message=mail.message)
    assert words is not None
    assert words.subject == "Nothing to pay for overage of October 2026"
    sound()
    # The books say what the paper says: the next close finds nothing more to give back.
    waits.close("2026-11")
    assert waits.papers(kinds="VC") == ""


def test_an_operator_who_releases_it_issues_the_lower_bill_that_says_why(waits: World) -> None:
    came_back("2026-10-20T13:00", "2026-11-05T08:00")  # it counted until then: half of it
    done = settling.release(document=holding.held()[0].document, reason="they asked", actor="operator:a", at=CLOSED)
    assert done.numbers == ("V2026-0001",)
    assert waits.papers(kinds="VC") == table(
        """
        V2026-0001 2026-10: 10.00 + 2.10
          overage s1 10-01..11-01 200 GB at 0.1: 20.00
          credit s1 10-01..11-01 1: -10.00
        """
    )
    paper = waits.snapshot("V2026-0001")
    assert any("came back" in note for note in paper["notes"])
    assert "less to charge than billed" in paper["lines"][1]["description"]
    check_explained(paper)
    sound()
    waits.close("2026-11")
    assert "C2026" not in waits.papers(kinds="VC")


def test_whoever_saw_more_is_shown_less_before_they_choose(waits: World) -> None:
    row = holding.held()[0]
    seen = settling.offered(account=row.account, document=row.document, at=CLOSED)
    assert seen is not None
    pay = next(way for way in seen.ways if way.key == "pay")
    came_back("2026-10-20T13:00", "2026-11-05T08:00")
    chosen = {
        "account": row.account, "document": row.document, "way": "pay", "language": "en", "contact": "anna",
        "how": "link", "came_from": "t", "at": CLOSED + timedelta(hours=30),
    }  # fmt: skip
    with pytest.raises(UnableToChooseError, match="changed since"):
        settling.choose(**chosen, digest=pay.digest)
    again = settling.offered(account=row.account, document=row.document, at=CLOSED)
    assert again is not None
    pay = next(way for way in again.ways if way.key == "pay")
    assert str(pay.total) == "12.10 EUR"
    assert settling.choose(**chosen, digest=pay.digest).numbers == ("V2026-0001",)
    assert documents.document(number="V2026-0001").row.gross.decimal() == "12.10"


def test_the_worker_lowers_what_waits_once_and_more_use_waits_for_the_next_close(waits: World) -> None:
    assert settling.look_again(at=CLOSED) == 0
    came_back("2026-10-20T13:00", "2026-11-05T08:00")
    assert settling.look_again(at=CLOSED + timedelta(hours=30)) == 1
    assert settling.look_again(at=CLOSED + timedelta(hours=31)) == 0
    assert holding.held()[0].gross.decimal() == "12.10"
    waits.use("s1", {"2026-10-12": 25})  # 15 more, within what counted and within the limit
    settling.issue_lapsed(at=OVER)
    assert documents.document(number="V2026-0001").row.gross.decimal() == "12.10"
    waits.close("2026-11")
    assert "late_usage s1" in waits.papers(kinds="V")
    sound()


def test_a_limit_that_one_server_no_longer_needs_is_not_anothers(world: World) -> None:
    """Both under one limit of 20.00. The warning of one comes back after the bill: the other's paper stays as it is."""
    customer(world, more='[sending]\nfrom = "post@polder.example"\n')
    world.service("s1", "vps", meter="traffic").service("s2", "vps", meter="traffic")
    verify("2026-09-15")
    consent("2026-09-20", amount="20.00", service=None)
    for name in ("s1", "s2"):
        even(name, 10, world)
    warned("warn:1", "s1", "2026-10-08T12:01")
    became(EvidenceKind.ACCEPTED, "2026-10-08T12:02")
    operations.acknowledge(
        meter=meter("s2"), period_name="2026-10", contact="anna", how="portal", source="x", actor="t",
        at=at("2026-10-08T12:05"),
    )  # fmt: skip
    world.close("2026-10")
    assert sorted(line.split(": ")[-1] for line in world.papers(kinds="V").splitlines()[1:]) == ["10.00", "10.00"]
    came_back("2026-10-09T09:00", "2026-11-10T08:00")
    world.close("2026-11")
    assert world.papers(kinds="C").splitlines()[0].startswith("C2026-0001 2026-10: -10.00")
    assert "V2026-0002" not in world.papers(kinds="V")
    rows = {row.meter: row for row in queries.settlements(account=account_id(), period_name="2026-10")}
    assert {name: row.billable for name, row in rows.items()} == {"s1/out": 0, "s2/out": 100}
    sound()
    world.close("2026-12")
    assert "V2026-0002" not in world.papers(kinds="V")
    assert "C2026-0002" not in world.papers(kinds="C")
