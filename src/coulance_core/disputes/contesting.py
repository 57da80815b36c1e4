"""What a contest comes to: before tax by line, and with tax, exactly as a credit note on it would give back."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from coulance_core.disputes.terms import Contest, DisputeError, Way
from coulance_core.invoicing import CreditError, CreditRequest, CreditType, DraftLine, Issued, credit_note
from coulance_core.kernel import Explanation, Money, Rounding, currency
from coulance_core.kernel.rounding import show

BY_WHOLE = 0
"""The line number of a debt as a whole, where it has no lines here."""


@dataclass(frozen=True, slots=True)
class Debt:
    """A debt that has no lines here: its invoice was issued by another system, with its lines and its tax.

    It is contested as line 0, tax included: whole, or an amount of it. `left` is what was taken over of it, less what
    was given back since.
    """

    number: str
    left: Money

    @property
    def currency(self) -> str:
        """Of its amounts."""
        return self.left.currency


@dataclass(frozen=True, slots=True)
class ContestedLine:
    """The contested part of one line, before tax, with the arithmetic."""

    contest: Contest
    net: Money
    explanation: Explanation


@dataclass(frozen=True, slots=True)
class Contested:
    """All that a case contests of an invoice: by line, and in sum. `gross` is what is held."""

    lines: tuple[ContestedLine, ...]
    net: Money
    tax: Money
    gross: Money


def contested(
    invoice: Issued | Debt, contests: Sequence[Contest], *, rounding: Rounding = Rounding.HALF_UP
) -> Contested:
    """What these contests come to. What earlier credit notes took is no longer there to contest.

    Raises `DisputeError` for no contest, a line twice, an unknown line, or one of which nothing is left or contested.
    """
    if not contests:
        raise DisputeError("say what is contested: a line of the invoice, or a part of one")
    if isinstance(invoice, Debt):
        return _contested_debt(invoice, contests)
    by_no = {line.no: line for line in invoice.lines}
    seen: set[int] = set()
    lines: list[ContestedLine] = []
    room = _room(invoice)
    for contest in contests:
        line = by_no.get(contest.line)
        if line is None:
            raise DisputeError(f"{invoice.number} has no line {contest.line}: expected 1 to {len(by_no)}")
        if contest.line in seen:
            raise DisputeError(f"line {contest.line} of {invoice.number} is contested twice: name it once")
        seen.add(contest.line)
        one = _line(invoice, line, contest, room[line.tax_code], rounding)
        room[line.tax_code] -= one.net.minor
        lines.append(one)
    net, tax, gross = worth(invoice, [CreditRequest(one.contest.line, one.net) for one in lines])
    return Contested(tuple(lines), net, tax, gross)


def _contested_debt(debt: Debt, contests: Sequence[Contest]) -> Contested:
    if len(contests) > 1 or contests[0].line != BY_WHOLE:
        raise DisputeError(f"{debt.number} has no lines here: contest it as a whole (line 0), or an amount of it")
    (contest,) = contests
    code, left = debt.currency, debt.left
    if contest.way not in (Way.WHOLE, Way.AMOUNT):
        raise DisputeError(f"{debt.number} has no quantity and no days here: contest it whole, or an amount of it")
    if left.minor <= 0:
        raise DisputeError(f"nothing is left of {debt.number} to contest")
    why = Explanation.build(f"disputes.debt_{contest.way.value}")
    why.fact("left of it", left.amount, code, f"{debt.number}, tax included")
    named = "left of it"
    if contest.way is Way.AMOUNT:
        assert contest.amount is not None
        if contest.amount.currency != code or not 0 < contest.amount.minor <= left.minor:
            raise DisputeError(f"{debt.number} has {left} left to contest, not {contest.amount}")
        why.fact("named", contest.amount.amount, code)
        named = "named"
    if contest.accepted is not None:
        if contest.accepted.currency != code or contest.accepted.minor < 0:
            raise DisputeError(f"{debt.number}: what is accepted is an amount in {code}, zero or more")
        why.fact("accepted", contest.accepted.amount, code, "the customer's word")
        why.step("not accepted", "subtract", named, "accepted", unit=code)
        named = "not accepted"
    why.step("contested", "min", named, "left of it", unit=code)
    gross = Money.of(why.number("contested"), code)
    if gross.minor <= 0:
        raise DisputeError(f"{debt.number}: nothing of it is contested; all that was named is accepted")
    return Contested((ContestedLine(contest, gross, why.freeze()),), gross, Money(0, code), gross)


def worth(invoice: Issued, requests: Sequence[CreditRequest]) -> tuple[Money, Money, Money]:
    """Net, tax and gross, above zero, of a credit note with these amounts: computed by making its draft."""
    try:
        draft = credit_note(
            invoice,
            lines=requests,
            credit_type=CreditType.CORRECTION,
            reason="contested",
            issued_on=invoice.issued_on,
            tax_point=invoice.issued_on,
        )
    except CreditError as error:
        raise DisputeError(str(error)) from error
    return -draft.totals.net, -draft.totals.tax, -draft.totals.gross


def _room(invoice: Issued) -> dict[str, int]:
    """What is left under each tax code, discounts included: no more than that can be taken off."""
    room: dict[str, int] = {}
    for line in invoice.lines:
        room[line.tax_code] = room.get(line.tax_code, 0) + invoice.left(line)
    return room


def _line(invoice: Issued, line: DraftLine, contest: Contest, room: int, rounding: Rounding) -> ContestedLine:
    code = invoice.currency
    what = f"line {line.no} of {invoice.number}"
    left = invoice.left(line)
    if left <= 0 or room <= 0:
        raise DisputeError(f"nothing is left of {what} to contest: it is {line.net}, and was credited or is a discount")
    why = Explanation.build(f"disputes.{contest.way.value}", terms=line.plan_version)
    why.fact("line net", line.net.amount, code, f"{invoice.number} line {line.no}")
    why.fact("left of it", Money(left, code).amount, code, "after credit notes")
    named = "left of it"
    if contest.way is Way.AMOUNT:
        assert contest.amount is not None
        if contest.amount.currency != code or not 0 < contest.amount.minor <= left:
            raise DisputeError(f"{what} has {Money(left, code)} left to contest, not {contest.amount}")
        why.fact("named", contest.amount.amount, code)
        named = "named"
    elif contest.way is not Way.WHOLE:
        share = _share(line, contest, what)
        why.fact("share", share, "", _share_words(line, contest))
        why.step("exact part", "multiply", "line net", "share", unit=code)
        why.step("part", "round", "exact part", str(currency(code).exponent), rounding.value, unit=code)
        named = "part"
    if contest.accepted is not None:
        if contest.accepted.currency != code or contest.accepted.minor < 0:
            raise DisputeError(f"{what}: what is accepted is an amount in {code}, zero or more")
        why.fact("accepted", contest.accepted.amount, code, "the customer's word")
        why.step("not accepted", "subtract", named, "accepted", unit=code)
        named = "not accepted"
    why.fact("left under its tax code", Money(room, code).amount, code, "discounts included")
    why.step("contested", "min", named, "left of it", "left under its tax code", unit=code)
    net = Money.of(why.number("contested"), code)
    if net.minor <= 0:
        raise DisputeError(f"{what}: nothing of it is contested; all that was named is accepted")
    return ContestedLine(contest, net, why.freeze())


def _share(line: DraftLine, contest: Contest, what: str) -> Fraction:
    if contest.way is Way.QUANTITY:
        assert contest.quantity is not None
        if line.quantity <= 0 or not 0 < contest.quantity <= line.quantity:
            raise DisputeError(
                f"{what} is of {show(line.quantity)} {line.unit}: a part of that can be contested, not "
                f"{show(contest.quantity)}"
            )
        return contest.quantity / line.quantity
    assert contest.period is not None
    common = contest.period.intersect(line.period)
    if common is None:
        raise DisputeError(f"{what} is of {line.period.start} to {line.period.end}: the days named are outside it")
    return common.share_of(line.period)


def _share_words(line: DraftLine, contest: Contest) -> str:
    if contest.way is Way.QUANTITY:
        assert contest.quantity is not None
        return f"{show(contest.quantity)} of {show(line.quantity)} {line.unit}"
    assert contest.period is not None
    return f"{contest.period.start.isoformat()} to {contest.period.end.isoformat()}, by time"
