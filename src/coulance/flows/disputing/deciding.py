"""Deciding a case: figures first, then the credit note, the hold and the customer's mail in one transaction."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from fractions import Fraction

from django.db import transaction

from coulance.catalog import queries as catalogs
from coulance.disputes import operations as disputes
from coulance.disputes import queries as cases
from coulance.disputes.errors import UnableToStepError
from coulance.disputes.provider_table import PROGRAM
from coulance.disputes.queries import CaseRow
from coulance.flows.arrears.looking import look_soon
from coulance.flows.crediting import give_credit_note
from coulance.flows.disputing import acting, telling
from coulance.flows.disputing.acting import Actor
from coulance.flows.disputing.debts import bill_of, give_back
from coulance.flows.disputing.working import settle_after, to_pay
from coulance.flows.goodwill import KINDS, UnableToGrantError, grant_goodwill
from coulance.flows.retroactive import OfferedService, UnableToOfferError, accept_plan, plan_offers
from coulance.invoicing import operations as invoicing
from coulance.invoicing import queries as documents
from coulance.platform import webhooks
from coulance_core.disputes import Debt, Decision, DisputeError, Outcome, StepKind, decide
from coulance_core.invoicing import Issued
from coulance_core.kernel import Money
from coulance_core.overage.goodwill import By, Cause, Grant


@dataclass(frozen=True, slots=True)
class Choice:
    """How a case is decided. `share` is for `shared`; `amounts` (line, before tax) for `part`, `shared`, `goodwill`;
    `plan` (its key) and `service` for a plan change."""

    outcome: Outcome
    share: Fraction | None = None
    amounts: Mapping[int, Money] | None = None
    plan: str = ""
    service: str = ""


@dataclass(frozen=True, slots=True)
class Figures:
    """What a decision comes to: what is credited, and what is to be paid of the invoice then, and by when.

    `decision` is None for a plan change, whose `credited` is what its credit note gives back; `billed` is its invoice.
    """

    decision: Decision | None
    credited: Money
    stays: Money
    due_on: date
    billed: Money


@dataclass(frozen=True, slots=True)
class Decided:
    """A case that was decided, and the documents that came of it."""

    case: CaseRow
    credit_notes: tuple[str, ...]
    invoice: str | None
    figures: Figures


class _TakenBackError(Exception):
    """Ends the transaction of a preview."""


def preview_decision(*, case: int, choice: Choice, reason: str, actor: Actor, at: datetime) -> Figures:
    """What `decide_case` would come to, to the cent: it is done, and taken back. Raises what that raises."""
    made: list[Figures] = []
    try:
        with transaction.atomic():
            made.append(decide_case(case=case, choice=choice, reason=reason, actor=actor, at=at).figures)
            raise _TakenBackError
    except _TakenBackError:
        return made[0]


def decide_case(*, case: int, choice: Choice, reason: str, actor: Actor, at: datetime) -> Decided:
    """Decide a case: credit what the outcome credits, release what is held, tell the customer. All or nothing.

    Its reverse: a debit note takes the credit note back, and a case can be opened again by an operator. Raises
    `UnableToStepError`, and what crediting raises.
    """
    if actor.is_customer:
        raise UnableToStepError("we decide; a customer withdraws")
    if not reason.strip():
        raise UnableToStepError("say why: the customer reads it")
    with transaction.atomic():
        now = acting.locked(case, actor, at)
        if now.state.is_closed:
            raise UnableToStepError(f"case {case} is closed ({now.state.value}): nothing is decided twice")
        refusal = acting.may_decide(actor.role, now.gross)
        if refusal is not None:
            raise UnableToStepError(refusal.message)
        notes, invoice, decision = _credit(now, choice, reason, actor, at)
        gross = _gross(notes, now) if now.document is not None or decision is None else decision.gross
        detail = {
            "credit_notes": notes,
            "invoice": invoice or "",
            "gross": gross.decimal(),
            "net": decision.net.decimal() if decision else "",
            "stands": decision.stands.decimal() if decision else "",
            "explanation": decision.explanation.to_json() if decision else None,
        }
        disputes.add_step(
            case=case,
            kind=StepKind.DECIDED,
            text=reason,
            by=actor.name,
            at=at,
            outcome=choice.outcome,
            detail=detail,
            messages=telling.keys(case, now.steps[-1].no + 1, now.account, now.contact),
        )
        settle_after(now, actor=actor, at=at)
        done = cases.case(case, at=at)
        stays, due_on = to_pay(done)
        telling.tell(done, done.steps[-1], at=at, stays=stays, due_on=due_on)
        webhooks.emit(event="dispute.closed", data=telling.told(done), at=at)
        look_soon([now.account])
        billed = Money(0, gross.currency) if invoice is None else _gross_of(invoice)
    return Decided(done, tuple(notes), invoice, Figures(decision, gross, stays, due_on, billed))


def plans_for(case: CaseRow) -> tuple[OfferedService, ...]:
    """The larger plans that could take the place of what is contested; none where that can't be."""
    if case.document is None:
        return ()
    try:
        return tuple(one for one in plan_offers(number=case.number) if one.offers)
    except (UnableToOfferError, invoicing.UnableToCreditError):
        return ()


