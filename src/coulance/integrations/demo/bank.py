"""Months of bank statements for the demo's provider: customers who pay well, late, in part, twice, too much, wrongly.

Deterministic from a seed and the open invoices. `Payday` says what was made up, so that an import can be checked to the
cent: what each customer paid in a way that can be told surely, what must wait for a person, what is no customer's.
"""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np
from stdnum import iban

from coulance.catalog import queries as catalog
from coulance.flows.bank_import import GivenFile, ImportReport, import_statements
from coulance.integrations.bank.reading import read_bank_file
from coulance.integrations.bank.writing import camt, mt940
from coulance.payments import bank
from coulance.payments import queries as payments
from coulance_core.invoicing.references import creditor_reference
from coulance_core.kernel import Money
from coulance_core.payments import OpenItem
from coulance_core.payments.bank import BankEntry, BankStatement

OURS = "NL79DEMO0000000000"
"""The account of examples/provider.toml."""
SAVINGS = "NL93DEMO0123456789"
DAYS = 27
"""How long a month's statements last: until the next closing."""
Ways = Sequence[tuple[str, int]]
ALL_WAYS: Ways = (
    ("reference", 44),
    ("number", 16),
    ("partial", 6),
    ("twice", 4),
    ("too much", 5),
    ("wrong reference", 5),
    ("batch", 8),
    ("returned", 5),
    ("never", 7),
)
"""In which ways customers pay, with weights: everything that happens, often."""
USUAL_WAYS: Ways = (
    ("reference", 640),
    ("number", 160),
    ("batch", 90),
    ("partial", 15),
    ("twice", 6),
    ("too much", 10),
    ("wrong reference", 9),
    ("returned", 15),
    ("never", 55),
)
"""The same as a provider's month has it: most pay as asked."""


@dataclass(slots=True)
class Payday:
    """Statements made up, and what they come to: `sure` by account, `queued` and `aside` in all, in minor units.

    `sure` counts a payment that came back as not made. `ways` says how many invoices were paid in which way.
    """

    statements: list[BankStatement]
    sure: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    queued: int = 0
    aside: int = 0
    ways: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    strayed: list[str] = field(default_factory=list)
    """The numbers of invoices that were paid so that nobody can tell: their customers don't pay them again."""

    @property
    def total(self) -> int:
        """What came in on the account, less what went out."""
        return sum(statement.total.minor for statement in self.statements)


