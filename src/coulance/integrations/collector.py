"""The local collector: reads this machine's own interfaces, as 64-bit counters with the boot time as their start.

A bridge counts what its ports count, a VLAN what its parent counts, a bond what its members count: taking all would
charge the same byte twice. What leaves the machine passes its physical interfaces, so those are taken; in a container
or a guest without any, every interface that stands on no other one.
"""

import socket
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import psutil

from coulance.usage.columns import Columns, from_lists

_NETWORK = Path("/sys/class/net")


@dataclass(frozen=True, slots=True)
class Reading:
    """An interface's counters, in bytes."""

    interface: str
    received: int
    sent: int


def chosen(names: list[str], root: Path = _NETWORK) -> list[str]:
    """Which of these interfaces to count so that nothing counts twice; sorted. `root` is the kernel's view of them."""
    rest = [name for name in names if name != "lo" and not _is_loopback(root / name)]
    physical = [name for name in rest if (root / name / "device").exists()]
    if physical:
        return sorted(physical)
    return sorted(
        name for name in rest if not _stands_on_another(root / name) and not (root / name / "master").exists()
    )


def _is_loopback(folder: Path) -> bool:
    try:
        return int((folder / "flags").read_text(), 16) & 0x8 != 0
    except (OSError, ValueError):
        return False


def _stands_on_another(folder: Path) -> bool:
    return (folder / "bridge").exists() or (folder / "bonding").exists() or any(folder.glob("lower_*"))


def readings(only: list[str] | None = None) -> list[Reading]:
    """The counters now, of the chosen interfaces or of those named. Raises `LookupError` for an unknown name."""
    counters = psutil.net_io_counters(pernic=True, nowrap=False)
    names = chosen(list(counters)) if only is None else only
    for name in names:
        if name not in counters:
            raise LookupError(f"there is no interface {name!r}; there are: {', '.join(sorted(counters))}")
    return [Reading(name, counters[name].bytes_recv, counters[name].bytes_sent) for name in names]


def collect(*, at: datetime, host: str | None = None, only: list[str] | None = None) -> Columns:
    """A batch with one reading of each interface; series keys are `host:interface`. Counters began at boot."""
    found = readings(only)
    name = host or socket.gethostname()
    boot = int(psutil.boot_time())
    return from_lists(
        {
            "series": [f"{name}:{one.interface}" for one in found],
            "at": [int(at.timestamp())] * len(found),
            "in": [one.received for one in found],
            "out": [one.sent for one in found],
            "since": [boot] * len(found),
        }
    )
