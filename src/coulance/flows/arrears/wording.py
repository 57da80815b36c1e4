"""What customers read of arrears: what is owed and why, what happens next and when, and every way to stop it. Sober."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from django.utils import translation
from django.utils.translation import gettext as _

from coulance.flows.letters import Letter, written
from coulance.flows.sending.wording import Written
from coulance.invoicing.documents.words import Words
from coulance_core.arrears import RESUME, Act, Announced, Ground
from coulance_core.kernel import Money


@dataclass(frozen=True, slots=True)
class Line:
    """A debt in a letter: `net` is what is to be paid of it now, tax included."""

    number: str
    due_on: date
    net: Money


@dataclass(frozen=True, slots=True)
class Told:
    """What a notice tells. `announced` are the steps that follow if nothing happens; `today` is the customer's.

    `law_days`: of the law's letter it is, which run from the day after it is received. `costs`: what collecting costs
    after that. `pay_within`: days, where nothing is announced. `fee`: what this notice costs.
    """

    step: str
    act: Act
    lines: Sequence[Line]
    total: Money
    today: date
    announced: Sequence[Announced] = ()
    law_days: int = 0
    costs: Money | None = None
    fee: Money | None = None
    services: Sequence[str] = ()
    resume_days: int = 0
    retrieval: str = ""
    pay_within: int = 7


def notice(told: Told, *, name: str, link: str, language: str) -> Written:
    """The letter that a step sends."""
    with translation.override(language):
        words = Words.of(language)
        subject, first = _opening(told, words)
        letter = Letter(
            subject=subject,
            name=name,
            paragraphs=[*first, *_law(told, words)],
            box=(_("To be paid now"), money(told.total, words)),
            rows=[(_row(line, words), money(line.net, words)) for line in told.lines],
            after=[*_next(told, words), *_ways(told)],
            button=_("See, pay, plan or contest"),
            link=link,
            care=_("If you paid in the last days, this letter and your payment crossed: you need do nothing."),
        )
    return written(letter, language=language)


def instalment(
    *, amount: Money, due_on: date, today: date, until: date, number: int, of: int, name: str, link: str, language: str
) -> Written:
    """The letter about one payment of a plan that is kept: before its day, or after it while it still counts as kept
    (`until`, that day included)."""
    with translation.override(language):
        words = Words.of(language)
        said = {
            "amount": money(amount, words), "day": words.day(due_on), "until": words.day(until), "number": number,
            "of": of,
        }  # fmt: skip
        if today <= due_on:
            subject = _("Your payment of %(amount)s is due on %(day)s") % said
            first = _("By your plan, payment %(number)s of %(of)s is due on %(day)s: %(amount)s.") % said
        else:
            subject = _("Your payment of %(amount)s was due on %(day)s") % said
            first = (
                _("By your plan, payment %(number)s of %(of)s was due on %(day)s. %(amount)s of it is missing.") % said
            )
        letter = Letter(
            subject=subject,
            name=name,
            paragraphs=[first],
            box=(_("To be paid now"), money(amount, words)),
            after=[
                _("If it is here by %(until)s, your plan is kept, and nothing else happens.") % said,
                _("Otherwise the steps go on where they were, after a notice. Can't you pay it? Talk to us now."),
            ],
            button=_("See your plan and pay"),
            link=link,
            care=_("If you paid in the last days, this letter and your payment crossed: you need do nothing."),
        )
    return written(letter, language=language)


def undone(
    *,
    act: Act,
    ground: Ground,
    services: Sequence[str],
    wrongful: bool,
    name: str,
    link: str,
    language: str,
) -> Written:
    """The letter that something is lifted or taken back, and why; with an apology where it never should have been."""
    with translation.override(language):
        said = {"services": ", ".join(services), "what": what(act, language=language)}
        if act in _NOTICES:
            subject = _("We take our notice back")
            first = (
                _("The notice that we sent you (%(what)s) is taken back: nothing of what it announced happens.") % said
            )
        elif services:
            subject = _("The restriction of %(services)s is lifted") % said
            first = _("The restriction of %(services)s is lifted as of now.") % said
        else:
            subject = _("What we restricted is lifted")
            first = _("What we restricted is lifted as of now.")
        parts = [first, _GROUNDS[ground]()]
        if wrongful:
            parts.append(
                _("It should never have been. We apologise. The time counts as an outage of ours, and is credited.")
            )
        letter = Letter(subject, name, parts, button=_("See where you stand"), link=link)
    return written(letter, language=language)


def apology(
    *, numbers: Sequence[str], credited: Sequence[tuple[str, Money]], name: str, link: str, language: str
) -> Written:
    """The letter that we were wrong: what happens no more, and what is credited of what it cost."""
    with translation.override(language):
        words = Words.of(language)
        said = {"numbers": ", ".join(numbers)}
        letter = Letter(
            subject=_("We made an error: %(numbers)s") % said if numbers else _("We made an error"),
            name=name,
            paragraphs=[
                _("We made an error about %(numbers)s, and we apologise.") % said
                if numbers
                else _("We made an error about what you owe, and we apologise."),
                _("Nothing more happens about it until it is put right: no reminder, no costs, no restriction. What was"
                  " restricted for it is lifted."),
                *([_("What it cost you is credited in full:")] if credited else []),
            ],
            rows=[(number, money(amount, words)) for number, amount in credited],
            after=[_("You need do nothing.")],
            button=_("See where you stand"),
            link=link,
        )  # fmt: skip
    return written(letter, language=language)


def invitation(*, name: str, link: str, language: str) -> Written:
    """The letter that asks, once, whether bills should pay themselves."""
    with translation.override(language):
        letter = Letter(
            subject=_("Shall your bills pay themselves?"),
            name=name,
            paragraphs=[
                _("Thank you for your payment. It came a little after its day, as it does now and then."),
                _("If you like, your bills are paid by themselves on the day they are due: you are told of each amount"
                  " beforehand, and can end it at any time. Then there is nothing to remember."),
            ],
            after=[_("We ask this once. Behind the button you can also say no.")],
            button=_("See how it works"),
            link=link,
        )  # fmt: skip
    return written(letter, language=language)


def what(act: Act, *, language: str, undone: bool = False) -> str:
    """An act in a few words, in a language."""
    with translation.override(language):
        said = _ACTS[act]()
        return _("%(what)s: lifted") % {"what": said} if undone else said


def why_held(code: str, *, language: str) -> str:
    """Why a step waits, in a few words, by the refusal's code."""
    with translation.override(language):
        return _HELD[code]() if code in _HELD else code.replace("_", " ")


