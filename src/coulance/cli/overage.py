"""`coulance overage ...`: what customers agreed to, what was absorbed, and what an operator does about it for them."""

from datetime import datetime

import click

from coulance.cli.operator import actor
from coulance.cli.overage_calls import call, calls, phone
from coulance.cli.overage_campaign import campaign
from coulance.cli.overage_waiting import release, waiting
from coulance.cli.overage_webhook import webhook
from coulance.cli.session import working_database


@click.group()
def overage() -> None:
    """Look after customers' limits: quote, consent, withdraw, approve; attacks, settlements, exposure."""


_charge = click.option("--charge", default="", help="Which of the service's charges, where it has several.")
_amount = click.option("--amount", default="", help="What may be payable in a period: 50.00.")
_quantity = click.option("--quantity", default="", help="How much may be used past the allowance, in its unit: 500.")
_reason = click.option("--reason", required=True, help="Why, and how it is known. It stays on record.")


@overage.command()
@click.argument("service")
@_charge
@_amount
@_quantity
def quote(service: str, charge: str, amount: str, quantity: str) -> None:
    """What an amount buys, or what a quantity costs, by the service's own prices."""
    _one_of(amount, quantity)
    with working_database():
        from coulance.flows import overage_by_hand as flow
        from coulance.platform import clock

        offered = flow.quote(service=service, charge=charge, amount=amount, quantity=quantity, at=clock.now())
        click.echo(_limit(offered.limit.amount, offered.limit.quantity, offered.unit))
        click.echo(offered.text)


@overage.command()
@click.argument("service")
@click.option("--contact", required=True, help="Who said so (external id); they must be allowed to incur cost.")
@_charge
@_amount
@_quantity
@click.option("--this-period", is_flag=True, help="For this period only; else each period anew, until withdrawn.")
@click.option("--beforehand", is_flag=True, help="They need not be asked again for what runs up within it.")
@_reason
def consent(
    service: str,
    contact: str,
    charge: str,
    amount: str,
    quantity: str,
    this_period: bool,
    beforehand: bool,
    reason: str,
) -> None:
    """Record that a customer allows overage up to a limit; it supersedes the one before."""
    _one_of(amount, quantity)
    with working_database():
        from coulance.flows import overage_by_hand as flow
        from coulance.platform import clock

        offered, given = flow.consent(
            service=service, contact=contact, charge=charge, amount=amount, quantity=quantity,
            period_only=this_period, ahead=beforehand, actor=actor(), reason=reason, at=clock.now(),
        )  # fmt: skip
        click.echo(f"consent {given.id}: {_limit(offered.limit.amount, offered.limit.quantity, offered.unit)}")
        if given.pending:
            click.echo(f"It waits for approval: coulance overage approve {given.id} --reason ...")
        if given.dormant:
            click.echo("Nobody behind it is verified yet: it is dormant, and nothing is charged, until they are.")


@overage.command("consent-for-all")
@click.argument("account")
@click.option("--contact", required=True, help="Who said so (external id); they must be allowed to incur cost.")
@click.option("--amount", required=True, help="What may be payable in a period for everything together: 50.00.")
@click.option("--this-period", is_flag=True, help="For this period only; else each period anew, until withdrawn.")
@_reason
def consent_for_all(account: str, contact: str, amount: str, this_period: bool, reason: str) -> None:
    """Record one limit for everything of an ACCOUNT that has no limit of its own."""
    with working_database():
        from coulance.flows import overage_by_hand as flow
        from coulance.platform import clock

        offered, given = flow.consent_for_all(
            account=account, contact=contact, amount=amount, period_only=this_period, actor=actor(), reason=reason,
            at=clock.now(),
        )  # fmt: skip
        click.echo(f"consent {given.id}: {offered.text}")
        if given.pending:
            click.echo(f"It waits for approval: coulance overage approve {given.id} --reason ...")
        if given.dormant:
            click.echo("Nobody behind it is verified yet: it is dormant, and nothing is charged, until they are.")


@overage.command()
@click.argument("consent", type=int)
@_reason
def withdraw(consent: int, reason: str) -> None:
    """End a consent: what is used from now on is not charged."""
    with working_database():
        from coulance.flows import overage_by_hand as flow
        from coulance.platform import clock

        flow.withdraw(consent=consent, actor=actor(), reason=reason, at=clock.now())
    click.echo(f"consent {consent} ended")


@overage.command()
@click.argument("consent", type=int)
@_reason
def approve(consent: int, reason: str) -> None:
    """Approve a limit that waits for the provider's decision."""
    _decide(consent, reason, approve=True)


@overage.command()
@click.argument("consent", type=int)
@_reason
def refuse(consent: int, reason: str) -> None:
    """Refuse a limit that waits for the provider's decision; the reason is for the customer."""
    _decide(consent, reason, approve=False)


@overage.command()
@click.argument("account", required=False)
def consents(account: str | None) -> None:
    """What a customer agreed to, with its history; without ACCOUNT, what waits for a decision."""
    with working_database():
        from coulance.customers import queries as customers
        from coulance.overage import queries

        rows = queries.pending() if account is None else queries.consents(account=customers.account(account).id)
        for row in rows:
            where = {"service": f"service {row.service}", "pool": f"pool {row.pool}"}.get(row.scope, "account")
            ended = f", {row.ended_why} {_when(row.ended_at)}" if row.ended_at else ""
            waits = ", waits for approval" if row.pending else ""
            lapses = f", lapses {_when(row.confirm_by)} unless confirmed" if row.confirm_by and not row.ended_at else ""
            click.echo(
                f"{row.id}  {where}{' ' + row.charge if row.charge else ''}  "
                f"{_limit(row.limit.amount, row.limit.quantity, row.unit)}  {row.period_name or 'standing'}  "
                f"by {row.contact} ({row.how}) {_when(row.given_at)}{ended}{waits}{lapses}"
            )
        if not rows:
            click.echo("none")


