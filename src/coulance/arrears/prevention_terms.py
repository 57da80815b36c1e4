"""What is done before anybody is late, from the provider file: `[arrears.prevention]`. Each is on unless it says no.

[arrears.prevention]
remind_as_they_pay = true     # a reminder before the due day moves within the step's `within`
invite_auto_pay = true        # once, to who forgets, after they paid late again
reach_unreceived_days = 3     # after so many days a bill that nobody received is a task for a person
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from coulance_core.catalog.faults import Fault
from coulance_core.catalog.reading import Table


@dataclass(frozen=True, slots=True)
class PreventionTerms:
    """What the table says."""

    remind_as_they_pay: bool = True
    invite_auto_pay: bool = True
    reach_unreceived_days: int = 3


def read_prevention(data: Mapping[str, Any]) -> tuple[PreventionTerms, list[Fault]]:
    """The terms, and what is wrong with them, by path (`prevention.invite_auto_pay`)."""
    faults: list[Fault] = []
    t = Table(data, "prevention", faults)
    usual = PreventionTerms()
    found = PreventionTerms(
        t.flag("remind_as_they_pay", usual.remind_as_they_pay),
        t.flag("invite_auto_pay", usual.invite_auto_pay),
        t.whole("reach_unreceived_days", usual.reach_unreceived_days),
    )
    if found.reach_unreceived_days < 1:
        t.fault("reach_unreceived_days", f"expected 1 or more, not {found.reach_unreceived_days}")
    t.close()
    return found, faults


def judge_prevention(data: Any) -> Iterable[Fault]:
    """What is wrong with `[arrears.prevention]`, by path inside `[arrears]`."""
    if not isinstance(data, Mapping):
        return [Fault("prevention", "expected a table: [arrears.prevention]")]
    return read_prevention(data)[1]
