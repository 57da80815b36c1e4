"""Auditing disputes: what the guards promise, recomputed from rows, the ledger's holds and core's own arithmetic."""

from collections.abc import Iterator
from dataclasses import dataclass

from coulance.disputes import models, queries
from coulance.ledger import queries as ledger
from coulance_core.kernel import Money
from coulance_core.kernel.explanation import ExplanationError
from coulance_core.ledger import HoldKind


@dataclass(frozen=True, slots=True)
class DisputesFault:
    """What is wrong, and in which case."""

    case: int
    message: str

    def __str__(self) -> str:
        return f"case {self.case}: {self.message}"


def check_disputes() -> Iterator[DisputesFault]:
    """Every fault of disputes, as it is found; nothing for sound ones. Reads, never writes."""
    held = {
        hold.source: (hold.account, hold.about, hold.amount)
        for hold in ledger.open_holds()
        if hold.kind is HoldKind.DISPUTE and hold.source.startswith("dispute/")
    }
    for hold in queries.holds():
        found = held.pop(f"dispute/{hold.dispute}", None)
        if found != (hold.account, hold.ref, hold.amount):
            yield DisputesFault(hold.dispute, f"holds {hold.amount} of {hold.ref}, and the ledger {found or 'nothing'}")
    for source in held:
        yield DisputesFault(int(source.partition("/")[2]), "is closed or not there, and the ledger still holds for it")
    for case, net, code in models.Case.objects.values_list("id", "net", "currency").iterator():
        yield from _check_parts(case, Money(net, code))


def _check_parts(case: int, net: Money) -> Iterator[DisputesFault]:
    total = Money(0, net.currency)
    for part in queries.parts(case):
        total += part.net
        try:
            found = part.explanation.recompute()["contested"]
        except (ExplanationError, KeyError) as fault:
            yield DisputesFault(case, f"the explanation of line {part.line} does not recompute: {fault}")
            continue
        if found != part.net.amount:
            yield DisputesFault(case, f"line {part.line} is contested for {part.net}, and explained as {found}")
    if total != net:
        yield DisputesFault(case, f"its lines come to {total}, and it says {net}")
