"""`coulance watch ...`: judging use as samples come in: warnings, pauses, resumption."""

import os
import signal
from types import FrameType

import click

from coulance.cli.session import working_database


@click.group()
def watch() -> None:
    """Watch use as it happens: who nears an allowance or limit is told, and what must stop is paused."""


@watch.command()
@click.option(
    "--once", is_flag=True, help="One round: what samples touched since the last one, and periods that turned."
)
def run(once: bool) -> None:
    """Watch until stopped. `coulance up` does it too."""
    if not once:
        os.nice(2)  # who waits for a page goes first
    with working_database():
        from coulance.flows.overage_control.evaluating import Evaluated, is_on
        from coulance.flows.overage_control.rounds import round_of
        from coulance.flows.overage_control.watcher import Watcher
        from coulance.platform import clock

        if once:
            _say(round_of(at=clock.now()) if is_on() else None)
            return

        def seen(done: Evaluated) -> None:
            if done.warned or done.placed or done.lifted:
                _say(done)

        watcher = Watcher(now=clock.now, seen=seen)

        def stop(_number: int, _frame: FrameType | None) -> None:
            watcher.stop()

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)
        watcher.run()


@watch.command()
def look() -> None:
    """Look at every service now, as happens each hour: what was missed is made up for."""
    with working_database():
        from coulance.flows.overage_control.evaluating import is_on
        from coulance.flows.overage_control.rounds import sweep
        from coulance.platform import clock

        _say(sweep(at=clock.now()) if is_on() else None)


def _say(done: object) -> None:
    from coulance.flows.overage_control.evaluating import Evaluated

    if not isinstance(done, Evaluated):
        click.echo('Nothing is watched: the provider file has no [overage] with control = "observe" or "enforce".')
        return
    click.echo(
        f"{done.judged} judged, {done.warned} thresholds told, {done.messages} messages, {done.placed} paused or "
        f"throttled, {done.lifted} lifted, {done.unreached} that nobody can be told by mail"
    )
