"""What a night works out for people to look at: how accounts pay, what is open by age, which bills reached nobody.

Kept in small tables with their instant, so that no page adds up everybody's accounts. No step, fee or restriction reads
any of it, but for the day of a reminder before the due day, which a habit may move.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from fractions import Fraction

from coulance.arrears import nights, operations
from coulance.arrears import queries as records
from coulance.arrears.nights import NewHabit, UnreceivedRow
from coulance.catalog import queries as catalogs
from coulance.customers import queries as customers
from coulance.flows.arrears import risk
from coulance.flows.arrears.facts import Read
from coulance.invoicing import queries as documents
from coulance.notices import queries as sent
from coulance.payments import columns
from coulance.payments import queries as payments
from coulance.platform import alarms
from coulance_core.arrears.amounts import bill_due_on
from coulance_core.arrears.horizon import Horizon
from coulance_core.arrears.risk import days_sales_outstanding, gentler, lately, remind_days, score
from coulance_core.kernel import Money
from coulance_core.payments import OpenItem

CHUNK = 500
YEAR = timedelta(days=365)


def work_out_habits(accounts: Sequence[int], *, everybody: Fraction, at: datetime) -> int:
    """How these accounts pay, by two years of payments; how many were kept. Who was never billed has no habit."""
    on = _today(at)
    kept = 0
    for start in range(0, len(accounts), CHUNK):
        chunk = accounts[start : start + CHUNK]
        means = risk.by_themselves(chunk, on=on)
        found = []
        for account, history in risk.histories(chunk).items():
            of = lately(history, on)
            if not of:
                continue
            one = score(of, on, everybody)
            picks = [pick.value for pick in gentler(one, of, on, has_means=account in means)]
            found.append(
                NewHabit(account, one.chance, one.bills, one.probably_late, remind_days(of, on), picks, one.explanation)
            )
        kept += nights.keep_habits(found, at=at)
    return kept


def work_out_figures(*, everybody: Fraction, at: datetime) -> None:
    """What is open by age, with days of sales; a bill nobody received isn't late, nor all of one that came late."""
    on = _today(at)
    aged = columns.open_by_age(on=on)
    waiting = {row.ref: row for row in nights.unreceived(most=10**6)}
    later = nights.received_late()
    missing = dict.fromkeys(aged, 0)
    if waiting or later:
        for item in _items({row.account for row in waiting.values()} | _owners(later)):
            by_age = aged.get(item.open.currency)
            if by_age is None or item.open.minor <= 0 or (item.ref not in waiting and item.ref not in later):
                continue
            by_age[_age(item.due_on, on)] -= item.open.minor
            if item.ref in waiting:
                by_age[0] += item.open.minor
                missing[item.open.currency] += item.open.minor
            else:
                by_age[_age(later[item.ref], on)] += item.open.minor
    billed = documents.billed_by_day(since=on - YEAR)
    nights.keep_figures(
        (
            (
                [Money(minor, code) for minor in by_age],
                Money(missing[code], code),
                days_sales_outstanding(billed.get(code, {}).items(), sum(by_age), on),
            )
            for code, by_age in sorted(aged.items())
        ),
        everybody=everybody,
        on=on,
        at=at,
    )


def note_bills(reads: Mapping[int, Read], *, at: datetime) -> None:
    """Which of these accounts' open bills reached nobody, as they were judged; those that did since end."""
    found: dict[str, tuple[int, str, date, Money]] = {}
    due: dict[str, date] = {}
    for account, one in reads.items():
        h = Horizon(at, one.facts.zone)
        deemed = one.law.deemed_for(one.facts.debtor, h.on) if one.law else None
        for debt in one.facts.debts:
            day = bill_due_on(one.policy, debt, h, deemed)
            if day is None:
                found[debt.ref] = (account, debt.number, debt.due_on, debt.open)
            else:
                due[debt.ref] = day
    _new, ended = nights.note_unreceived(found, due=due, accounts=list(reads), at=at)
    for row in ended:
        alarms.clear_alarm(key=_key(row), at=at)


def reach(*, after_days: int, at: datetime) -> list[UnreceivedRow]:
    """Have somebody reach those whose bill nobody received for so many days, or whose mail came back: an alarm, and a
    task where there is a case. Once each; which they are."""
    out = []
    rows = nights.unreceived(most=10**6)
    numbers = [f"document/{row.ref.removeprefix('document/')}" for row in rows if row.ref.startswith("document/")]
    keys = sent.keys_about(numbers, kind="document") if numbers else {}
    back = sent.returned(keys={key for found in keys.values() for key in found}) if keys else {}
    names = {row.id: row for row in customers.accounts({row.account for row in rows})} if rows else {}
    for row in rows:
        returned = any(key in back for key in keys.get(row.ref, ()))
        if not returned and at < row.since + timedelta(days=after_days):
            continue
        owner = names[row.account]
        why = "its mail came back" if returned else f"nothing says since {row.since:%Y-%m-%d} that it arrived"
        said = (
            f"{row.number} of {owner.external_id} ({row.amount}) reached nobody: {why}. It isn't due until it does."
            f" Reach them another way: {_ways(row.account)}"
        )
        alarms.raise_alarm(key=_key(row), severity="warning", what=said[:500], at=at)
        case = records.case(row.account)
        if case is not None and not records.tasks(accounts=[row.account], kind="reach", ref=row.ref, done=True):
            operations.add_task(case=case.id, kind="reach", what=said, at=at, ref=row.ref)
        out.append(row)
    return out


def _ways(account: int) -> str:
    """Every other way there is to reach somebody of an account."""
    [owner] = customers.accounts([account])
    phones = [f"call {one.name} at {one.phone}" for one in customers.contacts([account]) if one.phone]
    post = [f"post it to {', '.join([owner.name, *owner.address, owner.country])}"] if owner.address else []
    return "; ".join([*phones, *post]) or "no telephone number and no address is known: ask whoever knows them"


def _key(row: UnreceivedRow) -> str:
    return f"bill-unreceived:{row.ref}"


def _items(accounts: Iterable[int]) -> Iterable[OpenItem]:
    for items in payments.open_items(accounts=accounts).values():
        yield from items


def _owners(refs: Iterable[str]) -> set[int]:
    numbers = [int(ref.removeprefix("document/")) for ref in refs if ref.startswith("document/")]
    return {documents.row_of(document=number).account for number in numbers}


def _age(due: date, on: date) -> int:
    late = (on - due).days
    return 0 if late <= 0 else 1 if late <= 30 else 2 if late <= 60 else 3 if late <= 90 else 4


def _today(at: datetime) -> date:
    return at.astimezone(catalogs.catalog().provider.zone_info).date()