def payday(
    items: Sequence[OpenItem],
    *,
    seed: int,
    first: date,
    days: int = 30,
    opening: int = 1_250_000,
    currency: str = "EUR",
    ours: str = OURS,
    ways: Ways = ALL_WAYS,
    number: int = 1,
) -> Payday:
    """A month of statements in one currency, a business day each, in which customers pay these invoices, or don't.

    Payments fall between an invoice's day of issue (or `first`) and some days after it is due. Items in other
    currencies are left out. `number` is that of the first statement.
    """
    rng = np.random.default_rng(seed)
    made = Payday([])
    by_day: dict[date, list[BankEntry]] = defaultdict(list)
    owed = sorted(
        (item for item in items if item.open.minor > 0 and item.open.currency == currency),
        key=lambda item: (item.issued_on, item.number, item.ref),
    )
    chances = [way for way, weight in ways for _ in range(weight)]
    batch: list[BankEntry] = []
    for place, item in enumerate(owed):
        way = chances[int(rng.integers(len(chances)))]
        made.ways[way] += 1
        day = _business_day(first + timedelta(days=int(rng.integers(1, max(days - 6, 2)))))
        paid = _paid(item, f"{first:%y%m}{place:06d}", day)
        reference = creditor_reference(item.number)
        amount = item.open.minor
        if way == "never":
            continue
        if way == "number":
            by_day[day].append(replace(paid, remittance=f"Factuur {item.number.lower()} bedankt"))
        elif way == "wrong reference":
            # Two check digits swapped for others, no number beside it, from an account that nobody knows.
            wrong = f"RF{(int(reference[2:4]) + 7) % 90 + 5:02d}{'9' * 12}"
            by_day[day].append(replace(paid, structured_reference=wrong, counterparty_iban="", counterparty_name=""))
            made.queued += amount
            made.strayed.append(item.number)
            continue
        else:
            paid = replace(paid, structured_reference=reference)
            if way == "batch":
                batch.append(paid)
                if len(batch) == 3:
                    by_day[day] += _as_batch(batch, day)
                    batch = []
                made.sure[item.account] += amount
                continue
            if way == "partial":
                amount = max(1, amount * int(rng.integers(20, 80)) // 100)
            elif way == "too much":
                amount += int(rng.integers(1, 5000))
            by_day[day].append(replace(paid, amount=Money(amount, currency)))
            if way == "twice":
                again = _business_day(day + timedelta(days=1))
                by_day[again].append(replace(paid, booked_on=again, value_on=again, bank_ref=f"{paid.bank_ref}X"))
                amount *= 2
            elif way == "returned":
                back = _business_day(day + timedelta(days=2))
                by_day[back].append(
                    replace(
                        paid,
                        booked_on=back,
                        value_on=back,
                        amount=Money(-amount, currency),
                        structured_reference="",
                        bank_ref=f"{paid.bank_ref}R",
                        return_reason="MD06",
                    )
                )
                continue
        made.sure[item.account] += amount
    for paid in batch:
        by_day[paid.booked_on].append(paid)
    for amount, who, text in (
        (-180_000, "NL09DEMO0987654321", "Rack room rent"),
        (-500_000, SAVINGS, "Reserve"),
    ):
        day = _business_day(first + timedelta(days=int(rng.integers(1, days))))
        by_day[day].append(
            BankEntry(day, Money(amount, currency), value_on=day, counterparty_iban=who, remittance=text, bank_ref=text)
        )
        made.aside += amount
    made.statements = _statements(by_day, opening, currency, ours, number)
    return made


def _business_day(day: date) -> date:
    return day + timedelta(days={5: 2, 6: 1}.get(day.weekday(), 0))


def _paid(item: OpenItem, place: str, day: date) -> BankEntry:
    return BankEntry(
        day,
        item.open,
        value_on=day,
        end_to_end_id=f"E2E-{place}",
        counterparty_name=f"Customer {item.account}",
        counterparty_iban=_iban(f"DEMO{item.account:010d}"),
        bank_ref=f"CO{day:%y%m%d}{place[-6:]}",
    )


def _iban(account: str) -> str:
    return f"NL{iban.calc_check_digits(f'NL00{account}')}{account}"


def _as_batch(parts: Sequence[BankEntry], day: date) -> list[BankEntry]:
    name = f"B{day:%y%m%d}-{parts[0].end_to_end_id[-6:]}"
    return [replace(part, booked_on=day, value_on=day, batch=name, bank_ref=name) for part in parts]


def _statements(
    by_day: dict[date, list[BankEntry]], opening: int, currency: str, ours: str, first: int
) -> list[BankStatement]:
    out = []
    before = min(by_day) - timedelta(days=1) if by_day else None
    for number, day in enumerate(sorted(by_day), start=first):
        entries = sorted(by_day[day], key=lambda entry: (entry.batch, entry.bank_ref))
        closing = opening + sum(entry.amount.minor for entry in entries)
        out.append(
            BankStatement(
                ours,
                currency,
                tuple(entries),
                number=f"{day:%y}{number:03d}",
                opening=Money(opening, currency),
                closing=Money(closing, currency),
                opened_on=before,
                closed_on=day,
            )
        )
        opening, before = closing, day
    return out


def write_files(made: Payday, folder: Path, *, created_at: datetime) -> list[Path]:
    """The statements as camt.053 files, one a day, as a bank hands them out."""
    folder.mkdir(parents=True, exist_ok=True)
    out = []
    for statement in made.statements:
        path = folder / f"camt053-{statement.number}.xml"
        path.write_bytes(camt([statement], message_id=f"MSG{statement.number}", created_at=created_at))
        out.append(path)
    return out


def write_mt940(made: Payday, folder: Path) -> list[Path]:
    """The statements as one MT940 file, as other banks hand them out."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"mt940-{made.statements[0].number}.sta"
    path.write_bytes(mt940(made.statements).encode("ascii"))
    return [path]


def pay(
    folder: Path,
    *,
    first: date,
    at: datetime,
    seed: int,
    actor: str,
    swift: bool = False,
    strayed: Collection[str] = (),
) -> tuple[Payday, ImportReport] | None:
    """Let customers pay what is open in a month, and import the bank's files; None when that was done before.

    `swift` has the bank hand out MT940 instead of camt.053. `strayed` are invoices that their customers think paid.
    Raises `RuntimeError` when what was booked is not what was made up.
    """
    known = bank.status()
    if known and known[0].last_on is not None and known[0].last_on >= first:
        import_statements(files=[], apply=True, actor=actor, at=at)  # what an import that was killed left
        return None
    before = _queued()
    owed = [item for items in payments.open_items().values() for item in items if item.number not in strayed]
    closing = known[0].closing if known else None
    made = payday(
        owed,
        seed=seed,
        first=first,
        days=DAYS,
        opening=closing.minor if closing is not None else 1_250_000,
        ours="".join(catalog.catalog().provider.iban.split()),
        ways=USUAL_WAYS,
        number=known[0].statements + 1 if known else 1,
    )
    paths = write_mt940(made, folder) if swift else write_files(made, folder, created_at=at)
    files = [GivenFile(path.name, read_bank_file(path)) for path in paths]
    report = import_statements(files=files, apply=True, actor=actor, at=at)
    if _queued() - before != made.queued or report.accounts[0].missing != Money(0, report.accounts[0].currency):
        raise RuntimeError(
            f"{_queued() - before} waits where {made.queued} was made up to, or a balance is not explained"
        )
    return made, report


def _queued() -> int:
    return sum(row.entry.amount.minor for row in bank.entries(states=("suggested",), limit=100_000))
