"""What a close did, in the words and sums that a person wants to see."""

from coulance.flows.closing.close_period import CloseReport
from coulance_core.kernel import Money, Rounding

KINDS = {
    "base_invoice": "base invoices",
    "overage_invoice": "overage invoices",
    "credit_note": "credit notes",
    "debit_note": "debit notes",
    "usage_statement": "usage statements",
}


def amounts(by_currency: dict[str, object]) -> str:
    """Sums by currency as text: `1,234.50 EUR`."""
    parts = []
    for code, amount in sorted(by_currency.items()):
        money = Money.of(amount, code, Rounding.HALF_UP)  # type: ignore[arg-type]
        whole, point, cents = money.decimal().partition(".")
        sign, digits = ("-", whole[1:]) if whole.startswith("-") else ("", whole)
        parts.append(f"{sign}{int(digits):,}{point}{cents} {code}")
    return " + ".join(parts) or "-"


def rows(report: CloseReport) -> list[tuple[str, str]]:
    """(what, how much) of a report, in reading order."""
    totals = report.totals
    out = [
        ("accounts", f"{report.accounts:,}" + (f" ({report.not_yet} not due yet)" if report.not_yet else "")),
        ("services metered", f"{totals.services:,}"),
        ("samples", f"{totals.samples:,}"),
        ("coverage", f"{float(totals.coverage):.2%}" if totals.expected else "-"),
    ]
    for kind, words in KINDS.items():
        if totals.documents.get(kind):
            net = totals.net.get(kind, {})
            money = f", {amounts(dict(net))} net" if kind != "usage_statement" else ""
            out.append((words, f"{totals.documents[kind]:,}{money}"))
    if totals.held:
        out.append(("waiting for customers", f"{totals.held:,} of the overage invoices"))
    if totals.carried:
        out.append(("carried forward", amounts(dict(totals.carried))))
    out.extend((f"numbers, {series}", f"{first} to {last}") for series, (first, last) in report.numbers.items())
    if report.parked:
        out.append(("parked accounts", f"{len(report.parked):,}"))
    out.append(("time", f"{report.seconds:.1f} s"))
    return out
