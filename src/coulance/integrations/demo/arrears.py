"""Who is late at the made-up provider, and what is done about it: six customers, six ways it can go.

One says nothing, one promises, one agrees to a plan and breaks it, one contests a part of a line and pays the rest
alone, one pays, one keeps their plan (where so many are late). Days pass as they did: each is judged at ten in the
morning, mails go to a directory. Everything goes through the flows of a real provider. Told again, nothing is made up
anew.
"""

import shutil
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from coulance.arrears import nights
from coulance.arrears import queries as records
from coulance.catalog import operations as catalog_operations
from coulance.catalog.reader import read_provider_file
from coulance.customers import queries as customers
from coulance.flows import payments as money
from coulance.flows.arrears import figuring, links, people, picking, risk, wording
from coulance.flows.arrears.facts import accounts_owing
from coulance.flows.arrears.links import Owing
from coulance.flows.arrears.running import run_arrears
from coulance.flows.disputing import acting, opening
from coulance.notices import operations as notices
from coulance.notices import queries as sent
from coulance.notices.transport import read_transport
from coulance.payments import queries as payments
from coulance.payments.operations import NewReceipt
from coulance.services import queries as services
from coulance_core.disputes import Contest, Grounds, Way
from coulance_core.kernel import Money
from coulance_core.payments import Method

ZONE = ZoneInfo("Europe/Amsterdam")
TERMS = '\n# What is done about debts that are late: the default policy that is shipped.\n[arrears]\nmode = "enforce"\n'
PARTS = ("silent", "promises", "plan", "contests", "pays", "keeps")
LEAST = 5
MOST_DAYS = 40


@dataclass(frozen=True, slots=True)
class Stands:
    """Where a customer is: what they did, what is owed, what was done last, what holds the next step up."""

    account: str
    name: str
    part: str
    owed: Money
    last: str
    held: str


@dataclass(frozen=True, slots=True)
class Told:
    """What it came to. `page` is the way out of the one who said nothing, as their mail has it; without the host."""

    stands: tuple[Stands, ...]
    acts: int
    letters: int
    page: str

    @property
    def silent(self) -> str:
        """The account whose dossier is worth opening."""
        return self.stands[0].account


def tell(provider_file: Path, home: Path, *, since: date, now: datetime, actor: str) -> Told | None:
    """Tell it from a day on, or what it came to before. None where nobody is late with a bill that was mailed."""
    known = records.cases(closed=True, most=1)
    cast = _cast_before() if known else _cast(since)
    if len(cast) < LEAST:
        return None
    if not known:
        _apply(provider_file, home / "provider", actor, now)
        _play(cast, home / "mails", since, now, actor)
    return _told(cast, now)


def _cast(since: date) -> list[int]:
    """Who owes the most of what was mailed: in the order of their parts."""
    mailed = {row.about for row in sent.messages(kind="document", state="accepted", limit=100_000)}
    owed: dict[int, int] = {}
    for account, items in payments.open_items().items():
        for item in items:
            if item.open.minor > 0 and item.due_on <= since and item.ref in mailed:
                owed[account] = owed.get(account, 0) + item.open.minor
    return sorted(owed, key=lambda account: (-owed[account], account))[: len(PARTS)]


def _cast_before() -> list[int]:
    return [row.account for row in sorted(records.cases(closed=True), key=lambda row: row.id)][: len(PARTS)]


def _apply(provider_file: Path, folder: Path, actor: str, at: datetime) -> None:
    """The provider's file as it is, with the terms of arrears."""
    if not (folder / provider_file.name).is_file():
        shutil.copytree(provider_file.parent, folder, dirs_exist_ok=True)
    own = folder / provider_file.name
    if "[arrears]" not in own.read_text():
        own.write_text(own.read_text() + TERMS)
    file = read_provider_file(own)
    if file.faults:
        raise RuntimeError(f"{own} has faults: run coulance check {own}")
    catalog_operations.apply_catalog(
        file=file, actor=actor, at=at, closed_until=None, plans_in_use=services.plans_in_use(date(2026, 1, 1))
    )


def _play(cast: list[int], mails: Path, since: date, now: datetime, actor: str) -> None:
    way = read_transport(f"file://{mails}?connections=1")
    early = datetime.combine(since - timedelta(days=60), time(9), ZONE).astimezone(UTC)
    for contact in customers.contacts(cast):
        if contact.email:
            notices.verify_address(
                account=contact.account_id, address=contact.email, how="came in by a mailed link", actor=actor, at=early
            )
    on = since
    while on <= min(now.astimezone(ZONE).date() - timedelta(days=1), since + timedelta(days=MOST_DAYS)):
        at = datetime.combine(on, time(10), ZONE).astimezone(UTC)
        ran = run_arrears(at=at, accounts=cast, actor=actor)
        if ran.failed:
            raise RuntimeError(f"arrears failed: {ran.failed}")
        notices.send_due(transport=way, clock=lambda at=at: at)  # type: ignore[misc]
        _they_act(cast, (on - since).days, at)
        on += timedelta(days=1)
    # What a night leaves for people to look at; the next one is tomorrow's.
    everybody = risk.everybody(at=now)
    night = nights.begin_night(whole=True, digest=picking.digest_of_table(), at=now)
    owing = accounts_owing()
    figuring.work_out_habits(owing, everybody=everybody, at=now)
    figuring.work_out_figures(everybody=everybody, at=now)
    nights.end_night(night=night, owing=len(owing), judged=0, at=now)


