"""What a customer reads of each step of a case: what is held, what stays to be paid, what happens next and when."""

from datetime import date, datetime
from zoneinfo import ZoneInfo

from django.utils import translation
from django.utils.translation import gettext as _

from coulance.catalog import queries as catalogs
from coulance.disputes.queries import CaseRow, StepRow
from coulance.flows.letters import Letter, written
from coulance.flows.sending.wording import Written
from coulance.invoicing.documents.words import Words
from coulance_core.disputes import Grounds, Outcome, State, StepKind
from coulance_core.kernel import Money


def of_step(
    case: CaseRow,
    step: StepRow,
    *,
    name: str,
    link: str,
    language: str,
    stays: Money | None = None,
    due_on: date | None = None,
) -> Written:
    """The mail that tells of a step."""
    with translation.override(language):
        words = Words.of(language)
        subject, paragraphs, after = _said(case, step, words, stays, due_on)
        letter = Letter(
            subject=subject,
            name=name,
            paragraphs=paragraphs,
            after=after,
            button=_("Answer") if step.kind is StepKind.ASKED else _("See the case"),
            link=link,
            care=_("The link is yours, for this case. Opening it does nothing. Don't pass it on."),
        )
    return written(letter, language=language)


def _said(
    case: CaseRow, step: StepRow, words: Words, stays: Money | None, due_on: date | None
) -> tuple[str, list[str], list[str]]:
    said = {
        "case": case.id,
        "number": case.number,
        "held": words.money(case.gross.decimal(), case.gross.currency),
        "days": case.policy.answer_within.days,
        "decide": day(case.clock.due_at, words) if case.clock.due_at else "",
    }
    match step.kind:
        case StepKind.OPENED:
            return (
                _("Case %(case)s: you contest %(held)s of %(number)s") % said,
                [
                    _("We have it. %(held)s of %(number)s, tax included, is set aside until it is decided.") % said,
                    _("You said: “%(text)s”") % {"text": step.text},
                ],
                [*to_pay(case.number, stays, due_on, words), *_next(case, said)],
            )
        case StepKind.ASKED:
            return (
                _("Case %(case)s on %(number)s: we need something from you") % said,
                [_("We ask: “%(text)s”") % {"text": step.text}],
                [
                    _(
                        "Please answer by the button. If there is no answer %(days)s days after you have seen this, "
                        "the case is closed, and what was set aside is to be paid."
                    )
                    % said
                ],
            )
        case StepKind.MEDIATION:
            third = {"name": step.detail.get("name", ""), "reference": step.detail.get("reference", "")}
            return (
                _("Case %(case)s on %(number)s: a third party looks at it") % said,
                [
                    _("%(name)s looks at it now (reference: %(reference)s).") % third,
                    _("We say: “%(text)s”") % {"text": step.text},
                ],
                [_("What is set aside stays so meanwhile.")],
            )
        case StepKind.MEDIATED:
            return (
                _("Case %(case)s on %(number)s: the third party is done") % said,
                [_("What came of it: “%(text)s”") % {"text": step.text}],
                _next(case, said),
            )
        case StepKind.DECIDED:
            return _decided(case, step, words, stays, due_on)
        case StepKind.WITHDRAWN:
            return (
                _("Case %(case)s on %(number)s is withdrawn") % said,
                [_("You took it back. Nothing is set aside any more.")],
                to_pay(case.number, stays, due_on, words),
            )
        case StepKind.LAPSED:
            return (
                _("Case %(case)s on %(number)s is closed: our question was not answered") % said,
                [_("You saw our question, and %(days)s days went by without an answer.") % said],
                [
                    *to_pay(case.number, stays, due_on, words),
                    _("If there is something new to say, you can contest it again: say what is new."),
                ],
            )
    return (
        _("Case %(case)s on %(number)s: something was added") % said,
        [_("It says: “%(text)s”") % {"text": step.text}],
        _next(case, said),
    )


