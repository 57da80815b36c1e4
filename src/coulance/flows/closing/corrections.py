"""Credit notes of a closing: base days that were billed and not had, and usage that turned out less than billed.

They go on the very invoices that billed them: nothing issued is ever lowered in any other way.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from fractions import Fraction

from coulance.flows.closing.late import Decrease
from coulance.flows.closing.terms import Closing
from coulance.invoicing import history
from coulance.invoicing.crediting import creditable
from coulance.invoicing.queries import OpenCarry
from coulance.invoicing.writing import NewDocument
from coulance_core.catalog.terms import PriceBasis
from coulance_core.invoicing import (
    BillLine,
    CreditRequest,
    CreditType,
    DocumentDraft,
    Issued,
    Lowering,
    ServiceRef,
    credit_note,
)
from coulance_core.invoicing.corrections import OpenLine, Share, spread_credit
from coulance_core.kernel import Explanation, Money, Rounding
from coulance_core.kernel.rounding import round_int
from coulance_core.rating.base import BilledSpan, DueSpan


@dataclass(frozen=True, slots=True)
class _Give:
    """An amount to give back on one line of an invoice, why, and the base days that go back with it."""

    invoice: str
    line: int
    amount: int
    credit_type: CreditType
    reason: str
    why: Explanation
    span: BilledSpan | None = None


class Invoices:
    """Invoices as they stand while this run's own notes on them pile up.

    Amounts to give back are prices as the provider states them, with tax where theirs include it; a credit note wants
    them without. The last of a line takes all that is left of it, so that rounding strands no cent.
    """

    def __init__(self, prices: PriceBasis, rounding: Rounding) -> None:
        self._gross, self._rounding = prices is PriceBasis.GROSS, rounding
        self._issued: dict[str, tuple[Issued, date]] = {}
        """By number; a draft's is empty."""
        self._promised: dict[tuple[str, int], int] = {}

    def know(self, draft: Issued, tax_point: date) -> None:
        """A draft that is about to be issued, with the number that it has: none."""
        self._issued[draft.number] = draft, tax_point

    def _of(self, number: str) -> tuple[Issued, date]:
        if number not in self._issued:
            _, issued, tax_point = creditable(number)
            self._issued[number] = issued, tax_point
        return self._issued[number]

    def take(self, candidates: Iterable[tuple[str, int]], amount: int) -> tuple[tuple[Share, ...], int]:
        """Shares (net) of `amount` (a price) on these lines, first to last, and what none of them has left."""
        open_lines: list[OpenLine] = []
        net_left: dict[tuple[str, int], tuple[int, Fraction]] = {}
        for number, no in candidates:
            issued, _ = self._of(number)
            line = next(own for own in issued.lines if own.no == no)
            left = issued.left(line) - self._promised.get((number, no), 0)
            factor = 1 + line.tax_rate / 100 if self._gross else Fraction(1)
            net_left[number, no] = left, factor
            open_lines.append(OpenLine(number, no, round_int(left * factor, self._rounding)))
        shares, rest = spread_credit(amount, open_lines)
        out: list[Share] = []
        for share in shares:
            key = share.invoice, share.line
            left, factor = net_left[key]
            net = min(round_int(share.amount / factor, self._rounding), left)
            if self._gross and share.amount + 1 >= round_int(left * factor, self._rounding):
                net = left
            if net:
                self._promised[key] = self._promised.get(key, 0) + net
                out.append(Share(share.invoice, share.line, net))
        return tuple(out), rest

    def note(self, run: Closing, gives: Sequence[_Give]) -> DocumentDraft:
        """One credit note for gifts on different lines of one invoice, of one type."""
        number = gives[0].invoice
        issued, tax_point = self._of(number)
        by_line = {give.line: give for give in gives}
        draft = credit_note(
            issued,
            lines=[CreditRequest(no, Money(by_line[no].amount, issued.currency)) for no in sorted(by_line)],
            credit_type=gives[0].credit_type,
            reason="; ".join(dict.fromkeys(give.reason for give in gives)),
            issued_on=run.issued_on,
            tax_point=tax_point,
            rule=run.provider.rounding,
        )
        self._issued[number] = issued.after(draft), tax_point
        lines = []
        for line in draft.lines:
            give = by_line[line.credits or 0]
            reasons = replace(line.explanation, children=(*line.explanation.children, give.why))
            lines.append(replace(line, explanation=reasons, span=give.span))
        return replace(draft, lines=tuple(lines))


def _carried(decrease: Decrease, waits: Iterable[OpenCarry]) -> int:
    """What of the decrease's charge and period waits for an invoice, in minor units."""
    row, period = decrease.settled, decrease.period
    found = 0
    for one in waits:
        line = one.line
        service = line.service.id if line.service else None
        inside = period.start <= line.period.start and line.period.end <= period.end
        if inside and (service, line.settled) == (row.service, row.pool) and (row.pool or line.charge == row.charge):
            found += line.amount.minor
    return max(found, 0)


