"""`coulance goodwill`: what could be given on an overage invoice, and giving it."""

from fractions import Fraction
from typing import TYPE_CHECKING

import click

from coulance.cli.operator import actor
from coulance.cli.session import working_database

if TYPE_CHECKING:
    from coulance_core.overage.goodwill import Grant

ROLE = "admin"
"""Whoever types commands here counts as an administrator, in budgets too."""
CAUSES = click.Choice(["attack", "moving_away", "one_off", "first_time", "other"])
_line = click.option("--line", type=int, help="The invoice's line; needed to grant where there are several.")


@click.group()
def goodwill() -> None:
    """Give back all or part of an overage, seeing what it costs and whom it is for."""


@goodwill.command("propose")
@click.argument("number")
@_line
@click.option("--cause", type=CAUSES, help="Default: what the customer's history suggests.")
@click.option("--explain", is_flag=True, help="Show the arithmetic.")
def propose_(number: str, line: int | None, cause: str | None, explain: bool) -> None:
    """Show what the policy would give on an invoice, and what stands beside the decision."""
    with working_database():
        from coulance.flows.goodwill import propose_goodwill
        from coulance.platform import clock
        from coulance_core.kernel import show
        from coulance_core.overage.goodwill import Cause

        for found in propose_goodwill(
            number=number,
            line=line,
            cause=Cause(cause) if cause else None,
            at=clock.now(),
            role=ROLE,
            actor=actor(),
        ):
            given = found.proposal.granted
            click.echo(f"Line {found.line}, {found.service}: {found.description}")
            click.echo(f"  billed {found.billed}, left {found.left}")
            if found.history is not None:
                before = ", ".join(show(one.used) for one in found.history.earlier) or "none"
                click.echo(f"  used before: {before}; {found.history.habit.value.replace('_', ' ')}")
            if found.effect is not None and found.effect.cost is not None:
                months = "" if found.effect.months is None else f", earned back in {found.effect.months} months"
                click.echo(f"  cost us {found.effect.cost}; giving it loses {found.effect.loss}{months}")
            if found.budget_left is not None:
                click.echo(f"  left in your budget this month: {found.budget_left}")
            click.echo(f"  proposed: {'nothing' if given is None else given.amount} ({found.proposal.why})")
            if explain:
                for why in (given, found.history, found.effect):
                    if why is not None:
                        click.echo(why.explanation.render("  "))


@goodwill.command()
@click.argument("number")
@_line
@click.option("--amount", help="So much of it, before tax: 25.00.")
@click.option("--share", help="A share of the line: 50 or 50%.")
@click.option("--cap", help="They pay no more than this of it, before tax.")
@click.option("--cause", type=CAUSES, required=True, help="Why it came about.")
@click.option("--reason", required=True, help="What the customer reads on the credit note.")
@click.option("--yes", is_flag=True, help="Don't ask.")
def grant(
    number: str,
    line: int | None,
    amount: str | None,
    share: str | None,
    cap: str | None,
    cause: str,
    reason: str,
    yes: bool,
) -> None:
    """Give goodwill on a usage line, as a credit note on that line; asks before it does."""
    if sum(one is not None for one in (amount, share, cap)) != 1:
        raise click.UsageError("say how much with one of --amount, --share and --cap")
    with working_database():
        from coulance.flows.goodwill import grant_goodwill
        from coulance.invoicing import queries
        from coulance.platform import clock
        from coulance_core.overage.goodwill import Cause

        code = queries.document(number=number).snapshot["currency"]
        how = _how(amount, share, cap, code)
        said = f"{amount or cap} {code}" if share is None else f"{share.rstrip('% ')} %"
        what = f"at most {said} to pay" if cap is not None else said
        if not yes and not click.confirm(f"Give goodwill on {number} ({what}; {cause}: {reason})?"):
            raise click.Abort
        given = grant_goodwill(
            number=number,
            line=line,
            grant=how,
            cause=Cause(cause),
            reason=reason,
            actor=actor(),
            at=clock.now(),
            role=ROLE,
        )
    click.echo(f"{given.credit_note} gives back {given.amount} before tax; {given.left} of the line is left.")


def _how(amount: str | None, share: str | None, cap: str | None, code: str) -> "Grant":
    from coulance_core.kernel import Money
    from coulance_core.overage.goodwill import By, Grant

    try:
        if share is not None:
            return Grant(By.SHARE, share=Fraction(share.rstrip("% ")) / 100)
        by = By.AMOUNT if amount is not None else By.CAP
        return Grant(by, Money.of(amount or cap or "", code))
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--amount, --share or --cap") from error
