"""`coulance overage calls` and `call`: who should be called because nothing else reached them, and what came of it."""

import click

from coulance.cli.operator import actor
from coulance.cli.session import working_database


@click.command()
@click.option("--all", "everything", is_flag=True, help="Also calls that were made or are not due yet.")
def calls(everything: bool) -> None:
    """List whom to call about use: nobody could be told, or nobody answered."""
    with working_database():
        from coulance.customers import queries as customers
        from coulance.overage import queries
        from coulance.platform import clock

        rows = queries.phone_tasks(open_only=not everything, due=None if everything else clock.now())
        if not rows:
            click.echo("Nobody has to be called.")
            return
        names = {row.id: row for row in customers.accounts({row.account for row in rows})}
        phones: dict[int, list[str]] = {}
        for contact in customers.contacts({row.account for row in rows}):
            if contact.phone:
                phones.setdefault(contact.account_id, []).append(
                    f"{contact.external_id}: {contact.name} {contact.phone}"
                )
        for row in rows:
            account = names[row.account]
            state = row.outcome or row.why
            click.echo(
                f"{row.id}  {account.external_id}  {row.meter} {row.period_name}  {state}, tried {row.attempts}x"
            )
            for line in phones.get(row.account, ["no telephone number is on record"]):
                click.echo(f"    {line}")


@click.command()
@click.argument("task", type=int)
@click.option("--reached", "contact", default="", help="Who was spoken to (external id of the contact).")
@click.option("--outcome", type=click.Choice(["no_answer", "voicemail", "busy", "wrong_number", "unreachable"]))
@click.option("--note", default="", help="How they were known to be who they are; or what was said.")
def call(task: int, contact: str, outcome: str | None, note: str) -> None:
    """Record what came of a call. Somebody who was reached has acknowledged; say how they were known."""
    if bool(contact) == bool(outcome):
        raise click.UsageError("give --reached CONTACT, or --outcome")
    with working_database():
        from coulance.flows.overage_control import calling
        from coulance.overage.errors import UnableToRecordError
        from coulance.platform import clock

        at = clock.now()
        try:
            if contact:
                calling.reached(task=task, contact=contact, note=note, actor=actor(), at=at)
            elif outcome == "unreachable":
                calling.unreachable(task=task, note=note, actor=actor(), at=at)
            else:
                calling.no_answer(task=task, outcome=outcome or "", note=note, actor=actor(), at=at)
        except UnableToRecordError as fault:
            raise click.ClickException(str(fault)) from fault
        click.echo("Recorded.")


@click.command()
@click.argument("account")
@click.argument("contact")
@click.option("--code", default="", help="The code that was sent; without it one is sent.")
def phone(account: str, contact: str, code: str) -> None:
    """Verify a contact's telephone: send a code to it, then give the code."""
    with working_database():
        from coulance.customers import queries as customers
        from coulance.flows.overage_control import phones
        from coulance.notices.operations import UnableToVerifyPhoneError
        from coulance.platform import clock

        at = clock.now()
        try:
            owner = customers.account(account).id
            if code:
                phones.confirm(account=owner, contact=contact, code=code, at=at, actor=actor())
                click.echo("The telephone is verified.")
            else:
                number = phones.send_code(account=owner, contact=contact, at=at, actor=actor())
                click.echo(f"A code is on its way to {number}.")
        except (UnableToVerifyPhoneError, customers.UnableToFindAccountError) as fault:
            raise click.ClickException(str(fault)) from fault
