"""The states of a delivery, and which follows which. The database holds to the same table (migration 0002)."""

from collections.abc import Mapping
from enum import StrEnum


class State(StrEnum):
    """Where one delivery of a message stands."""

    WAITING = "waiting"
    """It will be sent when its time has come."""
    CLAIMED = "claimed"
    """A sender works on it; nothing was handed over yet, so it may be taken up again."""
    SENDING = "sending"
    """Written down just before the last bytes go out: from here on the server may have it."""
    ACCEPTED = "accepted"
    """A server took it."""
    UNCERTAIN = "uncertain"
    """Handed over, and the answer never came. Never sent again unless somebody says so."""
    REFUSED = "refused"
    """Never taken: refused for good, or not taken in five days."""
    BOUNCED = "bounced"
    """Taken, and came back."""
    HELD = "held"
    """It can't be sent as it is."""
    WITHDRAWN = "withdrawn"
    """Taken back before it was sent."""


MAY_FOLLOW: Mapping[State, frozenset[State]] = {
    State.WAITING: frozenset({State.CLAIMED, State.HELD, State.WITHDRAWN}),
    State.CLAIMED: frozenset({State.WAITING, State.SENDING, State.HELD, State.REFUSED}),
    State.SENDING: frozenset({State.ACCEPTED, State.WAITING, State.REFUSED, State.UNCERTAIN}),
    State.ACCEPTED: frozenset({State.BOUNCED}),
    State.UNCERTAIN: frozenset({State.ACCEPTED, State.BOUNCED, State.WAITING, State.WITHDRAWN}),
    State.REFUSED: frozenset(),
    State.BOUNCED: frozenset(),
    State.HELD: frozenset({State.WAITING, State.WITHDRAWN}),
    State.WITHDRAWN: frozenset(),
}

OPEN = (State.WAITING, State.CLAIMED, State.SENDING)
"""Still under way by themselves."""
FAILED = (State.REFUSED, State.BOUNCED, State.HELD, State.UNCERTAIN)
"""Want somebody to look."""
