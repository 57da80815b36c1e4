"""E-invoices: documents written as UBL, and judged by schema and the official rules, in one process beside ours.

There is no rival that runs the same rules without a Java machine, and no goal: the figures say what a run of invoices
costs.
"""

from typing import Any

from tests.core.invoicing import papers, samples

from benchmarks.harness import Result, timed
from coulance.invoicing import einvoice
from coulance.invoicing.einvoice.saxon import VALIDATOR

WRITTEN, JUDGED = 2000, 500
NOTE = "3 lines each, one core"


def run() -> list[Result]:
    """Write, then judge; the rules are compiled before the clock starts."""
    documents = [_document(i) for i in range(WRITTEN)]
    with timed() as writing:
        made = [einvoice.ubl(document) for document in documents]
    ciis = [einvoice.cii(document) for document in documents[:JUDGED]]
    results = [Result("e-invoice, UBL written", WRITTEN / writing.seconds, "docs/s", note=NOTE)]
    for name, files in (("UBL judged", made[:JUDGED]), ("CII judged", ciis)):
        assert einvoice.validate(files[0]).valid
        with timed() as judging:
            valid = sum(einvoice.validate(xml).valid for xml in files)
        assert valid == len(files)
        results.append(Result(f"e-invoice, {name}", len(files) / judging.seconds, "docs/s", note=NOTE))
    VALIDATOR.close()
    return results


def _document(i: int) -> dict[str, Any]:
    lines = [samples.bill_line(amount + i) for amount in (4126, 19524, 89)]
    return papers.issued(samples.document(lines), f"O2026-{i:06}")
