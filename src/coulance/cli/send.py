"""`coulance send`: see what would be mailed, approve it, and look after what did not arrive."""

import re

import click
from rich.console import Console
from rich.text import Text

from coulance.cli.operator import actor
from coulance.cli.session import working_database

_SHOWN = 200


def _asked(what: tuple[str, ...]) -> dict[str, object]:
    """PERIOD or NUMBER.. as arguments of the flow."""
    if len(what) == 1 and re.fullmatch(r"\d{4}-\d{2}", what[0]):
        return {"period": what[0]}
    return {"numbers": what} if what else {}


@click.group()
def send() -> None:
    """Mail documents: see what would go to whom, approve it, look after what did not arrive."""


@send.command("list")
@click.argument("what", nargs=-1, metavar="[PERIOD | NUMBER...]")
def list_(what: tuple[str, ...]) -> None:
    """Show what would be sent and to whom, and what can't be and why. Sends nothing."""
    console = Console(highlight=False, soft_wrap=True)
    with working_database():
        from coulance.flows.sending import queueing

        found = queueing.plan(**_asked(what))  # type: ignore[arg-type]
    for one in found.ready[:_SHOWN]:
        row = one.document
        console.print(Text(f"{row.number}  ", style="bold") + Text(f"{row.gross}  {row.buyer_ref}  to {one.shown}"))
    if len(found.ready) > _SHOWN:
        console.print(f"... and {len(found.ready) - _SHOWN} more")
    for blocked in found.blocked[:_SHOWN]:
        text = f"{blocked.document.number}  {blocked.document.buyer_ref}: {blocked.why}"
        console.print(Text("can't be sent  ", style="yellow") + Text(text))
    if len(found.blocked) > _SHOWN:
        console.print(f"... and {len(found.blocked) - _SHOWN} more that can't be sent")
    console.print(
        f"{len(found.ready)} ready, {len(found.blocked)} can't be sent, {found.before} queued or sent before."
        + (" Let them go with: coulance send approve PERIOD" if found.ready else "")
    )


@send.command()
@click.argument("what", nargs=-1, required=True, metavar="PERIOD | NUMBER...")
@click.option("--reason", default="", help="A note for the audit trail.")
@click.option("--yes", is_flag=True, help="Don't ask.")
def approve(what: tuple[str, ...], reason: str, yes: bool) -> None:
    """Queue the documents of a PERIOD (2026-10), or those of these numbers, to be sent now."""
    with working_database():
        from coulance.flows.sending import queueing
        from coulance.platform import clock

        asked = _asked(what)
        found = queueing.plan(**asked)  # type: ignore[arg-type]
        if not yes and found.ready:
            to = len({person.address for one in found.ready for person in one.to})
            left = f" ({len(found.blocked)} can't be sent: coulance send list)" if found.blocked else ""
            if not click.confirm(f"Send {len(found.ready)} documents to {to} addresses{left}?"):
                raise click.Abort
        done = queueing.approve(**asked, actor=actor(), at=clock.now(), reason=reason)  # type: ignore[arg-type]
    for blocked in done.blocked[:20]:
        click.echo(f"not sent: {blocked.document.number}: {blocked.why}")
    if len(done.blocked) > 20:
        click.echo(f"... and {len(done.blocked) - 20} more: coulance send list")
    click.echo(f"{done.documents} documents are queued ({done.messages} messages).")


@send.command()
@click.argument("number", required=False)
def status(number: str | None) -> None:
    """Show what did not arrive; of one document, each delivery and all that is known about it."""
    console = Console(highlight=False, soft_wrap=True)
    with working_database():
        from coulance.flows.sending import status as flow
        from coulance.invoicing import queries as documents
        from coulance.notices import queries
        from coulance.platform import clock

        if number is None:
            state = queries.mail_state(at=clock.now())
            trouble = flow.undelivered_documents()
            for one in trouble:
                for row in one.failed:
                    style = "red" if one.reached_nobody else "yellow"
                    line = f"delivery {row.id} to {row.address}: {row.answer or 'no words'}"
                    console.print(Text(f"{one.document.number}  {row.state}  ", style=style) + Text(line))
            console.print(
                f"{len(trouble)} documents did not arrive everywhere; {state.waiting} messages wait,"
                f" {state.under_way} are being sent."
            )
            return
        document = documents.document(number=number).row
        rows = flow.deliveries_of(document=document.id)
        for row in rows:
            console.print(
                Text(f"delivery {row.id}  {row.state}  ", style="bold") + Text(f"{row.address}  {row.subject}")
            )
            for piece in queries.evidence_of(delivery=row.id):
                said = f"  {piece.said}" if piece.said else ""
                console.print(Text(f"    {piece.at:%Y-%m-%d %H:%M:%S} UTC  {piece.kind}{said}", style="dim"))
    if not rows:
        console.print(f"{number} was never sent. See: coulance send list {number}")


@send.command()
@click.argument("number")
@click.option("--to", "address", help="Another address; without it, the account's contacts as they are now.")
@click.option("--name", default="", help="Who that is.")
@click.option("--reason", required=True, help="Why; it is kept as evidence.")
@click.option("--anew", is_flag=True, help="Also when somebody perhaps has it already.")
def resend(number: str, address: str | None, name: str, reason: str, anew: bool) -> None:
    """Send a document again: it came back, or its recipient lost it."""
    with working_database():
        from coulance.flows.sending import queueing
        from coulance.notices.terms import Recipient
        from coulance.platform import clock

        to = [Recipient(address, name)] if address else []
        queueing.resend(number=number, actor=actor(), reason=reason, at=clock.now(), to=to, anew=anew)
    click.echo(f"{number} is queued again" + (f" to {address}." if address else "."))


@send.command()
@click.argument("delivery", type=click.IntRange(1))
@click.option("--arrived", "how", flag_value="arrived", help="It was taken: somebody has it, or a log shows it.")
@click.option("--again", "how", flag_value="again", help="Send it (again); of an uncertain one perhaps a second copy.")
@click.option("--withdraw", "how", flag_value="withdraw", help="Never send it.")
@click.option("--reason", required=True, help="Why; it is kept as evidence.")
def resolve(delivery: int, how: str | None, reason: str) -> None:
    """Decide about a delivery that is uncertain or held."""
    if how is None:
        raise click.UsageError("say which: --arrived, --again or --withdraw")
    with working_database():
        from coulance.notices import operations
        from coulance.platform import clock

        act = {
            "arrived": operations.settle_as_arrived,
            "again": operations.send_again,
            "withdraw": operations.withdraw,
        }[how]
        act(delivery=delivery, actor=actor(), reason=reason, at=clock.now())
    click.echo(f"Delivery {delivery}: {how}.")
