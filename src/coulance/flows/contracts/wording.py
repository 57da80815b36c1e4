"""What a customer reads of their contract: hours, leave, credits, reviews; and verdicts in plain words."""

from datetime import date

from django.utils.translation import gettext as _

from coulance.contracts.judgements import JudgementRow
from coulance.contracts.queries import ContractRow, CreditRow, LeaveRow, hours_text
from coulance.contracts.tickets import TicketRow
from coulance.flows.contracts.fairness import Judged
from coulance.flows.letters import Letter
from coulance.invoicing.documents.words import Words
from coulance_core.contracts.fairness import Verdict
from coulance_core.contracts.hours import CardWarning, From, Warn
from coulance_core.contracts.terms import Cover, Kind, Work
from coulance_core.kernel import Money, Rounding
from coulance_core.sla.clocks import State
from coulance_core.sla.responses import Promise


def kind(which: Kind) -> str:
    """A kind of contract."""
    return {
        Kind.CARD: _("hour card"),
        Kind.RETAINER: _("retainer"),
        Kind.FIXED: _("fixed fee"),
        Kind.BEST_EFFORT: _("best effort"),
        Kind.PER_SEAT: _("per seat"),
    }[which]


def work(which: Work) -> str:
    """A class of work."""
    return {
        Work.CORRECTIVE: _("repairing what broke"),
        Work.ADAPTIVE: _("adapting to changes around it"),
        Work.PERFECTIVE: _("improving and extending"),
        Work.PREVENTIVE: _("preventing faults"),
    }[which]


def cover(which: Cover) -> str:
    """What pays for a class of work."""
    return {
        Cover.INCLUDED: _("included in the fee"),
        Cover.DRAWN: _("from your hours"),
        Cover.HOURLY: _("by the hour, after your approval"),
    }[which]


def paid_by(source: From) -> str:
    """What paid for time."""
    return {
        From.FEE: _("included in the fee"),
        From.CARD: _("your hour card"),
        From.POOL: _("this period's hours"),
        From.CARRIED: _("hours carried over"),
        From.APPROVED: _("by the hour, approved by you before"),
        From.FREE: _("free, a gift of ours"),
        From.ABSORBED: _("not charged: nobody approved it before it began"),
    }[source]


def promise(which: Promise) -> str:
    """What is promised."""
    return {
        Promise.FIRST_RESPONSE: _("first answer"),
        Promise.NEXT_UPDATE: _("next word"),
        Promise.SOLUTION: _("solution"),
    }[which]


def state(which: State) -> str:
    """How a clock stands."""
    return {
        State.RUNNING: _("running"),
        State.PAUSED: _("waits for you"),
        State.LATE: _("late"),
        State.KEPT: _("kept"),
        State.MISSED: _("missed"),
        State.ENDED: _("no longer needed"),
    }[which]


def verdict(which: Verdict) -> str:
    """Whether a contract is fair, and to whom not."""
    return {
        Verdict.FAIR: _("Fair to both"),
        Verdict.COSTS_PROVIDER: _("We are expected to lose on it"),
        Verdict.COSTS_CUSTOMER: _("The customer is expected to pay too much"),
        Verdict.TOO_EARLY: _("Too early to say"),
    }[which]


def plainly(one: Judged) -> str:
    """What the verdict on a contract comes to, for whoever looks after it."""
    code, fair = one.contract.currency, one.fairness
    ours = Money.of(fair.expected_provider, code, Rounding.HALF_UP)
    theirs = Money.of(fair.expected_customer, code, Rounding.HALF_UP)
    said = {"price": one.price, "advised": one.advice.price, "ours": ours, "lost": -ours, "theirs": -theirs}
    return {
        Verdict.TOO_EARLY: _("Too little is known of it to tell its habit from chance, so nothing is said yet."),
        Verdict.FAIR: _("Neither side is expected to lose: of %(price)s a year we keep %(ours)s.") % said,
        Verdict.COSTS_PROVIDER: _(
            "We are expected to lose %(lost)s a year. At %(advised)s it would carry itself; the review before its "
            "term ends is the time to say so."
        )
        % said,
        Verdict.COSTS_CUSTOMER: _(
            "They are expected to pay %(theirs)s a year more than their hours, our standing by and cover for a bad "
            "year are worth. The advised price is %(advised)s."
        )
        % said,
    }[fair.verdict]


