"""One contract: whether it is fair, every minute and what paid for it, and what an operator can do with it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from fractions import Fraction
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from coulance.console.access import operators_only, who
from coulance.console.acts import (
    LONGEST_REASON,
    Done,
    UnableToActError,
    amount_of,
    day_of,
    is_sure,
    new_token,
    once,
    previewed,
    reason_of,
)
from coulance.contracts import queries, working
from coulance.contracts.errors import ContractsError, UnableToFindContractError
from coulance.contracts.hours import Hours, hours
from coulance.contracts.queries import ContractRow, Facts, hours_text
from coulance.contracts.working import NewWork
from coulance.customers import queries as customers
from coulance.flows.contracts import asking, billing, by_period, changing, fairness, wording
from coulance.flows.contracts.fairness import Judged
from coulance.platform import clock
from coulance.platform.roles import Permission, may
from coulance_core.contracts.fairness import Verdict
from coulance_core.contracts.terms import Kind, Work
from coulance_core.kernel import Explanation, Money, Rounding, exact

TAGS = {
    Verdict.FAIR: "good",
    Verdict.COSTS_PROVIDER: "warn",
    Verdict.COSTS_CUSTOMER: "warn",
    Verdict.TOO_EARLY: "",
}


def page_of(key: str) -> str:
    """The address of a contract's page."""
    return f"/contracts/{quote(key, safe='')}"


@operators_only(Permission.SEE)
@require_GET
def contract_detail(request: HttpRequest, key: str) -> HttpResponse:
    """The page."""
    return _page(request, _contract(key))


def _contract(key: str) -> ContractRow:
    try:
        return queries.contract(key)
    except UnableToFindContractError as fault:
        raise Http404(str(fault)) from fault


@dataclass(frozen=True, slots=True)
class Shown:
    """What an act would come to, for the eye: said in words, with the arithmetic where there is any."""

    said: str
    why: Explanation | None = None


Doing = Callable[[HttpRequest, ContractRow, str, datetime], Shown]


@operators_only(Permission.SUPPORT)
@require_POST
def work_act(request: HttpRequest) -> HttpResponse:
    """One's timer; work written down, corrected or taken out of what counts; leave asked of the customer."""
    acts: dict[str, Doing] = {
        "start": _start,
        "stop": _stop,
        "drop": _drop,
        "write": _write,
        "correct": _correct,
        "take-out": _take_out,
        "ask": _ask,
    }
    return _acted(request, acts)


@operators_only(Permission.BILLING, fresh=True)
@require_POST
def deal_act(request: HttpRequest) -> HttpResponse:
    """What changes the deal or makes paper: its figures are shown before it is done."""
    acts: dict[str, Doing] = {
        "card": _card,
        "card-back": _card_back,
        "price": _price,
        "index": _index,
        "seats": _seats,
        "notice": _notice,
        "early": _early,
        "go-on": _go_on,
    }
    return _acted(request, acts, look_first=True)


def _acted(request: HttpRequest, acts: Mapping[str, Doing], *, look_first: bool = False) -> HttpResponse:
    row = _contract(request.POST.get("contract", ""))
    doing, at, me = acts.get(request.POST.get("do", "")), clock.now(), who(request)
    try:
        if doing is None:
            raise UnableToActError(_("Choose one of the buttons."))
        act = doing
        if look_first and not is_sure(request):
            return _page(request, row, look=previewed(lambda: act(request, row, me, at)))
        return once(request, lambda: Done(page_of(row.key), act(request, row, me, at).said))
    except (UnableToActError, ContractsError, ValueError) as fault:
        return _page(request, row, str(fault))


def _typed(request: HttpRequest, name: str) -> str:
    return request.POST.get(name, "").strip()[:200]


def _minutes(request: HttpRequest) -> int:
    typed = _typed(request, "minutes")
    if not typed.isdigit() or len(typed) > 5:
        raise UnableToActError(_("Say how many minutes it took."))
    return int(typed) * 60


def _text(request: HttpRequest) -> str:
    text = request.POST.get("text", "").strip()
    if not 0 < len(text) <= LONGEST_REASON:
        raise UnableToActError(_("Say what it is, in at most 500 characters: the customer reads it."))
    return text


