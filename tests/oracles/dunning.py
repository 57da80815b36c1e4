"""Dunning campaigns of the shared charge-model cases, run as a policy of arrears with that many reminders.

A timeline's instants with an expectation are runs; the others change what is overdue. Attempts are counted by currency,
each against its own threshold; "days between" are whole days, as everywhere in arrears.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from coulance_core.arrears import Act, Debt, DebtKind, Done, Facts, Policy, Route, Step, decide
from coulance_core.kernel import Money
from tests.oracles.protocol import MalformedCaseError, Outcome


def run_campaign(case: Mapping[str, Any]) -> Outcome:
    """One campaign to its outcome: the first run whose counts differ, or passed."""
    try:
        policy = _policy(case["parameters"])
        timeline = [(_instant(row["t"]), row) for row in case["input"]["timeline"]]
    except (KeyError, TypeError, ValueError) as error:
        raise MalformedCaseError(f"a campaign has parameters and a timeline: {error!r}") from error
    facts = Facts(1, ZoneInfo("UTC"))
    attempts: Counter[str] = Counter()
    for at, row in timeline:
        for code, minor in {**row.get("overdue", {}), **row.get("overdue_add", {})}.items():
            facts = replace(facts, debts=(*facts.debts, _debt(len(facts.debts), code, minor, at.date())))
        wanted = row.get("expect_attempts")
        if wanted is None:
            continue
        for intent in decide(policy, facts, at).intents:
            attempts[intent.amount.currency] += 1
            done = Done(f"{len(facts.done)}", intent.step, frozenset(intent.debts), at)
            facts = replace(facts, done=(*facts.done, done))
        if dict(attempts) != dict(wanted):
            return Outcome.failed(f"{row['t']}: {dict(wanted)}", f"{row['t']}: {dict(attempts)}")
    return Outcome.passed()


def _policy(parameters: Mapping[str, Any]) -> Policy:
    between = int(parameters["days_between_attempts"])
    later = range(2, int(parameters["max_attempts"]) + 1)
    steps = [Step("attempt-1", Route.DEMAND, Act.REMIND, days=1)]
    steps += [Step(f"attempt-{n}", Route.DEMAND, Act.REMIND, f"attempt-{n - 1}", between) for n in later]
    least = tuple(Money(int(minor), code) for code, minor in parameters["thresholds_cents"].items())
    return Policy("campaign", date(2000, 1, 1), tuple(steps), minimum=least)


def _debt(number: int, code: str, minor: int, due: date) -> Debt:
    issued = due - timedelta(days=30)
    open_now = Money(int(minor), code)
    return Debt(f"d{number}", f"D{number}", DebtKind.OTHER, issued, due, open_now, open_now, bill=issued)


def _instant(value: str) -> datetime:
    instant = datetime.fromisoformat(value)
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant
