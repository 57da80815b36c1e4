"""Who should be heard and isn't: silence is credited, so somebody must hear of it while it can be ended."""

from datetime import datetime, timedelta

from coulance.flows.promises import terms
from coulance.flows.promises.measuring import COUNTED
from coulance.platform import alarms
from coulance.services import queries as services
from coulance.sla import looks, rates
from coulance.sla import queries as sla

LONG = timedelta(minutes=30)
"""An agent hands over every few seconds: longer without it is worth somebody's attention."""
COUNTS_LONG = timedelta(hours=2)


def watch(*, at: datetime) -> list[str]:
    """Alarm about probe agents, and sources of checks that a promise stands on, that fell silent; the alarms' keys.

    A source that tells of changes only may be silent for years. What was never heard is silent since it was made.
    """
    silent: dict[str, str] = {}
    probed = sla.checks(outside=False)
    for agent in sla.agents():
        asked = agent.retired_at is None and any(not c.vantages or agent.name in c.vantages for c in probed)
        if agent.source == "probe" and asked and (agent.last_at is None or at - agent.last_at > LONG):
            heard = f"was last heard at {agent.last_at:%F %R} UTC" if agent.last_at else "was never heard"
            silent[f"sla-silent/{agent.name}"] = f"probe {agent.name} {heard}"
    fed = [check for check in sla.checks(outside=True) if not check.holds and at - check.since > COUNTS_LONG]
    if fed:
        ids = {check.service for check in fed}
        promised = {one.service.id for one in terms.promised(year=at.year, month=at.month, only=ids)}
        since = at - COUNTS_LONG
        counted = [check.id for check in fed if check.kind == COUNTED]
        seen = [check.id for check in fed if check.kind != COUNTED]
        heard_of = {row.check for row in rates.rates(checks=counted, start=since, end=at)}
        heard_of |= {row.check for row in looks.streams(checks=seen, start=since, end=at) if row.at.size}
        names = {row.id: row.external_id for row in services.services(ids)}
        for check in fed:
            if check.service in promised and check.id not in heard_of:
                what = f"nothing came of check {check.id} ({check.kind} {check.target}) of {names[check.service]}"
                silent[f"sla-silent/check-{check.id}"] = what
    for alarm in alarms.open_alarms():
        if alarm.key.startswith("sla-silent/") and alarm.key not in silent:
            alarms.clear_alarm(key=alarm.key, at=at)
    for key, what in silent.items():
        said = f"{what}: time that nobody else sees is unknown, and is credited. Start it again, or end its checks"
        alarms.raise_alarm(key=key, severity="warning", what=said, at=at)
    return sorted(silent)
