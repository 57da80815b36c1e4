"""Four customers of the made-up provider who pay by rail: three by direct debit, one by card; what comes back of it.

The mandates are signed, the collections announced by mail, filed as pain.008 and fetched; the bank answers with a
pain.002 that refuses one, and with a statement that credits two and takes one back. No gateway is asked: the card is
one that was read at the desk, written down by hand, and says so. Told again, nothing is made up anew.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from stdnum import iban

from coulance.arrears import queries as arrears
from coulance.catalog import operations as catalog_operations
from coulance.catalog import queries as catalog
from coulance.catalog.reader import read_provider_file
from coulance.customers import queries as customers
from coulance.flows import payments as money
from coulance.flows.bank_import import GivenFile, import_statements
from coulance.flows.rails import direct_debit, mandates
from coulance.flows.rails.bank_answers import GivenReport, read_reports
from coulance.flows.rails.telling import people_of
from coulance.integrations.bank.reading import read_bank_file
from coulance.integrations.bank.status_report import status_report
from coulance.integrations.bank.writing import camt
from coulance.integrations.demo.bank import OURS
from coulance.notices import operations as notices
from coulance.notices.transport import read_transport
from coulance.payments import bank, collections
from coulance.payments import queries as payments
from coulance.payments.collections import CollectionRow
from coulance.payments.operations import NewReceipt
from coulance.services import queries as services
from coulance_core.kernel import Money
from coulance_core.payments import Method
from coulance_core.payments.bank import BankEntry, BankStatement
from coulance_core.payments.direct_debit import CollectionState, target_day

ZONE = ZoneInfo("Europe/Amsterdam")
TERMS = """
# How money comes by rail: direct debit with five days' notice, which the mandates agree to.
[payments]
creditor_id = "NL79ZZZ999999990000"
notice_days = 5
"""
CAST = 4
REFUSED = """<?xml version="1.0" encoding="UTF-8"?>
<Document xmlns="urn:iso:std:iso:20022:tech:xsd:pain.002.001.03"><CstmrPmtStsRpt>
<GrpHdr><MsgId>DEMO-ANSWER-1</MsgId><CreDtTm>{at:%Y-%m-%dT%H:%M:%S}</CreDtTm></GrpHdr>
<OrgnlGrpInfAndSts><OrgnlMsgId>{of}</OrgnlMsgId><OrgnlMsgNmId>{form}</OrgnlMsgNmId><GrpSts>PART</GrpSts>
</OrgnlGrpInfAndSts>
<OrgnlPmtInfAndSts><OrgnlPmtInfId>{batch}</OrgnlPmtInfId>
<TxInfAndSts><OrgnlEndToEndId>{name}</OrgnlEndToEndId><TxSts>RJCT</TxSts>
<StsRsnInf><Rsn><Cd>AC04</Cd></Rsn></StsRsnInf></TxInfAndSts>
</OrgnlPmtInfAndSts></CstmrPmtStsRpt></Document>
"""


def tell(provider_file: Path, home: Path, *, now: datetime, actor: str) -> list[str]:
    """Tell it after the last bank statement, or what it came to before; a line for each thing to see."""
    if not collections.runs():
        begun = _begin(now)
        if begun is None:
            return ["nobody owes enough to show direct debit"]
        cast, first = begun
        _apply(provider_file, home / "provider", actor, now)
        _play(cast, first, home, actor)
    return _said(home)


def _at(day: date, hour: int) -> datetime:
    return datetime.combine(day, time(hour), ZONE).astimezone(UTC)


def _begin(now: datetime) -> tuple[list[int], date] | None:
    """Who takes part, and the first day after the statements; none where too few owe or too little time has passed."""
    late = {row.account for row in arrears.cases(closed=True)}
    owing = [
        account
        for account, items in sorted(payments.open_items().items())
        if account not in late
        and sum(item.payable.minor for item in items if item.open.currency == "EUR" and item.payable.minor > 0) > 0
        and people_of(account)
    ]
    last = next((one.last_on for one in bank.status() if one.iban == OURS and one.last_on is not None), None)
    if len(owing) < CAST or last is None:
        return None
    first = target_day(last + timedelta(days=1))
    return (owing[:CAST], first) if _at(first + timedelta(days=20), 9) < now else None


def _apply(provider_file: Path, folder: Path, actor: str, at: datetime) -> None:
    """The provider's file as the demo has it by now, with the terms of rails."""
    import shutil

    if not (folder / provider_file.name).is_file():
        shutil.copytree(provider_file.parent, folder, dirs_exist_ok=True)
    own = folder / provider_file.name
    if "[payments]" not in own.read_text():
        own.write_text(own.read_text() + TERMS)
    file = read_provider_file(own)
    if file.faults:
        raise RuntimeError(f"{own} has faults: run coulance check {own}")
    catalog_operations.apply_catalog(
        file=file, actor=actor, at=at, closed_until=None, plans_in_use=services.plans_in_use(date(2026, 1, 1))
    )


def account_number(account: int) -> str:
    """An account that no bank has, with right check digits: the bank is called DEMO.

    >>> account_number(17)
    'NL59DEMO0000000017'
    """
    bare = f"DEMO{account:010d}"
    return f"NL{iban.calc_check_digits('NL00' + bare)}{bare}"