def _decided(
    case: CaseRow, step: StepRow, words: Words, stays: Money | None, due_on: date | None
) -> tuple[str, list[str], list[str]]:
    said = {"case": case.id, "number": case.number}
    lines = [outcome(step.outcome) if step.outcome else "", _("Why: “%(text)s”") % {"text": step.text}]
    credited = step.detail.get("gross", "0")
    if step.detail.get("credit_notes"):
        given = {
            "amount": words.money(credited, case.gross.currency),
            "notes": ", ".join(step.detail["credit_notes"]),
        }
        lines.append(_("Credited: %(amount)s, tax included, by %(notes)s.") % given)
    if step.detail.get("invoice"):
        lines.append(_("The difference of the plans is on %(invoice)s.") % {"invoice": step.detail["invoice"]})
    after = to_pay(case.number, stays, due_on, words)
    third = case.policy.mediator
    if third is not None and step.outcome is not Outcome.UPHELD:
        who = f"{third.name} ({third.url})" if third.url else third.name
        after.append(" ".join([_("If you don't agree, you can turn to %(who)s.") % {"who": who}, third.about]).strip())
    return (
        _("Case %(case)s on %(number)s is decided") % said,
        lines,
        after,
    )


def to_pay(number: str, stays: Money | None, due_on: date | None, words: Words) -> list[str]:
    """What stays to be paid of an invoice, in a sentence."""
    if stays is None or due_on is None:
        return []
    if stays.minor <= 0:
        return [_("Nothing else of %(number)s is to be paid now.") % {"number": number}]
    said = {"number": number, "amount": words.money(stays.decimal(), stays.currency), "day": words.day(due_on)}
    return [_("To be paid of %(number)s: %(amount)s, by %(day)s. You can pay that alone.") % said]


def _next(case: CaseRow, said: dict[str, object]) -> list[str]:
    if case.clock.due_at is None:
        return []
    return [_("We decide, or ask you something, by %(decide)s. If we are late, no interest runs meanwhile.") % said]


def day(at: datetime, words: Words) -> str:
    """The civil day of an instant, in the provider's zone."""
    return words.day(at.astimezone(ZoneInfo(catalogs.catalog().provider.zone_info.key)).date())


def outcome(of: Outcome) -> str:
    """An outcome as a sentence to the customer, in the language in force."""
    return {
        Outcome.UPHELD: _("You are right: all that you contested is credited."),
        Outcome.PART: _("You are right in part."),
        Outcome.REJECTED: _("The charge stands."),
        Outcome.SHARED: _("We share it."),
        Outcome.PLAN_CHANGE: _("The larger plan for that period takes the place of the overage."),
        Outcome.GOODWILL: _("The charge stands, and we give something back anyway."),
    }[of]


def grounds(of: Grounds) -> str:
    """Grounds as a customer picks them, in the language in force."""
    return {
        Grounds.QUANTITY: _("The use is not right"),
        Grounds.PRICE: _("The price is not what was agreed"),
        Grounds.NOT_AGREED: _("I did not order or agree to this"),
        Grounds.NOT_WARNED: _("I was not warned before it cost"),
        Grounds.NOT_USABLE: _("It did not work"),
        Grounds.ATTACK: _("It was an attack, or not my traffic"),
        Grounds.PAID: _("It is paid or credited already"),
        Grounds.OTHER: _("Something else"),
    }[of]


def state(of: State) -> str:
    """Where a case stands, in the language in force."""
    return {
        State.OPEN: _("With us"),
        State.ASKED: _("Waits for your answer"),
        State.MEDIATION: _("With a third party"),
        State.DECIDED: _("Decided"),
        State.WITHDRAWN: _("Withdrawn"),
        State.LAPSED: _("Closed without an answer"),
    }[of]


def step(of: StepKind) -> str:
    """What a step was, in the language in force."""
    return {
        StepKind.OPENED: _("Contested"),
        StepKind.SAID: _("You added"),
        StepKind.NOTED: _("We added"),
        StepKind.ASKED: _("We asked"),
        StepKind.ANSWERED: _("You answered"),
        StepKind.MEDIATION: _("Went to a third party"),
        StepKind.MEDIATED: _("The third party is done"),
        StepKind.DECIDED: _("Decided"),
        StepKind.WITHDRAWN: _("Withdrawn"),
        StepKind.LAPSED: _("Closed without an answer"),
    }[of]


def rung(of: str) -> str:
    """How far a mail came, in the language in force; empty for no mail."""
    return {
        "": "",
        "nothing": _("nothing is known of it"),
        "queued": _("waits to be sent"),
        "attempted": _("tried, not taken in yet"),
        "accepted": _("taken in by their mail server"),
        "delivered": _("delivered"),
        "seen": _("seen"),
        "acknowledged": _("acknowledged"),
    }.get(of, of)
