"""Jobs of overage control: everything is looked at by the hour, so that nothing that was missed stays missed; and at
once where a plan changed."""

from procrastinate import RetryStrategy
from procrastinate.contrib.django import app

from coulance.platform import clock


@app.periodic(cron="17 * * * *", periodic_id="overage_sweep")
@app.task(queueing_lock="flows.overage_control.sweep", lock="flows.overage_control.sweep")
def sweep(timestamp: int) -> None:  # noqa: ARG001 - periodic
    """Look at every service; tell again what nobody answered; let provisional limits lapse."""
    from coulance.flows.overage_control import rounds

    rounds.sweep(at=clock.now())


@app.task(retry=RetryStrategy(max_attempts=5, exponential_wait=5))
def look(accounts: list[int]) -> None:
    """Judge everything of these accounts now."""
    from coulance.flows.overage_control import rounds

    rounds.look_at(accounts=accounts, at=clock.now())


@app.task(retry=RetryStrategy(max_attempts=5, exponential_wait=5))
def paid(account: int, minor: int, currency: str, source: str) -> None:
    """See whether a payment acknowledges what ran up."""
    from coulance.flows.overage_control import paying
    from coulance_core.kernel import Money

    paying.paid(account=account, amount=Money(minor, currency), source=source, at=clock.now())
