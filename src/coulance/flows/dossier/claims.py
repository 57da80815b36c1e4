"""What is claimed of an account: debts, what of them is contested, interest by day and costs, by the law pack."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from coulance.arrears import queries as arrears
from coulance.arrears.provider_table import settings_of, shipped_packs
from coulance.catalog import queries as catalogs
from coulance.customers.queries import AccountRow
from coulance.disputes import queries as disputes
from coulance.flows.arrears.facts import read
from coulance.payments import queries as payments
from coulance_core.arrears import Act, Debtor, LawPack, Paid, choose_pack
from coulance_core.arrears.costs import Cost, collection_costs
from coulance_core.arrears.interest import Interest, accrue
from coulance_core.arrears.interest_due import interest_rests
from coulance_core.arrears.judging import Judging
from coulance_core.arrears.packs import Begins, InterestRule
from coulance_core.kernel import Money
from coulance_core.payments import ItemKind, OpenItem


class UnableToMakeDossierError(ValueError):
    """There is nothing to claim, a debt isn't the account's, or debts are in several currencies."""


@dataclass(frozen=True, slots=True)
class ClaimedDebt:
    """A debt, what of it is contested, and the interest on the rest. `charged`: interest that was billed already."""

    item: OpenItem
    disputed: Money
    interest: Interest | None
    charged: Money
    paid_before: Money
    """Of a debt that was taken over from another system: what was settled of it there."""

    @property
    def claimed(self) -> Money:
        """What is open and not contested."""
        return self.item.open - self.disputed

    @property
    def interest_claimed(self) -> Money:
        """What ran up and wasn't billed."""
        if self.interest is None:
            return Money(0, self.item.open.currency)
        return Money(max(self.interest.amount.minor - self.charged.minor, 0), self.item.open.currency)


@dataclass(frozen=True, slots=True)
class Claim:
    """What is claimed on a day, by which law. `costs` are computed; `costs_claimed` is what of them is claimed.

    Costs for which the law wants a letter first are claimed as their own document, once that letter has run out: then
    they are one of the debts, and nothing is added here. `owed` is all that is open of the account, claimed or not.
    """

    account: AccountRow
    on: date
    currency: str
    debts: tuple[ClaimedDebt, ...]
    law: LawPack | None
    costs: Cost | None
    costs_claimed: Money
    letter: str
    owed: Money

    @property
    def principal(self) -> Money:
        """What is open and not contested, of all debts."""
        return Money(sum(one.claimed.minor for one in self.debts), self.currency)

    @property
    def interest(self) -> Money:
        """Interest that ran up and wasn't billed."""
        return Money(sum(one.interest_claimed.minor for one in self.debts), self.currency)

    @property
    def total(self) -> Money:
        """All of it."""
        return self.principal + self.interest + self.costs_claimed


def claim_of(*, account: AccountRow, numbers: Collection[str], at: datetime) -> Claim:
    """The claim on these debts (their numbers; none named: all that is open), as it stands on that day.

    Raises `UnableToMakeDossierError`.
    """
    on = at.astimezone(ZoneInfo(account.zone)).date()
    every = payments.open_items(accounts=[account.id]).get(account.id, ())
    wanted = [item for item in every if item.open.minor > 0 and (not numbers or item.number in numbers)]
    if missing := sorted(set(numbers) - {item.number for item in wanted}):
        raise UnableToMakeDossierError(f"{account.external_id} has nothing open on {', '.join(missing)}")
    if not wanted:
        raise UnableToMakeDossierError(f"{account.external_id} owes nothing")
    if len(codes := sorted({item.open.currency for item in wanted})) > 1:
        raise UnableToMakeDossierError(f"debts in {' and '.join(codes)}: name those of one currency")
    law, code = _law(account), codes[0]
    debts = _debts(account, wanted, law, on, at)
    costs, letter, costs_claimed = None, "", Money(0, code)
    principal = [one for one in debts if _is_principal(one.item) and one.claimed.minor > 0]
    rule = law.costs_for(_debtor(account), min(o.item.due_on for o in principal), code) if law and principal else None
    late = [one for one in principal if one.item.due_on < on]
    if law is not None and rule is not None and late:
        costs = collection_costs(law, rule, [(one.item.number, one.claimed) for one in late])
        letter = rule.letter
        billed = any(item.kind is ItemKind.COSTS for item in every)
        if not letter and not billed:
            costs_claimed = costs.amount
    owed = sum(item.open.minor for item in every if item.open.currency == code)
    return Claim(account, on, code, tuple(debts), law, costs, costs_claimed, letter, Money(owed, code))


