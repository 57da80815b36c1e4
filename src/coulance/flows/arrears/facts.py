"""Reading what an account is judged by: one query a room for a chunk of accounts, put together as core's facts."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from coulance.arrears import nights
from coulance.arrears import queries as records
from coulance.arrears.provider_table import Settings, settings_of, shipped_packs
from coulance.arrears.queries import ActRow, CaseRow, Recorded
from coulance.catalog import queries as catalogs
from coulance.customers import queries as customers
from coulance.customers.queries import AccountRow
from coulance.disputes import queries as disputes
from coulance.flows.sending.documents import about as about_document
from coulance.invoicing import queries as documents
from coulance.notices import queries as sent
from coulance.payments import queries as payments
from coulance.services import queries as services
from coulance.services.queries import ServiceForClose
from coulance_core.arrears import (
    Act,
    Approval,
    Backup,
    Debt,
    DebtKind,
    Debtor,
    Done,
    Evidence,
    Facts,
    Ground,
    Held,
    Impossible,
    InFlight,
    LawPack,
    Paid,
    Plan,
    Policy,
    Promise,
    Retrieval,
    Service,
    Stay,
    Worth,
    choose_pack,
    choose_policy,
)
from coulance_core.arrears.terms import QUESTION_DAYS
from coulance_core.kernel import Money
from coulance_core.notices import MessageKind
from coulance_core.payments import OpenItem


@dataclass(frozen=True, slots=True)
class Read:
    """An account as it is judged: by which policy and law, and with the rows behind its facts.

    `case` is its open one; without, `policy` is the one that a case would be opened by.
    """

    account: AccountRow
    policy: Policy
    law: LawPack | None
    facts: Facts
    case: CaseRow | None
    acts: tuple[ActRow, ...]
    services: Mapping[str, ServiceForClose]
    debts: Mapping[str, OpenItem]

    def service_id(self, external_id: str) -> int | None:
        """The row of a service; none for the account itself."""
        return self.services[external_id].id if external_id else None


def settings() -> Settings | None:
    """What the provider's file says of arrears; none: it is off."""
    return settings_of(catalogs.table("arrears"))


def read(accounts: Iterable[int], *, at: datetime, terms: Settings | None = None) -> dict[int, Read]:
    """What these accounts are judged by. Those that no policy covers, and that have no case, are left out."""
    wanted = sorted(set(accounts))
    if terms is None:
        terms = settings()
    known = records.recorded(wanted)
    rows = {row.account.id: row for row in services.accounts_for_close(wanted)}
    own_of = {account: [service.external_id for service in row.services] for account, row in rows.items()}
    habits = terms is not None and terms.prevention.remind_as_they_pay and _moves_reminders(terms.policies)
    gathered = _Gathered(wanted, known, at, own_of, habits=habits)
    out: dict[int, Read] = {}
    for account in wanted:
        if account not in rows:
            continue
        row, one = rows[account].account, known[account]
        own = {service.external_id: service for service in rows[account].services}
        debtor, today = Debtor(row.kind), at.astimezone(ZoneInfo(row.zone)).date()
        policy = _policy(terms, one.case, row, debtor, today, own)
        if policy is None:
            continue
        law = _law(shipped_packs() if terms is None else terms.packs, policy, row, debtor)
        items = gathered.items.get(account, ())
        facts = gathered.facts(row, own, debtor, terms, pinned=policy.version if one.case else "")
        debts = {item.ref: item for item in items if item.open.minor > 0}
        out[account] = Read(row, policy, law, facts, one.case, tuple(one.acts), own, debts)
    return out


