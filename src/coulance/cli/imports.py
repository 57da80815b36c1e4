"""`coulance import`: bring in what is kept elsewhere."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from coulance.cli.operator import actor
from coulance.cli.usage import import_usage

if TYPE_CHECKING:
    from coulance.flows.import_customers import ImportPlan

_RECORDS = {
    "account": "accounts",
    "contact": "contacts",
    "service": "services",
    "series": "series",
}


@click.group("import")
def import_() -> None:
    """Bring in customers and samples from files."""


@import_.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--apply", "apply_", is_flag=True, help="Write it. Without this it is only shown.")
@click.option(
    "--encoding", default="utf-8", show_default=True, help="How the files are encoded; cp1252 for older Excel."
)
@click.option("--json", "as_json", is_flag=True, help="Write JSON, for scripts.")
def customers(files: tuple[Path, ...], apply_: bool, encoding: str, as_json: bool) -> None:
    """Import accounts, contacts, services and series from CSV: shows what would change, writes with --apply."""
    from coulance.cli.session import working_database

    with working_database():
        from coulance.catalog import queries as catalog
        from coulance.catalog.faults import Faults
        from coulance.flows.customer_file import read_files
        from coulance.flows.import_customers import UnableToImportCustomersError, import_customers
        from coulance.invoicing import queries as invoicing
        from coulance.platform import clock

        faults = Faults()
        rows = read_files(files, faults, encoding=encoding)
        try:
            plan = import_customers(
                rows=rows,
                faults=faults,
                catalog=catalog.catalog(),
                sold=catalog.plans_sold(),
                apply=apply_,
                actor=actor(),
                at=clock.now(),
                closed_period=invoicing.closed_until(),
            )
        except UnableToImportCustomersError:
            plan = None
        told = faults.sorted()
    if as_json:
        items = (
            []
            if plan is None
            else [
                {"record": i.record, "id": i.external_id, "action": i.action, "details": i.details} for i in plan.items
            ]
        )
        click.echo(json.dumps({"applied": apply_ and not told, "faults": [f.to_json() for f in told], "items": items}))
    elif told:
        console = Console(stderr=True, highlight=False, soft_wrap=True)
        for fault in told:
            console.print(Text(f"{fault.place}  ", style="bold") + Text(fault.key, style="dim"))
            console.print(Text(f"  {fault.found}", style="red"))
            if fault.expected:
                console.print(Text(f"  expected {fault.expected}"))
            if fault.nearest:
                console.print(Text(f"  did you mean {fault.nearest!r}?", style="green"))
        console.print(f"{len(told)} fault{'s' * (len(told) != 1)}; nothing is imported.")
    elif plan is not None:
        _show(plan, apply_)
    if told:
        sys.exit(1)


def _show(plan: "ImportPlan", applied: bool) -> None:
    console = Console(highlight=False, soft_wrap=True)
    for item in [item for item in plan.items if item.action == "changed"][:200]:
        console.print(Text(f"~ {item.record} {item.external_id}", style="bold"))
        for line in item.details:
            console.print(Text(f"    {line}"))
    table = Table(box=None, pad_edge=False)
    for heading in ("", "created", "changed", "unchanged"):
        table.add_column(heading, justify="left" if not heading else "right")
    for record, name in _RECORDS.items():
        counts = [plan.count(record, action) for action in ("created", "changed", "unchanged")]
        if any(counts):
            table.add_row(name, *(str(count) if count else "-" for count in counts))
    console.print(table)
    for note in plan.notes[:50]:
        console.print(Text(f"note: {note}", style="yellow"))
    if applied:
        console.print("Imported." if plan.writes else "Nothing to do: all of it is there.")
    else:
        console.print("Nothing is written yet. To write it, add --apply." if plan.writes else "Nothing to do.")


import_.add_command(import_usage)
