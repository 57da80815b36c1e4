"""Two more ways to settle an overage invoice before it is issued: to pay it in parts, and to contest it.

Named in the setting `SETTLE_FIRST_WAYS`. Each issues the invoice, and in the same transaction does what was shown.
"""

from collections.abc import Sequence
from datetime import datetime

from django.utils import translation
from django.utils.translation import gettext as _

from coulance.arrears.errors import ArrearsError
from coulance.disputes.errors import UnableToOpenError
from coulance.flows.arrears import people
from coulance.flows.arrears.facts import read
from coulance.flows.arrears.people import PlanBounds
from coulance.flows.disputing import acting, opening
from coulance.flows.settling_first.waiting import Waiting
from coulance.flows.settling_first.ways import Chosen, UnableToChooseError, Way, issue
from coulance.invoicing.documents.words import Words
from coulance_core.arrears import Instalment, Proposed
from coulance_core.disputes import Contest, Grounds
from coulance_core.kernel import Money

PARTS = 3
"""In how many payments; the page of what is owed has every other number."""


class Instalments:
    """The bill as it is, a part a month, where the provider's policy for arrears takes such a plan."""

    key = "instalments"

    def ways(self, of: Waiting, *, at: datetime) -> Sequence[Way]:
        """One, with its days and amounts; none where arrears is off or its bounds don't take it."""
        found = self._plan(of, at)
        if found is None:
            return []
        parts, waits = found
        words = Words.of(translation.get_language())
        said = [_said(words, one) for one in parts]
        title = _("Pay it in %(parts)s parts") % {"parts": len(parts)}
        return [
            Way(
                self.key,
                title,
                (
                    _("The invoice is issued now, and paid like this: %(parts)s.") % {"parts": "; ".join(said)},
                    _("A person of ours looks at the plan first. We tell you what is decided.")
                    if waits
                    else _("The plan is agreed at once. It costs nothing; while you keep it, nothing else happens."),
                ),
                title,
                of.row.gross,
            )
        ]

    def take(self, of: Waiting, way: str, by: Chosen) -> Sequence[str]:  # noqa: ARG002 - the port's
        """Issue it, and agree to the plan of it."""
        found = self._plan(of, by.at)
        if found is None:
            raise UnableToChooseError(_("This is not offered any more."))
        number = issue(of, by)
        try:
            people.propose_plan(
                account=of.row.account,
                instalments=found[0],
                debts=[f"document/{of.row.document}"],
                actor=by.actor,
                at=by.at,
                interest=False,
            )
        except ArrearsError as fault:
            raise UnableToChooseError(_("This is not offered any more.")) from fault
        return [number]

    def _plan(self, of: Waiting, at: datetime) -> tuple[tuple[Instalment, ...], bool] | None:
        one = read([of.row.account], at=at).get(of.row.account)
        if one is None or one.account.currency != of.row.gross.currency:
            return None
        today = at.astimezone(one.facts.zone).date()
        bounds = PlanBounds((), of.row.gross, one.policy.plans, 0, None, today)
        parts = people.suggest_plan(bounds=bounds, parts=PARTS)
        judged = people.judge_plan(bounds=bounds, instalments=parts)
        return (parts, judged.needs_approval) if isinstance(judged, Proposed) else None


class ContestIt:
    """All of it is contested as it is issued: held until it is decided. A part is contested from the invoice."""

    key = "contest"

    def ways(self, of: Waiting, *, at: datetime) -> Sequence[Way]:  # noqa: ARG002 - the port's
        """One, while the invoice is there to be issued."""
        if of.snapshot is None or not of.row.gross.minor:
            return []
        words = Words.of(translation.get_language())
        return [
            Way(
                self.key,
                _("Contest it"),
                (
                    _("The invoice is issued now, and all of it is contested: %(amount)s.")
                    % {"amount": words.money(of.row.gross.decimal(), of.row.gross.currency)},
                    _("You pay nothing of it until it is decided. We tell you by which day that is."),
                    _("Tell us in the case what is wrong, or which part of it: the rest can be paid alone."),
                ),
                _("Contest it"),
                Money(0, of.row.gross.currency),
            )
        ]

    def take(self, of: Waiting, way: str, by: Chosen) -> Sequence[str]:  # noqa: ARG002 - the port's
        """Issue it, and open the case for every line that can be contested."""
        number = issue(of, by)
        actor = acting.customer(account=of.row.account, contact=by.actor.removeprefix("contact:"))
        try:
            found = opening.contestable(document=of.row.document, actor=actor, at=by.at)
            opening.open_dispute(
                document=of.row.document,
                contests=[Contest(line.no) for line in found.lines if line.can_be],
                grounds=Grounds.OTHER,
                reason=by.reason,
                actor=actor,
                at=by.at,
            )
        except (UnableToOpenError, LookupError) as fault:
            raise UnableToChooseError(_("This is not offered any more.")) from fault
        return [number]


def _said(words: Words, one: Instalment) -> str:
    return f"{words.day(one.due_on)} {words.money(one.amount.decimal(), one.amount.currency)}"
