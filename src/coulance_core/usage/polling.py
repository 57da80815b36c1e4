"""When a source is asked next, and whether what it counts began anew since it was asked last. Nothing here is random:
the spread between targets and the jitter of a back-off come from their names, so that a test or an operator can tell.
"""

import hashlib
from dataclasses import dataclass

FIRST_PAUSE_S = 15
LONGEST_PAUSE_S = 1800
_MODULUS = 1 << 32
_SLACK_S = 5


def _share(name: str) -> float:
    """A number in [0, 1) that is always the same for a name."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=4).digest(), "big") / 2**32


def next_poll(at: int, interval_s: int, name: str) -> int:
    """The next regular instant (epoch seconds, after `at`) to ask a target: on its interval's grid, and a little later
    by its name, at most a tenth of the interval, so that a thousand targets aren't asked in the same second.

    >>> next_poll(1_790_000_100, 300, "switch1") - 1_790_000_100
    19
    >>> next_poll(1_790_000_119, 300, "switch1") - 1_790_000_119
    300
    """
    phase = int(_share(name) * max(interval_s // 10, 1))
    begin = at - at % interval_s + phase
    return begin if begin > at else begin + interval_s


def pause_s(failures: int, name: str, *, asked_s: int = 0) -> int:
    """Seconds until a target is asked again after so many failures in a row: 15, 30, 60, ... at most half an hour,
    a tenth more or less by its name; never less than the source itself asked for (Retry-After), up to a day.

    >>> [pause_s(n, "pve") for n in (1, 2, 3, 4, 8, 50)]
    [14, 27, 63, 113, 1800, 1644]
    >>> pause_s(1, "pve", asked_s=120)
    120
    """
    plain = min(FIRST_PAUSE_S << min(failures - 1, 20), LONGEST_PAUSE_S)
    jittered = int(plain * (0.9 + 0.2 * _share(f"{name}#{failures}")))
    return max(min(jittered, LONGEST_PAUSE_S), min(asked_s, 86_400))


@dataclass(frozen=True, slots=True)
class DeviceClock:
    """What a device said of its clocks at an instant (epoch seconds); `None` where it has no such clock.

    `ticks` is sysUpTime and `host_ticks` hrSystemUptime, hundredths of a second modulo 2^32 (497 days). `boots` and
    `engine_s` are snmpEngineBoots and snmpEngineTime, which doesn't wrap for 68 years. `uptime_s` is a plain uptime.
    """

    at: int
    ticks: int | None = None
    boots: int | None = None
    engine_s: int | None = None
    host_ticks: int | None = None
    uptime_s: int | None = None


def restarted_at(before: DeviceClock, now: DeviceClock) -> int | None:
    """When what the device counts began anew between two polls, or `None` when it ran on.

    The host's own uptime decides where it is told: an agent that starts again on a host that ran on has lost nothing.
    Next snmpEngineTime with its boots, which tell a restart from sysUpTime's wrap; sysUpTime by itself is compared
    modulo its own width.

    >>> restarted_at(DeviceClock(0, ticks=2**32 - 10_000), DeviceClock(300, ticks=20_000)) is None
    True
    >>> restarted_at(DeviceClock(1000, uptime_s=5000), DeviceClock(1300, uptime_s=60))
    1240
    """
    elapsed = now.at - before.at
    for old, new, per in ((before.host_ticks, now.host_ticks, 100), (before.uptime_s, now.uptime_s, 1)):
        if old is not None and new is not None:
            return None if _ran_on(old, new, elapsed, per) else max(now.at - new // per, before.at + 1)
    if before.boots is not None and now.boots is not None and before.engine_s is not None and now.engine_s is not None:
        if before.boots == now.boots and now.engine_s >= before.engine_s:
            return None
        return max(now.at - now.engine_s, before.at + 1)
    if before.ticks is not None and now.ticks is not None and not _ran_on(before.ticks, now.ticks, elapsed, 100):
        return max(now.at - now.ticks // 100, before.at + 1)
    return None


def _ran_on(old: int, new: int, elapsed_s: int, per_s: int) -> bool:
    """Whether what passed on the device's clock agrees with ours: 5 s and 1 % are allowed, and a wrap at 2^32."""
    passed = (new - old - per_s * elapsed_s) % _MODULUS
    return min(passed, _MODULUS - passed) <= per_s * (_SLACK_S + elapsed_s // 100)