def credit_notes(
    run: Closing,
    account: int,
    *,
    base: Sequence[tuple[ServiceRef, DueSpan]],
    decreases: Sequence[Decrease],
    waits: Sequence[OpenCarry] = (),
) -> tuple[list[NewDocument], list[BillLine]]:
    """Credit notes for base days not had and for usage billed too much.

    Also lines below zero for what no invoice has billed yet, because it was carried forward: they lower what `waits`.
    What was given back before, by hand, is found on neither, and is not given back again.
    """
    invoices = Invoices(run.provider.prices, run.provider.rounding)
    gives: list[_Give] = []
    waiting: list[BillLine] = []
    known = history.base_lines(services=[ref.id for ref, _ in base if ref.id is not None]) if base else []
    for ref, due in base:
        span = due.span
        lines = [
            (one.invoice, one.line)
            for one in known
            if (one.service, one.key) == (ref.id, span.key)
            and (one.cycle_start, one.cycle_end) == (span.cycle_start, span.cycle_end)
        ]
        shares, rest = invoices.take(lines, -due.line.net.minor)
        given = replace(span, net=due.line.net + Money(rest, span.net.currency))
        for i, share in enumerate(shares):
            # The days go back once, with the first share; a second (of a cycle billed in two parts) is only money.
            gives.append(
                _Give(
                    share.invoice,
                    share.line,
                    share.amount,
                    CreditType.PRICE_REDUCTION,
                    f"{ref.name}: {due.line.description}, from {span.start.isoformat()} to {span.end.isoformat()}",
                    due.line.explanation,
                    given if i == 0 else None,
                )
            )
    for decrease in decreases:
        row = decrease.settled
        lines = [
            (one.invoice, one.line)
            for one in history.usage_lines(accounts=[account], start=decrease.period.start, end=decrease.period.end)
            if (one.service, one.settled) == (row.service, row.pool) and (row.pool or one.charge == row.charge)
        ]
        shares, rest = invoices.take(lines, decrease.amount)
        line = decrease.line
        gives.extend(
            _Give(share.invoice, share.line, share.amount, CreditType.CORRECTION, line.description, line.explanation)
            for share in shares
        )
        if lower := min(rest, _carried(decrease, waits)):
            waiting.append(_lowering(line, decrease.amount, lower))
    return [NewDocument(account, invoices.note(run, own)) for own in _notes(gives)], waiting


def _lowering(line: BillLine, whole: int, lower: int) -> BillLine:
    """A line that lowers what waits by `lower`, of a decrease of `whole`."""
    code = line.amount.currency
    if whole == lower:
        return line
    why = (
        Explanation.build("invoicing.lowers_carried", terms=line.plan_version)
        .fact("lower", Money(lower, code).amount, code, "the part of the decrease that no invoice has billed yet")
        .step("net", "negate", "lower", unit=code)
        .child(line.explanation)
        .freeze()
    )
    return replace(line, amount=Money(-lower, code), explanation=why)


def _notes(gives: Sequence[_Give]) -> list[list[_Give]]:
    """Gifts by the note they go on: one an invoice and type, another where a line comes again."""
    notes: list[list[_Give]] = []
    for give in gives:
        for note in notes:
            if (note[0].invoice, note[0].credit_type) == (give.invoice, give.credit_type) and all(
                give.line != other.line for other in note
            ):
                note.append(give)
                break
        else:
            notes.append([give])
    return notes


def lowerings(run: Closing, draft: Issued, tax_point: date, decreases: Sequence[Decrease]) -> list[Lowering]:
    """What these decreases take off a draft that is not issued yet, each as a line of its own; no more than it has."""
    invoices = Invoices(run.provider.prices, run.provider.rounding)
    invoices.know(draft, tax_point)
    taken: dict[int, Lowering] = {}
    for decrease in decreases:
        row, period = decrease.settled, decrease.period
        lines = [
            (draft.number, one.no)
            for one in draft.lines
            if one.net.minor > 0
            and period.start <= one.period.start
            and one.period.end <= period.end
            and (one.service.id if one.service else None) == row.service
            and (one.settled == row.pool if row.pool else one.charge == row.charge)
        ]
        shares, _ = invoices.take(lines, decrease.amount)
        for share in shares:
            net = Money(share.amount, draft.currency)
            before = taken.get(share.line)
            taken[share.line] = Lowering(
                share.line, net if before is None else before.net + net, decrease.line.description,
                decrease.line.explanation,
            )  # fmt: skip
    return [taken[no] for no in sorted(taken)]
