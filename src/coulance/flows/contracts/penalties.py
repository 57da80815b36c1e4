"""What missed responses come to: computed for each period once late events had their time, credited unasked.

A period is looked at again for a year: events that came late may add to it, and only the difference is credited. What
was credited is never taken back by this; a person may, by the credit note.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from coulance.catalog import queries as catalogs
from coulance.contracts import operations, queries
from coulance.contracts.queries import ChargeRow, ContractRow, CreditRow
from coulance.contracts.tickets import standing, tickets
from coulance.flows.contracts import billing
from coulance.flows.crediting import give_credit_note
from coulance.invoicing import crediting
from coulance.platform import webhooks
from coulance_core.invoicing import CreditRequest, CreditType
from coulance_core.kernel import Explanation, Money, Period
from coulance_core.sla.penalties import ResponseCredit, TicketClock, response_credit

LOOKS_BACK = timedelta(days=366)


@dataclass(frozen=True)
class Missed:
    """What a period comes to, and what was credited of it before."""

    period: Period
    credit: ResponseCredit
    before: Money

    @property
    def more(self) -> Money:
        """What is to be credited yet."""
        return max(self.credit.amount - self.before, Money(0, self.before.currency))


def missed(contract: ContractRow, period: Period, at: datetime) -> Missed | None:
    """A period's credit by the terms, with nothing written; None where nothing is promised."""
    promised = contract.responses
    if promised is None:
        return None
    rows = tickets(contracts=[contract.id], opened_before=period.end, most=1_000_000)
    found = [TicketClock(one.ticket.number, clock) for one in standing(rows, at) for clock in one.clocks]
    first = contract.day_of(period.start)
    credit = response_credit(promised.penalties, found, contract.fee_on(first), period)
    zero = Money(0, contract.currency)
    before = sum((c.amount for c in queries.credits_of([contract.id]) if c.period_start == first), zero)
    return Missed(period, credit, before)


def credit_missed(contract: ContractRow, *, actor: str, at: datetime) -> list[CreditRow]:
    """Write and post what ended periods of a contract come to, in the caller's transaction and lock."""
    wait = timedelta(days=catalogs.catalog().provider.settle_after_days)
    for period in contract.periods(at):
        if period.end + wait > at or period.end < at - LOOKS_BACK or contract.responses is None:
            continue
        found = missed(contract, period, at)
        if found is None or not found.more.minor:
            continue
        why = found.credit.explanation
        if found.before.minor:
            e = Explanation.build("contracts.response_correction", terms=contract.version)
            e.fact("all", found.credit.amount.amount, contract.currency)
            e.fact("credited before", found.before.amount, contract.currency)
            why = e.step("more", "subtract", "all", "credited before", unit=contract.currency).child(why).freeze()
        operations.record_credit(
            contract=contract, starts_on=contract.day_of(period.start), ends_on=contract.day_of(period.end),
            amount=found.more, missed=found.credit.missed, explanation=why, actor=actor, at=at,
        )  # fmt: skip
    return post(contract, actor=actor, at=at)


def post(contract: ContractRow, *, actor: str, at: datetime) -> list[CreditRow]:
    """Post credits that wait as credit notes on the fee they are for, or on a later one; those posted now."""
    fees = [c for c in queries.charges([contract.id]) if c.kind == billing.FEE and c.line is not None]
    posted = []
    for credit in reversed(queries.credits_of([contract.id])):
        if credit.credit_note:
            continue
        # Where a period's fee is several lines, of one bundle, what the first can't bear the next one does.
        for starts in sorted({c.starts_on for c in fees}, key=lambda day: (day != credit.period_start, day)):
            lines = _lines([c for c in fees if c.starts_on == starts >= credit.period_start], credit.amount)
            if not lines:
                continue
            number = give_credit_note(
                number=lines[0][0], lines=[request for _, request in lines],
                credit_type=CreditType.PRICE_REDUCTION, reason=_reason(credit), actor=actor, at=at,
            )  # fmt: skip
            operations.put_on_credit_note(credit=credit.id, number=number)
            posted.append(credit)
            told = {"contract": contract.key, "credit_note": number, "missed": list(credit.missed)}
            webhooks.emit(event="response.credited", data=told, at=at)
            break
    return posted


def _lines(fees: Sequence[ChargeRow], amount: Money) -> list[tuple[str, CreditRequest]]:
    """What each line of one invoice bears of an amount; nothing where they have too little left together."""
    found: list[tuple[str, CreditRequest]] = []
    rest = amount
    for invoice, line in dict.fromkeys((c.invoice, c.line) for c in fees):
        if line is None or (found and invoice != found[0][0]):
            continue
        left = next(one.left for one in crediting.creditable_lines(invoice) if one.no == line)
        part = min(rest, left)
        if part.minor > 0:
            found.append((invoice, CreditRequest(line, part)))
            rest = rest - part
        if not rest.minor:
            return found
    return []


def unposted(contract: ContractRow) -> list[CreditRow]:
    """Credits that found no invoice to lower yet."""
    return [c for c in queries.credits_of([contract.id]) if not c.credit_note]


def _reason(credit: CreditRow) -> str:
    named = ", ".join(credit.missed[:10]) + (" ..." if len(credit.missed) > 10 else "")
    last = credit.period_end - timedelta(days=1)
    return f"Responses promised and missed, {credit.period_start} to {last}: tickets {named or 'in all'}"
