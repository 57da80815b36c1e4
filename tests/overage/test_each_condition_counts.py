"""The first law in the shell, condition by condition: leave any one out of what is handed to core, and it shows.

Each row is a period with one thing wrong in it. With all the facts it comes to what the row says; with that one fact
left out of the facts that the shell hands over (a mutation of it, in process), it would come to something else. A row
whose mutation changes nothing is a condition that nothing guards.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any
from unittest.mock import patch

import pytest
from django.db import transaction

from coulance.enforcement import operations as enforcement
from coulance.flows.closing import controlled
from coulance.notices import operations as notices
from coulance.overage import facts, operations, queries
from coulance_core.enforcement.restrictions import Action, Source
from coulance_core.kernel import Money
from coulance_core.notices import EvidenceKind
from coulance_core.overage.terms import Facts, Span
from tests.closing.world import World
from tests.overage.test_close import became, even
from tests.overage.world import account_id, acknowledge, at, consent, customer, meter, verify

EVER = (Span(at("2026-01-01T00:00")),)
Mutation = Callable[[], AbstractContextManager[Any]]


def _facts(change: Callable[[Facts], Facts]) -> Mutation:
    """What the shell knows, handed over with one thing changed."""
    made = facts._facts
    return lambda: patch.object(facts, "_facts", lambda *given: change(made(*given)))


def _consents(**changes: Any) -> Mutation:
    return _facts(lambda f: replace(f, consents=tuple(replace(c, **changes) for c in f.consents)))


def _limits_away(given: Facts) -> Facts:
    return replace(
        given,
        consents=tuple(replace(c, limit=replace(c.limit, amount=Money.of("9999.00", "EUR"))) for c in given.consents),
    )


def _settled_with(**changes: Any) -> Mutation:
    """What core is asked to settle, with one of its arguments changed."""
    made = controlled.settle_overruns
    return lambda: patch.object(controlled, "settle_overruns", lambda *a, **given: made(*a, **(given | changes)))


def _mail(when: str) -> None:
    notices.queue_message(
        key="warn:1", account=account_id(), kind="warning", to=[notices.Recipient("anna@bakery.example", "Anna")],
        language="en", subject="80 %", text="80 GB", at=at(when),
    )  # fmt: skip
    operations.record_warning(
        meter=meter(), period_name="2026-10", threshold="80 %", counts=True, used=Fraction(100), at=at(when),
        message="warn:1",
    )  # fmt: skip


def _bounced() -> None:
    _mail("2026-10-09T12:01")
    became(EvidenceKind.ACCEPTED, "2026-10-09T12:02")
    became(EvidenceKind.BOUNCED, "2026-10-10T09:00")


def _paused() -> None:
    service = meter().services[0]
    enforcement.place(
        service=service, source=Source.OVERAGE, ref="2026-10/out", reason="limit", action=Action.PAUSE, actor="w",
        at=at("2026-10-20T12:00"),
    )  # fmt: skip
    enforcement.lift(service=service, source=Source.OVERAGE, actor="w", reason="raised", at=at("2026-10-25T12:00"))


def _attacked() -> None:
    operations.record_attack(
        service=meter().services[0], start=at("2026-10-20T12:00"), until=at("2026-10-25T12:00"), evidence="flows",
        actor="x", reason="flood", at=at("2026-10-31T00:00"),
    )  # fmt: skip


@dataclass(frozen=True)
class Row:
    """`wrong` is done after a sound consent and acknowledgement."""

    name: str
    billable: int
    mutation: Mutation
    wrong: Callable[[], object] = lambda: None
    consent_at: str | None = "2026-09-20T00:00"
    verified_at: str | None = "2026-09-15T00:00"
    acknowledged_at: str | None = "2026-10-01T00:00"
    amount: str = "100.00"
    more: str = ""


# 310 GB at 10 a day, 100 included, 0.10 for each more: 210 would be billable.
ROWS = (
    Row("consent begins on the 20th", 120, _consents(in_force=EVER[0]), consent_at="2026-10-19T12:00"),
    Row(
        "consent is withdrawn on the 20th", 100, _consents(in_force=EVER[0]),
        lambda: operations.withdraw_consent(
            consent=queries.consents(account=account_id())[0].id, actor="c", reason="enough", at=at("2026-10-20T12:00")
        ),
    ),
    Row("nobody behind it is verified", 0, _consents(verified=EVER), verified_at=None),
    Row("verified on the 20th", 120, _consents(verified=EVER), verified_at="2026-10-19T12:00"),
    Row("no warning arrived", 0, _facts(lambda f: replace(f, warned=EVER)), acknowledged_at=None),
    Row("the warning bounced", 0, _facts(lambda f: replace(f, warned=EVER)), _bounced, acknowledged_at=None),
    Row("the limit is 10.00", 100, _facts(_limits_away), amount="10.00"),
    Row(
        "exposure of 5.00 that nobody acknowledged", 50, _facts(lambda f: replace(f, exposure=None)),
        lambda: (_mail("2026-10-09T12:01"), became(EvidenceKind.ACCEPTED, "2026-10-09T12:02")),
        acknowledged_at=None, more='exposure = "5.00 EUR"\n',
    ),
    Row(
        "exposure of 5.00 acknowledged on the 20th", 170, _facts(lambda f: replace(f, acknowledged=(EVER[0].start,))),
        lambda: (_mail("2026-10-09T12:01"), became(EvidenceKind.ACCEPTED, "2026-10-09T12:02")),
        acknowledged_at="2026-10-19T12:00", more='exposure = "5.00 EUR"\n',
    ),
    Row(
        "paused for five days", 160,
        lambda: patch.object(facts.enforcement, "paused_spans", lambda **_: {}), _paused,
    ),
    Row("five days of attack", 160, _settled_with(attacks=lambda _: ()), _attacked),
    Row("a tolerance of 20 %", 190, _settled_with(tolerance=Fraction(0)), more='tolerance = "20 %"\n'),
)  # fmt: skip


def _billable(world: World) -> Fraction:
    """Close, look, and undo it."""
    with transaction.atomic():
        world.close("2026-10")
        (row,) = queries.settlements(account=account_id(), period_name="2026-10")
        found = row.billable
        transaction.set_rollback(True)
    return found


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_leaving_a_condition_out_is_seen(world: World, row: Row) -> None:
    customer(world, more=row.more + '[sending]\nfrom = "post@polder.example"\n').service("s1", "vps", meter="traffic")
    even("s1", 10, world)
    if row.verified_at:
        verify(row.verified_at)
    if row.consent_at:
        consent(row.consent_at, amount=row.amount)
    if row.acknowledged_at:
        acknowledge(row.acknowledged_at)
    row.wrong()
    assert _billable(world) == row.billable
    with row.mutation():
        assert _billable(world) > row.billable, "the condition could be dropped and nobody would see it"
