"""`coulance up`."""

import contextlib
import sys

import click

from coulance.cli import parts
from coulance.platform import instance, supervisor
from coulance.platform.address import serves
from coulance.platform.postgres import EmbeddedPostgres


def _say(line: str) -> None:
    click.echo(f"coulance: {line}", err=True)


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(1, 65535), help="Port to listen on.")
@click.option("--workers", default=1, show_default=True, type=click.IntRange(1, 64), help="Web processes.")
@click.option("--threads", default=8, show_default=True, type=click.IntRange(1, 64), help="Threads in each of them.")
@click.option("--collect", type=click.IntRange(1, 86_400), help="Meter this machine too, once in so many seconds.")
@click.option(
    "--without",
    multiple=True,
    type=click.Choice(parts.OPTIONAL),
    help="A part that runs elsewhere, or not at all; may be given several times.",
)
def up(host: str, port: int, workers: int, threads: int, collect: int | None, without: tuple[str, ...]) -> None:
    """Run Coulance here: database, web and worker, until stopped.

    Everything lives in the instance's directory (COULANCE_HOME). Set DATABASE_URL to use a PostgreSQL server of your
    own, and COULANCE_URL to the public address when a proxy stands in front. Ctrl-C stops after finishing what is
    at hand; a second Ctrl-C hurries.
    """
    here = instance.current()
    here.prepare()
    shown = f"[{host}]" if ":" in host else host
    address = f"http://{shown}:{port}"
    serves(address)
    with contextlib.ExitStack() as stack:
        stack.enter_context(supervisor.sole_owner(here))
        listening = stack.enter_context(supervisor.listen(host, port))
        parts.forget_counts(here)
        nursery = parts.load(here)  # it loads while the database starts
        stack.callback(nursery.end)
        database: EmbeddedPostgres | None = None
        if here.embedded:
            database = EmbeddedPostgres(
                layout=here.database_layout(), password=lambda: here.secret("database_password") or ""
            )
            stack.callback(database.stop)
            database.start()
        supervisor.Supervisor(
            here=here,
            address=address,
            database=database,
            load=lambda: parts.load(here),
            nursery=nursery,
            first=parts.FIRST,
            parts=parts.parts(
                host=host,
                port=port,
                workers=workers,
                threads=threads,
                collect=collect,
                listening=listening if sys.platform == "linux" else None,
                without=without,
            ),
            say=_say,
        ).run(on_start=lambda: _say(f"running at {address} with its data in {here.home}; Ctrl-C stops it"))
    _say("stopped")
    sys.stderr.flush()
