"""`coulance reload`."""

import time

import click

from coulance.cli.session import working_database


@click.command()
@click.option("--no-wait", is_flag=True, help="Ask for it, and don't wait until it is done.")
def reload(no_wait: bool) -> None:
    """Run web and worker anew, from what is installed now, without dropping a request.

    The new web server takes over when it is ready; if it doesn't get ready, the old one goes on and this ends with 1.
    After an upgrade: coulance migrate, then this.
    """
    with working_database() as here:
        from coulance.platform import supervisor

    before = supervisor.ask_to_reload(here)
    if no_wait:
        click.echo("Asked for.")
        return
    give_up = time.monotonic() + 120
    while time.monotonic() < give_up:
        known = supervisor.state(here)
        if known is None:
            raise click.ClickException("Coulance stopped meanwhile; see its output")
        if int(known.get("reloads", 0)) > before:
            if fault := known.get("reload_fault"):
                raise click.ClickException(fault)
            click.echo("Web and worker run anew.")
            return
        time.sleep(0.1)
    raise click.ClickException("it takes more than two minutes; see the output of coulance up")
