"""`coulance alarms`: what operators should look at."""

import json
import sys

import click

from coulance.cli.operator import actor
from coulance.cli.session import working_database


@click.group(invoke_without_command=True)
@click.option("--all", "every", is_flag=True, help="The latest fifty, also those that are over.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_context
def alarms(ctx: click.Context, every: bool, as_json: bool) -> None:
    """Show what needs a person, and clear what doesn't. Ends 1 while a critical one is open."""
    if ctx.invoked_subcommand is not None:
        return
    with working_database():
        from coulance.platform import alarms as kept

        found = kept.recent_alarms() if every else kept.open_alarms()
    if as_json:
        rows = [
            {
                "key": a.key, "severity": a.severity, "what": a.what, "raised_at": a.raised_at.isoformat(),
                "seen_at": a.seen_at.isoformat(), "times": a.times,
                "cleared_at": a.cleared_at.isoformat() if a.cleared_at else None,
            }
            for a in found
        ]  # fmt: skip
        click.echo(json.dumps(rows, indent=1))
    else:
        for alarm in found:
            colour = "red" if alarm.severity == "critical" else "yellow"
            over = f", over {alarm.cleared_at:%F %H:%M}" if alarm.cleared_at else ""
            click.echo(
                f"{click.style(f'{alarm.severity:<8}', fg=colour)}  {alarm.key}  since {alarm.raised_at:%F %H:%M} UTC, "
                f"seen {alarm.times} time(s), last {alarm.seen_at:%F %H:%M}{over}"
            )
            click.echo(f"          {alarm.what}")
        if not found:
            click.echo("No alarm is open." if not every else "There was never an alarm.")
    if any(alarm.severity == "critical" and alarm.cleared_at is None for alarm in found):
        sys.exit(1)


@alarms.command()
@click.argument("key")
@click.option("--reason", required=True, help="Why it needs no looking at, for the audit log.")
def clear(key: str, reason: str) -> None:
    """Clear the alarm KEY. It comes back when its cause is seen again."""
    with working_database():
        from coulance.platform import alarms as kept
        from coulance.platform import clock

        if not kept.clear_alarm(key=key, at=clock.now(), actor=actor(), reason=reason):
            raise kept.UnableToClearAlarmError(f"no alarm {key} is open; see: coulance alarms")
    click.echo(f"Cleared {key}.")