def _start(request: HttpRequest, row: ContractRow, actor: str, at: datetime) -> Shown:
    working.start_timer(contract=row.id, who=actor, work=_class(request), text=_text(request), at=at)
    return Shown(_("Your timer runs on %(contract)s.") % {"contract": row.key})


def _stop(request: HttpRequest, row: ContractRow, actor: str, at: datetime) -> Shown:  # noqa: ARG001 - as the others
    done = working.stop_timer(who=actor, actor=actor, at=at)
    return Shown(_("%(time)s are written down.") % {"time": hours_text(done.seconds)})


def _drop(request: HttpRequest, row: ContractRow, actor: str, at: datetime) -> Shown:  # noqa: ARG001 - as the others
    working.drop_timer(who=actor, at=at)
    return Shown(_("Your timer is thrown away; nothing is written down."))


def _ask(request: HttpRequest, row: ContractRow, actor: str, at: datetime) -> Shown:
    asked = asking.ask(key=row.key, seconds=_minutes(request), text=_text(request), actor=actor, at=at)
    return Shown(_("%(told)s are asked. Begin when they approve it.") % {"told": asked.told})


def _write(request: HttpRequest, row: ContractRow, actor: str, at: datetime) -> Shown:
    day = day_of(_typed(request, "day"), default=row.day_of(at))
    try:
        hour = time.fromisoformat(_typed(request, "time"))
    except ValueError:
        raise UnableToActError(_("Say when it began: 09:30.")) from None
    began = datetime.combine(day, hour.replace(tzinfo=None), ZoneInfo(row.zone))
    work = NewWork(
        row.id, f"console/{actor}/{began.isoformat()}", began, _minutes(request), actor, _class(request),
        request.POST.get("free") == "yes", _text(request),
    )  # fmt: skip
    if not working.record_work(work=[work], actor=actor, at=at).new:
        raise UnableToActError(_("This work is written down already."))
    return Shown(_("%(time)s are written down.") % {"time": hours_text(work.seconds)})


def _class(request: HttpRequest) -> Work:
    try:
        return Work(request.POST.get("work", ""))
    except ValueError:
        raise UnableToActError(_("Choose a class of work.")) from None


def _entry(request: HttpRequest, row: ContractRow) -> queries.WorkRow:
    key = request.POST.get("entry", "")
    found = [one for one in queries.facts([row.id])[row.id].work if one.entry.key == key]
    if not found:
        raise UnableToActError(_("This work is no longer there, or is another contract's."))
    return found[0]


def _correct(request: HttpRequest, row: ContractRow, actor: str, at: datetime) -> Shown:
    one = _entry(request, row)
    work = NewWork(
        row.id, one.entry.key, one.entry.began_at, _minutes(request), one.who, _class(request), one.entry.free,
        one.text, one.ticket,
    )  # fmt: skip
    working.record_work(work=[work], actor=actor, at=at, reason=reason_of(request))
    return Shown(_("It is corrected: %(time)s.") % {"time": hours_text(work.seconds)})


def _take_out(request: HttpRequest, row: ContractRow, actor: str, at: datetime) -> Shown:
    working.remove_work(key=_entry(request, row).entry.key, actor=actor, reason=reason_of(request), at=at)
    return Shown(_("It counts no more; its history stays."))


def _card(request: HttpRequest, row: ContractRow, actor: str, at: datetime) -> Shown:
    product, name = _typed(request, "product"), _typed(request, "name")
    if not name:
        raise UnableToActError(_("Give the card a name that is used once, such as the number of an order."))
    number = billing.sell_card(key=row.key, product=product, card=name, from_=row.day_of(at), actor=actor, at=at)
    found = next(one for one in row.terms.cards if one.key == product)
    said = {"name": name, "time": hours_text(found.seconds), "price": found.price, "number": number or "-"}
    return Shown(_("Card %(name)s: %(time)s for %(price)s, tax not counted, on invoice %(number)s.") % said)


