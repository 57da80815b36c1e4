"""`coulance gateway`: payments at Stripe and Mollie, their events, refunds and payouts; balances and agreements."""

from datetime import timedelta

import click

from coulance.cli.operator import actor
from coulance.cli.session import working_database


@click.group()
def gateway() -> None:
    """Look after payments at Stripe and Mollie: events, refunds, payouts; charges by agreement."""


@gateway.command()
def status() -> None:
    """Show which gateways are offered, what is under way, and what was paid out."""
    with working_database():
        from coulance.flows.rails import paying
        from coulance.payments import charging, told
        from coulance.payments.ports import names

        offered = paying.offered()
        for name in names():
            click.echo(f"{name}: {'offered' if name in offered else 'not offered'}; events to {paying.hook_url(name)}")
        for row in charging.payments(states=charging.LIVE):
            click.echo(f"payment {row.id}  {row.gateway}  {row.purpose}  {row.amount}  {row.state}")
        for event in told.events(open_only=True):
            click.echo(f"event {event.id}  {event.gateway}  {event.kind}  waits: {event.outcome or 'not tried yet'}")
        for payout in told.payouts(limit=20):
            strange = f"  not ours: {', '.join(payout.strange)}" if payout.strange else ""
            click.echo(f"payout {payout.ref}  {payout.net} on {payout.arrived_on}, {payout.fees} kept{strange}")


@gateway.command()
@click.argument("event", type=int)
def replay(event: int) -> None:
    """Do an event again: look at what it names, and make the books say what is so."""
    with working_database():
        from coulance.flows.rails import paying
        from coulance.payments.errors import PaymentsError
        from coulance.payments.ports import UnableToReachGatewayError
        from coulance.platform import clock

        try:
            click.echo(paying.do_event(event=event, at=clock.now()))
        except (PaymentsError, UnableToReachGatewayError) as error:
            raise click.ClickException(str(error)) from error


@gateway.command()
@click.argument("payment", type=int)
@click.option("--amount", required=True, help='How much, such as "10.00".')
@click.option("--reason", required=True, help="Why it is paid back.")
def refund(payment: int, amount: str, reason: str) -> None:
    """Pay back out of a payment, by its gateway."""
    with working_database():
        from coulance.flows.rails import paying
        from coulance.payments import charging
        from coulance.payments.errors import PaymentsError
        from coulance.payments.ports import GatewayRefusedError
        from coulance.platform import clock
        from coulance_core.kernel import Money

        try:
            row = charging.payment(payment=payment)
            money = Money.of(amount, row.amount.currency)
            made = paying.refund(payment=payment, amount=money, actor=actor(), reason=reason, at=clock.now())
        except (PaymentsError, GatewayRefusedError, ValueError) as error:
            raise click.ClickException(str(error)) from error
    click.echo(f"refund {made}: {money}")


@gateway.command()
@click.option("--days", default=30, show_default=True, help="How far back.")
def payouts(days: int) -> None:
    """Book what gateways paid out to the bank, with what they kept."""
    with working_database():
        from coulance.flows.rails import paying
        from coulance.payments.errors import PaymentsError
        from coulance.payments.ports import GatewayRefusedError, UnableToReachGatewayError
        from coulance.platform import clock

        now = clock.now()
        for name in paying.offered():
            try:
                new = paying.read_payouts(name=name, since=(now - timedelta(days=days)).date(), at=now)
            except (PaymentsError, GatewayRefusedError, UnableToReachGatewayError) as error:
                raise click.ClickException(f"{name}: {error}") from error
            click.echo(f"{name}: {new} payouts booked")


@gateway.command()
def sweep() -> None:
    """Look after what waits for a gateway's answer. Jobs do this every ten minutes."""
    with working_database():
        from coulance.flows.rails import paying
        from coulance.platform import clock

        click.echo(f"{paying.sweep(at=clock.now())} moved")


@gateway.command()
def daily() -> None:
    """Do the day's work of the rails now: balances, charges by agreement, collections, payouts."""
    with working_database():
        from coulance.flows.rails import daily as rails
        from coulance.payments.errors import PaymentsError
        from coulance.platform import clock

        try:
            for line in rails.run(at=clock.now(), actor=actor()):
                click.echo(line)
        except PaymentsError as error:
            raise click.ClickException(str(error)) from error
