"""`coulance payback`: money that goes back to customers, from asking to the bank."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from coulance.cli.operator import actor
from coulance.cli.session import working_database

if TYPE_CHECKING:
    from coulance.payments.payback_rows import PaybackRow

_reason = click.option("--reason", required=True, help="Why; it stands in the audit log.")


@click.group()
def payback() -> None:
    """Pay back: what is asked, who approves it, the file for the bank."""


def _now() -> "tuple[datetime, datetime]":
    from coulance.catalog import queries as catalog
    from coulance.platform import clock

    now = clock.now()
    return now, now.astimezone(catalog.catalog().provider.zone_info)


def _line(row: "PaybackRow") -> str:
    to = row.shown_iban or (row.way if row.way != "bank" else "to nowhere yet")
    said = f"  {row.why}" if row.why else ""
    return f"{row.id}  {row.end_to_end_id}  {row.amount}  {to}  {row.state.value}{said}"


@payback.command()
@click.argument("account")
@click.option("--receipt", type=int, help="The payment that it is of; without, all that is left over.")
@click.option("--amount", help="How much of it; without, all that is left.")
@click.option("--credit", help="So much of the account's credit instead: a credit note on what was paid.")
@click.option("--iban", default="", help="Where it goes; else where it came from.")
@_reason
def ask(account: str, receipt: int | None, amount: str | None, credit: str | None, iban: str, reason: str) -> None:
    """Ask that money of ACCOUNT goes back: it waits for approval, as the provider file says."""
    with working_database():
        from coulance.customers import queries as customers
        from coulance.flows.rails import paying_back
        from coulance.payments.errors import PaymentsError
        from coulance_core.kernel import Money

        at = _now()[0]
        try:
            row = customers.account(account)
            if credit is not None:
                made = [
                    paying_back.ask_credit(
                        account=row.id, amount=Money.of(credit, row.currency), iban=iban, actor=actor(), reason=reason,
                        at=at, source_key=f"cli/{at.isoformat()}",
                    )
                ]  # fmt: skip
            elif receipt is None:
                made = paying_back.ask_left_over(account=row.id, actor=actor(), reason=reason, at=at)
            else:
                money = Money.of(amount, row.currency) if amount else paying_back.left_of(receipt)
                made = [
                    paying_back.ask(
                        receipt=receipt, amount=money, iban=iban, actor=actor(), reason=reason, at=at,
                        source_key=f"cli/{receipt}/{at.isoformat()}",
                    )
                ]  # fmt: skip
        except (PaymentsError, customers.UnableToFindAccountError, ValueError) as error:
            raise click.ClickException(str(error)) from error
        for one in made:
            click.echo(_line(one))


@payback.command("list")
@click.option("--all", "all_", is_flag=True, help="Those that are over too.")
def list_(all_: bool) -> None:
    """Show what waits for whom, and the files."""
    with working_database():
        from coulance.customers import queries as customers
        from coulance.flows.rails import paying_back
        from coulance.payments import payback_rows
        from coulance_core.payments.paybacks import PaybackState

        waits = {one.row.id: one for one in paying_back.waiting(on=_now()[1].date())}
        rows = payback_rows.paybacks(states=None if all_ else [state for state in PaybackState if state.is_live])
        names = {one.id: one.external_id for one in customers.accounts({row.account for row in rows})}
        for run in payback_rows.payback_runs(limit=20):
            state = f"fetched by {run.handed_by}" if run.handed_at else "called off" if run.cancelled_at else "to fetch"
            click.echo(f"file {run.id}  {run.reference}  {run.count} of {run.total}  {state}")
        for row in rows:
            click.echo(f"{_line(row)}  {names[row.account]}: {row.reason}")
            if (one := waits.get(row.id)) is not None:
                click.echo(f"    {len(set(row.approved_by))} of {one.needed} approved it")
                for caution in one.cautions:
                    click.echo(f"    careful: {caution}")


@payback.command()
@click.argument("number", type=int)
@_reason
def approve(number: int, reason: str) -> None:
    """Say yes. With enough of you it goes in the next file, or back by its gateway at once."""
    with working_database():
        from coulance.flows.rails import paying_back
        from coulance.payments.errors import PaymentsError
        from coulance.payments.ports import GatewayRefusedError

        try:
            row = paying_back.approve(payback=number, actor=actor(), reason=reason, at=_now()[0])
        except (PaymentsError, GatewayRefusedError) as error:
            raise click.ClickException(str(error)) from error
        click.echo(_line(row))


@payback.command()
@click.argument("number", type=int)
@_reason
def decline(number: int, reason: str) -> None:
    """Don't pay it back after all, before it went: the money is on hand again."""
    with working_database():
        from coulance.flows.rails import paying_back
        from coulance.payments.errors import PaymentsError

        try:
            row = paying_back.decline(payback=number, actor=actor(), reason=reason, at=_now()[0])
        except PaymentsError as error:
            raise click.ClickException(str(error)) from error
        click.echo(_line(row))


@payback.command()
@click.argument("number", type=int)
@click.argument("iban")
@_reason
def to(number: int, iban: str, reason: str) -> None:
    """Say to which account it goes, before anybody approved it."""
    with working_database():
        from coulance.flows.rails import paying_back
        from coulance.payments.errors import PaymentsError

        try:
            row = paying_back.send_to(payback=number, iban=iban, actor=actor(), reason=reason, at=_now()[0])
        except PaymentsError as error:
            raise click.ClickException(str(error)) from error
        click.echo(_line(row))


@payback.command("file")
def file_() -> None:
    """Put what is approved in a file for the bank (pain.001). Jobs do this each morning."""
    with working_database():
        from coulance.flows.rails import paying_back
        from coulance.payments.errors import PaymentsError

        now, local = _now()
        try:
            run = paying_back.file_due(on=local.date(), actor=actor(), at=now)
        except PaymentsError as error:
            raise click.ClickException(str(error)) from error
    click.echo("nothing is approved" if run is None else f"{run.id}  {run.reference}  {run.count} of {run.total}")


@payback.command()
@click.argument("run", type=int)
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--reason", default="", help="Why it is fetched again.")
def fetch(run: int, path: Path, reason: str) -> None:
    """Write a file for the bank to PATH: from then on it is on its way. Once, or for a reason."""
    if path.exists():
        raise click.ClickException(f"{path} is there already; name a new file")
    with working_database():
        from coulance.flows.rails import paying_back
        from coulance.payments.errors import PaymentsError

        try:
            row, content = paying_back.hand_over(run=run, actor=actor(), at=_now()[0], reason=reason)
        except PaymentsError as error:
            raise click.ClickException(str(error)) from error
        path.write_bytes(content)
    click.echo(f"{path}: {row.reference}, {row.count} of {row.total}, SHA-256 {row.file_hash}")


@payback.command("cancel-file")
@click.argument("run", type=int)
@_reason
def cancel_file(run: int, reason: str) -> None:
    """Call a file off before it is fetched; what is in it is approved as before."""
    with working_database():
        from coulance.flows.rails import paying_back
        from coulance.payments.errors import PaymentsError

        try:
            count = paying_back.cancel_run(run=run, actor=actor(), reason=reason, at=_now()[0])
        except PaymentsError as error:
            raise click.ClickException(str(error)) from error
    click.echo(f"{count} are to be filed again")