def _card_back(request: HttpRequest, row: ContractRow, actor: str, at: datetime) -> Shown:
    name = _typed(request, "name")
    number = billing.take_card_back(key=row.key, card=name, reason=reason_of(request), actor=actor, at=at)
    return Shown(_("Card %(name)s is taken back by credit note %(number)s.") % {"name": name, "number": number or "-"})


def _from(request: HttpRequest) -> date:
    typed = _typed(request, "on")
    if not typed:
        raise UnableToActError(_("Say from which day."))
    return day_of(typed, default=date.max)


def _price(request: HttpRequest, row: ContractRow, actor: str, at: datetime) -> Shown:
    price, on = amount_of(_typed(request, "price"), row.currency), _from(request)
    changing.set_price(key=row.key, price=price, on=on, reason=reason_of(request), actor=actor, at=at)
    return Shown(_("It costs %(price)s from %(day)s.") % {"price": price, "day": on})


def _index(request: HttpRequest, row: ContractRow, actor: str, at: datetime) -> Shown:
    try:
        before, now = (exact(_typed(request, name).replace(",", ".")) for name in ("before", "now"))
    except (ValueError, ArithmeticError):
        raise UnableToActError(_("Say what the index was and is: 128.4 and 132.1.")) from None
    on = _from(request)
    done = changing.index_price(
        key=row.key, before=before, now=now, on=on, reason=reason_of(request), actor=actor, at=at
    )
    return Shown(_("It costs %(price)s from %(day)s.") % {"price": done.price, "day": on}, done.explanation)


def _seats(request: HttpRequest, row: ContractRow, actor: str, at: datetime) -> Shown:
    typed, on = _typed(request, "seats"), _from(request)
    if not typed.isdigit() or len(typed) > 6:
        raise UnableToActError(_("Say how many seats."))
    changing.set_seats(key=row.key, seats=int(typed), on=on, reason=reason_of(request), actor=actor, at=at)
    return Shown(_("It is for %(seats)s seats from %(day)s.") % {"seats": int(typed), "day": on})


def _notice(request: HttpRequest, row: ContractRow, actor: str, at: datetime) -> Shown:
    ends = changing.give_notice(key=row.key, reason=reason_of(request), actor=actor, at=at)
    return Shown(_("By its terms it ends on %(day)s.") % {"day": ends})


def _early(request: HttpRequest, row: ContractRow, actor: str, at: datetime) -> Shown:
    on = _from(request)
    fee = changing.end_early(key=row.key, leaves=on, reason=reason_of(request), actor=actor, at=at)
    return Shown(_("It ends on %(day)s, for %(fee)s, tax not counted.") % {"day": on, "fee": fee})


def _go_on(request: HttpRequest, row: ContractRow, actor: str, at: datetime) -> Shown:
    changing.take_notice_back(key=row.key, reason=reason_of(request), actor=actor, at=at)
    return Shown(_("The notice is taken back: it goes on."))


def _page(request: HttpRequest, row: ContractRow, fault: str = "", look: Shown | None = None) -> HttpResponse:
    at = clock.now()
    facts = queries.facts([row.id])[row.id]
    found = hours(row, facts, at)
    today = row.day_of(at)
    term = row.term_on(today)
    (owner,) = customers.accounts([row.account])
    kept = [(k, v) for k, v in request.POST.items() if k not in ("csrfmiddlewaretoken", "token", "step")]
    values: dict[str, Any] = {
        "here": "contracts",
        "row": row,
        "owner": owner,
        "kind": wording.kind(row.kind),
        "fee": row.fee_on(max(today, row.starts_on)),
        "term": term,
        "left": hours_text(found.left) if found.left is not None else "",
        "fair": _fair(row, at),
        "quarters": _quarters(row, at),
        "cards": found.cards.cards if found.cards else (),
        "work": _work(facts, found, row),
        "leave": [(one, hours_text(one.seconds)) for one in reversed(facts.leave)],
        "money": _money(row),
        "changes": list(reversed(row.changes)),
        "works": [(w.value, wording.work(w)) for w in Work],
        "per_seat": row.kind is Kind.PER_SEAT,
        "may_work": may(request.user, Permission.SUPPORT),
        "may_deal": may(request.user, Permission.BILLING),
        "today": today,
        "token": new_token(),
        "fault": fault,
        "look": look,
        "why": look.why.to_json() if look is not None and look.why is not None else None,
        "kept": kept,
        "timer": working.timer_of(who(request)),
    }
    return render(request, "console/contract.html", values, status=422 if fault else 200)


