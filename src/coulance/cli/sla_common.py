"""What the commands of `coulance sla` share: a database and now, refusals as messages, instants and months as words."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import click

from coulance.cli.session import working_database

INSTANT = "An instant with its offset: 2026-10-05T10:00+02:00."
of_service = click.option("--service", "service", required=True, help="The service, by its external id.")
since_then = click.option("--from", "since", required=True, help=INSTANT)
until_then = click.option("--until", help=INSTANT)
with_reason = click.option("--reason", required=True, help="Why: it stays in the record.")


class Month(click.ParamType[tuple[int, int]]):
    """A month as (year, month)."""

    name = "month"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[int, int]:
        """`2026-10`."""
        if isinstance(value, tuple):
            return value
        try:
            found = datetime.fromisoformat(f"{value}-01")
        except ValueError:
            self.fail(f"{value!r} is no month: expected one such as 2026-10", param, ctx)
        return found.year, found.month


@contextmanager
def working() -> Iterator[datetime]:
    """A database, and now; refusals as messages."""
    with working_database():
        from coulance.platform import clock
        from coulance.services.queries import UnableToFindServiceError
        from coulance.sla.errors import SlaError

        try:
            yield clock.now()
        except (SlaError, UnableToFindServiceError) as error:
            raise click.ClickException(str(error)) from error


def instant(text: str | None, what: str) -> datetime:
    """An aware instant, or the refusal of an option."""
    try:
        found = datetime.fromisoformat(text or "")
        if found.tzinfo is None:
            raise ValueError
    except ValueError:
        raise click.BadParameter(f"{text!r} is no instant: {INSTANT}", param_hint=what) from None
    return found


def service_id(external: str) -> int:
    """A service's number."""
    from coulance.services import queries as services

    return services.service(external).id
