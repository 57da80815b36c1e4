"""`coulance sla`, its money: what was credited, what terms would cost or come to together, what suppliers owe."""

from pathlib import Path
from typing import Any

import click

from coulance.cli.operator import actor
from coulance.cli.sla_common import Month, service_id, working


@click.command()
@click.option("--period", type=Month(), help="A month: 2026-10. Default: the last three, for late evidence.")
@click.option("--incidents", is_flag=True, help="Outages that are over, of periods that aren't; for terms that say so.")
@click.option("--explain", is_flag=True, help="Show the arithmetic.")
def credit(period: tuple[int, int] | None, incidents: bool, explain: bool) -> None:
    """Measure and credit what wasn't kept. Safe to do again: nothing is credited twice. `close` does it too."""
    with working() as at:
        from coulance.flows.promises import crediting
        from coulance.flows.promises import incidents as on_incident
        from coulance.sla import queries

        if incidents:
            report = on_incident.credit_incidents(at=at, actor=actor(), all_of_it=True)
        elif period is None:
            report = crediting.credit_again(at=at, actor=actor())
        else:
            report = crediting.credit_period(year=period[0], month=period[1], at=at, actor=actor())
        for service, amount in report.credited:
            click.echo(f"{service}: {amount} credited")
        for number in report.notes:
            click.echo(f"{number} given")
        for _, amount, why in report.carried:
            click.echo(f"{amount} waits: {why}")
        for what, month in report.nothing:
            click.echo(
                f"!  {what}: its promise of {month} was broken, and no charge is there to credit a part of", err=True
            )
        for what, why in report.failed:
            click.echo(f"!  {what}: {why}", err=True)
        click.echo(f"{report.measured} measured, {report.not_yet} not over yet.")
        if explain and period is not None:
            for row in queries.measures(period_name=f"{period[0]:04d}-{period[1]:02d}"):
                click.echo(row.explanation.render())
        if report.failed:
            raise click.exceptions.Exit(1)


@click.command()
@click.option("--terms", "name", required=True, help="The name of the terms.")
@click.option("--file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="A provider file with them.")
@click.option("--months", default=24, show_default=True, type=click.IntRange(1, 120))
@click.option("--service", "services", multiple=True, help="Only these; default: all that were watched.")
def plan(name: str, file: Path | None, months: int, services: tuple[str, ...]) -> None:
    """What terms would have cost on the real outages of the last months."""
    with working() as at:
        from coulance.flows.promises import outlook

        promise = _proposed(name, file)
        try:
            found = outlook.what_it_would_cost(
                promise=promise, months=months, at=at, only=[service_id(one) for one in services] or None
            )
        except outlook.UnableToPlanError as error:
            raise click.ClickException(str(error)) from error
        for one in found[:50]:
            worst = one.plan.worst
            click.echo(
                f"{one.service}: {one.plan.total} in {len(one.plan.months)} months ({one.plan.missed} missed), "
                f"{outlook.show_share(one.plan.share)} of its fees; worst {worst.start:%Y-%m}: {worst.credit.amount}"
            )
        for code in sorted({one.plan.total.currency for one in found}):
            from coulance_core.kernel import Money

            own = [one.plan.total for one in found if one.plan.total.currency == code]
            click.echo(f"In all: {sum(own, Money(0, code))} for {len(own)} services.")


def _proposed(name: str, file: Path | None) -> Any:
    from coulance.flows.promises import terms
    from coulance_core.sla.terms_file import parse_sla

    known = terms.table()
    if file is not None:
        from coulance.catalog.reader import read_provider_file

        read = read_provider_file(file)
        if read.faults or read.catalog is None:
            raise click.ClickException("\n".join(map(str, read.faults)))
        known = parse_sla(read.catalog.tables.get("sla", {}))
    found = max((p for p in known.promises if p.name == name), key=lambda p: p.valid_from, default=None)
    if found is None:
        raise click.ClickException(f"there are no terms {name!r}; there is {', '.join(p.name for p in known.promises)}")
    return found


@click.command()
@click.argument("name")
def quote(name: str) -> None:
    """What a composite of [sla.composite] may promise: at worst, if parts fail independently, at best."""
    with working():
        from coulance.flows.promises import terms
        from coulance_core.sla.composite import quote as quoted

        sold = terms.table().composites.get(name)
        if sold is None:
            raise click.ClickException(f"[sla.composite] has no {name!r}")
        click.echo(str(sold.whole))
        _quoted(quoted(sold.whole, dict(sold.availability)))


def _quoted(found: Any) -> None:
    numbers = (found.worst, found.independent, found.best)
    for word, share, down in zip(("worst", "independent", "best"), numbers, found.minutes(43_200), strict=True):
        click.echo(f"{word:>12}: {float(100 * share):.4f} %, {float(down):.1f} minutes in 30 days")


@click.command()
@click.argument("made_of")
@click.option("--period", required=True, type=Month(), help="A month: 2026-10.")
def composite(made_of: str, period: tuple[int, int]) -> None:
    """What several services together really were: "all of (web, one of (db-1, db-2))", by their own outages."""
    with working() as at:
        from coulance.flows.promises import applications

        found = applications.real(text=made_of, year=period[0], month=period[1], at=at)
        for name, percent in found.parts.items():
            unknown = f", {found.unknown[name] // 60_000_000} min unknown" if found.unknown[name] else ""
            click.echo(f"{name}: {float(percent):.4f} %{unknown}")
        minutes = found.down.total // 60_000_000
        click.echo(f"{found.made_of}: really {float(found.whole):.4f} %, {minutes} min down")
        for one in found.down.periods()[:50]:
            click.echo(f"  {one.start:%Y-%m-%d %H:%M:%S} - {one.end:%Y-%m-%d %H:%M:%S} UTC")
        click.echo("What its parts' figures alone would have said of it:")
        _quoted(found.quote)


@click.command()
@click.option("--period", required=True, type=Month(), help="A month: 2026-10.")
def upstream(period: tuple[int, int]) -> None:
    """What suppliers owe us for a month, by when to claim it, and the text to claim it with."""
    with working() as at:
        from coulance.flows.promises import claims

        found = claims.claims(year=period[0], month=period[1], at=at)
        for one in found:
            what = one.upstream
            by = f"claim by {what.by.isoformat()}" if what.by else "credited unasked"
            click.echo(f"{what.supplier}: {what.amount} of {what.owed} owed to customers ({by}); {what.short} is ours")
            if one.claimed is not None:
                click.echo(f"  claimed on {one.claimed[2]:%F}: {one.claimed[0]} ({one.claimed[1]})")
            elif what.amount.minor:
                click.echo(one.text)
        if not found:
            click.echo("No terms of suppliers name services of ours.")


@click.command()
@click.argument("supplier")
@click.option("--period", required=True, type=Month(), help="The month it is of: 2026-10.")
@click.option("--reference", required=True, help="Where the claim is: their ticket; or why none is made.")
@click.option("--not", "waived", is_flag=True, help="No claim is made.")
def claimed(supplier: str, period: tuple[int, int], reference: str, waived: bool) -> None:
    """Note that a credit was claimed of a supplier: then nobody is reminded of it any more."""
    with working() as at:
        from coulance.flows.promises import claims

        done = claims.note(
            supplier=supplier,
            year=period[0],
            month=period[1],
            reference=reference,
            waived=waived,
            actor=actor(),
            at=at,
        )
        click.echo(f"{done} claimed of {supplier} for {period[0]:04d}-{period[1]:02d}.")


COMMANDS = (credit, plan, quote, composite, upstream, claimed)
"""What `coulance sla` takes from here."""
