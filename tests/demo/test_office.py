"""What the demo's office does after a closing, on a small month: mailed, come back, paid, credited, paid back."""

from collections import Counter
from datetime import date, timedelta
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import pytest

from coulance.integrations.demo import bank, office
from coulance.invoicing import queries as invoicing
from coulance.ledger import queries as ledger
from coulance.payments import bank as room
from coulance.payments import queries as payments
from coulance_core.kernel import Money
from tests.sending.town import CLOSED, MONTH, contact, town

pytestmark = pytest.mark.usefixtures("db", "store_here")
FIRST = CLOSED.date() + timedelta(days=1)
PAID = CLOSED + timedelta(days=29)


@pytest.fixture
def closed(tmp_path: Path) -> Path:
    """Twelve customers with a base fee and overage each, one of them the runaway; the month is closed."""
    world = town(tmp_path, accounts=12)
    world.account("hasty").service("vps-0008", "vps", "2026-10-01", account="hasty", meter="traffic")
    world.use("vps-0008", {"2026-10-05": 900})
    for n in range(12):
        contact(f"c{n}", f"billing@c{n}.example")
    contact("hasty", "billing@hasty.example")
    world.close(MONTH)
    return tmp_path


def test_a_month_is_mailed_and_what_comes_back_shows(closed: Path) -> None:
    folder = closed / "mails"
    done = office.mail(MONTH, folder, actor="demo", at=CLOSED, lanes=1)
    assert done is not None
    documents = [row for kind in office.MAILED for row in invoicing.documents(kind=kind, state="issued")]
    assert (done.documents, done.addresses) == (len(documents), 13)
    mails = [message_from_bytes(file.read_bytes(), policy=policy.default) for file in sorted(folder.iterdir())]
    to_customers = [mail for mail in mails if "archive@" not in str(mail["To"])]
    assert len(to_customers) >= len(documents) == 26
    assert all(next(mail.iter_attachments()).get_content_type() == "application/pdf" for mail in mails)
    # Two customers' servers sent each of their mails back; one of them has no such user, and is written to no more.
    assert len(done.undelivered) == 4
    from coulance.notices import queries as notices

    assert [row.why.partition(" ")[0] for row in notices.dead_addresses()] == ["5.1.1"]
    assert Counter(row.state.value for row in notices.messages(kind="document") if not row.copy) == {
        "accepted": 22,
        "bounced": 4,
    }
    assert office.mail(MONTH, folder, actor="demo", at=CLOSED, lanes=1) is None


@pytest.mark.parametrize("swift", [False, True])
def test_customers_pay_in_either_format_and_it_adds_up(closed: Path, swift: bool) -> None:
    asked: dict[str, Any] = {"first": FIRST, "at": PAID, "seed": 7, "actor": "demo", "swift": swift}
    done = bank.pay(closed / "bank", **asked)
    assert done is not None
    made, report = done
    assert {path.suffix for path in (closed / "bank").iterdir()} == {".sta" if swift else ".xml"}
    assert report.count("queued") == made.ways["wrong reference"]
    books = {row.account: row.balance.minor for row in ledger.trial_balance()}
    assert books["cash:bank"] == sum(made.sure.values()) == made.total - made.queued - made.aside
    assert bank.pay(closed / "bank", **asked) is None  # done before: nothing is made up again
    # The month after begins where this one ended.
    later = bank.pay(closed / "bank", **asked | {"first": FIRST + timedelta(days=30), "at": PAID + timedelta(days=30)})
    assert later is not None
    (status,) = room.status()
    assert (status.missing, status.closing) == (Money(0, "EUR"), later[0].statements[-1].closing)
    assert later[0].statements[0].opening == made.statements[-1].closing


def test_the_runaway_is_met_half_way_and_doubles_are_paid_back(closed: Path) -> None:
    from coulance.customers import queries as customers
    from coulance.flows.bank_import import GivenFile, import_statements
    from coulance.integrations.bank.reading import read_bank_file

    on = PAID.date() + timedelta(days=1)
    asked: dict[str, Any] = {"actor": "demo", "at": PAID + timedelta(days=1), "on": on}
    assert office.make_good(**asked) is None  # they have not paid
    owed = [item for items in payments.open_items().values() for item in items]
    made = bank.payday(owed, seed=1, first=FIRST, ours="NL91ABNA0417164300", ways=[("twice", 1)])
    files = [GivenFile(file.name, read_bank_file(file)) for file in bank.write_mt940(made, closed)]
    import_statements(files=files, apply=True, actor="demo", at=PAID)
    hasty = customers.account("hasty").id
    paid = next(item for item in owed if item.account == hasty and item.number.startswith("V"))
    good = office.make_good(**asked)
    assert good is not None
    assert (good.invoice, good.account) == (paid.number, "hasty")
    net = invoicing.document(number=paid.number).row.net.minor
    assert net // 2 - 2 <= good.refunded.minor * 100 / 121 <= net / 2 + 2  # half of each line, and its tax
    assert office.make_good(**asked) is None
    count, total = office.pay_back_doubles(**asked)
    assert total is not None
    assert (count, total.minor) == (len(owed), sum(item.gross.minor for item in owed))
    assert office.pay_back_doubles(**asked) == (0, None)
    assert payments.open_items() == {}
    assert all(payments.balance(account=item.account, currency="EUR").due.minor == 0 for item in owed)
    now = office.standing(on=on)
    assert now is not None
    assert (now.owed.minor, now.late_accounts, now.in_queue) == (0, 0, 0)
    path = office.write_statement(closed / "statements", start=date(2026, 10, 1), end=on + timedelta(days=1))
    assert path is not None
    assert path.read_bytes().startswith(b"%PDF")


def test_a_sample_of_the_documents_is_judged_by_the_official_rules(closed: Path) -> None:
    judged = office.judge_einvoices(lambda done, total: None)
    assert (len(judged.valid), judged.failed, judged.impossible) == (8, {}, {})
