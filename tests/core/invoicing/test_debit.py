"""A debit note mirrors its credit note to the cent, whatever that was: together they come to nothing."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.invoicing import papers, samples

from coulance_core.invoicing import (
    CreditRequest,
    CreditType,
    DebitError,
    DocumentKind,
    Issued,
    IssuedNote,
    check,
    credit_note,
    debit_note,
    journal,
    snapshot_of,
)
from coulance_core.invoicing.en16931 import invoice_of

ASK = {"reason": "it was meant for another", "issued_on": samples.ON, "due_on": samples.ON}


@settings(max_examples=40, deadline=None)
@given(
    amounts=st.lists(st.integers(1, 90_000), min_size=1, max_size=4),
    kind=st.sampled_from(list(CreditType)),
    part=st.integers(1, 90_000),
    classes=st.lists(st.sampled_from(["standard", "reduced"]), min_size=4, max_size=4),
)
def test_credit_and_debit_come_to_nothing(amounts: list[int], kind: CreditType, part: int, classes: list[str]) -> None:
    draft = samples.document([samples.bill_line(a, tax_class=c) for a, c in zip(amounts, classes, strict=False)])
    invoice = Issued.of(draft, "O2026-000001")
    first = draft.lines[0]
    net = type(first.net)(min(part, first.net.minor), first.net.currency)
    note = credit_note(
        invoice,
        lines=[CreditRequest(1, net)],
        credit_type=kind,
        reason="agreed",
        issued_on=samples.ON,
        tax_point=samples.ON,
    )
    back = debit_note(IssuedNote.of(note, "C2026-0001"), **ASK)
    assert back.kind is DocumentKind.DEBIT_NOTE
    assert (back.totals.net, back.totals.tax, back.totals.gross) == (
        -note.totals.net,
        -note.totals.tax,
        -note.totals.gross,
    )
    sums: dict[str, int] = {}
    for leg in (*journal(note), *journal(back)):
        sums[leg.account] = sums.get(leg.account, 0) + leg.amount
    assert not any(sums.values())
    # The invoice stands as if neither had been: all of it may be credited again.
    after = invoice.after(note).after(back)
    assert [after.left(line) for line in draft.lines] == [line.net.minor for line in draft.lines]
    assert not any(after.credited_tax.values())
    assert not any(after.damages.values())
    snapshot = snapshot_of(back)
    check(snapshot | {"number": "C2026-0002"})
    told = invoice_of(snapshot | {"number": "C2026-0002"})
    assert (told.type_code, told.preceding) == ("383", ("C2026-0001", samples.ON))
    assert told.gross == -invoice_of(snapshot_of(note) | {"number": "C2026-0001"}).gross * -1


def test_a_debit_note_says_why_and_is_of_a_credit_note() -> None:
    draft = papers.of_classes("standard")
    with pytest.raises(DebitError, match="no credit note"):
        IssuedNote.of(draft, "O2026-000001")
    note = credit_note(
        Issued.of(draft, "O2026-000001"),
        lines=None,
        credit_type=CreditType.CORRECTION,
        reason="agreed",
        issued_on=samples.ON,
        tax_point=samples.ON,
    )
    with pytest.raises(DebitError, match="says why"):
        debit_note(IssuedNote.of(note, "C2026-0001"), **{**ASK, "reason": " "})
