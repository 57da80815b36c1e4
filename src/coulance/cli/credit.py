"""`coulance credit`: lower an issued invoice, the one way there is."""

import re

import click

from coulance.cli.operator import actor


@click.command()
@click.argument("number")
@click.option(
    "--type",
    "credit_type",
    required=True,
    type=click.Choice(["price_reduction", "damages", "correction"]),
    help="Why: the price is lowered, harm is made good (no tax comes back), or the invoice was wrong.",
)
@click.option("--reason", required=True, help="What the customer reads on the credit note.")
@click.option(
    "--line", "lines", multiple=True, help="A line and how much of its net: 2=5.00; or 2 for all that is left."
)
@click.option("--yes", is_flag=True, help="Don't ask.")
def credit(number: str, credit_type: str, reason: str, lines: tuple[str, ...], yes: bool) -> None:
    """Give a credit note on an invoice: all that is left of it, or some lines; asks before it does."""
    from coulance.cli.session import working_database

    with working_database():
        from coulance.flows import crediting
        from coulance.invoicing import queries
        from coulance.platform import clock
        from coulance_core.invoicing import CreditRequest, CreditType
        from coulance_core.kernel import Money

        stored = queries.document(number=number)
        code = stored.snapshot["currency"]
        asked: list[CreditRequest] | None = [] if lines else None
        for text in lines:
            found = re.fullmatch(r"(\d+)(?:=(-?\d+(?:\.\d+)?))?", text)
            if not found:
                raise click.BadParameter(
                    f"expected LINE or LINE=AMOUNT such as 2=5.00, not {text!r}", param_hint="--line"
                )
            try:
                net = Money.of(found[2], code) if found[2] else None
            except ValueError as error:
                raise click.BadParameter(str(error), param_hint="--line") from error
            assert asked is not None
            asked.append(CreditRequest(int(found[1]), net))
        what = "all that is left of it" if asked is None else ", ".join(f"line {text}" for text in lines)
        question = f"Credit {what} on {number} of {stored.snapshot['buyer']['name']} ({credit_type}: {reason})?"
        if not yes and not click.confirm(question):
            raise click.Abort
        given = crediting.give_credit_note(
            number=number,
            lines=asked,
            credit_type=CreditType(credit_type),
            reason=reason,
            actor=actor(),
            at=clock.now(),
        )
        totals = queries.document(number=given).snapshot["totals"]
    gross, net = (totals[name].removeprefix("-") for name in ("gross", "net"))
    click.echo(f"{given} gives back {gross} {code} of {number} ({net} without tax).")
