"""How far a customer may set a limit without the provider's approval: core's credit rules on what is known of them."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from coulance.catalog import queries as catalogs
from coulance.flows.overage_control.counted import Counted
from coulance.payments import lateness
from coulance.services import queries as services
from coulance_core.kernel import Money
from coulance_core.overage.credit import LATE_DAYS, Known, bound


def bound_of(one: Counted, *, at: datetime) -> Money | None:
    """The bound of the account's limit on an allowance; None: no rule holds, or none is said."""
    rules = catalogs.catalog().overage.credit
    if not rules:
        return None
    today = at.astimezone(ZoneInfo(one.account.zone)).date()
    started = [s.started_on for account in services.accounts_for_close([one.account.id]) for s in account.services]
    age = (today - min(started, default=today)).days
    year_ago = today - timedelta(days=365)
    late = lateness.paid_late(account=one.account.id, since=year_ago, on=today, days=LATE_DAYS)
    return bound(rules, Known(age, late, one.part.version.plan), one.part.version.currency)
