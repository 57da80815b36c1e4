"""What an act of arrears changes for real: plans, contracts, orders, a collector's package, data; and its undoing."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from django.db import DatabaseError, transaction

from coulance.arrears import effects, operations
from coulance.arrears import queries as records
from coulance.cli import arrears as module
from coulance.enforcement import operations as enforcement
from coulance.flows import customers as books
from coulance.flows.arrears import collectors, deleting, ordering, people
from coulance.invoicing import queries as documents
from coulance.platform import clock
from coulance.platform.alarms import open_alarms
from coulance.services import queries as services
from coulance_core.arrears import StayKind
from tests.arrears.quick import ENDS, POLICY, step
from tests.arrears.street import ANNA, BEN, Street, at
from tests.support.tables import traffic_plan

SIZES = "".join(
    traffic_plan(key, key, base=f"{base} EUR/month", included="100 GB", price="0.10 EUR/GB")
    for key, base in (("vps-s", "40.00"), ("vps-l", "180.00"))
)


@pytest.fixture
def made(db: Any, store_here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A street by a policy of a few days; the invoice of June is due on the 18th, and its reminder goes on the 19th."""
    monkeypatch.setenv("COULANCE_URL", "https://billing.example.nl")

    def make(*steps: str) -> Street:
        street = Street.of(tmp_path, arrears=POLICY + "".join(steps) + SIZES)
        street.billed()
        street.run(at("2026-06-19"))
        assert street.steps() == ["reminder"]
        return street

    return make


def plan_on(day: str) -> str:
    row = services.service("vps-1")
    spans = services.subscriptions([row.id])[row.id]
    on = date.fromisoformat(day)
    return next(s.plan for s in spans if s.valid_from <= on and (s.valid_until is None or s.valid_until > on))


def test_a_smaller_plan_is_taken_from_tomorrow_and_put_back_whole_when_it_is_paid(made: Any) -> None:
    street = made(
        step("block", "restrict", "block_orders"), step("smaller", "restrict", "downgrade", "block", 1, plan='"vps-s"')
    )
    street.run(at("2026-06-22"))
    street.run(at("2026-06-23"))
    assert (plan_on("2026-06-23"), plan_on("2026-06-24")) == ("vps", "vps-s")
    # Blocked from ordering: more is refused with the reason and the way out, and less isn't.
    more: dict[str, Any] = {"service": "vps-1", "plan": "vps-l", "quantity": 1, "actor": ANNA, "at": at("2026-06-23")}
    with pytest.raises(books.UnableToKeepError, match=r"121\.00 EUR of B2026-0001") as refused:
        books.change_plan(from_date=date(2026, 6, 25), **more)
    assert "https://billing.example.nl/my/arrears" in str(refused.value)
    new = {"account": "acme", "name": "Two", "kind": "vps", "started_on": date(2026, 6, 25), "plan": "vps-s"}
    with pytest.raises(books.UnableToKeepError, match="can order nothing more"):
        books.put_service(external_id="vps-2", given=new, actor=ANNA, at=at("2026-06-23"))
    assert ordering.blocked(street.account) is not None
    street.pays("121.00", at("2026-06-23", 12), "B2026-0001")
    street.run(at("2026-06-23", 12.1))
    row = services.service("vps-1")
    assert [s.plan for s in services.subscriptions([row.id])[row.id]] == ["vps"]  # as if it had never been
    assert ordering.blocked(street.account) is None
    assert books.put_service(external_id="vps-2", given=new, actor=ANNA, at=at("2026-06-24")) == "created"
    assert street.audit() == []


def test_a_plan_that_somebody_chose_since_stays_theirs(made: Any) -> None:
    street = made(step("limit", "restrict", "limit", features='["shell"]', plan='"vps-s"'))
    street.run(at("2026-06-22"))
    assert plan_on("2026-06-23") == "vps-s"
    books.change_plan(
        service="vps-1", plan="vps-l", quantity=1, from_date=date(2026, 6, 25), actor=ANNA, at=at("2026-06-24")
    )
    street.pays("121.00", at("2026-06-26", 12), "B2026-0001")
    street.run(at("2026-06-26", 12.1))
    assert plan_on("2026-06-27") == "vps-l"
    assert "lifted 06-26 paid" in street.story()[-1]


def ended(made: Any, *more: str) -> Street:
    """Ended on the 29th: two people said yes on the 25th, the notice named a day of the weekend."""
    street: Street = made(*ENDS, *more)
    for day in ("2026-06-22", "2026-06-23", "2026-06-24", "2026-06-25"):
        street.run(at(day))
    street.approved("terminate", at("2026-06-25", 11))
    for day in ("2026-06-26", "2026-06-29"):
        street.run(at(day))
    return street


