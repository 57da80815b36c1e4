"""The policy of disputes from the `[disputes]` table of a provider's file.

Bounds are part of it: a provider may be kinder to the customer than the usual times, and not sharper than the law of
this program (a question unanswered closes a case after fourteen days at the earliest; one's own answer takes two months
at the most; whoever finds no ground that fits can say something else).
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from coulance_core.catalog.reading import Table, finish
from coulance_core.disputes.terms import Decider, Grounds, Mediator, Policy

LEAST_ANSWER, MOST_ANSWER = 14, 180
MOST_DECIDE = 60
LEAST_OPEN, MOST_OPEN = 60, 3650
MOST_CASES = 20


def parse_policy(
    data: Mapping[str, Any], *, version: str = "", roles: frozenset[str] | None = None, where: str = "disputes"
) -> Policy:
    """The policy that the table describes; `version` is the name it gets. Raises `TermsError` with every fault.

    `roles`, where given, are those that there are: another one may not decide, as nobody has it.

    >>> parse_policy({"decide_days": 10, "answer_days": 21}).decide_within.days
    10
    """
    t = Table(data)
    usual = Policy()
    decide = _days(t, "decide_days", usual.decide_within, 1, MOST_DECIDE)
    again = _days(t, "again_days", min(usual.again_within, timedelta(days=max(decide, 1))), 1, max(decide, 1))
    answer = _days(t, "answer_days", usual.answer_within, LEAST_ANSWER, MOST_ANSWER)
    opened = _days(t, "open_days", usual.open_within, LEAST_OPEN, MOST_OPEN)
    cases = _within(t, "customer_cases", usual.customer_cases, 1, MOST_CASES)
    grounds = t.choices("grounds", Grounds, tuple(Grounds))
    if len(set(grounds)) < len(grounds):
        t.fault("grounds", "one of them is there twice")
    if Grounds.OTHER not in grounds:
        t.fault("grounds", f'keep "{Grounds.OTHER.value}" among them: what is wrong may be something else')
    mediator = _mediator(t.table("mediation"), t.has("mediation"))
    deciders = tuple(_decider(row, roles) for row in t.tables("decider"))
    named = [one.role for one in deciders]
    for n, role in enumerate(named):
        if role in named[:n]:
            t.fault(f"decider[{n}].role", f"{role} is there twice: name all its amounts in one")
    if deciders and all(one.upto for one in deciders):
        t.fault("decider", "nobody may decide the largest cases: leave upto out of one of them")
    return finish(
        where,
        t,
        lambda: Policy(
            timedelta(days=decide),
            timedelta(days=again),
            timedelta(days=answer),
            timedelta(days=opened),
            cases,
            grounds,
            mediator,
            deciders,
            version,
        ),
    )


def _days(t: Table, name: str, usual: timedelta, least: int, most: int) -> int:
    return _within(t, name, usual.days, least, most)


def _within(t: Table, name: str, usual: int, least: int, most: int) -> int:
    value = t.whole(name, usual)
    if not least <= value <= most:
        t.fault(name, f"expected {least} to {most}, not {value}")
    return value


def _mediator(t: Table, there: bool) -> Mediator | None:
    if not there:
        return None
    name, url, about = t.text("name"), t.text("url", ""), t.text("about", "")
    days = _within(t, "days", 90, 1, 365)
    if t.has("name") and not name.strip():
        t.fault("name", "say who it is")
    if url and not url.startswith(("https://", "http://")):
        t.fault("url", "expected an address such as https://www.example.org")
    t.close()
    return Mediator(name.strip(), url, about.strip(), timedelta(days=days))


def _decider(t: Table, roles: frozenset[str] | None) -> Decider:
    role, upto = t.text("role"), t.amounts("upto")
    if roles is not None and role not in roles:
        t.fault("role", f"there is no role {role!r}: there are {', '.join(sorted(roles))}")
    t.close()
    return Decider(role, upto)
