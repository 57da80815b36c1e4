"""A provider that collects: a provider file with rails, customers to tell, mails that arrive, statements."""

from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

from django.db import connection

from coulance.customers import operations as customers
from coulance.flows import bank_import
from coulance.flows.bank_import import GivenFile, ImportReport
from coulance.flows.rails import direct_debit, wording
from coulance.flows.rails.direct_debit import Planned
from coulance.integrations.bank.reading import read_bank_file
from coulance.integrations.bank.writing import camt
from coulance.notices import evidence, outcomes
from coulance.notices import queries as sent
from coulance.payments import collections, mandates
from coulance.payments.collections import CollectionRow
from coulance.payments.mandates import SignedMandate
from coulance_core.kernel import Money
from coulance_core.notices import EvidenceKind
from coulance_core.payments import Scheme
from coulance_core.payments.bank import BankEntry, BankStatement
from tests.closing.world import World
from tests.payments.till import Customer, customer

OURS = "NL79DEMO0000000000"
THEIRS = "NL91ABNA0417164300"
ACTOR = "operator:anna"
RAILS = """
[payments]
creditor_id = "NL79ZZZ999999990000"
notice_days = 5
gateways = ["stripe", "mollie"]
top_up_least = "5.00 EUR"
top_up_most = "500.00 EUR"
"""


def provider(folder: Path, rails: str = RAILS) -> None:
    """Apply a provider file with rails."""
    World(folder).provider(f'iban = "{OURS}"\nbic = "DEMONL00"\nemail = "billing@polder.example"\n', more=rails)


def at(day: date, hour: int = 9) -> datetime:
    """An instant of a day."""
    return datetime.combine(day, time(hour), UTC)


def payer(prefix: str = "rails", language: str = "en") -> Customer:
    """A customer with a contact who hears of money."""
    made = customer(prefix)
    customers.put_contact(
        account=made.ref,
        external_id="desk",
        name="Desk",
        language=language,
        email=f"desk@{made.ref}.example",
        roles=["billing"],
        channels=["email"],
    )
    return made


def signs(who: Customer, day: date, *, iban: str = THEIRS, scheme: Scheme = Scheme.CORE) -> SignedMandate:
    """They sign a mandate in the portal."""
    from django.db import transaction

    from coulance.catalog import queries as catalog

    with transaction.atomic():
        return mandates.sign_mandate(
            account=who.id,
            iban=iban,
            holder=f"Customer {who.ref}",
            scheme=scheme,
            how=mandates.PORTAL,
            text=wording.mandate_text(
                seller=catalog.catalog().provider,
                creditor_id="NL79ZZZ999999990000",
                scheme=scheme,
                notice_days=5,
                language="en",
            ),
            signed_by="desk, from 192.0.2.1",
            signed_on=day,
            actor="contact:desk",
            at=at(day),
        )


def arrives(key: str, when: datetime, kind: EvidenceKind = EvidenceKind.ACCEPTED) -> None:
    """A server takes a message, or it comes back."""
    for delivery in sent.deliveries_of(key=key):
        (of,) = outcomes.known([delivery])
        evidence.record([outcomes.piece(of, kind, at=when, fact={})], at=when)


def plans(day: date) -> Planned:
    """Plan what falls due; all that is announced arrives within the hour."""
    done = direct_debit.plan_due(on=day, actor=ACTOR, at=at(day))
    for one in done.made:
        arrives(one.message_key, at(day, 10))
    return done


def hands_over(day: date) -> bytes:
    """Make the files of a day and fetch them for the bank; the last one's bytes."""
    file = b""
    for run in direct_debit.file_due(on=day, actor=ACTOR, at=at(day)).runs:
        file = direct_debit.hand_over(run=run.id, actor=ACTOR, at=at(day))[1]
    return file


def of(who: Customer) -> list[CollectionRow]:
    """A customer's collections, in the order they were made."""
    return sorted(collections.collections(accounts=[who.id]), key=lambda row: row.id)


def states(who: Customer) -> list[str]:
    """Where they stand."""
    return [row.state.value for row in of(who)]


def credit(row: CollectionRow, day: date, **more: Any) -> BankEntry:
    """The bank credits a collection."""
    given: dict[str, Any] = {"end_to_end_id": row.end_to_end_id, "counterparty_iban": THEIRS, **more}
    return BankEntry(day, row.amount, value_on=day, remittance="incasso", **given)


def back(row: CollectionRow, day: date, code: str, **more: Any) -> BankEntry:
    """The bank takes a collection back."""
    given: dict[str, Any] = {"end_to_end_id": row.end_to_end_id, "counterparty_iban": THEIRS, **more}
    return BankEntry(day, -row.amount, value_on=day, is_reversal=True, return_reason=code, **given)


class Bank:
    """Statements of one account that follow each other, written as camt.053 and read back."""

    def __init__(self, folder: Path, opening: int = 1_000_000) -> None:
        self.folder, self.balance, self.number = folder, opening, 0

    def says(self, *entries: BankEntry, day: date, when: datetime | None = None) -> ImportReport:
        """Import a statement of these entries."""
        self.number += 1
        opening = self.balance
        self.balance += sum(entry.amount.minor for entry in entries)
        made = BankStatement(
            OURS,
            "EUR",
            entries,
            number=str(self.number),
            opening=Money(opening, "EUR"),
            closing=Money(self.balance, "EUR"),
            opened_on=day - timedelta(days=1),
            closed_on=day,
            form="camt.053.001.08",
        )
        moment = when or at(day, 18)
        path = self.folder / f"s{self.number}.xml"
        path.write_bytes(camt([made], message_id=f"S{self.number}", created_at=moment))
        files = [GivenFile(path.name, read_bank_file(path))]
        return bank_import.import_statements(files=files, apply=True, actor="cli:test", at=moment)


def live() -> list[str]:
    """The debts that are claimed, by what they are."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*), coalesce(sum(amount), 0) FROM payments_claim WHERE ended_at IS NULL")
        count, total = cursor.fetchone()
    return [f"{count} of {total}"]