def fair_to_them(row: JudgementRow, says: Words) -> list[str]:
    """What a customer reads of their contract's fairness: their own side, in plain words."""
    known, code = row.explanation.recompute(), row.price.currency

    def money(name: str) -> str:
        return says.money(Money.of(known[name], code, Rounding.HALF_UP).decimal(), code)

    price = says.money(row.price.decimal(), code)
    said = {"price": price, "worth": money("expected worth"), "on": says.day(row.said_at.date())}
    more = says.money(Money.of(-known["expected customer"], code, Rounding.HALF_UP).decimal(), code)
    verdict = {
        Verdict.TOO_EARLY: _("It is too early to say: one busy or quiet quarter says nothing."),
        Verdict.FAIR: _("Of an expected year you pay %(price)s, for what is worth about %(worth)s to you.") % said,
        Verdict.COSTS_CUSTOMER: _(
            "You are expected to pay %(more)s a year more than it is worth to you. "
            "Talk to us: another contract may fit you better."
        )
        % {"more": more},
        Verdict.COSTS_PROVIDER: _(
            "It serves you well: of an expected year you pay %(price)s, for what is worth about %(worth)s to you. The "
            "price may rise when it is renewed."
        )
        % said,
    }[row.verdict]
    worked = {
        "paid": money("paid"),
        "hours": hours_text(round(known["delivered"] * 3600)),
        "free": hours_text(round(known["free hours"] * 3600)),
        "by": money("by the hour"),
    }
    so_far = (
        _("So far you paid %(paid)s. We worked %(hours)s hours for it, which by the hour would cost %(by)s.") % worked
    )
    if known["free hours"]:
        so_far += " " + _("Of these hours %(free)s were free.") % worked
    lines = [verdict, so_far]
    if known["expected standing by"]:
        lines.append(
            _("That we stand by, and that a bad year costs you no more, is counted as %(ready)s a year.")
            % {"ready": money("expected ready")}
        )
    return [*lines, _("Judged on %(on)s.") % said]


def of_warning(contract: ContractRow, warning: CardWarning, *, name: str, link: str) -> Letter:
    """Few hours left, none, or hours that end soon."""
    said = {"left": hours_text(warning.seconds), "title": contract.terms.title}
    subject, first = {
        Warn.LOW: (
            _("%(title)s: %(left)s hours left") % said,
            _("Your hour card has %(left)s hours left.") % said,
        ),
        Warn.EMPTY: (
            _("%(title)s: your hours are used up") % said,
            _("Your hour card is used up. Work beyond it is done only after your approval."),
        ),
        Warn.ENDS: (
            _("%(title)s: %(left)s hours end soon") % said,
            _("%(left)s hours of your card end within %(days)s days. Unused hours lapse then.")
            % (said | {"days": contract.terms.ahead_days}),
        ),
    }[warning.warn]
    return Letter(
        subject=subject,
        name=name,
        paragraphs=[first, _("You see every minute in the portal; tell us if you want another card.")],
        button=_("See your hours"),
        link=link,
    )


def of_leave(contract: ContractRow, leave: LeaveRow, *, name: str, link: str, words: Words) -> Letter:
    """The question whether work beyond cover may be done."""
    most = Money.of(leave.rate.amount * leave.seconds / 3600, leave.rate.currency, Rounding.UP)
    return Letter(
        subject=_("%(title)s: may we do this work?") % {"title": contract.terms.title},
        name=name,
        paragraphs=[
            _("This work isn't covered by your contract. We begin when you approve it, and charge nothing otherwise."),
            leave.text,
        ],
        box=(_("At most"), words.money(most.decimal(), most.currency)),
        rows=[
            (_("Time, at most"), hours_text(leave.seconds)),
            (_("An hour"), words.money(leave.rate.decimal(), leave.rate.currency)),
            (_("Answer before"), words.day(leave.until.date())),
        ],
        button=_("Approve or refuse"),
        link=link,
        care=_("The link is yours, for this question. Opening it does nothing. Don't pass it on."),
    )


def of_credit(credit: CreditRow, *, name: str, link: str, words: Words) -> Letter:
    """We missed what we promised, and credited it."""
    said = {
        "amount": words.money(credit.amount.decimal(), credit.amount.currency),
        "tickets": ", ".join(credit.missed),
        "number": credit.credit_note,
    }
    return Letter(
        subject=_("We answered too late; we credited %(amount)s") % said,
        name=name,
        paragraphs=[
            _("We promised to answer sooner than we did: tickets %(tickets)s.") % said,
            _("Credit note %(number)s gives back %(amount)s, tax not counted. You need not ask for it.") % said,
        ],
        button=_("See your tickets"),
        link=link,
    )


def of_review(contract: ContractRow, ends: date, notice_by: date, *, name: str, link: str, words: Words) -> Letter:
    """The term ends soon: shall it go on as it is?"""
    said = {"title": contract.terms.title, "end": words.day(ends), "by": words.day(notice_by)}
    return Letter(
        subject=_("%(title)s: shall we look at it together?") % said,
        name=name,
        paragraphs=[
            _("The term of your contract ends on %(end)s; notice is possible until %(by)s.") % said,
            _("Before that we would like to look with you at what you used and paid, and whether it still fits."),
        ],
        button=_("See your contract"),
        link=link,
    )


def of_received(ticket: TicketRow, *, tag: str, answers: str, name: str, link: str) -> Letter:
    """We have your mail; answer to this one."""
    return Letter(
        subject=f"[#{tag}] {ticket.subject}"[:300],
        name=name,
        paragraphs=[
            _("We have your mail. It is ticket %(number)s; a person reads it.") % {"number": ticket.number},
            _("If you write about it again, leave the mark in the subject as it is, or write to %(address)s.")
            % {"address": answers},
        ],
        button=_("See your tickets"),
        link=link,
    )


def of_opinion(subject: str, *, name: str, link: str) -> Letter:
    """How did it go?"""
    return Letter(
        subject=_("How did we do: %(subject)s") % {"subject": subject},
        name=name,
        paragraphs=[_("Your request is solved. One question: how content are you with it?")],
        button=_("Answer with one click"),
        link=link,
        care=_("The link is yours, for this question. Opening it does nothing. Don't pass it on."),
    )
