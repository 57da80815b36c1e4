"""`coulance sla`, its evidence from elsewhere: files, Prometheus, Uptime Kuma."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import click

from coulance.cli.operator import actor
from coulance.cli.sla_common import working


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--source", default="main", show_default=True, help="Which source it is of.")
@click.option("--upptime", default="", help="FILE is `git log --format='%cI %s'` of an Upptime site of that name.")
def bring(file: Path, source: str, upptime: str) -> None:
    """Bring in what other monitoring saw: CSV with name, at and up; or with name, at (where a slot begins), requests
    and errors; or the history of an Upptime site."""
    with working() as at:
        from coulance.flows.promises import intake
        from coulance.integrations.uptime import reading

        try:
            text = file.read_text(encoding="utf-8-sig")
            if reading.counts(text) and not upptime:
                rows = reading.counted_table(text)
                done = intake.bring_counts(source=f"csv:{source}", counted=rows, at=at, actor=actor())
                _say(done, "slots", "requests")
                return
            seen = reading.upptime(upptime, reading.git_log(text)) if upptime else reading.table(text)
        except (reading.UnableToReadUptimeError, UnicodeDecodeError) as error:
            raise click.ClickException(f"{file}: {error}") from error
        kind = "upptime" if upptime else "csv"
        _say(intake.bring(source=f"{kind}:{source}", seen=seen, at=at, actor=actor()), "looks", "outside")


def _say(done: Any, what: str, kind: str) -> None:
    click.echo(f"{done.accepted} {what} taken, {done.doubles} known already.")
    for name in done.unknown:
        click.echo(f"!  no check of kind {kind} is called {name!r}", err=True)


@click.command()
@click.option("--url", required=True, help="The Prometheus server: http://prometheus:9090. With --kuma: Uptime Kuma.")
@click.option("--query", default="probe_success", show_default=True, help="An expression of 0 and 1.")
@click.option(
    "--requests", default="", help="Count instead: requests in a slot, such as sum by (job) (increase(x[5m]))."
)
@click.option("--errors", default="", help="How many of them failed, by the same label.")
@click.option("--kuma", is_flag=True, help="Ask Uptime Kuma what it sees now; its API key is the secret `kuma`.")
@click.option("--label", default="instance", show_default=True, help="The label that names what is watched.")
@click.option("--hours", default=24, show_default=True, type=click.IntRange(1, 24 * 60))
@click.option("--step", type=int, help="Seconds between values (30); of --requests those of a slot (300).")
@click.option("--source", default="main", show_default=True, help="Which of several it is.")
def pull(
    url: str,
    query: str,
    requests: str,
    errors: str,
    kuma: bool,
    label: str,
    hours: int,
    step: int | None,
    source: str,
) -> None:
    """Read what a Prometheus server saw (probe_success, up) or counted in the last hours; safe to do again."""
    if bool(requests) != bool(errors):
        raise click.UsageError("--requests and --errors go together: an error rate is the one of the other")
    with working() as at:
        from coulance.flows.promises import intake
        from coulance.integrations.uptime import asking, reading

        since = at - timedelta(hours=hours)
        try:
            if kuma:
                from coulance.platform.secret_store import secret

                seen = asking.ask_kuma(url, key=secret("kuma") or "", at=at)
                _say(intake.bring(source=f"kuma:{source}", seen=seen, at=at, actor=actor()), "looks", "outside")
            elif requests:
                rows = asking.ask_counts(
                    url, requests=requests, errors=errors, label=label, since=since, until=at, step=step or 300
                )
                done = intake.bring_counts(source=f"prometheus:{source}", counted=rows, at=at, actor=actor())
                _say(done, "slots", "requests")
            else:
                seen = asking.ask_prometheus(url, query=query, label=label, since=since, until=at, step=step or 30)
                _say(intake.bring(source=f"prometheus:{source}", seen=seen, at=at, actor=actor()), "looks", "outside")
        except reading.UnableToReadUptimeError as error:
            raise click.ClickException(str(error)) from error
