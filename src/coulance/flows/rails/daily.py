"""The day's work of the rails, in an order in which each step finds what the one before it left."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from coulance.catalog import queries as catalog
from coulance.flows.rails import by_mandate, direct_debit, paying, wallet
from coulance.flows.rails.alone import alone
from coulance.payments.restored import is_resting


def run(*, at: datetime, actor: str) -> Iterator[str]:
    """Balances and agreements, collections planned and filed, payouts read: a line for each thing done."""
    whole = catalog.catalog()
    on = at.astimezone(whole.provider.zone_info).date()
    if is_resting():
        yield "nothing is collected or charged after a restore, until a person clears the alarm payments.restored"
        return
    with alone("the day's charges", at=at):
        done = wallet.run(on=on, at=at, actor=actor)
        yield (
            f"balances: {len(done.drawn)} drawn; agreements: {len(done.announced)} announced,"
            f" {len(done.charged)} charged, {len(done.refused)} not"
        )
    if whole.payments.creditor_id:
        with alone("topping balances up by direct debit", at=at):
            topped = by_mandate.top_up_low(on=on, actor=actor, at=at)
            yield f"top-ups by direct debit: {len(topped.planned)} planned, {len(topped.counted)} on the balance"
        with alone("planning the day's collections", at=at):
            planned = direct_debit.plan_due(on=on, actor=actor, at=at)
            yield f"collections: {len(planned.made)} planned, {len(planned.left)} left"
        with alone("making the day's files of collections", at=at):
            filed = direct_debit.file_due(on=on, actor=actor, at=at)
            yield f"collections: {len(filed.cancelled)} called off, {len(filed.runs)} files to fetch"
    for name in paying.offered():
        with alone(f"reading what {name} paid out", at=at, gateway=name):
            new = paying.read_payouts(name=name, since=on - timedelta(days=14), at=at)
            yield f"{name}: {new} payouts booked"
