"""`coulance arrears risk`: money at risk, who will probably pay late and what is gentler, bills nobody received."""

import click

from coulance.cli.session import working_database

_GENTLER = {
    "remind_earlier": "remind {days} days before the due day",
    "invite_auto_pay": "invite them to have it paid by itself",
    "other_day": "ask whether another day of the month suits them",
    "offer_plan": "name the payment plan first",
}


@click.command("risk")
@click.option("--why", "account", default="", help="Explain the score of an account (its id).")
def risk(account: str) -> None:
    """Show money at risk, who will probably pay late and why, and which bills reached nobody.

    The score looks at payments alone, and picks only what is gentler: no step, fee or restriction reads it.
    """
    with working_database():
        from coulance.customers import queries as customers
        from coulance.flows.arrears import risk as flow
        from coulance.platform import clock

        at = clock.now()
        if account:
            try:
                row = customers.account(account)
            except LookupError as fault:
                raise click.ClickException(str(fault)) from fault
            found = flow.score_of(row.id, at=at)
            click.echo(f"{row.external_id}: {float(found.chance):.0%} that the next bill is paid late")
            click.echo(found.explanation.render())
            return
        picture = flow.risk(at=at)
        if picture.at is None:
            click.echo("Nothing was worked out yet: it is, every night at six, or by coulance arrears run.")
        else:
            click.echo(f"As of {picture.at:%Y-%m-%d %H:%M} UTC:")
        for one in picture.money:
            days = "" if one.days_outstanding is None else f", {one.days_outstanding} days of sales"
            click.echo(f"{one.open} open{days}; {one.late} of it is late; {one.expected.loss} may never come.")
            names = ("not due", "to 30 days", "31-60", "61-90", "over 90")
            click.echo("  " + "; ".join(f"{n}: {m}" for n, m in zip(names, one.expected.by_age, strict=True)))
        click.echo(f"\nProbably late (everybody: {float(picture.everybody):.0%} of bills):")
        for each in picture.likely:
            click.echo(f"  {each.account.external_id}  {float(each.chance):.0%} of {each.bills}  {each.open} open")
            for pick in each.gentler:
                click.echo(f"    {_GENTLER[pick.value].format(days=each.remind_days or 3)}")
        if not picture.likely:
            click.echo("  nobody who owes now")
        for bill in picture.unreceived:
            click.echo(
                f"{bill.account.external_id}: nothing says that {bill.number} arrived ({bill.open}):"
                " it isn't due; send it again, or say that it was sent"
            )
        for wrong in picture.our_errors:
            click.echo(f"{wrong.account.external_id}: our own error since {wrong.since:%Y-%m-%d}: {wrong.why}")