def judge_the_end(street: Street) -> None:
    """The contract ended, not before the day that its notice named; our error takes that back, and what it cost."""
    row = services.service("vps-1")
    (act,) = [one for one in street.acts() if one.step == "terminate"]
    notice = next(one for one in street.acts() if one.step == "notice")
    assert row.ended_on == act.at.date()
    assert row.ended_on >= notice.at.date() + timedelta(days=2)
    assert street.owed() == "128.50"  # the debt and the reminder's costs survive
    assert street.restricted() == ["pause"]
    with taken_back():
        street.world.close("2026-06")
        # The days after the end are given back, of what was billed in advance.
        assert len([one for one in street.documents() if one.kind == "credit_note"]) == 1
    people.stay(account=street.account, kind=StayKind.OWN_ERROR, why="never owed", actor=ANNA, at=at("2026-06-30"))
    street.run(at("2026-06-30", 9.6))
    assert services.service("vps-1").ended_on is None
    assert plan_on("2026-07-15") == "vps"
    assert street.restricted() == []
    # What was charged for being late is credited, and said with an apology.
    assert sum(item.open.minor for item in _open(street) if item.kind.value == "costs") == 0
    assert any("We made an error" in subject for subject in street.subjects())


def _open(street: Street) -> Any:
    from coulance.payments import queries as payments

    return payments.open_items(accounts=[street.account]).get(street.account, ())


class Guests:
    """A machine park: who is at a target, until they are deleted."""

    def __init__(self, here: str) -> None:
        self.here, self.orders = here, list[str]()

    def identify(self, service: str, target: Any) -> str:
        return self.here

    def delete(self, service: str, target: Any, *, key: str) -> str:
        self.orders.append(key)
        self.here = ""
        return "gone"


class Dies(Guests):
    """One whose caller is killed as the order was carried out."""

    def delete(self, service: str, target: Any, *, key: str) -> str:
        super().delete(service, target, key=key)
        raise SystemExit


@contextmanager
def taken_back() -> Iterator[None]:
    """What happens within, and then didn't."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def test_data_is_deleted_once_only_of_who_is_read_back_and_never_without_its_ground(made: Any) -> None:
    """Two people approved it. Paid, approved no more, without its backup, or another's machine: nothing is deleted."""
    deletion = '[arrears.deletion.all]\nkind = "command"\ncommand = ["/bin/false"]\n'
    street = ended(made, deletion)
    with taken_back():
        judge_the_end(street)
    street.run(at("2026-06-30"))
    street.run(at("2026-07-02"))
    street.approved("delete", at("2026-07-02", 10), ANNA, BEN)
    with taken_back():  # nothing says where it is reached: a person does it, and writes down whom they read back
        street.run(at("2026-07-02", 11))
        (task,) = records.tasks(accounts=[street.account], kind="delete")
        with taken_back():  # paid before anybody did it: the order and its task are gone with the ground
            street.pays("300.00", at("2026-07-02", 11.5))
            assert deleting.withdraw_gone([street.account], at=at("2026-07-02", 11.6)) == 1
            assert records.tasks(accounts=[street.account], kind="delete") == []
        with pytest.raises(people.UnableToActError, match="who you read back"):
            people.finish_task(task=task.id, actor=ANNA, note="done", at=at("2026-07-02", 12))
        assert records.tasks(accounts=[street.account], kind="delete") == [task]
        people.finish_task(task=task.id, actor=ANNA, note="vps-1 removed at the panel", at=at("2026-07-02", 12))
        assert [row.state for row in effects.deletions(accounts=[street.account])] == ["done"]
        assert street.audit() == []
    vps = services.service("vps-1").id
    enforcement.set_target(
        service=vps, driver="fake", identity="uuid-of-acme", parameters={}, actor=ANNA, at=at("2026-07-02", 10)
    )
    street.run(at("2026-07-02", 11))
    (row,) = effects.deletions(accounts=[street.account])
    assert (row.state, row.identity) == ("waiting", "uuid-of-acme")
    act, guests = row.act, Guests("uuid-of-acme")

    def carried_out(hour: float = 13, park: Guests = guests) -> str:
        return deleting.run(act=act, now=lambda: at("2026-07-02", hour), ways=lambda terms: park)

    with taken_back():
        street.pays("300.00", at("2026-07-02", 11.5))
        assert carried_out() == "withdrawn"
        assert records.act(act).undone_at is not None
    with taken_back():
        (approval, *_) = [one for one in records.approvals(case=records.act(act).case) if one.step == "delete"]
        people.take_back_approval(
            account=street.account, approval=approval.id, actor=ANNA, reason="not sure", at=at("2026-07-02", 11.5)
        )
        with pytest.raises(people.UnableToActError, match="2 people"):
            carried_out()
        # Whoever asks: not by SQL either.
        with pytest.raises(DatabaseError, match="two different people"), transaction.atomic():
            effects.begin_deletion(act=act, by=ANNA, at=at("2026-07-02", 13))
    with taken_back():
        for backup in records.backups(["vps-1"]):
            operations.lose_backup(backup=backup.id, why="the store burned", by=ANNA, at=at("2026-07-02", 12))
        with pytest.raises(people.UnableToActError, match="no backup"):
            carried_out()
        with pytest.raises(DatabaseError, match="verified backup"), transaction.atomic():
            effects.begin_deletion(act=act, by=ANNA, at=at("2026-07-02", 13))
    assert guests.orders == []
    other = Guests("uuid-of-another")
    assert carried_out(12, other) == "refused"
    assert other.orders == []
    assert any("uuid-of-another" in alarm.what and alarm.severity == "critical" for alarm in open_alarms())
    with taken_back():  # the power goes right after the order: it is gone when it is looked at again, and ordered once
        with pytest.raises(SystemExit):
            carried_out(13, Dies("uuid-of-acme"))
        assert [row.state for row in effects.deletions(act=act)] == ["begun"]
        empty = Guests("")
        assert carried_out(13.1, empty) == "done"
        assert empty.orders == []
    assert [carried_out(), carried_out(14)] == ["done", "done"]
    assert guests.orders == [f"arrears/{act}"]
    (row,) = effects.deletions(act=act)
    assert (row.read, row.proof) == ("uuid-of-acme", "gone")


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Any:
    """`coulance arrears ...` at an instant."""

    @contextmanager
    def here() -> Iterator[None]:
        yield

    monkeypatch.setattr(module, "working_database", here)

    def run(*arguments: str, at: datetime) -> str:
        monkeypatch.setattr(clock, "now", lambda: at)
        answer = CliRunner().invoke(module.arrears, list(arguments))
        assert answer.exit_code == 0, (answer.output, answer.exception)
        return answer.output

    return run


