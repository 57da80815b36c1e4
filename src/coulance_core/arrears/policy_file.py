"""Policies of arrears from the `[[arrears.policy]]` tables of a provider's file."""

from collections.abc import Mapping, Sequence
from typing import Any

from coulance_core.arrears.acts import Act, Route
from coulance_core.arrears.packs import LawPack
from coulance_core.arrears.terms import (
    DUE,
    Calendar,
    Debtor,
    Level,
    Mode,
    PlanTerms,
    Policy,
    Scope,
    Step,
)
from coulance_core.catalog.faults import Fault, refuse
from coulance_core.catalog.reading import Table, finish
from coulance_core.notices import Channel

_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_RATES = {"bit/s": 1, "kbit/s": 10**3, "Mbit/s": 10**6, "Gbit/s": 10**9}


def parse_policies(rows: Sequence[Mapping[str, Any]], *, where: str = "arrears.policy") -> tuple[Policy, ...]:
    """Every policy of a file, in its order. Raises `TermsError` with the faults of the first that has any, or where two
    are one version."""
    found = tuple(parse_policy(row, where=f"{where}[{n}]") for n, row in enumerate(rows))
    versions = [policy.version for policy in found]
    twice = [n for n, version in enumerate(versions) if version in versions[:n]]
    refuse(where, (Fault(f"[{n}].from", f"{versions[n]} is there twice: a change is a new day") for n in twice))
    return found


def unmet(policy: Policy, pack: LawPack) -> tuple[str, ...]:
    """What a policy wants and a law pack doesn't let it have, in words; worth a warning where the two are joined.

    What wants a letter that the policy doesn't send is never charged; nor is what the pack has no rule for.
    """
    out: list[str] = []
    for step in policy.steps:
        if step.act is Act.CHARGE_COSTS and not pack.costs:
            out.append(f"{step.key}: {pack.name} knows no collection costs: none are charged")
        if step.act is Act.CHARGE_INTEREST and not pack.interest:
            out.append(f"{step.key}: {pack.name} knows no interest: none is charged")
        if step.act in (Act.CHARGE_COSTS, Act.CHARGE_INTEREST):
            rules = pack.costs if step.act is Act.CHARGE_COSTS else pack.interest
            sent = {one.letter for one in policy.earlier[step.key] if one.evidence is not Level.NONE}
            wanted = sorted({rule.letter for rule in rules if rule.letter} - sent)
            out += [f"{step.key}: {pack.name} wants the letter {key} before; no step is it" for key in wanted]
        if step.evidence is Level.DEEMED and not pack.deemed:
            out.append(f"{step.key}: {pack.name} doesn't say when a notice is deemed received: it never is")
    return tuple(out)


def parse_policy(data: Mapping[str, Any], *, where: str = "arrears.policy") -> Policy:
    """The policy that one table describes. Raises `TermsError` with every fault, each by its field's path.

    >>> step = {"key": "r", "route": "demand", "act": "remind", "days": 7, "evidence": "delivered"}
    >>> parse_policy({"name": "mild", "from": "2026-01-01", "step": [step]}).version
    'mild@2026-01-01'
    """
    t = Table(data)
    name, valid_from = t.text("name"), t.day("from")
    mode = t.choice("mode", Mode, Mode.ENFORCE)
    law = t.text("law", "")
    minimum = t.amounts("minimum")
    numbers = {
        field: t.whole(field, default)
        for field, default in (("bill_lag_days", 3), ("resume_days", 5), ("backup_days", 3), ("approval_days", 14))
    }
    floor = _rate(t, "floor") or 256_000
    resume = t.choices("resume_channels", Channel, (Channel.EMAIL, Channel.POST))
    scope = _scope(t.table("scope"))
    calendar = _calendar(t.table("calendar"))
    plans = _plans(t.table("plans"))
    steps = tuple(_step(row) for row in t.tables("step"))
    return finish(
        where,
        t,
        lambda: Policy(
            name,
            valid_from,
            steps,
            mode,
            scope,
            law,
            minimum,
            calendar,
            plans,
            floor_bps=floor,
            resume_channels=resume,
            **numbers,
        ),
    )


def _scope(t: Table) -> Scope:
    scope = Scope(
        frozenset(t.choices("debtors", Debtor, ())),
        frozenset(t.texts("groups")),
        frozenset(t.texts("plans")),
        frozenset(t.texts("countries")),
    )
    t.close()
    return scope


def _calendar(t: Table) -> Calendar:
    usual = Calendar()
    closed = [*(_DAYS[n] for n in usual.closed_weekdays)]
    if t.has("closed"):
        closed = list(t.texts("closed"))
        for day in closed:
            if day not in _DAYS:
                t.fault("closed", f"expected days such as friday, not {day!r}")
    calendar = Calendar(
        tuple(sorted(_DAYS.index(day) for day in closed if day in _DAYS)),
        t.flag("eves", True),
        t.whole("from_hour", usual.from_hour),
        t.whole("to_hour", usual.to_hour),
    )
    t.texts("closed")
    t.close()
    return calendar


def _plans(t: Table) -> PlanTerms:
    usual = PlanTerms()
    plans = PlanTerms(
        t.whole("instalments", usual.instalments),
        t.whole("days", usual.days),
        t.whole("first_percent", usual.first_percent),
        t.whole("first_days", usual.first_days),
        t.amounts("smallest"),
        t.amounts("auto_below"),
        t.whole("grace_days", usual.grace_days),
        t.flag("interest", usual.interest),
        t.wholes("remind_days", usual.remind_days),
    )
    t.close()
    return plans


def _step(t: Table) -> Step:
    act = t.choice("act", Act)
    step = Step(
        t.text("key"),
        t.choice("route", Route),
        act,
        t.text("after", DUE),
        t.whole("days", 0),
        t.choice("evidence", Level, Level.NONE),
        t.choices("channels", Channel, (Channel.EMAIL,)),
        t.whole("again_days", 3),
        t.text("letter", ""),
        t.money("fee"),
        t.amounts("minimum"),
        t.whole("approvals", 0),
        _rate(t, "rate"),
        t.texts("features"),
        t.text("plan", ""),
        t.text("to", ""),
        t.texts("codes"),
        t.wholes("within", ()),
        t.whole("every", 0),
    )
    t.close()
    return step


def _rate(t: Table, name: str) -> int | None:
    text = t.text(name, "")
    if not text:
        return None
    number, _, unit = text.partition(" ")
    if not number.isdigit() or unit not in _RATES:
        t.fault(name, f'expected a rate, such as "256 kbit/s", not {text!r}')
        return None
    return int(number) * _RATES[unit]
