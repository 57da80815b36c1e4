"""Closing a month, or trying it, as an errand: asked for by a screen or the API, done by a job, watched meanwhile.

The job runs the very flow that `coulance close` runs; killed, it comes back and goes on where it stopped.
"""

import logging
from collections.abc import Callable
from datetime import datetime
from typing import Any

from coulance.customers import queries as customers
from coulance.flows.closing.close_period import CloseReport, UnableToCloseError, close_period
from coulance.flows.closing.differences import Differences
from coulance.invoicing.errors import InvoicingError
from coulance.platform import errands
from coulance.platform.errands import Errand
from coulance_core.kernel import Money, Rounding, require_aware

_log = logging.getLogger(__name__)

CLOSE, TRY = "period.close", "period.try"
TASK = "coulance.flows.tasks.closing.close"
_MOST_PARKED = 200


class UnableToAskForCloseError(ValueError):
    """The month is none, or a reason is missing."""


def ask_to_close(
    *, year: int, month: int, dry_run: bool, actor: str, at: datetime, reason: str = "", retry_parked: bool = True
) -> Errand:
    """Have a month closed, or tried (`dry_run`: nothing is written), as of this instant. Gives the errand to watch.

    Closing makes claims on customers, so it wants a reason. Raises `UnableToAskForCloseError`, and
    `errands.UnableToAskError` while the same is under way.
    """
    if not (2000 <= year <= 2199 and 1 <= month <= 12):
        raise UnableToAskForCloseError(f"expected a month such as 2026-10, not {year}-{month}")
    if not dry_run and not reason.strip():
        raise UnableToAskForCloseError("closing a month bills customers: say why it is closed now")
    return errands.ask(
        kind=TRY if dry_run else CLOSE,
        subject=f"period:{year:04}-{month:02}",
        task=TASK,
        parameters={
            "year": year,
            "month": month,
            "dry_run": dry_run,
            "retry_parked": retry_parked,
            "at": require_aware(at).isoformat(),
        },
        actor=actor,
        at=at,
        reason=reason.strip(),
        lock="flows.close",
    )


def run(*, errand: str, now: Callable[[], datetime]) -> None:
    """Do it; called by the job, outside a transaction. What can't be closed ends the errand in words."""
    asked = errands.start(key=errand, at=now())
    if asked is None:
        return
    given = asked.parameters
    differences = Differences()
    try:
        report = close_period(
            year=given["year"],
            month=given["month"],
            at=datetime.fromisoformat(given["at"]),
            actor=asked.asked_by,
            dry_run=given["dry_run"],
            retry_parked=given["retry_parked"],
            progress=lambda done, total: errands.tell(key=errand, done=done, total=total),
            watch=differences.add if given["dry_run"] else None,
        )
        result = as_json(report)
        if given["dry_run"]:
            result["differences"] = differences.as_json(year=given["year"], month=given["month"])
    except (UnableToCloseError, InvoicingError, LookupError) as fault:
        errands.fail(key=errand, fault=str(fault), at=now())
    except Exception:
        errands.fail(key=errand, fault="it failed for a reason that is in the worker's log", at=now())
        raise
    else:
        errands.finish(key=errand, result=result, at=now())


def as_json(report: CloseReport) -> dict[str, Any]:
    """A report as JSON: counts, sums as {"amount", "currency"}, number blocks, and the first parked accounts."""
    names = {row.id: row.external_id for row in customers.accounts([p.account for p in report.parked[:_MOST_PARKED]])}
    totals = report.totals
    return {
        "period": report.period,
        "dry_run": report.dry_run,
        "accounts": report.accounts,
        "accounts_not_due": report.not_yet,
        "services": totals.services,
        "samples": totals.samples,
        "slots_seen": totals.seen,
        "slots_expected": totals.expected,
        "documents": [
            {"kind": kind, "count": count, "net": _sums(totals.net.get(kind, {}))}
            for kind, count in sorted(totals.documents.items())
        ],
        "carried": _sums(totals.carried),
        "numbers": [
            {"series": series, "first": first, "last": last} for series, (first, last) in sorted(report.numbers.items())
        ],
        "parked_accounts": len(report.parked),
        "parked": [
            {"account": names.get(p.account, str(p.account)), "reason": p.reason, "detail": p.detail}
            for p in report.parked[:_MOST_PARKED]
        ],
    }


def _sums(by_currency: Any) -> list[dict[str, str]]:
    return [
        {"amount": Money.of(amount, code, Rounding.HALF_UP).decimal(), "currency": code}
        for code, amount in sorted(by_currency.items())
    ]