def money(amount: Money, words: Words) -> str:
    """An amount as people write it."""
    return words.money(amount.decimal(), amount.currency)


def _row(line: Line, words: Words) -> str:
    return _("%(number)s, due %(day)s") % {"number": line.number, "day": words.day(line.due_on)}


def _opening(told: Told, words: Words) -> tuple[str, list[str]]:
    number = ", ".join(line.number for line in told.lines)
    first = min(line.due_on for line in told.lines)
    said = {
        "number": number,
        "total": money(told.total, words),
        "day": words.day(first),
        "services": ", ".join(told.services),
        "how": told.retrieval,
    }
    if told.step == RESUME:
        return (
            _("%(number)s: the steps go on") % said,
            [
                _(
                    "A while ago the steps about %(number)s were put to rest. That rest is over, and %(total)s is still"
                    " to be paid."
                )
                % said
            ],
        )
    match told.act:
        case Act.REMIND if first >= told.today:
            return (
                _("Soon due: %(number)s") % said,
                [_("A friendly word beforehand: %(number)s is due on %(day)s.") % said],
            )
        case Act.REMIND:
            return (
                _("Reminder: %(number)s is not paid yet") % said,
                [_("We have not received your payment of %(number)s. It was due on %(day)s.") % said],
            )
        case Act.DEMAND:
            return (
                _("Please pay %(total)s: %(number)s") % said,
                [_("In spite of our reminder, %(number)s is not paid. It was due on %(day)s.") % said],
            )
        case Act.NOTICE_OF_TERMINATION:
            return (
                _("Notice: the contract for %(services)s ends") % said,
                [_("%(number)s is still not paid, so we give notice that the contract for %(services)s ends.") % said],
            )
        case Act.NOTICE_OF_DELETION:
            return (
                _("Notice: the data of %(services)s will be deleted") % said,
                [
                    _("We give notice that the data of %(services)s will be deleted, which can't be undone.") % said,
                    _("Until then you can fetch it. Ask us how, or see the page behind the button."),
                ],
            )
        case Act.NOTICE_OF_NON_RENEWAL:
            return (
                _("Notice: the contract for %(services)s is not renewed") % said,
                [_("%(number)s is still not paid, so the contract for %(services)s is not renewed.") % said],
            )
        case Act.OFFER_RETRIEVAL:
            return (
                _("You can fetch the data of %(services)s") % said,
                [_("You can fetch the data of %(services)s for at least 30 days. %(how)s") % said],
            )
    raise ValueError(f"{told.act} is told of in no letter")


