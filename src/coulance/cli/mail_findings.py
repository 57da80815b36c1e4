"""What the doctor says of mail: whether it can go out, what waits, and what did not arrive."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from coulance.platform.findings import Finding, State

_LATE = timedelta(minutes=15)


def mail_findings(*, at: datetime) -> Iterator[Finding]:
    """The mail server as configured, messages that wait too long, uncertain and undelivered documents."""
    from django.db import DatabaseError

    from coulance.flows.sending import status
    from coulance.notices import queries, transport
    from coulance.notices.errors import UnableToReadTransportError

    try:
        state, undelivered = queries.mail_state(at=at), status.undelivered_documents(limit=200)
        dead = len(queries.dead_addresses())
    except DatabaseError:
        return  # its tables are missing, and the pending migrations were reported
    try:
        way = transport.configured()
    except UnableToReadTransportError as fault:
        yield Finding("mail", State.FAULT, str(fault), "coulance secret set mail")
        way = None
    else:
        if way is None:
            waits = f"; {state.waiting} messages wait" if state.waiting else ""
            yield Finding("mail", State.WARN, f"no mail server is set{waits}", "coulance secret set mail")
        elif way.kind == "file":
            seen = f"every mail is written to {way.shown} and goes to nobody; {state.waiting} messages wait"
            yield Finding("mail", State.WARN, seen, "to send for real: coulance secret set mail")
        else:
            yield Finding("mail", State.OK, f"by {way.shown}; {state.waiting} messages wait")
    if way is not None and state.oldest_due is not None and at - state.oldest_due > _LATE:
        since = f"{state.due} messages are due, the oldest since {state.oldest_due:%F %H:%M} UTC"
        yield Finding("mail queue", State.WARN, since, "is coulance up running? coulance mail flush says what is wrong")
    if state.uncertain:
        seen = f"{state.uncertain} messages were handed over and never confirmed; they are not sent again unasked"
        yield Finding("mail unsure", State.WARN, seen, "coulance send status, then coulance send resolve")
    if undelivered:
        first = undelivered[0]
        more = f" (and {len(undelivered) - 1} more)" if len(undelivered) > 1 else ""
        seen = f"{first.document.number} did not arrive: {first.failed[0].state} at {first.failed[0].address}{more}"
        yield Finding("undelivered", State.WARN, seen, "coulance send status, then coulance send resend")
    if dead:
        yield Finding("addresses", State.OK, f"{dead} refuse mail: coulance mail dead")
