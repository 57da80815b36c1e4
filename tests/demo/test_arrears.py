"""Five customers of the demo who are late, and the five ways it goes; told twice it is the same."""

from datetime import timedelta
from pathlib import Path

import pytest

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
    assert told.page.startswith("/owed/")
    assert arrears.tell(tmp_path / "provider.toml", tmp_path / "home", since=since, now=now, actor="demo") == told
