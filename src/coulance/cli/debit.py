"""`coulance debit`: mandates, and collections from plan to file to bank and back."""

from datetime import datetime
from pathlib import Path

import click

from coulance.cli.operator import actor
from coulance.cli.session import working_database

DAY = click.DateTime(["%Y-%m-%d"])


@click.group()
def debit() -> None:
    """Collect by SEPA direct debit: mandates, what is planned, files for the bank, what came back."""


def _today() -> "tuple[datetime, datetime]":
    from coulance.catalog import queries as catalog
    from coulance.platform import clock

    now = clock.now()
    return now, now.astimezone(catalog.catalog().provider.zone_info)


@debit.command()
@click.argument("account")
@click.option("--iban", required=True, help="The account to collect from.")
@click.option("--holder", required=True, help="Who holds it, as the bank knows them.")
@click.option("--signed-on", type=DAY, required=True, help="The day on the paper.")
@click.option("--kept", required=True, help="Where the signed paper is kept.")
@click.option("--b2b", is_flag=True, help="The scheme between businesses; the debtor's bank must know it first.")
@click.option("--bic", default="", help="The bank's code, where the file's form wants it.")
def sign(account: str, iban: str, holder: str, signed_on: datetime, kept: str, b2b: bool, bic: str) -> None:
    """Keep a mandate that was signed on paper, by the words that this version prints."""
    with working_database():
        from coulance.customers import queries as customers
        from coulance.flows.rails import mandates
        from coulance.payments.errors import PaymentsError

        try:
            made = mandates.sign_on_paper(
                account=customers.account(account).id,
                iban=iban,
                holder=holder,
                signed_on=signed_on.date(),
                kept=kept,
                b2b=b2b,
                bic=bic,
                actor=actor(),
                at=_today()[0],
            )
        except (PaymentsError, customers.UnableToFindAccountError) as error:
            raise click.ClickException(str(error)) from error
    click.echo(f"mandate {made.reference} of {account}: {made.scheme.value}, signed on {made.signed_on}")


@debit.command()
@click.argument("mandate", type=int)
@click.option("--reason", required=True, help="Why it ends.")
def withdraw(mandate: int, reason: str) -> None:
    """End a mandate; what is planned by it is called off."""
    with working_database():
        from coulance.flows.rails import direct_debit
        from coulance.payments.errors import PaymentsError

        now, local = _today()
        try:
            direct_debit.end_mandate(mandate=mandate, on=local.date(), actor=actor(), reason=reason, at=now)
        except PaymentsError as error:
            raise click.ClickException(str(error)) from error
    click.echo(f"mandate {mandate} ended")


@debit.command()
@click.argument("account")
def mandates(account: str) -> None:
    """Show an account's mandates."""
    with working_database():
        from coulance.customers import queries as customers
        from coulance.payments import mandates as rows

        try:
            found = rows.mandates(accounts=[customers.account(account).id])
        except customers.UnableToFindAccountError as error:
            raise click.ClickException(str(error)) from error
        on = _today()[1].date()
        for one in found:
            state = reason.value if (reason := one.unusable(on)) else "in force"
            click.echo(f"{one.id}  {one.reference}  {one.shown_iban}  {one.scheme.value}  {one.signed_on}  {state}")


@debit.command()
def plan() -> None:
    """Plan and announce what falls due soon, of accounts with a mandate. Jobs do this each morning."""
    with working_database():
        from coulance.flows.rails import direct_debit
        from coulance.payments.errors import PaymentsError

        now, local = _today()
        try:
            done = direct_debit.plan_due(on=local.date(), actor=actor(), at=now)
        except PaymentsError as error:
            raise click.ClickException(str(error)) from error
        for one in done.made:
            click.echo(f"{one.end_to_end_id}  {one.amount}  on {one.collect_on}")
        for left in done.left:
            click.echo(f"not {left.what} of account {left.account}: {left.why}", err=True)
    click.echo(f"{len(done.made)} planned, {len(done.left)} left")


@debit.command("file")
def file_() -> None:
    """Put what is near in files for the bank; fetch them with `coulance debit fetch`."""
    with working_database():
        from coulance.flows.rails import direct_debit
        from coulance.payments.errors import PaymentsError

        now, local = _today()
        try:
            done = direct_debit.file_due(on=local.date(), actor=actor(), at=now)
        except PaymentsError as error:
            raise click.ClickException(str(error)) from error
        for run in done.runs:
            click.echo(f"{run.id}  {run.reference}  {run.scheme.value}  {run.count} collections  {run.total}")
        for off in done.cancelled:
            click.echo(f"called off {off.what}: {off.why}", err=True)
    click.echo(f"{len(done.runs)} files, {len(done.cancelled)} called off, {done.waiting} wait for their day")


