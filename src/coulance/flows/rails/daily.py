"""The day's work of the rails, in an order in which each step finds what the one before it left."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from coulance.catalog import queries as catalog
from coulance.flows.rails import by_mandate, direct_debit, left_over, paying, paying_back, wallet, watching
from coulance.flows.rails.alone import alone
from coulance.payments.restored import is_resting


def run(*, at: datetime, actor: str) -> Iterator[str]:
    """What waits too long, balances and agreements, collections, money that goes back, payouts: a line for each."""
    whole = catalog.catalog()
    on = at.astimezone(whole.provider.zone_info).date()
    if is_resting():
        yield "nothing is collected or charged after a restore, until a person clears the alarm payments.restored"
        return
    with alone("looking after what waits too long", at=at):
        yield f"alarms of the rails: {len(watching.look(on=on, at=at))} open"
    with alone("telling of money that is left over", at=at):
        yield f"money left over: {len(left_over.tell_left_over(on=on, actor=actor, at=at))} looked at"
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
    with alone("looking at what goes back by gateways", at=at):
        paying_back.look_at_gateways(at=at)
    with alone("making the file of what goes back", at=at):
        run = paying_back.file_due(on=on, actor=actor, at=at)
        yield f"to be paid back: {0 if run is None else run.count} in a file to fetch"
    for name in paying.offered():
        with alone(f"reading what {name} paid out", at=at, gateway=name):
            new = paying.read_payouts(name=name, since=on - timedelta(days=14), at=at)
            yield f"{name}: {new} payouts booked"
