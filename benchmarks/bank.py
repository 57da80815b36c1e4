"""100,000 bank entries: matched with 100,000 open invoices, read from camt.053, and taken from the file to the books.

Matching is ours beside what most billing panels do, per entry: a regular expression for numbers in the text, then a
scan of the open invoices for the number, then for IBAN and amount. The rival judges a sample of the same entries (its
cost is the same for each) and must come to the same invoices on those that name one. From file to books is the whole
way: the file read, statement and entries stored, matched, booked, allocated and posted to the ledger, each account's
books locked; what names nothing waits.

`COULANCE_BENCH_ENTRIES` says how many (100,000).
"""

import os
import random
import re
from datetime import UTC, date, datetime, timedelta
from io import BytesIO
from typing import Any

from benchmarks.harness import Result, timed
from benchmarks.server import database
from coulance.integrations.bank.camt import read_camt
from coulance.integrations.bank.writing import camt
from coulance_core.invoicing.references import creditor_reference
from coulance_core.kernel import Money
from coulance_core.payments import ItemKind, OpenItem
from coulance_core.payments.bank import BankEntry, BankStatement
from coulance_core.payments.candidates import CandidateIndex
from coulance_core.payments.decisions import Outcome
from coulance_core.payments.matching import match

ENTRIES = int(os.environ.get("COULANCE_BENCH_ENTRIES", "100000"))
SAMPLE = 150
AN_ACCOUNT = 20
"""Open invoices an account has in the books."""
DAY = date(2026, 11, 20)
AT = datetime(2026, 11, 21, 6, tzinfo=UTC)


def items(count: int, an_account: int = 2) -> list[OpenItem]:
    """Open invoices, so many an account, of amounts that repeat."""
    issued = date(2026, 11, 1)
    return [
        OpenItem(
            f"opening/{n}",
            n // an_account,
            ItemKind.BASE,
            f"B2026-{n:06d}",
            issued,
            issued + timedelta(days=14),
            Money(1000 + n % 4999, "EUR"),
            Money(1000 + n % 4999, "EUR"),
        )
        for n in range(1, count + 1)
    ]


def iban(account: int) -> str:
    """A made-up IBAN of an account."""
    return f"NL{account % 90 + 10:02d}BANK{account:010d}"


def entries(open_items: list[OpenItem]) -> list[BankEntry]:
    """One payment an invoice: 60 % by reference, 20 % by number in words, 15 % by IBAN, 5 % that say nothing."""
    chance = random.Random(2026)
    made = []
    for n, item in enumerate(open_items):
        kind = chance.random()
        text, reference, payer = "", "", iban(item.account)
        if kind < 0.6:
            reference = creditor_reference(item.number)
        elif kind < 0.8:
            text = chance.choice(["Factuur {}", "betaling {} dank u", "{}", "inv. nr {} customer"]).format(item.number)
        elif kind < 0.95:
            text = "hosting november, thank you"
        else:
            text, payer = "salary of somebody else", f"DE00SOME{n:012d}"
        made.append(
            BankEntry(
                DAY,
                item.open,
                value_on=DAY,
                bank_ref=f"R{n}",
                structured_reference=reference,
                remittance=text,
                counterparty_iban=payer,
                counterparty_name="Somebody",
            )
        )
    chance.shuffle(made)
    return made


_NUMBER = re.compile(r"\bB\d{4}-\d{6}\b")


def rival(entry: BankEntry, open_items: list[OpenItem], owners: dict[str, int]) -> str | None:
    """The invoice that a scan finds."""
    for item in open_items:
        if entry.structured_reference and creditor_reference_of(item) == entry.structured_reference:
            return item.ref
    found = _NUMBER.search(entry.remittance)
    if found:
        for item in open_items:
            if item.number == found.group():
                return item.ref
    account = owners.get(entry.counterparty_iban)
    fitting = [item.ref for item in open_items if item.account == account and item.open == entry.amount]
    return fitting[0] if len(fitting) == 1 else None


_REFERENCES: dict[str, str] = {}


def creditor_reference_of(item: OpenItem) -> str:
    """The reference, kept: the rival is a plain loop, not a foolish one."""
    if item.number not in _REFERENCES:
        _REFERENCES[item.number] = creditor_reference(item.number)
    return _REFERENCES[item.number]