@debit.command()
@click.argument("run", type=int)
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--reason", default="", help="Why it is fetched again.")
def fetch(run: int, path: Path, reason: str) -> None:
    """Write a file for the bank to PATH: from then on its collections are under way. Once, or for a reason."""
    if path.exists():
        raise click.ClickException(f"{path} is there already; name a new file")
    with working_database():
        from coulance.flows.rails import direct_debit
        from coulance.payments.errors import PaymentsError

        try:
            row, content = direct_debit.hand_over(run=run, actor=actor(), at=_today()[0], reason=reason)
        except PaymentsError as error:
            raise click.ClickException(str(error)) from error
        path.write_bytes(content)
    click.echo(f"{path}: {row.reference}, {row.count} collections of {row.total}, SHA-256 {row.file_hash}")


@debit.command("cancel-file")
@click.argument("run", type=int)
@click.option("--reason", required=True, help="Why it is called off.")
def cancel_file(run: int, reason: str) -> None:
    """Call a file off before it is fetched; its collections are planned again."""
    with working_database():
        from coulance.flows.rails import direct_debit
        from coulance.payments.errors import PaymentsError

        try:
            count = direct_debit.cancel_run(run=run, actor=actor(), reason=reason, at=_today()[0])
        except PaymentsError as error:
            raise click.ClickException(str(error)) from error
    click.echo(f"{count} collections are planned again")


@debit.command()
@click.argument("collection", type=int)
@click.option("--reason", required=True, help="Why it is called off.")
def cancel(collection: int, reason: str) -> None:
    """Call one collection off before its file is made."""
    with working_database():
        from coulance.flows.rails import direct_debit
        from coulance.payments.errors import PaymentsError

        now, local = _today()
        try:
            done = direct_debit.cancel(collection=collection, on=local.date(), actor=actor(), reason=reason, at=now)
        except PaymentsError as error:
            raise click.ClickException(str(error)) from error
    click.echo(f"{done.end_to_end_id} is called off")


@debit.command()
@click.argument("end_to_end_id")
@click.option("--code", required=True, help="The bank's reason, such as RC01.")
@click.option("--reason", required=True, help="How the bank said it: by pain.002, by letter.")
def refused(end_to_end_id: str, code: str, reason: str) -> None:
    """Note that the bank refused a collection before its day."""
    with working_database():
        from coulance.flows.rails import returning
        from coulance.payments.errors import PaymentsError

        now, local = _today()
        try:
            returning.refuse(
                end_to_end_id=end_to_end_id, code=code, on=local.date(), actor=actor(), reason=reason, at=now
            )
        except PaymentsError as error:
            raise click.ClickException(str(error)) from error
    click.echo(f"{end_to_end_id}: refused, {code}")


@debit.command()
@click.argument("collection", type=int)
@click.option("--reason", required=True, help="Why it is collected again.")
def again(collection: int, reason: str) -> None:
    """Collect what came back once more, announced anew."""
    with working_database():
        from coulance.flows.rails import returning
        from coulance.payments.errors import PaymentsError

        now, local = _today()
        try:
            made = returning.collect_again(collection=collection, on=local.date(), actor=actor(), reason=reason, at=now)
        except PaymentsError as error:
            raise click.ClickException(str(error)) from error
    click.echo(f"{made.end_to_end_id}: {made.amount} on {made.collect_on}")


@debit.command("list")
@click.option("--state", multiple=True, help="Of these states: planned, filed, handed, collected, returned, ...")
def list_(state: tuple[str, ...]) -> None:
    """Show collections, and the files they went in."""
    with working_database():
        from coulance.payments import collections
        from coulance_core.payments.direct_debit import CollectionState

        try:
            wanted = [CollectionState(one) for one in state] or None
        except ValueError as error:
            known = ", ".join(one.value for one in CollectionState)
            raise click.ClickException(f"{error}: expected {known}") from error
        for run in collections.runs():
            handed = (
                f"fetched by {run.handed_by}" if run.handed_at else "called off" if run.cancelled_at else "to fetch"
            )
            click.echo(f"file {run.id}  {run.reference}  {run.count} of {run.total}  {handed}")
        for row in collections.collections(states=wanted):
            said = f"  {row.return_code} {row.why}".rstrip() if row.why else ""
            click.echo(f"{row.id}  {row.end_to_end_id}  {row.amount}  {row.collect_on}  {row.state.value}{said}")
