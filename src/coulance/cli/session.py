"""What a command needs before it can work: the instance, its database, Django."""

import gc
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

import click

from coulance.platform import instance
from coulance.platform.instance import Instance
from coulance.platform.postgres import AlreadyRunningError, EmbeddedPostgres


def set_django_up() -> None:
    """Load Django with our settings. Call it after `prepare()`, since settings read the secrets."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "coulance.config.settings")
    # Nearly all that loading makes stays: collecting garbage meanwhile finds none, and takes a tenth of the time.
    collects = gc.isenabled()
    gc.disable()
    try:
        import django

        django.setup()
    finally:
        gc.freeze()
        if collects:
            gc.enable()


@contextmanager
def working_database(*, migrated: bool = True) -> Iterator[Instance]:
    """Give the block a running database and a loaded Django; the instance is made when there is none.

    Uses the database of a running `coulance up`; without one, starts the embedded server for as long as the block
    takes. A new database is migrated; one that lags behind is refused unless `migrated=False`.
    """
    here = instance.current()
    here.prepare()
    server = _server_of_ours(here) if here.embedded else None
    try:
        set_django_up()
        from django.db import connections

        from coulance.platform import schema

        wait_for_database()
        schema.require_supported_version()
        if migrated:
            if schema.is_empty():
                schema.migrate()
            elif behind := schema.pending(settled=True):
                raise click.ClickException(
                    f"the database lacks {len(behind)} migration(s) of this version ({behind[0]}, ...); "
                    "run: coulance migrate"
                )
        try:
            yield here
        finally:
            connections.close_all()
    finally:
        if server is not None:
            # Another command may have come to use it while this one worked.
            server.stop_when_unused()


def _server_of_ours(here: Instance) -> EmbeddedPostgres:
    """The embedded server: started, or joined when another process of ours runs it.

    Whoever runs it may just be starting it, or stopping it: then it is tried again, for half a minute.
    """
    server = EmbeddedPostgres(layout=here.database_layout(), password=lambda: here.secret("database_password") or "")
    give_up = time.monotonic() + 30
    while True:
        try:
            server.start()
        except AlreadyRunningError:
            if server.join():
                return server
            if time.monotonic() > give_up:
                raise
            time.sleep(0.1)
        else:
            return server


def wait_for_database() -> None:
    """Whoever runs the server may still be starting it; give them half a minute."""
    from django.db import OperationalError, connection

    give_up = time.monotonic() + 30
    while True:
        try:
            connection.ensure_connection()
        except OperationalError as fault:
            connection.close()
            if time.monotonic() > give_up or "password authentication" in str(fault):
                raise click.ClickException(
                    f"the database doesn't answer: {str(fault).strip()}; run coulance doctor to see why"
                ) from fault
            time.sleep(0.2)
        else:
            return