def run() -> list[Result]:
    """Measure all three."""
    open_items = items(ENTRIES)
    told = entries(open_items)
    owners = {iban(item.account): item.account for item in open_items}
    with timed() as ours:
        index = CandidateIndex(open_items, ibans={key: {account} for key, account in owners.items()})
        sure = 0
        for entry in told:
            decision = match(entry, index)
            index.consume(decision, entry.amount)
            sure += decision.outcome is Outcome.MATCH
    assert sure > 0.8 * ENTRIES, sure
    for item in open_items:
        creditor_reference_of(item)
    fresh = CandidateIndex(open_items, ibans={key: {account} for key, account in owners.items()})
    sample = told[:SAMPLE]
    with timed() as theirs:
        found = [rival(entry, open_items, owners) for entry in sample]
    same = sum(
        match(entry, fresh).refs == (ref,)
        for entry, ref in zip(sample, found, strict=True)
        if ref is not None and (entry.structured_reference or _NUMBER.search(entry.remittance))
    )
    named = sum(bool(entry.structured_reference or _NUMBER.search(entry.remittance)) for entry in sample)
    assert same == named, (same, named)
    return [
        Result(
            "bank: match entries with as many invoices",
            ENTRIES / ours.seconds,
            "entries/s",
            "regex and scan per entry",
            SAMPLE / theirs.seconds,
            goal=100,
            note=f"{ours.seconds:.1f} s, index included; {sure / ENTRIES:.0%} sure",
        ),
        _read(told),
        *_to_the_books(),
    ]


def _statement(told: list[BankEntry]) -> BankStatement:
    closing = Money(sum(entry.amount.minor for entry in told), "EUR")
    return BankStatement(
        "NL20INGB0001234567",
        "EUR",
        tuple(told),
        number="1",
        opening=Money(0, "EUR"),
        closing=closing,
        opened_on=DAY - timedelta(days=1),
        closed_on=DAY,
        form="camt.053.001.08",
        place="bench",
    )


def _read(told: list[BankEntry]) -> Result:
    written = camt([_statement(told)], message_id="M1", created_at=AT)
    with timed() as watch:
        (read,) = read_camt(BytesIO(written), name="bench")
    assert len(read.entries) == ENTRIES
    return Result(
        "bank: read camt.053",
        ENTRIES / watch.seconds,
        "entries/s",
        note=f"{len(written) / 2**20:.0f} MiB in {watch.seconds:.1f} s, checked to add up",
    )


def _to_the_books() -> list[Result]:
    with database():
        from django.db import connection, transaction

        from coulance.flows.bank_import import GivenFile, import_statements
        from coulance.payments import operations
        from coulance.payments import queries as payments

        owed: dict[int, list[Any]] = {}
        open_items = items(ENTRIES, AN_ACCOUNT)
        for item in open_items:
            taken = operations.TakenItem(
                kind=ItemKind.BASE,
                number=item.number,
                issued_on=item.issued_on,
                due_on=item.due_on,
                gross=item.gross,
                open=item.open,
                source_key=f"bench/{item.number}",
            )
            owed.setdefault(item.account, []).append(taken)
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO customers_account (external_id, name, kind, country, address, currency, zone, language)"
                " SELECT 'c-' || n, 'Customer', 'business', 'NL', '{}', 'EUR', 'UTC', 'en'"
                " FROM generate_series(1, %s) n RETURNING id",
                [len(owed)],
            )
            for (account,), debts in zip(cursor.fetchall(), owed.values(), strict=True):
                operations.take_over_items(
                    account=account,
                    items=debts,
                    taken_on=debts[0].issued_on,
                    actor="bench",
                    reason="bench",
                    at=AT,
                )
        with timed() as asked:
            found = sum(len(rows) for rows in payments.open_items().values())
        assert found == ENTRIES
        file = camt([_statement(entries(open_items))], message_id="M1", created_at=AT)
        with timed() as watch:
            read = tuple(read_camt(BytesIO(file), name="bench"))
            report = import_statements(files=[GivenFile("bench", read)], apply=True, actor="bench", at=AT)
        booked = report.count("booked")
        assert booked >= 0.78 * ENTRIES, report.rules()
        assert booked + report.count("queued") + report.count("ignored") == ENTRIES
        left = sum(len(rows) for rows in payments.open_items().values())
        assert left == ENTRIES - booked, (left, booked)
    return [
        Result(
            "bank: from file to books",
            ENTRIES / watch.seconds,
            "entries/s",
            note=f"{ENTRIES:,} entries in {watch.seconds:.1f} s: {booked:,} booked, ledger and audit included",
        ),
        Result("bank: open items of all accounts", ENTRIES / asked.seconds, "items/s", note=f"{asked.seconds:.2f} s"),
    ]