def test_a_hand_over_has_its_package_freezes_the_route_and_can_be_taken_back(
    made: Any, typed: Any, tmp_path: Path
) -> None:
    street = made(
        step("interest", "collect", "charge_interest", days=1, every=7),
        step("over", "collect", "hand_over", days=2, to='"collection"'),
        step("more", "collect", "charge_costs", "over", 1),
    )
    for day in ("2026-06-21", "2026-06-22"):
        street.run(at(day))
    assert street.steps() == ["reminder", "interest", "over"]
    paper = next(one for one in street.documents() if one.kind == "interest_invoice")
    line = documents.lines(document=paper.id)[0].description
    assert line.replace("\xa0", " ") == "Interest on B2026-0001 up to 21 June 2026: 3 days at 10.15 % a year on €121.00"
    (act,) = [one for one in street.acts() if one.step == "over"]
    assert collectors.make(act=act.id, now=lambda: at("2026-06-22", 10))
    assert not collectors.make(act=act.id, now=lambda: at("2026-06-22", 11))
    (kept,) = effects.packages(accounts=[street.account])
    assert {"claims.csv", "dossier.pdf", "check.py", "manifest.json"} <= set(kept.names)
    file = tmp_path / "claim.zip"
    typed("package", "acme", str(act.id), str(file), "--reason", "to Incasso BV", at=at("2026-06-22", 12))
    assert file.read_bytes()[:2] == b"PK"
    street.run(at("2026-07-06"))
    assert street.steps() == ["reminder", "interest", "over"]
    assert street.held()["more"] == "handed_over"
    typed("recall", "acme", str(act.id), "--reason", "they pay us", at=at("2026-07-06", 10))
    street.run(at("2026-07-07", 11))
    assert street.steps()[3:] == ["interest", "more"]
    assert street.audit() == []


def test_a_contract_that_is_not_renewed_ends_with_what_was_billed_and_is_renewed_when_it_is_paid(made: Any) -> None:
    street = made(
        step("no_more", "end_at_term", "notice_of_non_renewal", evidence='"delivered"'),
        step("out", "end_at_term", "not_renew", "no_more", 1),
    )
    street.run(at("2026-06-22"))
    street.run(at("2026-06-24"))
    assert [one.step for one in street.acts()] == ["reminder", "no_more", "out"]
    assert services.service("vps-1").ended_on == date(2026, 7, 1)  # June was billed
    with taken_back():  # paid while it runs: renewed, with its plan
        street.pays("300.00", at("2026-06-25"))
        street.run(at("2026-06-25", 9.6))
        assert services.service("vps-1").ended_on is None
        assert plan_on("2026-08-01") == "vps"
    street.pays("300.00", at("2026-07-03"))  # paid after its term: it ended, and doesn't come back by itself
    street.run(at("2026-07-03", 9.6))
    assert services.service("vps-1").ended_on == date(2026, 7, 1)
