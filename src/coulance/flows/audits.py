"""The audits: what the house promises, worked out again from what is stored, each night and whenever somebody asks.

Guards in the database refuse what would break a promise; an audit is for whoever doubts the guards, or their keeper.
"""

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from coulance.customers.terms import check_terms
from coulance.disputes.check import check_disputes
from coulance.flows.arrears.checking import check_arrears
from coulance.flows.contracts.earning import check_hours
from coulance.invoicing.check import check_documents
from coulance.invoicing.check_laws import check_charges, check_statements
from coulance.ledger.check import check_ledger
from coulance.notices.check import check_evidence
from coulance.payments.check import check_payments
from coulance.platform import checks
from coulance.sla.check import check_promises
from coulance.usage import queries as usage

_log = logging.getLogger(__name__)

_TOLD = 20


@dataclass(frozen=True, slots=True)
class Audit:
    """One audit: its name, what it looks at, and the look, which yields a line for every fault."""

    name: str
    what: str
    look: Callable[[], Iterable[object]]


AUDITS: tuple[Audit, ...] = (
    Audit("ledger", "Journal: entries balance, chains and seals hold", check_ledger),
    Audit("samples", "Samples: files are what their manifest says, counters are what the samples sum to", usage.verify),
    Audit(
        "documents", "Documents: numbers without gaps, sums hold, each is in the journal as it says", check_documents
    ),
    Audit("charges", "First law: every amount has an explanation that recomputes to it", check_charges),
    Audit("statements", "First law: every settled period has a usage statement", check_statements),
    Audit("payments", "Payments: what is open, used and booked agrees with the journal", check_payments),
    Audit("hours", "Hour cards: what was sold and isn't used is what the journal owes in work", check_hours),
    Audit("disputes", "Disputes: what is contested is held as long as its case is open, and no longer", check_disputes),
    Audit("terms", "General terms: each text gives its hash, and who agreed to which is chained", check_terms),
    Audit("arrears", "Second law: no restriction for debt without its notices, its backup, its people", check_arrears),
    Audit("promises", "Third law: what was down is credited, once, as its arithmetic says", check_promises),
    Audit("evidence", "Evidence of sending: nothing was changed, removed or added", check_evidence),
)
"""In the order in which they are printed. A room that has something to audit adds it here."""


class UnableToAuditError(LookupError):
    """There is no audit of that name."""


def audit(name: str) -> Audit:
    """The audit of that name. Raises UnableToAuditError."""
    for each in AUDITS:
        if each.name == name:
            return each
    raise UnableToAuditError(f"there is no audit {name}; there are {', '.join(each.name for each in AUDITS)}")


@dataclass(frozen=True, slots=True)
class Found:
    """What an audit found: its result as it was kept, and its faults in words."""

    result: checks.Result
    faults: tuple[str, ...]


def run_audit(name: str, *, at: datetime) -> Found:
    """Run one audit, keep its result, and raise its alarm or clear it.

    An audit that can't be finished is a fault as well: what could not be read can't be called sound.
    """
    chosen = audit(name)
    began = time.monotonic()
    faults: list[str] = []
    try:
        faults.extend(str(fault) for fault in chosen.look())
    except Exception as broken:
        _log.exception("the audit %s could not be finished", name)
        faults.append(f"the audit could not be finished: {type(broken).__name__}: {broken}")
    for fault in faults[:_TOLD]:
        _log.error("audit %s: %s", name, fault)
    result = checks.note_result(
        name=name,
        what=chosen.what,
        faults=len(faults),
        first=faults[0] if faults else "",
        took=timedelta(seconds=time.monotonic() - began),
        at=at,
    )
    return Found(result, tuple(faults))
