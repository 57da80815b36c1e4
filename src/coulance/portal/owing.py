"""What is owed and every way to stop what comes of it, as a page says it: plain words and figures."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from hashlib import sha256
from typing import Any

from django.utils.translation import gettext as _

from coulance.arrears.errors import ArrearsError
from coulance.arrears.queries import StayRow
from coulance.flows.arrears import people
from coulance.flows.arrears.people import PlanBounds
from coulance.flows.arrears.standing import Standing
from coulance.invoicing.documents.words import Words
from coulance_core.arrears import Act, DebtKind, Instalment, NotPlanned, Proposed, Way
from coulance_core.kernel import Money, Refusal

REASONS = ("", "later", "less", "unexpected")
"""Why somebody can't pay at once: one of these words and nothing else is kept, so that nothing private is."""
FIRST = 24
"""How many things to come are on the page at all."""
AT_ONCE = 4
"""How many bills, and things to come, are seen before the rest is asked for."""


class UnableToReadFormError(ValueError):
    """What was typed can't be read; the text says why, in the reader's language."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The plan that a form asks for, as it would be: to be looked at before it is committed to."""

    parts: int
    first: str
    reason: str
    instalments: tuple[Instalment, ...]
    needs_approval: bool
    fault: str
    interest: Money | None = None
    percent: Fraction | None = None

    @property
    def digest(self) -> str:
        """Of what was shown: what is agreed to is what was read."""
        rows = [f"{one.due_on} {one.amount}" for one in self.instalments]
        return sha256("\n".join([*rows, str(self.needs_approval), str(self.interest)]).encode()).hexdigest()


def reasons() -> list[tuple[str, str]]:
    """The reasons to choose from, in words."""
    words = (
        _("I would rather not say"),
        _("My money comes in later"),
        _("I have less to spend for now"),
        _("It is far more than usual"),
    )
    return list(zip(REASONS, words, strict=True))


def shape(bounds: PlanBounds, *, parts: str, first: str, reason: str) -> Shape:
    """A plan from what was typed. Raises `UnableToReadFormError`."""
    if bounds.owed is None:
        raise UnableToReadFormError(_("Nothing is owed that a plan could be for."))
    if not parts.isdigit() or not 1 < int(parts) <= bounds.terms.instalments:
        raise UnableToReadFormError(_("Choose in how many parts you want to pay."))
    fixed = amount(first, bounds.owed.currency)
    if fixed is not None and fixed >= bounds.owed:
        raise UnableToReadFormError(_("The first payment is less than the whole."))
    made = people.suggest_plan(bounds=bounds, parts=int(parts), first=fixed)
    judged = people.judge_plan(bounds=bounds, instalments=made)
    waits = isinstance(judged, Proposed) and judged.needs_approval
    fault = refused(judged, bounds) if isinstance(judged, Refusal) else ""
    bears = people.interest_of(bounds=bounds, instalments=made)
    return Shape(
        int(parts), first, reason if reason in REASONS else "", made, waits, fault,
        None if bears is None else bears.amount, bounds.percent,
    )  # fmt: skip


def amount(typed: str, code: str) -> Money | None:
    """What was typed as money; none for nothing. Raises `UnableToReadFormError`."""
    if not typed.strip():
        return None
    try:
        money = Money.of(typed.strip().replace(",", "."), code)
    except (ValueError, ArithmeticError) as error:
        raise UnableToReadFormError(_("Type an amount such as 25.00.")) from error
    if money.minor <= 0:
        raise UnableToReadFormError(_("Type an amount such as 25.00."))
    return money


def refused(refusal: Refusal, bounds: PlanBounds) -> str:
    """Why a plan or promise isn't taken, in the reader's language."""
    terms = bounds.terms
    match refusal.code:
        case NotPlanned.NOTHING_OWED:
            return _("Nothing is owed that a plan could be for.")
        case NotPlanned.VETOES_USED:
            return _("This was used up for this bill. Talk to us: a person can still agree to something.")
        case NotPlanned.TOO_MANY | NotPlanned.TOO_LONG:
            return _("A plan has at most %(parts)s payments, within %(days)s days.") % {
                "parts": terms.instalments, "days": terms.days,
            }  # fmt: skip
        case NotPlanned.FIRST_TOO_LATE:
            return _("The first payment is within %(days)s days.") % {"days": terms.first_days}
        case NotPlanned.FIRST_TOO_SMALL:
            return _("The first payment is at least %(percent)s %% of the whole.") % {"percent": terms.first_percent}
        case NotPlanned.TOO_SMALL:
            return _("The payments of this plan are too small. Choose fewer parts, or talk to us.")
        case NotPlanned.NOT_IN_ORDER:
            return _("Choose today or a later day.")
    return _("This plan doesn't come to what is owed. Please try again.")


def why(error: ArrearsError, bounds: PlanBounds) -> str:
    """Why an act isn't taken, in the reader's language."""
    refusal = getattr(error, "refusal", None)
    if isinstance(refusal, Refusal):
        if refusal.code is NotPlanned.TOO_LONG and bounds.promise_by is not None:
            return _("That is too late for a promise. Choose an earlier day, or a plan.")
        return refused(refusal, bounds)
    return _("That can't be done now. Please look at this page again, or talk to us.")