def _they_act(cast: list[int], day: int, at: datetime) -> None:
    """What the others do, each on a day of their own after the bill was due."""
    _silent, promises, plan, contests, pays, *keeps = cast
    today = at.astimezone(ZONE).date()
    match day:
        case 9:
            people.promise(account=promises, pay_by=today + timedelta(days=12), actor="contact:billing", at=at)
        case 11:
            _contest(contests, at)
        case 13:  # what isn't contested is paid alone: money that names nothing leaves the rest be
            _pay(contests, _undisputed(contests), today, "the rest of the bill", at)
        case 14:
            for account in (plan, *keeps):
                _agree(account, at)
        case 16:
            _pay(pays, _open(pays), today, "paid after the second letter", at)
    for account in keeps:
        for agreed in records.plans(accounts=[account]):
            due = [one.amount for one in agreed.instalments if one.due_on == today and agreed.state == "agreed"]
            for amount in due:
                _pay(account, {amount.currency: amount.minor}, today, "an instalment, on its day", at)


def _agree(account: int, at: datetime) -> None:
    bounds = people.bounds(account=account, at=at)
    people.propose_plan(
        account=account, instalments=people.suggest_plan(bounds=bounds, parts=3), debts=bounds.debts, at=at,
        actor="operator:demo", reason="they called: their money comes in later",
    )  # fmt: skip


def _pay(account: int, owed: dict[str, int], on: date, why: str, at: datetime) -> None:
    for code, minor in owed.items():
        money.book_payment(
            receipt=NewReceipt(
                account=account, amount=Money(minor, code), received_on=on, method=Method.BANK,
                source_key=f"demo/arrears/{account}/{code}/{on}", reason=f"the demo: {why}",
            ),
            actor="operator:demo", at=at,
        )  # fmt: skip


def _contest(account: int, at: datetime) -> None:
    """Half of the first line of what they owe; the other half they accept."""
    (row,) = customers.accounts([account])
    by = acting.operator("operator:demo")
    for item in payments.open_items(accounts=[account])[account]:
        if item.open.minor <= 0 or not item.ref.startswith("document/"):
            continue
        document = int(item.ref.removeprefix("document/"))
        found = opening.contestable(document=document, actor=by, at=at)
        line = next((one for one in found.lines if one.can_be and one.left.minor > 1), None)
        if line is not None:
            half = Money(line.left.minor // 2, line.left.currency)
            opening.open_dispute(
                document=document, contests=[Contest(line.no, Way.AMOUNT, amount=half)], grounds=Grounds.QUANTITY,
                at=at, actor=by, reason=f"{row.name} called: half of that can't be theirs",
            )  # fmt: skip
            return


def _undisputed(account: int) -> dict[str, int]:
    out: dict[str, int] = {}
    for item in payments.open_items(accounts=[account]).get(account, ()):
        out[item.payable.currency] = out.get(item.payable.currency, 0) + item.payable.minor
    return {code: minor for code, minor in out.items() if minor > 0}


def _open(account: int) -> dict[str, int]:
    out: dict[str, int] = {}
    for item in payments.open_items(accounts=[account]).get(account, ()):
        out[item.open.currency] = out.get(item.open.currency, 0) + item.open.minor
    return {code: minor for code, minor in out.items() if minor > 0}


def _told(cast: list[int], now: datetime) -> Told:
    rows = {row.id: row for row in customers.accounts(cast)}
    stands, acts, letters = [], 0, 0
    for account, part in zip(cast, PARTS, strict=False):  # the last part only where so many are late
        done = records.acts(account=account)
        acts += len(done)
        letters += sum(len(act.messages) for act in done)
        held = records.held_up(accounts=[account])
        row = rows[account]
        stands.append(
            Stands(
                row.external_id, row.name, part, Money(_open(account).get(row.currency, 0), row.currency),
                wording.what(done[-1].act, language="en", undone=done[-1].undone_at is not None) if done else "nothing",
                wording.why_held(held[0].code, language="en") if held else "",
            )
        )  # fmt: skip
    contact = next((one.external_id for one in customers.contacts([cast[0]]) if one.email), "")
    page = links.url(Owing(cast[0], contact), at=now)
    return Told(tuple(stands), acts, letters, page[page.index("/owed/") :])
