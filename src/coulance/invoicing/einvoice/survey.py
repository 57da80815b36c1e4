"""Many documents at once: which have a valid e-invoice, which can have none and why, and where a rule failed."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from coulance.invoicing.einvoice import cii_writer, ubl_writer
from coulance.invoicing.einvoice.validation import Report, validate
from coulance_core.invoicing.en16931 import invoice_of
from coulance_core.invoicing.en16931_model import EInvoiceInvalidError, Lack


@dataclass(slots=True)
class Survey:
    """What was found: numbers of valid documents, of those that can have no e-invoice, and of those that failed."""

    valid: list[str] = field(default_factory=list)
    impossible: dict[str, tuple[Lack, ...]] = field(default_factory=dict)
    failed: dict[str, list[Report]] = field(default_factory=dict)

    def add(self, other: "Survey") -> None:
        """Count what another survey found too."""
        self.valid += other.valid
        self.impossible |= other.impossible
        self.failed |= other.failed

    @property
    def fields(self) -> dict[str, int]:
        """How many documents each lacking field stops."""
        out: dict[str, int] = {}
        for lacks in self.impossible.values():
            for name in {_without_key(lack.field) for lack in lacks}:
                out[name] = out.get(name, 0) + 1
        return out


def _without_key(name: str) -> str:
    before, _, rest = name.partition("[")
    return before + rest.partition("]")[2]


def survey(snapshots: Iterable[Mapping[str, Any]], *, with_cii: bool = True) -> Survey:
    """Write and judge each document as UBL, and as CII too; usage statements are passed over."""
    out = Survey()
    for snapshot in snapshots:
        if snapshot["kind"] == "usage_statement":
            continue
        number = str(snapshot["number"])
        try:
            invoice = invoice_of(snapshot)
        except EInvoiceInvalidError as error:
            out.impossible[number] = error.lacks
            continue
        made = [ubl_writer.write(invoice), *([cii_writer.write(invoice)] if with_cii else [])]
        reports = [report for report in map(validate, made) if not report.valid]
        if reports:
            out.failed[number] = reports
        else:
            out.valid.append(number)
    return out