def _law(account: AccountRow) -> LawPack | None:
    terms = settings_of(catalogs.table("arrears"))
    packs = terms.packs if terms is not None else shipped_packs()
    return choose_pack(packs, country=account.country, debtor=_debtor(account))


def _debtor(account: AccountRow) -> Debtor:
    return Debtor(account.kind)


def _judged(account: AccountRow, at: datetime) -> Judging | None:
    """The account as arrears judges it; none where arrears is off."""
    one = read([account.id], at=at).get(account.id)
    return None if one is None else Judging(one.policy, one.facts, at, one.law)


def _begins(judged: Judging | None, rule: InterestRule | None, item: OpenItem) -> date | None:
    """The day after which a debt bears interest. Where arrears is off nobody knows of a notice that the law wants."""
    if rule is None:
        return None
    if judged is not None and item.ref in judged.standing:
        return judged.interest_begins(rule, judged.debts[item.ref])
    return item.due_on if rule.begins is Begins.DUE else None


def _rests(judged: Judging | None, item: OpenItem) -> Sequence[tuple[date, date | None]]:
    """When interest rests for what arrears knows: an error of ours, a payment plan that holds."""
    if judged is None or item.ref not in judged.standing:
        return ()
    return interest_rests(item.ref, judged.facts, judged.h, judged.policy.plans.grace_days)


def _is_principal(item: OpenItem) -> bool:
    return item.kind not in (ItemKind.COSTS, ItemKind.INTEREST)


def _debts(
    account: AccountRow, items: Sequence[OpenItem], law: LawPack | None, on: date, at: datetime
) -> list[ClaimedDebt]:
    refs = [item.ref for item in items]
    paid: dict[str, list[Paid]] = defaultdict(list)
    for row in payments.allocations(refs=refs):
        paid[row.ref].append(Paid(row.effective_on, row.amount))
    rests: dict[str, list[tuple[date, date | None]]] = defaultdict(list)
    # What an open case holds isn't claimed at all. Of a closed one, interest rests on the whole debt while we were
    # late, which is more than what was contested: in the customer's favour.
    undecided = {hold.dispute for hold in disputes.holds(accounts=[account.id])}
    for stopped in disputes.stopped(accounts=[account.id], zone=ZoneInfo(account.zone), at=at):
        if stopped.dispute not in undecided:
            rests[stopped.ref].extend(stopped.days)
    charged: dict[str, int] = defaultdict(int)
    for act in arrears.acts(account=account.id):
        if act.act is Act.CHARGE_INTEREST and act.undone_at is None and not act.observed:
            charged[act.debts[0]] += act.amount.minor
    judged = _judged(account, at)
    out = []
    for item in items:
        disputed = Money(min(item.held.minor, item.open.minor) if item.held is not None else 0, item.open.currency)
        rule = law.interest_for(_debtor(account), item.due_on) if law and _is_principal(item) else None
        interest = None
        begins = _begins(judged, rule, item)
        if law is not None and rule is not None and begins is not None and begins < on and item.open > disputed:
            whole = Money(
                item.open.minor - disputed.minor + sum(p.amount.minor for p in paid[item.ref]), disputed.currency
            )
            interest = accrue(
                law,
                rule,
                whole,
                due=begins,
                until=on,
                paid=paid[item.ref],
                rests=[*rests[item.ref], *_rests(judged, item)],
                name=item.number,
            )
            if not interest.stretches or interest.stretches[-1].end < begins + timedelta(days=1):
                interest = None
        before = 0
        if item.ref.startswith("opening/"):
            before = item.gross.minor - item.open.minor - sum(p.amount.minor for p in paid[item.ref])
        code = item.open.currency
        out.append(ClaimedDebt(item, disputed, interest, Money(charged[item.ref], code), Money(before, code)))
    return out
