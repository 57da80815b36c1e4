"""`[[contracts.response]]` of a provider's file: how soon tickets are answered and solved, and what a miss costs.

Pure: the caller opens the file. Every fault is named by its field.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from fractions import Fraction
from typing import Any

from coulance_core.catalog.faults import Fault, TermsError
from coulance_core.catalog.reading import Table
from coulance_core.kernel import Rounding
from coulance_core.sla.calendar_file import read_calendar
from coulance_core.sla.penalties import Attainment, PenaltyTerms, PerMissed, Rule, Stacking
from coulance_core.sla.responses import DayRule, PriorityRule, Promise, ResponseTerms, Span, Target, UpdateRule
from coulance_core.sla.terms_file import percent

_SPANS = {
    "min": (Span.SECONDS, 60),
    "h": (Span.SECONDS, 3600),
    "working days": (Span.WORKING_DAYS, 1),
    "working day": (Span.WORKING_DAYS, 1),
    "working weeks": (Span.WORKING_WEEKS, 1),
    "working week": (Span.WORKING_WEEKS, 1),
}


class _Kind(StrEnum):
    PER_MISSED = "per_missed"
    ATTAINMENT = "attainment"


@dataclass(frozen=True)
class Responses:
    """Promises of response, their name, first day and penalties. `asks`: what is asked of the customer, in words."""

    name: str
    valid_from: date
    terms: ResponseTerms
    penalties: PenaltyTerms
    asks: tuple[str, ...] = ()

    @property
    def version(self) -> str:
        """Name and first day: `gold@2026-01-01`."""
        return f"{self.name}@{self.valid_from.isoformat()}"


def read_responses(data: Mapping[str, Any]) -> tuple[tuple[Responses, ...], list[Fault]]:
    """All of a `[contracts]` table's promises, and every fault of them."""
    t = Table(data)
    found = [one for row in t.tables("response") if (one := _read(row)) is not None]
    seen: set[str] = set()
    for n, one in enumerate(found):
        if one.version in seen:
            t.fault(f"response[{n}].from", f"{one.version} is there twice: a change is a new day")
        seen.add(one.version)
    return tuple(found), t.faults


def parse_responses(data: Mapping[str, Any]) -> Responses:
    """One table of promises. Raises `TermsError` with every fault.

    >>> gold = parse_responses({"name": "gold", "from": "2026-01-01", "calendar": {"zone": "UTC", "always": True},
    ...   "target": [{"promise": "first_response", "priority": "p1", "within": "15 min"}],
    ...   "penalty": [{"kind": "per_missed", "promise": "first_response", "share": "5 %"}]})
    >>> str(gold.terms.targets[Promise.FIRST_RESPONSE, "p1"])
    '15 min'
    """
    t = Table(data)
    found = _read(t)
    if t.faults or found is None:
        raise TermsError(f"contracts.response {data.get('name', '')}", t.faults)
    return found


def _read(t: Table) -> Responses | None:
    before = len(t.faults)
    name, valid_from = t.text("name"), t.day("from")
    version = f"{name}@{valid_from.isoformat()}"
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,60}", name):
        t.fault("name", f"{name!r}: expected small letters, digits and dashes")
    calendar = read_calendar(t.table("calendar"))
    by_priority = {}
    for priority, row in t.table("calendar_of").items():
        own = read_calendar(row)
        if own is not None:
            by_priority[priority] = own
    targets: dict[tuple[Promise, str], Target] = {}
    for row in t.tables("target"):
        key, target = (row.choice("promise", Promise), row.text("priority", "")), _target(row)
        if key in targets:
            row.fault("promise", f"{key[0].value} of priority {key[1]!r} is promised twice")
        if target is not None:
            targets[key] = target
    if not targets:
        t.fault("target", "expected at least one: promise, priority, within")
    update = t.choice("updates", UpdateRule, UpdateRule.AFTER_CUSTOMER)
    priority_rule = t.choice("priority_rule", PriorityRule, PriorityRule.RESTART_WHEN_RAISED)
    warn = percent(t, "warn_at", Fraction(3, 4))
    rules = tuple(one for row in t.tables("penalty") if (one := _rule(row)) is not None)
    cap, stacking = percent(t, "cap", Fraction(1)), t.choice("stacking", Stacking, Stacking.SUM)
    rounding, asks = t.choice("rounding", Rounding, Rounding.HALF_UP), t.texts("asks")
    t.close()
    if len(t.faults) > before or calendar is None:
        return None
    try:
        terms = ResponseTerms(version, calendar, targets, by_priority, update, priority_rule, warn)
        return Responses(name, valid_from, terms, PenaltyTerms(version, rules, cap, stacking, rounding), asks)
    except ValueError as error:
        t.fault("", str(error))
        return None


def _target(t: Table) -> Target | None:
    text = t.text("within")
    found = re.fullmatch(r"(\d+) ?(min|h|working days?|working weeks?)", text)
    rule = t.choice("until", DayRule, DayRule.CLOSE)
    t.close()
    if found is None:
        t.fault("within", f'expected a time, such as "15 min", "4 h" or "2 working days", not {text!r}')
        return None
    span, unit = _SPANS[found[2]]
    try:
        return Target(span, int(found[1]) * unit, rule)
    except ValueError as error:
        t.fault("within", str(error))
        return None


def _rule(t: Table) -> Rule | None:
    kind, promise = t.choice("kind", _Kind), t.choice("promise", Promise)
    priorities = frozenset(t.texts("priorities"))
    share = percent(t, "share", Fraction(0)) if kind is _Kind.PER_MISSED else None
    tiers, least = [], 1
    if kind is _Kind.ATTAINMENT:
        for row in t.tables("tiers"):
            tiers.append((percent(row, "below", Fraction(0)), percent(row, "credit", Fraction(0))))
            row.close()
        least = t.whole("least", 1)
    t.close()
    try:
        if share is not None:
            return PerMissed(promise, share, priorities)
        return Attainment(promise, tuple(tiers), priorities, least)
    except ValueError as error:
        t.fault("", str(error))
        return None
