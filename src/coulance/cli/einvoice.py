"""`coulance einvoice`: write, check and send e-invoices."""

from pathlib import Path
from typing import Any

import click

from coulance.cli.operator import actor

_FORMS = ("ubl", "peppol", "cii", "factur-x")


class _NumberOrCommand(click.Group):
    """`coulance einvoice B2026-000001` is `coulance einvoice write B2026-000001`."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in self.commands:
            args = ["write", *args]
        return super().resolve_command(ctx, args)


@click.group(cls=_NumberOrCommand)
def einvoice() -> None:
    """Write a document as e-invoice (UBL, Peppol, CII, Factur-X); check files and documents; send over Peppol."""


@einvoice.command()
@click.argument("number")
@click.option("--format", "form", type=click.Choice(_FORMS), default="ubl", show_default=True)
@click.option("-o", "--output", type=click.Path(dir_okay=False), help="The file to write; else standard output.")
def write(number: str, form: str, output: str | None) -> None:
    """Write document NUMBER, checked by the official rules; without valid result nothing is written."""
    from coulance.cli.session import working_database

    with working_database():
        from coulance.flows import einvoicing

        made = einvoicing.einvoice_of(number=number, form=form)
    if output:
        Path(output).write_bytes(made)
        click.echo(f"{output}: {number} as {form}, valid, {len(made)} bytes", err=True)
    else:
        click.echo(made, nl=False)


@einvoice.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False))
def validate(file: str) -> None:
    """Check FILE (UBL, CII, or a PDF with one inside) by schema and the official rules. Ends 1 when it is not valid."""
    from coulance.invoicing import einvoice as rooms

    data = Path(file).read_bytes()
    if data.startswith(b"%PDF"):
        inside = rooms.attached(data)
        if inside is None:
            raise click.ClickException(f"{file}: no factur-x.xml is attached to it")
        data = inside
    report = rooms.validate(data)
    for title, found in (("failed", report.failed), ("warning", report.warnings)):
        for one in found:
            click.echo(f"{title}: {one}\n    at {one.location}" if one.location else f"{title}: {one}")
    click.echo(f"{file}: {report.syntax}, {report.profile}: " + ("valid" if report.valid else "NOT valid"))
    if not report.valid:
        raise click.exceptions.Exit(1)


@einvoice.command()
@click.option("--period", help="Only documents of this period (2026-10).")
def check(period: str | None) -> None:
    """Try every issued document as UBL: how many are valid, and what stops others. Ends 1 on a failed rule."""
    from coulance.cli.session import working_database

    with working_database():
        from coulance.invoicing.einvoice.survey import Survey, survey
        from coulance.invoicing.queries import document_by_id, documents

        found, offset = Survey(), 0
        while rows := documents(period_name=period, state="issued", limit=500, offset=offset):
            offset += len(rows)
            found.add(survey((document_by_id(document=row.id).snapshot for row in rows), with_cii=False))
    click.echo(f"{len(found.valid)} documents are valid e-invoices.")
    for name, count in sorted(found.fields.items()):
        example = next(
            (number, lack)
            for number, lacks in found.impossible.items()
            for lack in lacks
            if lack.field.partition("[")[0] == name.partition(".")[0] or lack.field == name
        )
        click.echo(f"{count} can't be, for {name}: {example[0]}: {example[1]}")
    for number, reports in found.failed.items():
        click.echo(f"{number} FAILED: {reports[0]}")
    if found.failed:
        raise click.exceptions.Exit(1)


@einvoice.command()
@click.argument("number")
@click.option("--reason", default="asked for", show_default=True, help="Why, for the audit log.")
def send(number: str, reason: str) -> None:
    """Send document NUMBER over the Peppol network; once, however often it is asked for."""
    from coulance.cli.session import working_database

    with working_database():
        from coulance.flows import einvoicing
        from coulance.integrations import peppol
        from coulance.platform import clock

        point = peppol.access_point()
        queued = einvoicing.send_einvoice(number=number, actor=actor(), reason=reason, at=clock.now())
        if point is not None:
            point.close()
    if not queued:
        click.echo(f"{number} is on its way or there already; see: coulance einvoice status {number}")
    elif point is None:
        click.echo(
            f"{number} is queued, and waits: no access point is set. Set it: coulance secret set peppol\n"
            "(https://token:SECRET@host/path, from your access point's provider)."
        )
    else:
        click.echo(f"{number} is queued; the worker hands it over. See: coulance einvoice status {number}")


@einvoice.command()
@click.argument("number", required=False)
@click.option("--state", default="", help="Only those in this state, such as refused.")
def status(number: str | None, state: str) -> None:
    """Say how document NUMBER, or every document sent over Peppol, stands."""
    from coulance.cli.session import working_database

    with working_database():
        from coulance.invoicing import transmissions

        one = transmissions.transmission(number=number) if number else None
        rows: list[Any] = ([one] if one else []) if number else transmissions.transmissions(state=state)
    if not rows:
        click.echo(f"{number} was never sent over Peppol." if number else "None.")
    for row in rows:
        click.echo(
            f"{row.number}  {row.state:<9} to {row.receiver}  since {row.changed_at:%F %H:%M} UTC"
            + (f"  {row.detail}" if row.detail else "")
        )


@einvoice.command()
@click.argument("number")
@click.option("--reason", required=True, help="Why, for the audit log.")
def cancel(number: str, reason: str) -> None:
    """Take back document NUMBER while it waits to be handed over."""
    from coulance.cli.session import working_database

    with working_database():
        from coulance.invoicing import transmissions
        from coulance.platform import clock

        transmissions.cancel(number=number, actor=actor(), reason=reason, at=clock.now())
    click.echo(f"{number} will not be sent.")


@einvoice.command()
@click.argument("account")
@click.option("--peppol", "where", help="Where they receive, as scheme:identifier, such as 0106:12345678.")
@click.option("--reference", help="The reference they ask for on invoices (BT-10).")
@click.option("--registration", help="Their number in a company register, such as KvK 12345678.")
def address(account: str, where: str | None, reference: str | None, registration: str | None) -> None:
    """Show or set how ACCOUNT wants its e-invoices; an empty text removes."""
    from dataclasses import replace

    from coulance.cli.session import working_database

    with working_database():
        from coulance.customers import queries as customers
        from coulance.invoicing import transmissions
        from coulance.platform import clock
        from coulance_core.invoicing.en16931_codes import Identifier

        routing = transmissions.routing_of(account=customers.account(account).id)
        if where is not None:
            scheme, colon, value = where.partition(":")
            if where and not (colon and value):
                raise click.BadParameter("expected scheme:identifier such as 0106:12345678", param_hint="--peppol")
            routing = replace(routing, endpoint=Identifier(value, scheme) if where else None)
        if reference is not None:
            routing = replace(routing, reference=reference.strip())
        if registration is not None:
            routing = replace(routing, registration=registration.strip())
        if not (where is reference is registration is None):
            transmissions.set_routing(account=account, routing=routing, actor=actor(), at=clock.now())
    click.echo(f"electronic address: {routing.endpoint or '(derived from their VAT number, if any)'}")
    click.echo(f"buyer reference:    {routing.reference or '(none; Peppol gets their customer number)'}")
    click.echo(f"registration:       {routing.registration or '(none)'}")
