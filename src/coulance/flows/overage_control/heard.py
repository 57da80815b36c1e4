"""What became of a warning: one that came back and left nobody told is a call to be made, at once."""

from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from coulance.catalog import queries as catalog_room
from coulance.customers import queries as customers
from coulance.flows.overage_control.evaluating import is_on
from coulance.flows.overage_control.quiet import wakes_at
from coulance.notices import queries as sent
from coulance.notices.ports import About, Plain
from coulance.notices.terms import File
from coulance.overage import operations as overage
from coulance.overage import queries as records


class Warnings:
    """Serves messages of the kind `warning`, in the transaction that records what happened to one of them."""

    def files(self, *, kind: str, ref: str) -> Sequence[File]:
        """Nothing is attached to a warning."""
        return Plain().files(kind=kind, ref=ref)

    def accepted(self, *, of: About, at: datetime) -> None:
        """It may arrive: nothing to do."""

    def failed(self, *, of: About, state: str, why: str, at: datetime) -> None:
        """It was refused, came back or is held. When no other message about it stands, somebody is to be called."""
        del state, why
        if of.account is None or not is_on():
            return
        zone = ZoneInfo(customers.accounts([of.account])[0].zone)
        due = wakes_at(at, zone, catalog_room.catalog().overage)
        for account, meter, period_name in records.told_by(message=of.key):
            told = records.warnings(account=account, period_name=period_name)
            others = {row.message for row in told if row.meter == meter and row.message != of.key} - {""}
            standing = records.standing_of(account=account, meter=meter)
            if standing is not None and not sent.any_standing(keys=others):
                ref = records.MeterRef(account, meter, standing.services, meter.rpartition("/")[2])
                overage.open_phone_task(meter=ref, period_name=period_name, why="unreached", due_at=due, at=at)
