"""The day's work of the rails, in an order in which each step finds what the one before it left."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from coulance.catalog import queries as catalog
from coulance.flows.rails import direct_debit, paying, wallet
from coulance.payments.ports import GatewayRefusedError, UnableToReachGatewayError


def run(*, at: datetime, actor: str) -> Iterator[str]:
    """Balances and agreements, collections planned and filed, payouts read: a line for each thing done."""
    whole = catalog.catalog()
    on = at.astimezone(whole.provider.zone_info).date()
    done = wallet.run(on=on, at=at, actor=actor)
    yield (
        f"balances: {len(done.drawn)} drawn; agreements: {len(done.announced)} announced, {len(done.charged)} charged,"
        f" {len(done.refused)} not"
    )
    if whole.payments.creditor_id:
        planned = direct_debit.plan_due(on=on, actor=actor, at=at)
        filed = direct_debit.file_due(on=on, actor=actor, at=at)
        yield (
            f"collections: {len(planned.made)} planned, {len(planned.left)} left, {len(filed.cancelled)} called off,"
            f" {len(filed.runs)} files to fetch"
        )
    for name in paying.offered():
        try:
            new = paying.read_payouts(name=name, since=on - timedelta(days=14), at=at)
        except (UnableToReachGatewayError, GatewayRefusedError) as error:
            yield f"{name}: {error}"
        else:
            yield f"{name}: {new} payouts booked"