def _work(facts: Facts, found: Hours, row: ContractRow) -> list[dict[str, Any]]:
    zone = ZoneInfo(row.zone)
    rows = []
    for one in reversed(facts.work):
        draws = found.of(one.entry.key)
        rows.append(
            {
                "one": one,
                "began": one.entry.began_at.astimezone(zone),
                "work": wording.work(one.entry.work),
                "minutes": one.entry.seconds // 60,
                "counted": hours_text(sum(d.seconds for d in draws)),
                "paid": [f"{hours_text(d.seconds)} {wording.paid_by(d.by)}" for d in draws],
            }
        )
    return rows


def _money(row: ContractRow) -> list[dict[str, Any]]:
    """Charges and credits, newest first."""
    rows: list[dict[str, Any]] = [
        {"on": c.starts_on, "what": c.kind, "amount": c.amount, "paper": c.invoice, "why": c.explanation.to_json()}
        for c in queries.charges([row.id])
    ]
    rows += [
        {
            "on": c.period_start, "what": _("missed responses"), "more": ", ".join(c.missed), "amount": -c.amount,
            "paper": c.credit_note, "why": c.explanation.to_json(),
        }
        for c in queries.credits_of([row.id])
    ]  # fmt: skip
    return sorted(rows, key=lambda r: r["on"], reverse=True)


def _fair(row: ContractRow, at: datetime) -> dict[str, Any] | None:
    """Both sides' figures; None before it has begun."""
    try:
        one = fairness.judge_one(row.key, at=at)
    except UnableToFindContractError:
        return None
    return {
        "said": wording.verdict(one.fairness.verdict),
        "tag": TAGS[one.fairness.verdict],
        "plain": wording.plainly(one),
        "rows": _sides(one),
        "advised": one.advice.price,
        "why": one.fairness.explanation.to_json(),
        "how": one.advice.explanation.to_json(),
    }


def _quarters(row: ContractRow, at: datetime) -> list[tuple[object, ...]]:
    """Both sides' figures by quarter, the newest first."""

    def time_of(value: Fraction) -> str:
        return hours_text(round(value * 3600))

    return [
        (
            f"{q.start} – {q.end}", _amount(q.paid, row.currency), time_of(q.hours), time_of(q.free),
            time_of(q.lapsed), _amount(q.by_hour, row.currency), _amount(q.cost, row.currency),
            _amount(q.we, row.currency), _amount(q.they, row.currency),
        )
        for q in reversed(by_period.quarters(row, at=at))
    ]  # fmt: skip


def _sides(one: Judged) -> list[tuple[str, object, object]]:
    """What both sides had so far, and are expected to have of a year."""
    row, known = one.contract, one.fairness.explanation.recompute()
    free = hours_text(round(one.used.free_hours * 3600))

    def pair(label: str, name: str, expected: str) -> tuple[str, object, object]:
        return label, _amount(known[name], row.currency), _amount(known[expected], row.currency)

    return [
        (
            _("Hours worked"),
            hours_text(round(known["delivered"] * 3600)),
            hours_text(round(known["expected delivered"] * 3600)),
        ),
        (_("of which given free"), free, ""),
        (_("What is paid"), _amount(one.used.paid, row.currency), one.price),
        pair(_("The hours, by the hour"), "by the hour", "expected by the hour"),
        pair(_("Standing by, and cover for the bad year"), "ready", "expected ready"),
        pair(_("What the hours cost us"), "labour", "expected labour"),
        pair(_("What else it costs us"), "serving", "expected serving"),
        pair(_("We keep"), "provider", "expected provider"),
        pair(_("They are ahead by"), "customer", "expected customer"),
    ]


def _amount(value: Fraction, code: str) -> Money:
    return Money.of(value, code, Rounding.HALF_UP)