def laws(accounts: Iterable[int], *, at: datetime) -> dict[int, LawPack | None]:
    """The law pack of these accounts, as debts of theirs are judged by it; also where no policy covers them."""
    wanted = sorted(set(accounts))
    terms, known = settings(), records.recorded(wanted)
    out: dict[int, LawPack | None] = {}
    for whole in services.accounts_for_close(wanted):
        row, debtor = whole.account, Debtor(whole.account.kind)
        own = {service.external_id: service for service in whole.services}
        policy = _policy(terms, known[row.id].case, row, debtor, at.astimezone(ZoneInfo(row.zone)).date(), own)
        packs = shipped_packs() if terms is None else terms.packs
        country = choose_pack(packs, country=row.country, debtor=debtor)
        out[row.id] = country if policy is None else _law(packs, policy, row, debtor)
    return out


def _moves_reminders(policies: Iterable[Policy]) -> bool:
    return any(step.within for policy in policies for step in policy.steps)


def _policy(
    terms: Settings | None,
    case: CaseRow | None,
    row: AccountRow,
    debtor: Debtor,
    on: date,
    own: Mapping[str, ServiceForClose],
) -> Policy | None:
    if case is not None:
        # A file without [arrears] stops every step; what was done is still undone when its ground is gone.
        whole = terms if terms is not None else Settings((), (), {}, frozenset(), overage_restricts=False)
        return whole.pinned(case.version, case.terms)
    if terms is None:
        return None
    plans = sorted({sub.plan for service in own.values() for sub in service.subscriptions if sub.valid_until is None})
    return choose_policy(terms.policies, debtor, on=on, country=row.country, groups=row.groups, plans=plans)


def _law(packs: Sequence[LawPack], policy: Policy, row: AccountRow, debtor: Debtor) -> LawPack | None:
    if policy.law:
        return next((pack for pack in packs if pack.name == policy.law), None)
    return choose_pack(packs, country=row.country, debtor=debtor)


