"""`coulance explain`, `coulance export samples` and `coulance replay`: why an amount is what it is."""

import json
import sys
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text


@click.command()
@click.argument("number")
@click.argument("line", required=False, type=click.IntRange(1))
@click.option("--json", "as_json", is_flag=True, help="Write JSON, as the API does.")
def explain(number: str, line: int | None, as_json: bool) -> None:
    """Explain an invoice, or one line of it: facts, arithmetic and conventions, recomputed as they are shown."""
    from coulance.cli.session import working_database

    with working_database():
        from coulance.invoicing import queries as invoicing
        from coulance_core.kernel import Explanation

        snapshot = invoicing.document(number=number).snapshot
    lines = [one for one in snapshot["lines"] if line is None or one["no"] == line]
    if line is not None and not lines:
        raise click.ClickException(f"{number} has no line {line}: it has {len(snapshot['lines'])}")
    if as_json:
        click.echo(json.dumps([{"line": one["no"], "explanation": one["explanation"]} for one in lines], indent=2))
        return
    for one in lines:
        where = f" ({one['service']['name']})" if one["service"] else ""
        click.secho(f"{number} line {one['no']}: {one['description']}{where}", bold=True)
        explanation = Explanation.from_json(one["explanation"])
        explanation.recompute()
        click.echo(explanation.render("  "))
        click.echo(
            f"  = {one['net']} {snapshot['currency']} without tax, {one['tax_rate']} % tax ({one['tax_code']})\n"
        )
    if line is None:
        totals = snapshot["totals"]
        click.echo(f"Together {totals['net']} + {totals['tax']} tax = {totals['gross']} {snapshot['currency']}")
        if not snapshot["lines"]:
            for item in snapshot["usage"]:
                click.echo(Explanation.from_json(item["explanation"]).render("  "))


@click.group()
def export() -> None:
    """Write out what others need: the samples and terms behind a document."""


@export.command()
@click.argument("number")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
def samples(number: str, file: Path) -> None:
    """Write the very samples and terms behind an overage invoice or usage statement, to be rated again offline."""
    from coulance.cli.session import working_database

    with working_database():
        from coulance.flows.evidence import export_samples

        count = export_samples(number=number, path=file)
    click.echo(f"{file}: {count:,} samples and the terms of {number}. To rate it again: coulance replay {file}")


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
def replay(file: Path) -> None:
    """Rate an evidence file again, without a database, and compare with its document. Ends 1 on a difference."""
    from coulance.flows.replay import replay as rate_again

    rows = rate_again(file)
    console = Console(highlight=False, soft_wrap=True)
    table = Table(box=None, pad_edge=False)
    for heading in ("", "as issued", "rated again", ""):
        table.add_column(heading)
    for row in rows:
        mark = Text("equal", style="green") if row.equal else Text("DIFFERS", style="bold red")
        table.add_row(Text(row.what), Text(row.stated), Text(row.again), mark)
    console.print(table)
    if not all(row.equal for row in rows):
        sys.exit(1)
