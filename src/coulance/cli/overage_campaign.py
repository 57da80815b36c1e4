"""`coulance overage campaign ...`: inviting existing customers to say how far overage may go."""

import click

from coulance.cli.operator import actor
from coulance.cli.session import working_database


@click.group()
def campaign() -> None:
    """Invite existing customers to set a limit, at a pace, each with their own link."""


@campaign.command()
@click.argument("name")
@click.option("--per-hour", default=200, show_default=True, type=click.IntRange(1, 100_000), help="At most so many.")
@click.option("--account", "accounts", multiple=True, help="Only this account (external id); may be given again.")
@click.option("--reason", default="", help="Why now. It stays on record.")
@click.option("--for-all", is_flag=True, help="One invitation an account, about one limit for everything of it.")
@click.option("--dry-run", is_flag=True, help="Say who would be invited, and write nothing.")
def start(name: str, per_hour: int, accounts: tuple[str, ...], reason: str, for_all: bool, dry_run: bool) -> None:
    """Begin one; the worker of `coulance up` sends. Who habitually paid for more keeps running until they answer."""
    if not dry_run and not reason.strip():
        raise click.UsageError("say --reason")
    with working_database():
        from coulance.flows import campaigning
        from coulance.platform import clock

        done = campaigning.start(
            name=name, per_hour=per_hour, accounts=accounts, actor=actor(), reason=reason, at=clock.now(),
            for_all=for_all, dry_run=dry_run,
        )  # fmt: skip
        for meter, why in done.left_out:
            click.echo(f"{meter}: not invited: {why}")
        would = "would be " if dry_run else ""
        click.echo(
            f"{done.invited} {would}invited, {done.provisional} of them with a provisional limit, "
            f"{len(done.left_out)} left out"
        )


@campaign.command("list")
def show() -> None:
    """Campaigns and how far they are."""
    with working_database():
        from coulance.overage import campaigns

        rows = campaigns.campaigns()
        for row in rows:
            click.echo(
                f"{row.id}  {row.name}  {row.state}  {row.sent} of {row.invited} sent (at most {row.per_hour} an hour),"
                f" {row.answered} answered, {row.failed} failed, {row.provisional} provisional"
            )
        if not rows:
            click.echo("none")


@campaign.command()
@click.argument("number", type=int)
@click.option("--reason", required=True)
def pause(number: int, reason: str) -> None:
    """Send no more of it for now."""
    _set(number, "paused", reason)


@campaign.command()
@click.argument("number", type=int)
@click.option("--reason", required=True)
def resume(number: int, reason: str) -> None:
    """Go on with it."""
    _set(number, "running", reason)


def _set(number: int, state: str, reason: str) -> None:
    with working_database():
        from coulance.flows import campaigning
        from coulance.platform import clock

        campaigning.set_state(campaign=number, state=state, actor=actor(), reason=reason, at=clock.now())
    click.echo(f"campaign {number} is {state}")