class _Gathered:
    """What the rooms know of a chunk of accounts, by account."""

    def __init__(
        self, accounts: list[int], known: Mapping[int, Recorded], at: datetime, services: Mapping[int, Collection[str]],
        *, habits: bool,
    ) -> None:  # fmt: skip
        self.at, self.known = at, known
        names = [name for account in accounts if known[account].case is not None for name in services.get(account, ())]
        self.backups, self.impossible, self.retrievals = defaultdict(list), defaultdict(list), defaultdict(list)
        if names:
            for backup in records.backups(names):
                self.backups[backup.service].append(backup)
            for one in records.impossible(names):
                self.impossible[one.service].append(one)
            for offer in records.retrievals(names):
                self.retrievals[offer.service].append(offer)
        self.remind_days = nights.remind_days(accounts) if habits else {}
        self.items = payments.open_items(accounts=accounts)
        refs = [item.ref for items in self.items.values() for item in items if item.open.minor > 0]
        numbers = [int(ref.removeprefix("document/")) for ref in refs if ref.startswith("document/")]
        self.behind = documents.behind(documents=numbers) if numbers else {}
        self.bills = sent.keys_about([about_document(n) for n in numbers], kind=MessageKind.DOCUMENT.value)
        keys = {key for found in self.bills.values() for key in found}
        keys |= {key for one in known.values() for act in one.acts for key in act.messages}
        self.events = sent.events_of(keys) if keys else {}
        self.holds = defaultdict(list)
        for hold in disputes.holds(accounts=accounts, closed=True):
            self.holds[hold.account].append(hold)
        asking = {hold.account for found in self.holds.values() for hold in found if hold.until is None}
        # The case's own time to answer, as core counts it: from the day that its usual one would have begun.
        self.asked = {
            case.id: case.clock.lapses_at - timedelta(days=QUESTION_DAYS)
            for case in (disputes.cases(accounts=asking, at=at, closed=False) if asking else ())
            if case.clock.lapses_at is not None
        }
        self.flights = defaultdict(list)
        for flight in payments.in_flight(accounts=accounts):
            self.flights[flight.account].append(flight)
        self.balances = payments.balances(accounts=accounts)
        self.paid, self.booked = defaultdict(list), defaultdict(list)
        owing = [account for account in accounts if self.items.get(account)]
        for row in payments.allocations(accounts=owing) if owing else ():
            self.paid[row.ref].append(Paid(row.effective_on, row.amount))
            self.booked[row.ref].append((row.recorded_at, Paid(row.effective_on, row.amount)))
        self.back = defaultdict(list)
        for came in payments.came_back(accounts=owing) if owing else ():
            self.back[came.ref].append(came)
        with_case = [account for account in accounts if known[account].case is not None]
        since = (at - timedelta(days=365)).date()
        self.yearly = documents.billed_since(accounts=with_case, since=since) if with_case else {}
        self.received: dict[int, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        for receipt in payments.receipts(accounts=with_case, limit=100_000) if with_case else ():
            if receipt.reversed_on is None and receipt.method.is_money:
                self.received[receipt.account][receipt.amount.currency] += receipt.amount.minor

    def facts(
        self,
        row: AccountRow,
        own: Mapping[str, ServiceForClose],
        debtor: Debtor,
        terms: Settings | None,
        *,
        pinned: str,
    ) -> Facts:
        zone, one = ZoneInfo(row.zone), self.known[row.id]
        items = self.items.get(row.id, ())
        expressly = terms is not None and terms.overage_restricts
        no_data = frozenset() if terms is None else terms.no_data
        debts = tuple(self._debt(item, row.id, zone, expressly) for item in items if item.open.minor > 0)
        return Facts(
            account=row.id,
            zone=zone,
            debtor=debtor,
            country=row.country,
            debts=debts,
            done=tuple(self._done(act) for act in one.acts),
            held=tuple(self._held(row.id, zone)),
            promises=tuple(Promise(str(p.id), frozenset(p.debts), p.made_at, p.pay_by) for p in one.promises),
            plans=tuple(self._plans(one)),
            in_flight=tuple(self._flights(row.id)),
            credit=tuple(self._credit(row.id, items)),
            services=tuple(
                Service(s.external_id, s.kind not in no_data, s.ended_on) for s in own.values()
            ),
            backups=tuple(
                Backup(str(b.id), b.service, b.made_at, b.verified_at, b.how, b.lost_at)
                for name in own for b in self.backups.get(name, ())
            ),
            impossible=tuple(
                Impossible(i.service, i.recorded_at, i.by, i.why)
                for name in own for i in self.impossible.get(name, ())
            ),
            retrievals=tuple(
                Retrieval(r.service, r.offered_at, r.until)
                for name in own for r in self.retrievals.get(name, ())
            ),
            approvals=tuple(Approval(a.step, a.by, a.at, a.service, a.taken_back_at) for a in one.approvals),
            stays=tuple(
                Stay(str(s.id), s.kind, s.since, s.ends_at, frozenset(s.debts), s.why) for s in one.stays
            ),
            holidays=holidays_of(row.country, self.at.year),
            worth=self._worth(row, own),
            pinned=pinned,
            remind_days=self.remind_days.get(row.id, 0),
        )  # fmt: skip

    def _debt(self, item: OpenItem, account: int, zone: ZoneInfo, expressly: bool) -> Debt:
        bill: Evidence | date | None
        names: tuple[str, ...] = ()
        if item.ref.startswith("document/"):
            number = int(item.ref.removeprefix("document/"))
            behind = self.behind[number]
            names = behind.services
            keys = self.bills.get(about_document(number), [])
            if keys:
                bill = self._together(keys)
            else:
                # Sent by another way, by the provider's own word; else nobody has it, and it isn't due.
                bill = behind.sent_at.astimezone(zone).date() if behind.sent_at is not None else None
        else:
            bill = item.issued_on  # taken over: it was sent by the system that was left
        back = self.back.get(item.ref, ())
        return Debt(
            item.ref,
            item.number,
            DebtKind(item.kind.value),
            item.issued_on,
            item.due_on,
            item.gross,
            item.open,
            names,
            bill,
            expressly,
            tuple(one.at for one in back),
            tuple((one.code, one.on) for one in back if one.code),
            tuple(self.paid.get(item.ref, ())),
            tuple(self._delays(item.ref, account, zone)),
        )

    def _delays(self, ref: str, account: int, zone: ZoneInfo) -> Iterable[tuple[date, date | None]]:
        if not any(hold.ref == ref for hold in self.holds.get(account, ())):
            return
        for row in disputes.stopped(accounts=[account], zone=zone, at=self.at):
            if row.ref == ref:
                yield from row.days

    def _together(self, keys: Collection[str]) -> Evidence:
        events = [event for key in keys for event in self.events[key][0]]
        verified = {delivery: since for key in keys for delivery, since in self.events[key][1].items()}
        return Evidence(tuple(events), verified)

    def _done(self, act: ActRow) -> Done:
        told = act.act in (
            Act.REMIND, Act.DEMAND, Act.NOTICE_OF_TERMINATION, Act.NOTICE_OF_DELETION, Act.NOTICE_OF_NON_RENEWAL,
        )  # fmt: skip
        evidence = self._together(act.messages) if told and not act.observed else None
        return Done(
            str(act.id),
            act.step,
            frozenset(act.debts),
            act.at,
            act.service,
            evidence,
            frozenset(act.channels),
            act.about,
            act.undone_at,
            act.observed,
            recalled=act.ground == Ground.RECALLED.value,
        )

    def _held(self, account: int, zone: ZoneInfo) -> Iterable[Held]:
        for hold in self.holds.get(account, ()):
            asked = self.asked.get(hold.dispute)
            # Whether a second dispute rests on something new was judged when it was opened.
            yield Held(
                str(hold.dispute), hold.ref, hold.amount, hold.since, hold.until, new_fact=True,
                asked_on=None if asked is None else asked.astimezone(zone).date(),
            )  # fmt: skip

    def _plans(self, one: Recorded) -> Iterable[Plan]:
        for plan in one.plans:
            if plan.agreed_at is None:
                continue
            # By the instant: what was paid earlier that day isn't in what the plan is for.
            booked = (row for ref in plan.debts for row in self.booked.get(ref, ()))
            paid = tuple(part for when, part in booked if when > plan.agreed_at)
            yield Plan(str(plan.id), frozenset(plan.debts), plan.agreed_at, plan.instalments, paid, plan.ended_at)

    def _flights(self, account: int) -> Iterable[InFlight]:
        for n, flight in enumerate(self.flights.get(account, ())):
            yield InFlight(f"{flight.what}/{n}", flight.amount, flight.since, flight.final_on, flight.ref)

    def _credit(self, account: int, items: Iterable[OpenItem]) -> Iterable[Money]:
        yield from (-item.open for item in items if item.open.minor < 0)
        for balance in self.balances.get(account, {}).values():
            yield balance.unallocated + balance.prepaid

    def _worth(self, row: AccountRow, own: Mapping[str, ServiceForClose]) -> Worth | None:
        if self.known[row.id].case is None:
            return None
        since = min((service.started_on for service in own.values()), default=None)
        if since is None:
            return None
        yearly = self.yearly.get(row.id, {}).get(row.currency, 0)
        paid = self.received[row.id][row.currency] if row.id in self.received else 0
        return Worth(Money(yearly, row.currency), since, Money(paid, row.currency))


@lru_cache(maxsize=500)
def holidays_of(country: str, year: int) -> frozenset[date]:
    """The public holidays of a country in a year and those beside it; none for a country that isn't known.

    >>> date(2026, 12, 25) in holidays_of("NL", 2026), holidays_of("XX", 2026)
    (True, frozenset())
    """
    import holidays

    try:
        return frozenset(holidays.country_holidays(country, years=range(year - 1, year + 3)))
    except NotImplementedError:
        return frozenset()


def accounts_owing() -> list[int]:
    """Every account that owes something now."""
    return [row for row, items in payments.open_items().items() if any(item.open.minor > 0 for item in items)]


def account_of(external_id: str) -> AccountRow:
    """An account by its external id. Raises `UnableToFindAccountError`."""
    return customers.account(external_id)
