"""Six customers of the demo who are late, and the six ways it goes; told twice it is the same."""

from datetime import timedelta
from pathlib import Path

import pytest

from coulance.arrears import queries as records
from coulance.customers import queries as customers
from coulance.disputes import queries as disputes
from coulance.integrations.demo import arrears, office
from tests.sending.town import CLOSED, MONTH, contact, town

pytestmark = pytest.mark.usefixtures("db", "store_here")


def test_who_is_where(tmp_path: Path) -> None:
    world = town(tmp_path, accounts=9)
    for n in range(9):
        contact(f"c{n}", f"billing@c{n}.example")
    world.close(MONTH)
    office.mail(MONTH, tmp_path / "mails", actor="demo", at=CLOSED, lanes=1)
    since, now = CLOSED.date() + timedelta(days=15), CLOSED + timedelta(days=50)
    told = arrears.tell(tmp_path / "provider.toml", tmp_path / "home", since=since, now=now, actor="demo")
    assert told is not None
    by = {one.part: one for one in told.stands}
    assert by["pays"].owed.minor == 0
    assert by["silent"].owed.minor > 0
    assert told.letters >= 5
    of = {part: customers.account(by[part].account).id for part in ("plan", "keeps", "contests")}
    # The plan that was broken: the steps go on where they were, after the notice that they do. The other rests.
    assert "resume" in {row.step for row in records.acts(account=of["plan"])}
    assert "resume" not in {row.step for row in records.acts(account=of["keeps"])}
    assert [row.state for row in records.plans(accounts=[of["keeps"]])] == ["agreed"]
    # A part of one line is contested, and nothing else of theirs is open.
    (hold,) = disputes.holds(accounts=[of["contests"]])
    assert by["contests"].owed == hold.amount
    assert told.page.startswith("/owed/")
    assert arrears.tell(tmp_path / "provider.toml", tmp_path / "home", since=since, now=now, actor="demo") == told
