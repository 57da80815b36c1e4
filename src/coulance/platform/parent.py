"""Ending together with whoever started us, also when they were killed and could tell nobody."""

import ctypes
import os
import signal
import sys
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1


def die_with_parent(parent: int, number: int = signal.SIGINT) -> Callable[[], None] | None:
    """What a child runs before its program starts (`preexec_fn`), so that it is sent a signal when its parent ends.

    The kernel watches the parent's thread, not its process: start children from the main thread. Changing the user
    clears the request, and subprocess changes the user before it calls this, so the order is right. None where the
    system can't do it (not Linux).
    """
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None, use_errno=True)

    def ask() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)
        if os.getppid() != parent:  # it died before we could ask
            os._exit(1)

    return ask


def follow_parent(number: int = signal.SIGKILL) -> None:
    """Ask for the same in the process that calls this, whose parent is taken to be alive."""
    ask = die_with_parent(os.getppid(), number)
    if ask is not None:
        ask()
