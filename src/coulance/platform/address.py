"""Where people reach us: the beginning of every link that we send."""

import os

from coulance.platform import instance

USUAL = "http://127.0.0.1:8000"


def public() -> str:
    """`COULANCE_URL`; else where `coulance up` serves, or is about to; else its usual place. No slash at the end.

    Never taken from a request, which anybody can forge.
    """
    said = os.environ.get("COULANCE_URL") or os.environ.get("COULANCE_SERVES")
    if not said:
        from coulance.platform import supervisor

        running = supervisor.state(instance.current())
        said = running["address"] if running else USUAL
    return said.rstrip("/")


def serves(address: str) -> None:
    """Note where this process, and those it starts, will serve."""
    os.environ["COULANCE_SERVES"] = address