def page(found: Standing, says: Words) -> dict[str, Any]:
    """The figures and sentences of the page."""

    def money(of: Money | None) -> str:
        return "" if of is None else says.money(of.decimal(), of.currency)

    ways = {way.way: way for way in found.ways}
    total: dict[str, int] = {}
    for one in found.outlook.owed:
        total[one.net.currency] = total.get(one.net.currency, 0) + one.net.minor
    running = [one for one in found.plans if one.state in ("proposed", "agreed")]
    plan = next((one for one in reversed(running) if one.id not in found.broken_plans), None)
    live = [one for one in found.promises if one.pay_by >= found.bounds.today]
    coming = [] if found.observing else _coming(found, says, money)
    folded = _folded(len(found.outlook.owed))
    rest: dict[str, int] = {}
    for one in found.outlook.owed[-folded:] if folded else ():
        rest[one.net.currency] = rest.get(one.net.currency, 0) + one.net.minor
    return {
        "folded": folded,
        "from_bill": len(found.outlook.owed) - folded + 1,
        "folded_sum": " + ".join(money(Money(minor, code)) for code, minor in sorted(rest.items())),
        "coming_first": coming[: len(coming) - _folded(len(coming))],
        "coming_more": coming[len(coming) - _folded(len(coming)) :],
        "owes": found.owes,
        "total": " + ".join(money(Money(minor, code)) for code, minor in sorted(total.items())),
        "debts": [_debt(one, says, money) for one in found.outlook.owed],
        "restore": " + ".join(money(one) for one in found.outlook.to_restore) if found.restrictions else "",
        "restricted": sorted({row.service_name for row in found.restrictions}),
        "blocked": any(
            act.act is Act.BLOCK_ORDERS and act.undone_at is None and not act.observed for act in found.done
        ),
        "coming": coming,
        "observing": found.observing,
        "stays": [says.day(one.until.date()) if one.until else "" for one in _resting(found)],
        "promised": says.day(live[-1].pay_by) if live else "",
        "promise_by": found.bounds.promise_by if Way.PROMISE in ways and ways[Way.PROMISE].is_open else None,
        "promise_last": says.day(found.bounds.promise_by) if found.bounds.promise_by else "",
        "promises_left": ways[Way.PROMISE].left if Way.PROMISE in ways else 0,
        "today": found.bounds.today,
        "plan": None if plan is None else {
            "id": plan.id,
            "waits": plan.state == "proposed",
            "rows": rows(plan.instalments, says),
            "total": money(plan.total),
            "interest": money(plan.interest_most),
        },
        "missed": plan is None and bool(running),
        "may_plan": plan is None and Way.PLAN in ways and ways[Way.PLAN].is_open and found.bounds.owed is not None,
        "parts": range(2, found.bounds.terms.instalments + 1),
        "planned": money(found.bounds.owed),
        "first_percent": found.bounds.terms.first_percent,
        "reasons": reasons(),
        "policy": found.policy,
        "law": found.law,
    }  # fmt: skip


def _folded(count: int) -> int:
    """How many of a list wait until they are asked for: none where that would save only one."""
    return count - AT_ONCE if count > AT_ONCE + 1 else 0


def _resting(found: Standing) -> list[StayRow]:
    """The rests that are in force, of all that is owed."""
    at = found.outlook.now.at
    return [
        one for one in found.stays
        if not one.debts and one.since <= at and (one.ends_at is None or at < one.ends_at)
    ]  # fmt: skip


def rows(instalments: Sequence[Instalment], says: Words) -> list[tuple[str, str]]:
    """Instalments as a table: day, amount."""
    return [(says.day(one.due_on), says.money(one.amount.decimal(), one.amount.currency)) for one in instalments]


def _debt(one: Any, says: Words, money: Any) -> dict[str, Any]:
    kinds = {
        DebtKind.BASE: _("fees"),
        DebtKind.OVERAGE: _("use above what was included"),
        DebtKind.OTHER: _("other"),
        DebtKind.COSTS: _("costs of collecting"),
        DebtKind.INTEREST: _("interest"),
    }
    about = []
    if one.disputed.minor:
        about.append(_("%(amount)s of it is contested and waits.") % {"amount": money(one.disputed)})
    if one.on_its_way.minor:
        about.append(_("%(amount)s is on its way.") % {"amount": money(one.on_its_way)})
    if one.covered.minor:
        about.append(_("%(amount)s is covered by money we hold for you.") % {"amount": money(one.covered)})
    if one.due_on is None:
        about.append(_("We don't know that this bill reached you, so it isn't due yet."))
    return {
        "ref": one.debt,
        "number": one.number,
        "kind": kinds[one.kind],
        "due": says.day(one.due_on) if one.due_on is not None else "",
        "late": one.due_on is not None,
        "open": money(one.open),
        "net": money(one.net),
        "about": about,
    }


def _coming(found: Standing, says: Words, money: Any) -> list[dict[str, Any]]:
    shown, told = [], set()
    for one in found.coming:
        mark = (one.words, one.service, one.waits_words)
        if mark in told:
            continue
        told.add(mark)
        shown.append(
            {
                "on": says.day(one.on),
                "today": one.on == found.bounds.today,
                "what": one.words,
                "service": one.service,
                "amount": money(one.amount) if one.amount is not None else "",
                "waits": one.waits_words,
            }
        )
    return shown[:FIRST]


def day_of(typed: str) -> date:
    """A day that was typed. Raises `UnableToReadFormError`."""
    try:
        return date.fromisoformat(typed.strip())
    except ValueError as error:
        raise UnableToReadFormError(_("Choose a day.")) from error