def _credit(
    case: CaseRow, choice: Choice, reason: str, actor: Actor, at: datetime
) -> tuple[list[str], str | None, Decision | None]:
    invoice = bill_of(case).of
    if choice.outcome is Outcome.PLAN_CHANGE:
        if isinstance(invoice, Debt):
            raise UnableToStepError(f"{case.number} was taken over: it has no plan here that could have been larger")
        return _plan_change(case, invoice, choice, reason, actor, at)
    parts = [(part.line, part.net) for part in cases.parts(case.id)]
    try:
        decision = decide(
            invoice,
            parts,
            choice.outcome,
            share=choice.share,
            amounts=choice.amounts,
            rounding=catalogs.catalog().provider.rounding,
        )
    except DisputeError as error:
        raise UnableToStepError(str(error)) from error
    if not decision.requests:
        return [], None, decision
    if isinstance(invoice, Debt):
        given = give_back(case, decision.gross, actor=actor.name, reason=f"Case {case.id}: {reason.strip()}", at=at)
        return [given], None, decision
    kinds = {line.no: line.kind for line in invoice.lines}
    if choice.outcome is Outcome.GOODWILL and all(kinds[one.line] in KINDS for one in decision.requests):
        return _goodwill(case, decision, reason, actor, at), None, decision
    note = give_credit_note(
        number=case.number,
        lines=decision.requests,
        credit_type=decision.credit_type,
        reason=f"Case {case.id}: {reason.strip()}",
        actor=actor.name,
        at=at,
    )
    return [note], None, decision


def _goodwill(case: CaseRow, decision: Decision, reason: str, actor: Actor, at: datetime) -> list[str]:
    """Goodwill on usage counts in the giver's budget, as it does anywhere."""
    notes = []
    for one in decision.requests:
        assert one.net is not None
        try:
            given = grant_goodwill(
                number=case.number,
                grant=Grant(By.AMOUNT, one.net),
                cause=Cause.OTHER,
                reason=f"Case {case.id}: {reason.strip()}",
                actor=actor.name,
                at=at,
                role="admin" if actor.role == PROGRAM else actor.role,
                line=one.line,
            )
        except UnableToGrantError as error:
            raise UnableToStepError(str(error)) from error
        notes.append(given.credit_note)
    return notes


def _plan_change(
    case: CaseRow, invoice: Issued, choice: Choice, reason: str, actor: Actor, at: datetime
) -> tuple[list[str], str | None, Decision | None]:
    contested = {part.line for part in cases.parts(case.id)}
    services = {line.service.external_id for line in invoice.lines if line.no in contested and line.service is not None}
    service = choice.service or (next(iter(services)) if len(services) == 1 else "")
    if service not in services:
        raise UnableToStepError(
            f"say which service of the case changes plan, of {', '.join(sorted(services)) or 'none'}"
        )
    if not choice.plan:
        raise UnableToStepError("say which plan takes the place of the overage")
    try:
        taken = accept_plan(
            number=case.number,
            service=service,
            plan=choice.plan,
            reason=f"case {case.id}: {reason.strip()}",
            actor=actor.name,
            at=at,
        )
    except UnableToOfferError as error:
        raise UnableToStepError(str(error)) from error
    return [taken.credit_note], taken.invoice, None


def _gross(notes: list[str], case: CaseRow) -> Money:
    total = Money(0, case.gross.currency)
    for number in notes:
        total -= _gross_of(number)
    return total


def _gross_of(number: str) -> Money:
    return documents.document(number=number).row.gross