def _law(told: Told, words: Words) -> list[str]:
    out = []
    if told.fee is not None and told.fee.minor:
        out.append(_("This letter costs %(fee)s, as the law allows.") % {"fee": money(told.fee, words)})
    if told.law_days:
        out.append(
            _("Please pay within %(days)s days, counted from the day after you receive this letter.")
            % {"days": told.law_days}
        )
        if told.costs is not None:
            out.append(
                _("If you don't, the law lets us ask collection costs of %(costs)s.")
                % {"costs": money(told.costs, words)}
            )
    return out


def _next(told: Told, words: Words) -> list[str]:
    out = []
    if told.resume_days and told.step == RESUME:
        again = words.day(told.today + timedelta(days=told.resume_days + 1))
        out.append(_("Nothing that restricts happens before %(day)s.") % {"day": again})
    return out + [
        _("If nothing happens, this follows from %(day)s: %(what)s.")
        % {"day": words.day(told.today + timedelta(days=one.days + 1)), "what": _ACTS[one.act]()}
        for one in told.announced
    ]


def _ways(told: Told) -> list[str]:
    if told.act is Act.OFFER_RETRIEVAL:
        return []
    return [
        _(
            "Every one of these stops it: pay; pay the part that you agree with and contest the rest; pay in"
            " instalments; promise a day within 14 days; take a smaller plan; or talk to us. All of them are on the"
            " page behind the button, or by an answer to this letter."
        )
    ]


_NOTICES = (Act.NOTICE_OF_TERMINATION, Act.NOTICE_OF_DELETION, Act.NOTICE_OF_NON_RENEWAL)

_ACTS: dict[Act, Callable[[], str]] = {
    Act.REMIND: lambda: _("a reminder"),
    Act.DEMAND: lambda: _("a demand"),
    Act.PHONE: lambda: _("a call"),
    Act.WEBHOOK: lambda: _("another system is told"),
    Act.CHARGE_COSTS: lambda: _("collection costs"),
    Act.CHARGE_INTEREST: lambda: _("interest"),
    Act.BLOCK_ORDERS: lambda: _("nothing new can be ordered"),
    Act.THROTTLE: lambda: _("the network goes slower"),
    Act.LIMIT: lambda: _("some features are off"),
    Act.DOWNGRADE: lambda: _("a smaller plan"),
    Act.BACK_UP: lambda: _("a backup is made"),
    Act.SUSPEND: lambda: _("the service is suspended, its data and addresses are kept"),
    Act.NOTICE_OF_TERMINATION: lambda: _("notice that the contract ends"),
    Act.TERMINATE: lambda: _("the contract ends"),
    Act.NOTICE_OF_DELETION: lambda: _("notice that data is deleted"),
    Act.DELETE: lambda: _("data is deleted"),
    Act.NOTICE_OF_NON_RENEWAL: lambda: _("notice that the contract isn't renewed"),
    Act.NOT_RENEW: lambda: _("the contract isn't renewed"),
    Act.OFFER_RETRIEVAL: lambda: _("data can be fetched"),
    Act.HAND_OVER: lambda: _("the claim is handed over"),
}

_GROUNDS: dict[Ground, Callable[[], str]] = {
    Ground.PAID: lambda: _("What it was for is paid. Thank you."),
    Ground.DISPUTED: lambda: _("You contest what is left, and that is looked at first."),
    Ground.PLANNED: lambda: _("You pay by a plan, and it is kept."),
    Ground.STAYED: lambda: _("Everything about this debt rests."),
    Ground.EVIDENCE_GONE: lambda: _("A letter that it stood on did not reach you, as we know now."),
    Ground.BILL_GONE: lambda: _("The bill did not reach you, as we know now: it isn't due."),
    Ground.RECALLED: lambda: _("We took it back."),
    Ground.NO_GROUND: lambda: _("What is left to be paid is no reason to restrict anything."),
}

_HELD: dict[str, Callable[[], str]] = {
    "stayed": lambda: _("everything rests"),
    "bill_not_delivered": lambda: _("the bill wasn't received"),
    "costs_never_restrict": lambda: _("only costs or interest are open"),
    "overage_alone": lambda: _("only overage is open"),
    "handed_over": lambda: _("somebody else collects it now"),
    "notice_not_received": lambda: _("waits until the notice before it has arrived"),
    "under_dispute": lambda: _("the amount is contested"),
    "promise_live": lambda: _("payment is promised"),
    "plan_kept": lambda: _("a plan is kept"),
    "payment_in_flight": lambda: _("money is on its way"),
    "credit_on_hand": lambda: _("we hold money that covers it"),
    "below_minimum": lambda: _("too little is left"),
    "no_verified_backup": lambda: _("no verified backup is there"),
    "outside_calendar": lambda: _("not on a Friday, weekend, holiday or its eve, nor out of hours"),
    "needs_approval": lambda: _("people have to approve it"),
}