@overage.command()
@click.argument("service")
@click.option("--from", "start", required=True, help="When it began: 2026-10-05T13:00+02:00.")
@click.option("--to", "until", required=True, help="When it ended.")
@click.option("--at-most", default="", help="How much of the use it was at most, in --unit; without, all of it.")
@click.option("--unit", "in_unit", default="GB", show_default=True)
@click.option("--evidence", required=True, help="What shows it: a capture, a report, a graph.")
@_reason
def attack(service: str, start: str, until: str, at_most: str, in_unit: str, evidence: str, reason: str) -> None:
    """Record traffic that was done to a service: it does not count as its use."""
    first, last = _instant(start, "--from"), _instant(until, "--to")
    with working_database():
        from coulance.flows import overage_by_hand as flow
        from coulance.platform import clock
        from coulance_core.kernel import exact

        try:
            bound = exact(at_most) if at_most else None
        except ValueError as error:
            raise click.BadParameter(f"expected a number, not {at_most!r}", param_hint="--at-most") from error
        number = flow.attack(
            service=service, start=first, until=last, evidence=evidence, at_most=bound, in_unit=in_unit,
            actor=actor(), reason=reason, at=clock.now(),
        )  # fmt: skip
    click.echo(f"attack {number} recorded")


@overage.command("withdraw-attack")
@click.argument("attack", type=int)
@_reason
def withdraw_attack(attack: int, reason: str) -> None:
    """Take back that there was an attack."""
    with working_database():
        from coulance.flows import overage_by_hand as flow
        from coulance.platform import clock

        flow.withdraw_attack(attack=attack, actor=actor(), reason=reason, at=clock.now())
    click.echo(f"attack {attack} withdrawn")


@overage.command()
@click.argument("period")
@click.option("--account", default="", help="Of one customer.")
def settlements(period: str, account: str) -> None:
    """What a period (2026-10) came to: billable, absorbed for which reason, and what that would have cost."""
    with working_database():
        from coulance.customers import queries as customers
        from coulance.overage import queries
        from coulance_core.kernel import show

        own = customers.account(account).id if account else None
        rows = queries.settlements(account=own, period_name=period)
        for row in rows:
            reasons = ", ".join(f"{r.value.replace('_', ' ')} {show(q)}" for r, q in row.absorbed.items())
            only = " (observed only)" if row.observed else ""
            click.echo(
                f"{row.meter}: {show(row.overage)} {row.unit} past the allowance, {show(row.billable)} billable"
                + (f"; absorbed {reasons}; worth {row.cost}" if reasons else "")
                + only
            )
        if not rows:
            click.echo("none")


@overage.command()
def exposure() -> None:
    """What the provider stands to absorb while pauses take effect, by line rate and lag."""
    with working_database():
        from coulance.flows import overage_by_hand as flow
        from coulance.platform import clock

        rows = flow.exposure(at=clock.now())
        unknown = "unknown: give the meter its max_rate"
        totals: dict[str, int] = {}
        for row in rows:
            click.echo(f"{row.service}/{row.charge}  {row.bound if row.bound is not None else unknown}")
            if row.bound is not None:
                totals[row.bound.currency] = totals.get(row.bound.currency, 0) + row.bound.minor
        from coulance_core.kernel import Money

        for code, minor in totals.items():
            click.echo(f"in all at most {Money(minor, code)}, at {rows[0].lag_s} s from a sample's start to the pause")


def _decide(consent: int, reason: str, *, approve: bool) -> None:
    with working_database():
        from coulance.flows import overage_by_hand as flow
        from coulance.platform import clock

        flow.decide(consent=consent, approve=approve, actor=actor(), reason=reason, at=clock.now())
    click.echo(f"consent {consent} {'approved' if approve else 'refused'}")


def _one_of(amount: str, quantity: str) -> None:
    if bool(amount) == bool(quantity):
        raise click.UsageError("expected --amount or --quantity, one of the two: the other is computed")


def _instant(text: str, hint: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise click.BadParameter(f"expected 2026-10-05T13:00+02:00, not {text!r}", param_hint=hint) from error
    if found.tzinfo is None:
        raise click.BadParameter(f"{text} needs its offset from UTC, as in {text}+02:00", param_hint=hint)
    return found


def _when(at: datetime | None) -> str:
    return "" if at is None else f"{at:%Y-%m-%d %H:%M} UTC"


def _limit(amount: object, quantity: object, unit: str) -> str:
    from fractions import Fraction

    from coulance_core.kernel import show

    parts = [str(amount)] if amount is not None else []
    if isinstance(quantity, Fraction):
        parts.append(f"{show(quantity)} {unit}" if quantity.denominator == 1 else f"{float(quantity):.3f} {unit}")
    return " = ".join(parts) or "without end"


overage.add_command(campaign)
overage.add_command(webhook)
overage.add_command(waiting)
overage.add_command(release)
overage.add_command(calls)
overage.add_command(call)
overage.add_command(phone)
