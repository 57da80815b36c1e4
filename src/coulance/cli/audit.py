"""`coulance audit`: the house's promises, worked out again."""

import json
import sys

import click

from coulance.cli.session import working_database

_SHOWN = 20


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--all", "every", is_flag=True, help="Every audit, which is also what is meant when none is named.")
@click.option("--last", is_flag=True, help="Run nothing; show what the last runs said.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def audit(names: tuple[str, ...], every: bool, last: bool, as_json: bool) -> None:
    """Work out again what is promised: books, samples, numbers, explanations. Ends 1 on a fault."""
    with working_database():
        from coulance.flows import audits
        from coulance.platform import checks, clock

        chosen = [audits.audit(name) for name in names] if names and not every else list(audits.AUDITS)
        kept = {result.name: result for result in checks.results()}
        rows = []
        for each in chosen:
            faults: tuple[str, ...] = ()
            if last:
                result = kept.get(each.name)
            else:
                found = audits.run_audit(each.name, at=clock.now())
                result, faults = found.result, found.faults
            rows.append((each, result, faults))
            if not as_json:
                _show(each.name, each.what, result, faults)
    if as_json:
        told = [
            {
                "audit": each.name,
                "what": each.what,
                "faults": result.faults if result else None,
                "first": result.first if result else "",
                "found": list(faults),
                "ran_at": result.ran_at.isoformat() if result else None,
                "sound_at": result.sound_at.isoformat() if result and result.sound_at else None,
                "took_s": result.took.total_seconds() if result else None,
            }
            for each, result, faults in rows
        ]
        click.echo(json.dumps(told, indent=1))
    if any(result is not None and result.faults for _, result, _ in rows):
        sys.exit(1)


def _show(name: str, what: str, result: object, faults: tuple[str, ...]) -> None:
    from coulance.platform.checks import Result

    if not isinstance(result, Result):
        click.echo(f"{click.style('never', fg='yellow')}  {name}: {what}; not run yet")
        return
    state = click.style("FAULT", fg="red") if result.faults else click.style("sound", fg="green")
    took = f"{result.took.total_seconds():.1f} s, {result.ran_at:%F %H:%M} UTC"
    click.echo(f"{state}  {name}: {what} ({took})")
    for fault in faults[:_SHOWN] or ((result.first,) if result.faults else ()):
        click.echo(f"       {fault}")
    if result.faults > _SHOWN:
        click.echo(f"       and {result.faults - _SHOWN} more: --json shows all")
