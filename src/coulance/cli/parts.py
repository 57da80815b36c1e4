"""The parts of `coulance up`: what each runs, and the program of the nursery from which they are forked.

A part that is a command of ours needs a line in `_COMMANDS`; it must go on until SIGTERM, and end soon after it.
"""

import gc
import os
import shutil
import socket
import sys
from collections.abc import Collection, Mapping

from coulance.cli.main import main
from coulance.platform import nursery
from coulance.platform.instance import Instance
from coulance.platform.layout import make_private
from coulance.platform.nursery import Nursery
from coulance.platform.parts import Part

FIRST = ("begin",)
"""What is run to its end before any part is."""

# Also without drivers: what waits must be found done, and a driver that is applied later works at once.
_COMMANDS: Mapping[str, tuple[str, ...]] = {
    "collectors": ("collectors", "run"),
    "enforcement": ("enforce", "run"),
    "watcher": ("watch", "run"),
}
OPTIONAL = tuple(_COMMANDS)
"""Parts that may run elsewhere, or not at all."""


def load(here: Instance) -> Nursery:
    """Start a nursery for an instance, of the version that is installed now."""
    counts = here.run_dir / "metrics"  # each process adds to files of its own, which outlive it
    environment = {
        **os.environ,
        "COULANCE_SUPERVISED": "1",
        "PYTHONUNBUFFERED": "1",
        "PROMETHEUS_MULTIPROC_DIR": str(counts),
    }
    return Nursery([sys.executable, "-m", "coulance.cli.parts"], environment)


def forget_counts(here: Instance) -> None:
    """Begin to count requests anew: who was counted before is not among us."""
    counts = here.run_dir / "metrics"
    shutil.rmtree(counts, ignore_errors=True)
    make_private(counts)


def parts(
    *,
    host: str,
    port: int,
    workers: int,
    threads: int,
    collect: int | None = None,
    listening: socket.socket | None = None,
    without: Collection[str] = (),
) -> list[Part]:
    """The web server, the worker, and those of our commands that go on for ever.

    With `collect` (seconds) the local collector runs beside them; parts named in `without` (of `OPTIONAL`) run
    elsewhere or not at all. The web server serves `listening`, or where a system can't hand that on, the address.
    """
    serving = listening.fileno() if listening is not None else None
    found = [
        Part("web", ["web", host, str(port), str(workers), str(threads)], listens=serving, ready_after=workers),
        Part("worker", ["worker"]),
        *(Part(name, [name]) for name in _COMMANDS if name not in without),
    ]
    if collect is not None:
        found.append(Part("collector", ["collector", "--every", str(collect)]))
    return found


# The nursery's own end


def _load_all() -> None:
    """Load what the parts use; what is missing here is loaded by each of them that needs it."""
    from coulance.cli import collectors, enforce, usage, watch  # noqa: F401
    from coulance.cli.session import set_django_up

    set_django_up()
    from django.contrib.staticfiles import finders
    from django.db.migrations.loader import MigrationLoader
    from django.urls import get_resolver
    from procrastinate.contrib.django import app

    from coulance.drivers import factory  # noqa: F401
    from coulance.enforcement import executor  # noqa: F401
    from coulance.flows.overage_control import watcher  # noqa: F401
    from coulance.integrations.collectors import runner  # noqa: F401
    from coulance.platform import web_server, worker  # noqa: F401

    app.perform_import_paths()  # type: ignore[no-untyped-call]
    MigrationLoader(None)
    assert get_resolver().url_patterns
    assert list(finders.get_finders())


def _begin() -> None:
    """Bring the database to this version."""
    import click
    from django.db import connections

    from coulance.cli.session import wait_for_database
    from coulance.platform import schema

    wait_for_database()
    schema.require_supported_version()
    if done := schema.migrate():
        click.echo(f"coulance: applied {len(done)} migration(s)", err=True)
    connections.close_all()


def _serve_parts() -> None:
    gc.disable()  # the nursery freezes what is loaded; looking through it meanwhile takes an eighth of the time
    _load_all()
    name, *arguments = nursery.serve()
    gc.enable()
    if name == "web":
        from coulance.platform import web_server

        host, port, workers, threads = arguments
        web_server.main(host, int(port), int(workers), int(threads))
    elif name == "worker":
        from coulance.platform import worker

        worker.main()
    elif name == "begin":
        _begin()
    else:
        command = ("collect",) if name == "collector" else _COMMANDS[name]
        sys.argv = ["coulance", *command, *arguments]
        main()


if __name__ == "__main__":
    main(_serve_parts)