def _play(cast: Sequence[int], first: date, home: Path, actor: str) -> None:
    *debited, carded = cast
    for row in customers.accounts(debited):
        mandates.sign_on_paper(
            account=row.id,
            iban=account_number(row.id),
            holder=row.name,
            signed_on=first - timedelta(days=30),
            kept="the demo",
            b2b=False,
            bic="",
            actor=actor,
            at=_at(first, 8),
        )
    planned = direct_debit.plan_due(on=first, actor=actor, at=_at(first, 9), accounts=debited)
    notices.send_due(transport=read_transport(f"file://{home / 'mails'}?connections=1"), clock=lambda: _at(first, 10))
    _by_card(carded, first, actor)
    if not planned.made:
        return
    day = max(row.collect_on for row in planned.made)
    lead = target_day(min(row.collect_on for row in planned.made), ahead=-2)
    (home / "bank").mkdir(parents=True, exist_ok=True)
    for run in direct_debit.file_due(on=lead, actor=actor, at=_at(lead, 9)).runs:
        made, content = direct_debit.hand_over(run=run.id, actor=actor, at=_at(lead, 10))
        (home / "bank" / f"{made.reference}.xml").write_bytes(content)
    rows = [row for row in collections.collections(states=[CollectionState.HANDED]) if row.account in debited]
    if len(rows) < 3:
        return
    refused, kept, back = rows[:3]
    _refuse(refused, home / "bank", _at(lead, 16), actor)
    _state([kept, back, *rows[3:]], back, target_day(day), home / "bank", actor)


def _by_card(account: int, on: date, actor: str) -> None:
    """One card, read at the desk: no gateway is connected to a demo, so it is written down by hand."""
    items = [item for item in payments.open_items(accounts=[account])[account] if item.payable.minor > 0]
    total = sum((item.payable for item in items), Money(0, items[0].open.currency))
    money.book_payment(
        receipt=NewReceipt(
            account=account,
            amount=total,
            received_on=on,
            method=Method.CARD,
            source_key=f"demo/card/{account}",
            reason="a card at the desk, written down by hand: no gateway is connected here",
            choice=tuple(item.ref for item in items),
        ),
        actor=actor,
        at=_at(on, 11),
    )


def _refuse(row: CollectionRow, folder: Path, at: datetime, actor: str) -> None:
    """The bank answers that it won't collect one: the account is closed."""
    (run,) = collections.runs(run=row.run)
    text = REFUSED.format(at=at, of=run.reference, form=run.form, batch=run.reference, name=row.end_to_end_id)
    path = folder / f"{run.reference}-answer.xml"
    path.write_text(text)
    given = GivenReport(path.name, text.encode(), status_report(text.encode(), name=path.name))
    read_reports(files=[given], apply=True, actor=actor, at=at)


def _state(rows: Sequence[CollectionRow], back: CollectionRow, day: date, folder: Path, actor: str) -> None:
    """A statement: the bank credits these, and takes one back two days later for want of money."""
    later = target_day(day, ahead=2)
    entries = [
        BankEntry(
            day,
            row.amount,
            value_on=day,
            end_to_end_id=row.end_to_end_id,
            counterparty_iban=account_number(row.account),
            remittance="incasso",
        )
        for row in rows
    ]
    entries.append(
        BankEntry(
            later,
            -back.amount,
            value_on=later,
            end_to_end_id=back.end_to_end_id,
            counterparty_iban=account_number(back.account),
            remittance="storno",
            is_reversal=True,
            return_reason="AM04",
        )
    )
    known = next(one for one in bank.status() if one.iban == OURS)
    opening = Money(0, "EUR") if known.closing is None else known.closing
    statement = BankStatement(
        OURS,
        "EUR",
        tuple(entries),
        number=f"R{day:%y%m%d}",
        opening=opening,
        closing=opening + sum((one.amount for one in entries), Money(0, "EUR")),
        opened_on=known.last_on,
        closed_on=later,
        form="camt.053.001.08",
    )
    path = folder / f"direct-debit-{day}.xml"
    at = _at(later, 18)
    path.write_bytes(camt([statement], message_id=f"DEMO-{day:%Y%m%d}", created_at=at))
    given = GivenFile(path.name, read_bank_file(path))
    import_statements(files=[given], apply=True, actor=actor, at=at)


def _said(home: Path) -> list[str]:
    rows = collections.collections()
    if not rows:
        return ["nobody owes enough to show direct debit"]
    of: dict[str, int] = {}
    for row in rows:
        of[row.state.value] = of.get(row.state.value, 0) + 1
    count = len({row.account for row in rows})
    run = next(iter(collections.runs()), None)
    states = ", ".join(f"{number} {state}" for state, number in sorted(of.items()))
    lines = [f"{count} customers pay by direct debit: {states}"]
    if run is not None:
        lines.append(
            f"the file for the bank: {home / 'bank' / f'{run.reference}.xml'}, its answer and statement beside"
        )
    cards = [one for one in payments.receipts(limit=100_000) if one.source_key.startswith("demo/card/")]
    if cards:
        (who,) = customers.accounts([cards[0].account])
        lines.append(f"{who.external_id} paid {cards[0].amount} by card, written down by hand: no gateway is connected")
    assert catalog.payment_terms().creditor_id
    return lines
