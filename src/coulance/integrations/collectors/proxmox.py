"""Proxmox VE: the counters of all guests of a cluster, in one question.

`netin` and `netout` count since the guest's process started, as `uptime` does: an uptime shorter than what passed says
that both began anew, be it a reboot or a live migration, which starts the guest as another process on another node.
Only running guests count; a template or a stopped guest has no reading. What a question gives is at most some ten
seconds old (the cluster's status daemon), the same for in and out.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from coulance.integrations.collectors.harvest import Harvest, Now, Readings, UnableToCollectError
from coulance.integrations.collectors.http import Api, number
from coulance.usage.collecting import Progress
from coulance_core.catalog.collectors import Collector
from coulance_core.usage.polling import DeviceClock, restarted_at


class _Guest(msgspec.Struct):
    vmid: int | None = None
    type: str = ""
    status: str = ""
    name: str = ""
    node: str = ""
    pool: str = ""
    tags: str = ""
    template: int = 0
    uptime: int | float | None = None
    netin: int | float | None = None
    netout: int | float | None = None


class _Resources(msgspec.Struct):
    data: list[_Guest]


class Proxmox:
    """Asks one cluster, whichever of its nodes the address is of."""

    def targets(self, collector: Collector) -> tuple[str, ...]:
        """The cluster's address."""
        return (collector.url,)

    def ask(
        self,
        collector: Collector,
        target: str,  # noqa: ARG002 - there is one, its url
        before: Progress,
        now: Now,
        secrets: Mapping[str, str],
    ) -> Harvest:
        """The counters of all running guests, now."""
        token = secrets[collector.secret]
        if not token.partition("!")[2].partition("=")[2]:
            raise UnableToCollectError(
                f"the secret {collector.secret!r} is no API token: expected USER@REALM!TOKENID=UUID"
            )
        with Api(collector, {"Authorization": f"PVEAPIToken={token}"}, now, secret=collector.secret) as api:
            found = api.get("/api2/json/cluster/resources", _Resources, type="vm").data
        at = int(now().timestamp())
        readings = Readings(collector)
        known: Mapping[str, Any] = before.state.get("guests", {})
        guests: dict[str, list[int]] = {}
        for guest in found:
            v_in, v_out, uptime = number(guest.netin), number(guest.netout), number(guest.uptime)
            if guest.vmid is None or guest.type not in ("qemu", "lxc") or guest.template:
                continue
            name = f"{guest.type}/{guest.vmid}"
            if guest.status != "running":
                continue  # what it counts next begins at zero, and its uptime will say so
            if v_in is None or v_out is None or not uptime:
                readings.notes.append(f"{name} runs and has no counters yet")
                if name in known:
                    guests[name] = known[name]
                continue
            since = None
            if (old := known.get(name)) is not None:
                since = restarted_at(DeviceClock(old[0], uptime_s=old[1]), DeviceClock(at, uptime_s=uptime))
            guests[name] = [at, uptime]
            labels = {
                "vmid": str(guest.vmid),
                "name": guest.name,
                "node": guest.node,
                "type": guest.type,
                "pool": guest.pool,
                "tags": guest.tags,
            }
            readings.add(labels, at, v_in, v_out, since)
        for name, old in known.items():  # stopped ones are remembered: they may start again
            guests.setdefault(name, old)
        present = {f"{guest.type}/{guest.vmid}" for guest in found}
        return readings.harvest(cursor=at, state={"guests": {n: v for n, v in guests.items() if n in present}})
