"""`coulance webhook`: tell other programs what happens."""

import json
from datetime import UTC, datetime, timedelta

import click

from coulance.cli.operator import actor
from coulance.cli.session import working_database


class _Instant(click.ParamType):  # type: ignore[type-arg]
    name = "instant"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        try:
            found = datetime.fromisoformat(str(value))
        except ValueError:
            self.fail(f"expected an instant such as 2026-11-04T06:00+01:00, not {value!r}", param, ctx)
        return found if found.tzinfo else found.replace(tzinfo=UTC)


@click.group()
def webhook() -> None:
    """Tell other programs what happens: endpoints, deliveries, replay."""


@webhook.command()
@click.argument("url")
@click.option("--event", "events", multiple=True, help="Only these: invoice.issued, or payment.*; repeatable.")
@click.option("--description", default="", help="What it is for.")
@click.option("--quiet", "-q", is_flag=True, help="Print the endpoint and its secret only, for scripts.")
def add(url: str, events: tuple[str, ...], description: str, quiet: bool) -> None:
    """Send events to URL from now on. Its secret is shown this once."""
    with working_database():
        from coulance.platform import clock, webhook_endpoints

        made, secret = webhook_endpoints.add_endpoint(
            url=url, events=events, description=description, actor=actor(), at=clock.now()
        )
    if quiet:
        click.echo(f"{made.key} {secret}")
        return
    click.echo(f"Endpoint {made.key}: {made.url} ({', '.join(made.events) or 'all events'})")
    click.echo(f"\n    {secret}\n\nCheck requests with it (Standard Webhooks); it can't be shown again.")
    click.echo(f"Try it: coulance webhook test {made.key}")


@webhook.command("list")
@click.option("--json", "as_json", is_flag=True, help="Write JSON, for scripts.")
def list_(as_json: bool) -> None:
    """List the endpoints, the oldest first."""
    with working_database():
        from coulance.platform import webhook_endpoints

        found = webhook_endpoints.endpoints()
    if as_json:
        click.echo(json.dumps([{"id": e.key, "url": e.url, "events": list(e.events), "state": e.state} for e in found]))
        return
    if not found:
        click.echo("There are no endpoints yet; add one with: coulance webhook add https://example.org/hooks")
    for one in found:
        why = f"  ({one.disabled_why})" if one.disabled_why else ""
        click.echo(f"{one.key}  {one.state:<8} {one.url}  {' '.join(one.events) or 'all events'}{why}")


@webhook.command()
def events() -> None:
    """List the events there are, and what each tells."""
    from coulance.cli.session import set_django_up

    set_django_up()
    from coulance.platform.webhooks import EVENTS

    for name, tells in EVENTS.items():
        click.echo(f"{name:<22} {tells}")


@webhook.command()
@click.argument("endpoint")
@click.option("--reason", default="", help="Why, for the audit log.")
def remove(endpoint: str, reason: str) -> None:
    """Remove ENDPOINT, and what waits for it."""
    with working_database():
        from coulance.platform import clock, webhook_endpoints

        webhook_endpoints.remove_endpoint(key=endpoint, actor=actor(), at=clock.now(), reason=reason)
    click.echo(f"Endpoint {endpoint} is removed.")


@webhook.command()
@click.argument("endpoint")
@click.option("--off", is_flag=True, help="Disable it instead.")
@click.option("--reason", default="", help="Why, for the audit log.")
def enable(endpoint: str, off: bool, reason: str) -> None:
    """Enable ENDPOINT again: what waits for it is sent."""
    with working_database():
        from coulance.platform import clock, webhook_endpoints

        webhook_endpoints.change_endpoint(key=endpoint, enabled=not off, actor=actor(), at=clock.now(), reason=reason)
    click.echo(f"Endpoint {endpoint} is {'disabled' if off else 'enabled'}.")


@webhook.command()
@click.argument("endpoint")
@click.option("--overlap", default=24, show_default=True, type=click.IntRange(0, 720), help="Hours the old one lasts.")
@click.option("--quiet", "-q", is_flag=True, help="Print the secret only, for scripts.")
def rotate(endpoint: str, overlap: int, quiet: bool) -> None:
    """Give ENDPOINT a new secret; until the overlap has passed, requests carry both signatures."""
    with working_database():
        from coulance.platform import clock, webhook_endpoints

        made, secret = webhook_endpoints.rotate_secret(
            key=endpoint, overlap=timedelta(hours=overlap), actor=actor(), at=clock.now()
        )
    if quiet:
        click.echo(secret)
        return
    until = f"The old one holds until {made.old_secret_until:%F %H:%M} UTC." if made.old_secret_until else ""
    click.echo(f"\n    {secret}\n\nCheck requests with it; it can't be shown again. {until}")


@webhook.command()
@click.argument("endpoint")
def test(endpoint: str) -> None:
    """Send an endpoint.test event to ENDPOINT; the worker of a running instance delivers it."""
    with working_database():
        from coulance.platform import clock, webhook_endpoints

        key = webhook_endpoints.send_test(key=endpoint, actor=actor(), at=clock.now())
    click.echo(f"{key} is on its way; see: coulance webhook deliveries {endpoint}")


@webhook.command()
@click.argument("endpoint", required=False)
@click.option("--state", type=click.Choice(["waiting", "delivered", "failed"]), help="Only these.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 1000))
@click.option("--json", "as_json", is_flag=True, help="Write JSON, for scripts.")
def deliveries(endpoint: str | None, state: str | None, limit: int, as_json: bool) -> None:
    """What was sent to ENDPOINT (or all), what waits, and what went wrong; the newest first."""
    with working_database():
        from coulance.platform import webhook_endpoints

        found = webhook_endpoints.deliveries(key=endpoint, state=state, limit=limit)
    for one in found:
        if as_json:
            click.echo(
                json.dumps(
                    {
                        "endpoint": one.endpoint, "event_id": one.event_id, "event": one.event, "state": one.state,
                        "attempts": one.attempts, "last_status": one.last_status, "last_fault": one.last_fault,
                    }
                )
            )  # fmt: skip
            continue
        when = f"next try {one.next_try:%F %H:%M:%S} UTC" if one.next_try else ""
        said = f"{one.attempts} attempt(s)  {one.last_fault}  {when}".rstrip()
        click.echo(f"{one.event_id}  {one.event:<18} {one.state:<9} {said}")
    if not found and not as_json:
        click.echo("Nothing was sent, and nothing waits.")


@webhook.command()
@click.argument("endpoint")
@click.option("--event", "event_id", help="One event, by its id (evt_...).")
@click.option("--since", type=_Instant(), help="Those from this instant on (ISO, UTC without an offset).")
@click.option("--until", type=_Instant(), help="Those before this instant.")
@click.option("--failed", is_flag=True, help="Only what was given up.")
@click.option("--reason", default="", help="Why, for the audit log.")
def replay(
    endpoint: str, event_id: str | None, since: datetime | None, until: datetime | None, failed: bool, reason: str
) -> None:
    """Send events to ENDPOINT again, delivered ones too; they keep their ids. Events are kept for 30 days."""
    if (event_id is None) == (since is None):
        raise click.UsageError("say which: --event EVENT, or --since INSTANT (and --until)")
    with working_database():
        from coulance.platform import clock, webhook_endpoints

        count = webhook_endpoints.replay(
            key=endpoint,
            event_id=event_id,
            since=since,
            until=until,
            only_failed=failed,
            actor=actor(),
            at=clock.now(),
            reason=reason,
        )
    click.echo(f"{count} event(s) are on their way again.")
